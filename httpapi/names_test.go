package httpapi

// How: names that are paths, lines, other alphabets or far too long, in every place of a path
// where a name goes, plain and escaped. None reaches what is behind the API.

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

func TestS5Names(t *testing.T) {
	names := []string{
		".", "..", "../a", "..%2fa", "a/../b", "a/b", "/etc/passwd", `..\\a`, "a\x00b", "\x00",
		"a\r\nX-Header: 1", "\n", "a b", "é", "\u202e", "ａ", "\xff\xfe", "a;b", "a?b", "a#b", "%",
		strings.Repeat("a", 250), strings.Repeat("a", 64<<10), strings.Repeat("../", 1000),
	}
	for _, name := range names {
		h := newHouse()
		api := h.api(Config{}).Handler()
		for _, target := range []string{
			"PUT /v1/topics/%s", "GET /v1/topics/%s", "DELETE /v1/topics/%s",
			"POST /v1/topics/%s/records", "POST /v1/topics/%s/partitions/0/records",
			"GET /v1/topics/%s/records", "GET /v1/groups/%s", "PUT /v1/groups/%s/offsets",
		} {
			method, path, _ := strings.Cut(target, " ")
			r := httptest.NewRequest(method, "/", strings.NewReader("x"))
			r.Header.Set("Content-Type", mediaOctets)
			for _, escaped := range []string{url.PathEscape(name), name} {
				r.URL.RawPath = strings.ReplaceAll(path, "%s", escaped)
				r.URL.Path = strings.ReplaceAll(path, "%s", name)
				w := httptest.NewRecorder()
				api.ServeHTTP(w, r)
				if w.Code/100 != 4 || len(w.Header()["X-Header"]) > 0 || w.Body.Len() > 4096 {
					t.Errorf("%s of %.40q: %d, %d bytes", target, name, w.Code, w.Body.Len())
				}
			}
		}
		if len(h.topics) > 0 || len(h.requests) > 0 {
			t.Errorf("%.40q is a topic", name)
		}
	}
	h := newHouse()
	h.topic("a", 1, foz.TopicConfig{})
	for _, name := range []string{"a", "a..b", "...", "-", strings.Repeat("a", 249)} {
		got := do(h.api(Config{}).Handler(), "PUT", "/v1/topics/"+name, "")
		if got.status/100 != 2 {
			t.Errorf("%.40q: %d %s", name, got.status, got.body)
		}
	}
}
