package flight

// How: a table of tickets and what is asked of the contract for them; a table of those that are
// refused, each for one reason; the fuzzer checks that whatever is let through is a read.

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestTickets(t *testing.T) {
	for text, want := range map[string]string{
		"/v1/topics/a.b_c-1/records":               "/v1/topics/a.b_c-1/records",
		"/v1/topics/t/records?":                    "/v1/topics/t/records",
		"/v1/topics/t/records?from=earliest":       "/v1/topics/t/records?from=earliest",
		"/v1/topics/t/records?from=17&columns=a,b": "/v1/topics/t/records?columns=a%2Cb&from=17",
		"/v1/topics/t/partitions/0/records?tail=3": "/v1/topics/t/partitions/0/records?tail=3",
		"/v1/topics/t/records?where=a = 'ü' or b": "/v1/topics/t/records?where=a+%3D+" +
			"%27%C3%BC%27+or+b",
		"/v1/topics/records/records":                 "/v1/topics/records/records",
		"/v1/topics/t/partitions/7/records?offset=x": "/v1/topics/t/partitions/7/records?offset=x",
	} {
		got, err := parseTicket([]byte(text))
		if err != nil || got.target() != want {
			t.Errorf("%s: %v, %q, want %q", text, err, got.target(), want)
		}
	}
}

func TestTicketsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                                  "neither",
		"v1/topics/t/records":                                               "neither",
		"/v1/topics/t":                                                      "neither",
		"/v1/topics/t/partitions/0/offsets":                                 "neither",
		"/v1/topics/t/partitions/0/segments":                                "neither",
		"/v1/cluster":                                                       "neither",
		"/v1/topics/../records":                                             "neither",
		"/v1/topics/./records":                                              "neither",
		"/v1/topics/a/../b/records":                                         "neither",
		"/v1/topics//records":                                               "neither",
		"/v1/topics/a%2Fb/records":                                          "neither",
		"/v1/topics/t/records/":                                             "neither",
		"//v1/topics/t/records":                                             "neither",
		"http://h/v1/topics/t/records":                                      "neither",
		"/v1/topics/t/partitions//records":                                  "neither",
		"/v1/topics/t/partitions/+1/records":                                "neither",
		"/v1/topics/t/partitions/01/records":                                "neither",
		"/v1/topics/t/partitions/-1/records":                                "neither",
		"/v1/topics/t/partitions/1/1/records":                               "neither",
		"/v1/topics/t/partitions/99999999999/records":                       "neither",
		"/v1/topics/" + strings.Repeat("t", 250) + "/records":               "neither",
		"/v1/topics/t/records#x":                                            "neither",
		"/v1/topics/t/records?from=now":                                     "stream of events",
		"/v1/topics/t/records?wait=1":                                       "the parameter \"wait\"",
		"/v1/topics/t/partitions/0/records?wait=1":                          "the parameter \"wait\"",
		"/v1/topics/t/partitions/0/records?from=earliest":                   "the parameter \"from\"",
		"/v1/topics/t/records?offset=1":                                     "the parameter \"offset\"",
		"/v1/topics/t/records?columns=a&columns=b":                          "2 times",
		"/v1/topics/t/records?where=%":                                      "query",
		"/v1/topics/t/records?where=a;b=c":                                  "query",
		"/v1/topics/t/records?where=a\nb":                                   "not text",
		"/v1/topics/t/records?where=\xff":                                   "not text",
		"/v1/topics/t/records?where=" + strings.Repeat("a", ticketBytesMax): "over",
	} {
		if got, err := parseTicket([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzTicket(f *testing.F) {
	f.Add("/v1/topics/t/records?from=earliest&columns=a,b")
	f.Add("/v1/topics/t/partitions/3/records?offset=0&end_offset=9&where=a+%3D+1")
	f.Add("/v1/topics/../records?wait=1")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTicket([]byte(text))
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(got.target())
		if err != nil || u.EscapedPath() != path.Clean(u.Path) || u.Path != got.path() ||
			!strings.HasPrefix(u.Path, "/v1/topics/") || !strings.HasSuffix(u.Path, "/records") ||
			u.Query().Has("wait") || u.Query().Get("from") == "now" {
			t.Fatalf("%q is let through as %q", text, got.target())
		}
		again, err := parseTicket([]byte(got.target()))
		if err != nil || again.target() != got.target() {
			t.Fatalf("%q is another ticket than %q: %v", again.target(), got.target(), err)
		}
	})
}
