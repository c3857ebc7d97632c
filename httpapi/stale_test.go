package httpapi

// How: a node that has not heard what others did, in the ways in which a client would see it.

import (
	"errors"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// How: a record is there that the node has not heard of; a poll at what it takes for the head is
// answered with it, or with where the head is now.
func TestNoMoreIsLookedUp(t *testing.T) {
	for query, want := range map[string]string{
		"?offset=10": `"offset":10`, "?offset=10&wait=1": `"offset":10`,
		"?tail=0": `"next_offset":11`, "?offset=9": `"next_offset":10`,
		"?offset=10&end_offset=10": `"next_offset":10`,
	} {
		h, p := ten(0)
		h.keepUp = func() { h.push(p, 1, "x") }
		got := do(h.api(Config{}).Handler(), "GET", oneRead+query, "")
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
	h, p := ten(0)
	h.keepUp = func() { h.push(p, 1, "x") }
	got := do(h.api(Config{}).Handler(), "GET", "/v1/topics/t/records", "",
		"Accept: application/x-ndjson")
	wantEqual(t, "of the topic", strings.Count(got.body, "\n"), 11)
}

// How: a topic is deleted and made again, and the node still knows the old one by its name.
func TestRenamedTopic(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/topics/t/partitions/0/offsets?at=latest", "", 200},
		{"GET", oneRead, "", 200},
		{"GET", "/v1/topics/t/records", "", 200},
		{"DELETE", "/v1/topics/t", "", 204},
		{"DELETE", oneRead + "?before=0", "", 200},
		{"POST", oneRead, "a\n", 503},
		{"PUT", "/v1/groups/g/offsets",
			`{"offsets":[{"topic":"t","partition":7,"offset":1}]}`, 503},
	} {
		h := newHouse()
		old := h.topic("t", 1, foz.TopicConfig{})
		delete(h.topics, "t")
		h.topic("t", 8, foz.TopicConfig{})
		h.stale["t"] = old
		h.produce = func(r foz.Request) error { return h.known(foz.Partition{Topic: r.Topic}) }
		api := h.api(Config{}).Handler()
		media := "Content-Type: application/x-ndjson"
		if c.method == "PUT" {
			media = "Content-Type: application/json"
		}
		got := do(api, c.method, c.path, c.body, media)
		if got.status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
		if got.status == 503 {
			wantEqual(t, "sent again", do(api, c.method, c.path, c.body, media).status, 200)
		}
	}
}

// How: a node that has not loaded the metadata yet; it tells of itself alone.
func TestNotLoaded(t *testing.T) {
	h, _ := ten(0)
	h.ready = func() error { return errors.New("loading") }
	api := h.api(Config{}).Handler()
	for target, want := range map[string]int{
		"GET /livez": 200, "GET /readyz": 503, "GET /v1/openapi.json": 200, "GET /v1/cluster": 200,
		"GET " + oneRead: 503, "GET /v1/topics": 503, "GET /v1/topics/t": 503, "GET /v1/groups": 503,
		"PUT /v1/topics/u": 503, "POST " + oneRead: 503, "POST /v1/maintenance": 503,
		"GET /v1/topics/t/partitions/0/segments": 503,
	} {
		method, path, _ := strings.Cut(target, " ")
		got := do(api, method, path, "", "Content-Type: text/plain")
		if got.status != want {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
	wantEqual(t, "records", h.total(), 10)
}
