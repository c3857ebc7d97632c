package httpapi

// Who may do what.
//
// How: an API over the made-up house has an authenticator with a few tokens. Each route is
// walked with each of them, and what may come through is computed from the routes' verbs, not
// from the rules: the test has a table of its own.

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// guarded is an API with a token for each principal of the map; the answer maps names to
// Authorization headers.
func guarded(t *testing.T, h *house, grants map[string][]Grant) (*API, map[string]string) {
	t.Helper()
	c := &Credentials{}
	headers := map[string]string{}
	var list []Credential
	for _, name := range slices.Sorted(maps.Keys(grants)) {
		token, hash := NewToken()
		headers[name] = "Authorization: Bearer " + token
		list = append(list, Credential{Name: name, SHA256: hash, Grants: grants[name]})
	}
	c.Replace(list)
	a := h.api(Config{})
	a.Authenticator = c
	return a, headers
}

func one(topics string, verbs ...Verb) []Grant { return []Grant{{topics, verbs}} }

// TestS9EveryRouteHasARow: a route without a row is closed to everybody, and is a defect.
func TestS9EveryRouteHasARow(t *testing.T) {
	unused := maps.Clone(rules)
	for _, rt := range newHouse().api(Config{}).routes {
		for method := range rt.methods {
			key := method + " " + rt.pattern
			rule := rules[key]
			if rule == "" {
				t.Errorf("%s has no row in rules (auth_table.go): say who may do it", key)
			}
			topical := strings.Contains(rt.pattern, "{t}")
			if needs := rule == sees || verbOf[rule] != ""; needs != topical {
				t.Errorf("%s: the rule %q fits no such path", key, rule)
			}
			delete(unused, key)
		}
	}
	for key := range unused {
		t.Errorf("%s has a row and no route", key)
	}
	if err := access("").check(everyone, "t"); !isCode(err, foz.CodeForbidden) {
		t.Errorf("no row: %v", err)
	}
}

// wants is what each operation asks for, once more and in other words than rules.
var wants = map[string]struct {
	verb    Verb   // "": any credential
	target  string // with %s for the topic
	body    string
	allowed int // the status when it is allowed
}{
	"GET list":       {"", "/v1/topics", "", 200},
	"PUT topic":      {VerbAdmin, "/v1/topics/%s", "", 200},
	"PATCH topic":    {VerbAdmin, "/v1/topics/%s", "{}", 200},
	"DELETE topic":   {VerbAdmin, "/v1/topics/%s", "", 204},
	"POST any":       {VerbProduce, "/v1/topics/%s/records", "x", 200},
	"GET all":        {VerbRead, "/v1/topics/%s/records", "", 200},
	"HEAD all":       {VerbRead, "/v1/topics/%s/records", "", 200},
	"POST one":       {VerbProduce, "/v1/topics/%s/partitions/0/records", "x", 200},
	"GET one":        {VerbRead, "/v1/topics/%s/partitions/0/records", "", 200},
	"DELETE records": {VerbAdmin, "/v1/topics/%s/partitions/0/records?before=0", "", 200},
	"GET offsets":    {VerbRead, "/v1/topics/%s/partitions/0/offsets?at=latest", "", 200},
	"PUT group": {VerbRead, "/v1/groups/g/offsets",
		`{"offsets":[{"topic":"%s","partition":0,"offset":0}]}`, 200},
	"GET cluster":    {"", "/v1/cluster", "", 200},
	"GET metrics":    {"", "/metrics", "", 200},
	"GET openapi":    {"", "/v1/openapi.json", "", 200},
	"GET nothing":    {"", "/v1/nothing", "", 404},
	"OPTIONS method": {"", "/v1/topics", "", 405},
}

// TestS9Matrix walks operation x credential x topic.
func TestS9Matrix(t *testing.T) {
	grants := map[string][]Grant{
		"reader": one("mine-*", VerbRead), "producer": one("mine-*", VerbProduce),
		"admin": one("mine-*", VerbAdmin), "nobody": nil, "root": one("*", Verbs...),
	}
	for name, op := range wants {
		for _, who := range append(slices.Sorted(maps.Keys(grants)), "stranger", "none") {
			for topic, exists := range map[string]bool{"mine-1": true, "theirs": true, "absent": false} {
				h := newHouse()
				if exists {
					h.topic(topic, 1, foz.TopicConfig{})
				}
				a, headers := guarded(t, h, grants)
				headers["stranger"] = "Authorization: Bearer foz_guessed"
				headers["none"] = "Accept: */*"
				method, _, _ := strings.Cut(name, " ")
				media := "Content-Type: text/plain"
				if method != "POST" {
					media = "Content-Type: application/json"
				}
				got := do(a.Handler(), method, strings.ReplaceAll(op.target, "%s", topic),
					strings.ReplaceAll(op.body, "%s", topic), headers[who], media)
				want := op.allowed
				granted := strings.HasPrefix(topic, "mine-") && slices.ContainsFunc(grants[who],
					func(g Grant) bool { return slices.Contains(g.Verbs, op.verb) })
				switch {
				case who == "stranger" || who == "none":
					want = 401
				case op.verb == "" || who == "root" && exists:
				case who == "root" && name == "PUT topic":
					want = 201
				case who == "root":
					want = 404
				case !granted:
					want = 403
				}
				if got.status != want {
					t.Errorf("%s of %s by %s: %d %s, want %d", name, topic, who, got.status, got.body, want)
				}
				if challenge := got.header.Get("WWW-Authenticate"); (want == 401) != (challenge != "") ||
					want == 401 && !strings.HasPrefix(challenge, "Bearer") {
					t.Errorf("%s by %s: WWW-Authenticate %q", name, who, challenge)
				}
				if changed := h.slot > 1; changed && want/100 == 4 {
					t.Errorf("%s of %s by %s changed something", name, topic, who)
				}
			}
		}
	}
}

