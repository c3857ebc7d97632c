package httpapi

import "github.com/fozlog/foz"

// access is what a route asks of a caller. The zero value lets nobody through.
type access string

const (
	open   access = "open"   // nothing, not even a credential
	member access = "member" // a credential, with any grants or none
	sees   access = "sees"   // any verb on the topic in the path
	reads  access = "reads"  // VerbRead on it
	writes access = "writes" // VerbProduce on it
	admins access = "admins" // VerbAdmin on it
	all    access = "all"    // VerbAdmin on every topic
	some   access = "some"   // a credential; the handler leaves out what it may not see
)

// rules is the one table of who may do what. A route that has no row here is closed, and
// TestS9EveryRouteHasARow fails.
//
// Groups have no grants of their own: a group is where somebody reads topics, so positions
// in a topic are seen and moved with VerbRead on it, and a group whose every topic is hidden
// is hidden. Deleting a group moves it in all its topics and asks for VerbRead on all.
var rules = map[string]access{
	"GET /v1/topics":        some,
	"PUT /v1/topics/{t}":    admins,
	"GET /v1/topics/{t}":    sees,
	"PATCH /v1/topics/{t}":  admins,
	"DELETE /v1/topics/{t}": admins,

	"POST /v1/topics/{t}/records":                  writes,
	"GET /v1/topics/{t}/records":                   reads,
	"POST /v1/topics/{t}/partitions/{p}/records":   writes,
	"GET /v1/topics/{t}/partitions/{p}/records":    reads,
	"DELETE /v1/topics/{t}/partitions/{p}/records": admins,
	"GET /v1/topics/{t}/partitions/{p}/offsets":    reads,
	"GET /v1/topics/{t}/partitions/{p}/segments":   reads,

	"GET /v1/groups":             some,
	"GET /v1/groups/{g}":         some,
	"DELETE /v1/groups/{g}":      some,
	"GET /v1/groups/{g}/offsets": some,
	"PUT /v1/groups/{g}/offsets": some,

	"POST /v1/maintenance": all,
	"GET /v1/cluster":      member, // nodes and counts; no names of topics
	"GET /metrics":         member, // the same
	"GET /v1/openapi.json": member,
	"GET /livez":           open, // asked by those that watch processes and hold no secrets
	"GET /readyz":          open,
}

// verbOf is what a rule asks for on the topic in the path.
var verbOf = map[access]Verb{reads: VerbRead, writes: VerbProduce, admins: VerbAdmin}

// check says why the rule does not let the caller through to the topic, or nil.
func (rule access) check(caller *Principal, topic string) error {
	verb, ok := verbOf[rule]
	switch {
	case caller == nil:
	case rule == member, rule == some, ok && caller.may(verb, topic),
		rule == sees && caller.sees(topic):
		return nil
	case rule == all:
		return caller.mayMaintain()
	case ok:
		return caller.forbidden(verb, topic)
	case rule == sees:
		return foz.Errorf(foz.CodeForbidden, "%s has no grant for topic %s", caller.name,
			shortened(topic))
	}
	return foz.Errorf(foz.CodeForbidden, "nobody may do this")
}
