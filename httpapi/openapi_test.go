package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// How: the document served is compared with the routes, both ways, and with the error kinds;
// every reference in it must lead somewhere.
func TestOpenAPI(t *testing.T) {
	a := newHouse().api(Config{})
	got := do(a.Handler(), "GET", "/v1/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas map[string]struct{ Enum []foz.Code }
		}
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v, version %s", err, doc.OpenAPI)
	}
	var served, described []string
	for _, rt := range a.routes {
		for method := range rt.methods {
			served = append(served, strings.ToLower(method)+" "+rt.pattern)
		}
	}
	for path, operations := range doc.Paths {
		for method := range operations {
			if method != "parameters" {
				described = append(described, method+" "+path)
			}
		}
	}
	slices.Sort(served)
	slices.Sort(described)
	wantEqual(t, "operations", described, served)
	wantEqual(t, "codes", doc.Components.Schemas["Code"].Enum, slices.Sorted(maps.Keys(statuses)))

	var tree any
	if err := json.Unmarshal([]byte(got.body), &tree); err != nil {
		t.Fatal(err)
	}
	refs := 0
	walk(tree, func(ref string) {
		refs++
		at := tree
		for _, name := range strings.Split(ref, "/")[1:] {
			at, _ = at.(map[string]any)[name]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	if refs < 100 {
		t.Errorf("%d references found", refs)
	}
}

func walk(tree any, ref func(string)) {
	switch v := tree.(type) {
	case map[string]any:
		for name, child := range v {
			if target, ok := child.(string); ok && name == "$ref" {
				ref(target)
			}
			walk(child, ref)
		}
	case []any:
		for _, child := range v {
			walk(child, ref)
		}
	}
}