// TestS9Open: probes need nothing, and tell nothing but their own.
func TestS9Open(t *testing.T) {
	a, _ := guarded(t, newHouse(), nil)
	for _, path := range []string{"/livez", "/readyz"} {
		wantEqual(t, path, do(a.Handler(), "GET", path, "").body, "ok\n")
	}
}

// TestS10AbsentOrForbidden: to those who may not see a topic, one that exists and one that
// does not are the same: byte for byte but for its name, in every operation.
func TestS10AbsentOrForbidden(t *testing.T) {
	h := newHouse()
	h.topic("secret", 2, foz.TopicConfig{})
	a, headers := guarded(t, h, map[string][]Grant{"other": one("mine-*", Verbs...)})
	for name, op := range wants {
		if !strings.Contains(op.target+op.body, "%s") {
			continue
		}
		method, _, _ := strings.Cut(name, " ")
		var answers []answer
		for _, topic := range []string{"secret", "absent"} {
			fill := func(s string) string { return strings.ReplaceAll(s, "%s", topic) }
			got := do(a.Handler(), method, fill(op.target), fill(op.body), headers["other"],
				"Content-Type: application/json")
			got.body = strings.ReplaceAll(got.body, topic, "?")
			answers = append(answers, got)
		}
		wantEqual(t, name, answers[0], answers[1])
		if !strings.Contains(answers[0].body, `"forbidden"`) && method != "HEAD" {
			t.Errorf("%s: %s", name, answers[0].body)
		}
	}
}

// TestS10Lists: a list holds what the caller may see, page by page, and has_more does not
// speak of the rest.
func TestS10Lists(t *testing.T) {
	h := newHouse()
	for _, name := range []string{"a-1", "a-2", "b-1", "b-2", "c-1", "c-2"} {
		h.topic(name, 1, foz.TopicConfig{})
	}
	a, headers := guarded(t, h, map[string][]Grant{
		"b": one("b-*", VerbProduce), "ac": append(one("a-*", VerbRead), one("c-1", VerbAdmin)...),
		"all": one("*", VerbRead), "none": nil,
	})
	for _, c := range []struct{ who, query, want string }{
		{"b", "", "b-1 b-2 false"}, {"b", "?limit=1", "b-1 true"}, {"b", "?limit=2", "b-1 b-2 false"},
		{"b", "?start_after=b-1", "b-2 false"}, {"b", "?prefix=a", "false"},
		{"ac", "", "a-1 a-2 c-1 false"}, {"ac", "?limit=2", "a-1 a-2 true"},
		{"all", "?limit=5", "a-1 a-2 b-1 b-2 c-1 true"}, {"none", "", "false"},
	} {
		got := do(a.Handler(), "GET", "/v1/topics"+c.query, "", headers[c.who])
		var page struct {
			Topics []struct{ Name string }
			More   json.RawMessage `json:"has_more"`
		}
		if err := json.Unmarshal([]byte(got.body), &page); err != nil {
			t.Fatal(err)
		}
		var text string
		for _, topic := range page.Topics {
			text += topic.Name + " "
		}
		wantEqual(t, c.who+c.query, text+string(page.More), c.want)
	}
}

