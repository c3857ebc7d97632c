package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// Verb is what a grant lets its holder do with topics. No verb implies another.
type Verb string

// The verbs. Any of them lets its holder see that a topic exists, and its description.
const (
	VerbRead    Verb = "read"    // records, offsets, positions of groups
	VerbProduce Verb = "produce" // append records
	VerbAdmin   Verb = "admin"   // create, alter, trim, delete
)

// Verbs are all there are.
var Verbs = []Verb{VerbRead, VerbProduce, VerbAdmin}

// Grant allows verbs on the topics whose names a pattern covers: a name, or the beginning of
// names and then "*". Topics that do not exist are covered like those that do.
type Grant struct {
	Topics string `json:"topics"`
	Verbs  []Verb `json:"verbs"`
}

var validPattern = regexp.MustCompile(`^([A-Za-z0-9._-]{1,249}|[A-Za-z0-9._-]{0,249}\*)$`)

// Check refuses a grant that cannot be meant.
func (g Grant) Check() error {
	if !validPattern.MatchString(g.Topics) {
		return fmt.Errorf("topics %q: want a topic's name, or the beginning of names and a *", g.Topics)
	}
	if len(g.Verbs) == 0 {
		return fmt.Errorf("topics %q: no verbs", g.Topics)
	}
	for _, v := range g.Verbs {
		if !slices.Contains(Verbs, v) {
			return fmt.Errorf("topics %q: verb %q is none of %v", g.Topics, v, Verbs)
		}
	}
	return nil
}

func (g Grant) covers(topic string) bool {
	if beginning, ok := strings.CutSuffix(g.Topics, "*"); ok {
		return strings.HasPrefix(topic, beginning)
	}
	return g.Topics == topic
}

// Principal is who sent a request, and what it may do. nil may do nothing.
type Principal struct {
	name   string
	grants []Grant
	ended  context.Context // is over when the credential is revoked or expires; nil: never
}

// everyone is the principal of a node without authentication.
var everyone = &Principal{name: "everyone", grants: []Grant{{Topics: "*", Verbs: Verbs}}}

// may says whether the principal may do something with a topic, whether or not there is one.
func (p *Principal) may(v Verb, topic string) bool {
	return p != nil && slices.ContainsFunc(p.grants, func(g Grant) bool {
		return g.covers(topic) && slices.Contains(g.Verbs, v)
	})
}

// sees says whether the principal may know that the topic exists.
func (p *Principal) sees(topic string) bool {
	return p != nil && slices.ContainsFunc(p.grants, func(g Grant) bool { return g.covers(topic) })
}

// seesAll says whether the principal may know of every topic.
func (p *Principal) seesAll() bool {
	return p != nil && slices.ContainsFunc(p.grants, func(g Grant) bool { return g.Topics == "*" })
}

// all says whether the principal has the verb for every topic.
func (p *Principal) all(v Verb) bool {
	return p != nil && slices.ContainsFunc(p.grants, func(g Grant) bool {
		return g.Topics == "*" && slices.Contains(g.Verbs, v)
	})
}

func (p *Principal) forbidden(v Verb, topic string) error {
	return foz.Errorf(foz.CodeForbidden, "%s may not %s topic %s", p.name, v, shortened(topic))
}

// Authenticator finds out who sends requests.
type Authenticator interface {
	// Authenticate gives the principal of a request, or *foz.Error unauthenticated. It does
	// not read the body. The moment is when the request came.
	Authenticate(r *http.Request, now time.Time) (*Principal, error)
}

// guard lets through to a handler those whom the rule of its route allows. It decides before
// the body is read, and by the topic's name alone: who may not see a topic is told the same
// whether it exists or not.
func (a *API) guard(rule access, h handler) handler {
	return func(w *response, r *http.Request) error {
		if rule == open || a.Authenticator == nil {
			w.caller = everyone
			return h(w, r)
		}
		caller, err := a.Authenticator.Authenticate(r, time.Now())
		if err != nil {
			w.Header().Set("Www-Authenticate", `Bearer realm="foz"`)
			return err
		}
		if err := rule.check(caller, r.PathValue("t")); err != nil {
			return err
		}
		w.caller = caller
		if caller.ended == nil {
			return h(w, r)
		}
		ctx, done := caller.within(r.Context())
		defer done()
		return h(w, r.WithContext(ctx))
	}
}

// errEnded ends streams whose credential does not hold any more.
var errEnded = foz.Errorf(foz.CodeUnauthenticated, "the credential was revoked or has expired")

// within gives a context that also ends, because of errEnded, with the principal's credential.
func (p *Principal) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ended, func() { cancel(errEnded) })
	return ctx, func() { stop(); cancel(nil) }
}
