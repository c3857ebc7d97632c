package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// How: a group commits around the ends of a partition whose log is [5, 10): its lag is what it
// can still read, from where it stands or from the log start, never less than nothing.
func TestLag(t *testing.T) {
	for committed, want := range map[int64]int64{0: 5, 4: 5, 5: 5, 6: 4, 9: 1, 10: 0, 11: 0} {
		h, _ := ten(5)
		api := h.api(Config{}).Handler()
		body := fmt.Sprintf(`{"offsets":[{"topic":"t","partition":0,"offset":%d}]}`, committed)
		wantEqual(t, "commit", do(api, "PUT", "/v1/groups/g/offsets", body,
			"Content-Type: application/json").status, 200)
		for _, target := range []string{"/v1/groups", "/v1/groups/g"} {
			type group struct {
				Offsets []struct {
					Offset, Lag int64
					Next        int64 `json:"next_offset"`
				}
			}
			var answer struct {
				group
				Groups []group
			}
			if err := json.Unmarshal([]byte(do(api, "GET", target, "").body), &answer); err != nil {
				t.Fatal(err)
			}
			for _, g := range append(answer.Groups, answer.group) {
				for _, o := range g.Offsets {
					if o.Offset != committed || o.Lag != want || o.Next != 10 {
						t.Errorf("%s at %d: %+v, want a lag of %d", target, committed, o, want)
					}
				}
			}
			if len(answer.Groups)+len(answer.Offsets) != 1 {
				t.Errorf("%s: %+v", target, answer)
			}
		}
		answer := do(api, "GET", "/v1/groups/g/offsets", "").body
		if want := fmt.Sprintf(`"offset":%d,`, committed); !json.Valid([]byte(answer)) ||
			!strings.Contains(answer, want) || strings.Contains(answer, "lag") {
			t.Errorf("the committed set is %s, want %s and no lag, which row 13 has", answer, want)
		}
	}
}

// How: names that topics may not have, plain and escaped, in every place where a group's goes.
func TestGroupNames(t *testing.T) {
	for _, name := range []string{".", "..", "%2e", "%2E%2e", "a%2fb", "", "a%20b"} {
		h, _ := ten(0)
		api := h.api(Config{}).Handler()
		for _, request := range []string{"PUT /v1/groups/%s/offsets", "GET /v1/groups/%s/offsets",
			"GET /v1/groups/%s", "DELETE /v1/groups/%s"} {
			var method, path string
			fmt.Sscan(request, &method, &path)
			body := ""
			if method == "PUT" {
				body = `{"offsets":[{"topic":"t","partition":0,"offset":1}]}`
			}
			got := do(api, method, fmt.Sprintf(path, name), body, "Content-Type: application/json")
			if got.status != 400 && got.status != 404 || len(h.offsets) > 0 {
				t.Errorf("%s with %q: %d, and the groups are %v", request, name, got.status, h.offsets)
			}
			if name == "%2E%2e" {
				checkProblem(t, request, got, foz.CodeBadRequest)
			}
		}
	}
}

// How: a conflict tells where the group stands, under a name that is not that of where a
// partition ends, as member and header.
func TestGroupConflict(t *testing.T) {
	h, _ := ten(0)
	api := h.api(Config{}).Handler()
	for _, c := range []struct{ offset, condition, at string }{
		{"5", "3", "-1"}, {"5", "-1", ""}, {"7", "4", "5"},
	} {
		got := do(api, "PUT", "/v1/groups/g/offsets", `{"offsets":[{"topic":"t","partition":0,`+
			`"offset":`+c.offset+`,"if_offset":`+c.condition+`}]}`, "Content-Type: application/json")
		wantEqual(t, "header", got.header.Get("Foz-Committed-Offset"), c.at)
		if c.at == "" {
			wantEqual(t, "status", got.status, 200)
			continue
		}
		checkProblem(t, c.at, got, foz.CodeOffsetConflict)
		wantEqual(t, "member", strings.Contains(got.body, `"committed_offset":`+c.at+`}`), true)
		wantEqual(t, "next offset", got.header.Get("Foz-Next-Offset"), "")
	}
}