// TestS10Groups: a group shows the positions in topics that the caller may read; one with no
// such position is not there.
func TestS10Groups(t *testing.T) {
	h := newHouse()
	h.topic("a", 1, foz.TopicConfig{})
	h.topic("b", 1, foz.TopicConfig{})
	a, headers := guarded(t, h, map[string][]Grant{
		"a": one("a", VerbRead), "b": one("b", VerbRead), "p": one("*", VerbProduce),
		"all": one("*", VerbRead)})
	api := a.Handler()
	commit := func(who, group string, topics ...string) int {
		var offsets []string
		for _, topic := range topics {
			offsets = append(offsets, `{"topic":"`+topic+`","partition":0,"offset":0}`)
		}
		return do(api, "PUT", "/v1/groups/"+group+"/offsets",
			`{"offsets":[`+strings.Join(offsets, ",")+`]}`, headers[who],
			"Content-Type: application/json").status
	}
	wantEqual(t, "both by a", commit("a", "both", "a", "b"), 403)
	wantEqual(t, "both", commit("all", "both", "a", "b"), 200)
	wantEqual(t, "only a", commit("a", "ga", "a"), 200)
	for _, c := range []struct{ who, path, has, lacks string }{
		{"a", "/v1/groups", `"ga"`, `"b"`}, {"b", "/v1/groups", `"both"`, `"ga"`},
		{"p", "/v1/groups", `[]`, `both`}, {"all", "/v1/groups", `"ga"`, "problem"},
		{"a", "/v1/groups/both", `"topic":"a"`, `"b"`},
		{"b", "/v1/groups/both/offsets", `"topic":"b"`, `"a"`},
		{"b", "/v1/groups/ga", "group_not_found", `"offset"`},
		{"b", "/v1/groups/ga/offsets", "group_not_found", `"offset"`},
		{"b", "/v1/groups/ga/offsets?topic=b", "group_not_found", `"offset"`},
		{"b", "/v1/groups/both/offsets?topic=a", "forbidden", `"offset"`},
	} {
		got := do(api, "GET", c.path, "", headers[c.who])
		if !strings.Contains(got.body, c.has) || strings.Contains(got.body, c.lacks) {
			t.Errorf("%s by %s: %s", c.path, c.who, got.body)
		}
	}
	hidden, absent := do(api, "GET", "/v1/groups/ga", "", headers["b"]),
		do(api, "GET", "/v1/groups/gx", "", headers["b"])
	wantEqual(t, "hidden or absent", strings.ReplaceAll(hidden.body, "ga", "gx"), absent.body)
	for _, c := range []struct {
		who, group string
		want       int
	}{{"b", "ga", 404}, {"a", "both", 403}, {"p", "ga", 404}, {"a", "ga", 204}, {"all", "both", 204}} {
		got := do(api, "DELETE", "/v1/groups/"+c.group, "", headers[c.who])
		wantEqual(t, "delete "+c.group+" by "+c.who, got.status, c.want)
	}
}

// TestS8StreamsEnd: in a bubble, a follower whose token is revoked, changed or over is told
// so at once; one whose token stays, in a file that changed elsewhere, goes on.
func TestS8StreamsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Credential) bool // false: the entry is gone
		ends   bool
	}{
		"stays":   {func(*Credential) bool { return true }, false},
		"revoked": {func(*Credential) bool { return false }, true},
		"changed": {func(e *Credential) bool { e.Grants = one("other", VerbRead); return true }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			h.topic("t", 1, foz.TopicConfig{})
			token, hash := NewToken()
			entry := Credential{Name: "n", SHA256: hash, Grants: one("t", VerbRead)}
			credentials := &Credentials{}
			credentials.Replace([]Credential{entry})
			a := h.api(Config{})
			a.Authenticator = credentials
			f := follow(t, a.Handler(), "/v1/topics/t/records", "Accept: text/event-stream",
				"Authorization: Bearer "+token)
			synctest.Wait()
			f.read()
			list := []Credential{{Name: "new", SAN: "x"}}
			if c.change(&entry) {
				list = append(list, entry)
			}
			credentials.Replace(list)
			synctest.Wait()
			wantEqual(t, name, strings.Contains(f.read(), `"unauthenticated"`), c.ends)
		})
	}
}

// TestS8Expiry: in a bubble, a token holds up to its last moment, for requests and streams.
func TestS8Expiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.topic("t", 1, foz.TopicConfig{})
		token, hash := NewToken()
		expires := time.Now().Add(time.Hour)
		credentials := &Credentials{}
		credentials.Replace([]Credential{{Name: "n", SHA256: hash, Expires: &expires,
			Grants: one("t", VerbRead)}})
		a := h.api(Config{})
		a.Authenticator = credentials
		header := "Authorization: Bearer " + token
		f := follow(t, a.Handler(), "/v1/topics/t/records", "Accept: text/event-stream", header)
		time.Sleep(time.Hour - time.Nanosecond)
		synctest.Wait()
		wantEqual(t, "stream before", strings.Contains(f.read(), "event: error"), false)
		wantEqual(t, "before", do(a.Handler(), "GET", "/v1/topics/t", "", header).status, 200)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantEqual(t, "stream after", strings.Contains(f.read(), `"unauthenticated"`), true)
		got := do(a.Handler(), "GET", "/v1/topics/t", "", header)
		checkProblem(t, "after", got, foz.CodeUnauthenticated)
	})
}

// TestS1BodiesOfStrangers: a refused request's body takes no memory and is not decoded.
func TestS1BodiesOfStrangers(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a, _ := guarded(t, h, nil)
	body := strings.Repeat(`{"value":1}`+"\n", 1<<20)
	got := do(a.Handler(), http.MethodPost, "/v1/topics/t/records", body,
		"Content-Type: application/x-ndjson")
	checkProblem(t, "stranger", got, foz.CodeUnauthenticated)
	wantEqual(t, "records", h.total(), 0)
	wantEqual(t, "held", a.decoding.used.Load(), 0)
}
