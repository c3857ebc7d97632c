package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// How: every route is asked with a parameter that it does not have. Those of the contract name
// it, and do nothing; those that watch processes answer.
func TestUnknownParameter(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	for _, rt := range a.routes {
		at := strings.NewReplacer("{t}", "t", "{p}", "0", "{g}", "g").Replace(rt.pattern)
		for method := range rt.methods {
			got := do(a.Handler(), method, at+"?ofset=1", "a\n", asNDJSON)
			if !strings.HasPrefix(at, "/v1/") {
				wantEqual(t, method+" "+at, got.status, 200)
				continue
			}
			wantEqual(t, method+" "+at, got.status, 400)
			if !strings.Contains(got.body, `there is no parameter \"ofset\" here`) {
				t.Errorf("%s %s: %s", method, at, got.body)
			}
		}
	}
	if len(h.requests) > 0 || len(h.topics) != 1 {
		t.Errorf("it had an effect: %v %v", h.requests, h.topics)
	}
}

// How: an empty value is refused where it cannot be meant, so that one that got lost on its way
// neither lifts a condition nor widens a range.
func TestEmptyParameter(t *testing.T) {
	const one, all = "/v1/topics/t/partitions/0", "/v1/topics/t/records"
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	for target, status := range map[string]int{
		"POST " + one + "/records?if_next_offset=": 400,
		"POST " + one + "/records?envelope=":       400,
		"GET " + one + "/records?offset=":          400,
		"GET " + one + "/records?limit=":           400,
		"GET " + one + "/records?wait=":            400,
		"GET " + one + "/records?columns=":         400,
		"GET " + one + "/records?where=":           200,
		"GET " + one + "/records?":                 200,
		"GET " + one + "/records?&":                200,
		"GET " + all + "?from=":                    400,
		"GET " + one + "/offsets?at=":              400,
		"GET " + one + "/segments?from=":           400,
		"DELETE " + one + "/records?before=":       400,
		"GET /v1/topics?limit=":                    400,
		"GET /v1/topics?prefix=&start_after=":      200,
		"GET /v1/groups/g/offsets?topic=":          400,
	} {
		method, at, _ := strings.Cut(target, " ")
		if got := do(api, method, at, "a\n", asNDJSON); got.status != status {
			t.Errorf("%s: %d %s, want %d", target, got.status, got.body, status)
		}
	}
	if len(h.requests) > 0 {
		t.Error("records were appended")
	}
}

// How: the parameters that routes know are those that the document tells of, both ways.
func TestParametersAreDescribed(t *testing.T) {
	type parameter struct {
		Ref      string `json:"$ref"`
		Name, In string
	}
	type operation struct{ Parameters []parameter }
	var doc struct {
		Paths      map[string]map[string]json.RawMessage
		Components struct{ Parameters map[string]parameter }
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	described := map[string]string{}
	for path, operations := range doc.Paths {
		for method, raw := range operations {
			var o operation
			if method == "parameters" {
				continue
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			for _, p := range o.Parameters {
				if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
					p = doc.Components.Parameters[name]
				}
				if p.In == "query" {
					described[strings.ToUpper(method)+" "+path] += p.Name + " "
				}
			}
		}
	}
	known := map[string]string{}
	for key, names := range parameters {
		known[key] = strings.Join(names, " ") + " "
	}
	wantEqual(t, "parameters", known, described)
}
