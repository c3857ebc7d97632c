package client

// How: a secret goes through everything that prints; none of it shows what it holds. A client
// with one shows it to the service, and not to where an answer points.

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestS15Secret(t *testing.T) {
	const canary = "canary"
	o := Options{URL: "http://h", Token: canary}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10.3s"} {
		fmt.Fprintf(&text, verb+" "+verb+" "+verb+" "+verb+" ", o, o.Token, c, *c)
	}
	fmt.Fprint(&text, o.Token, &o.Token, fmt.Errorf("with %v", o.Token))
	body, err := json.Marshal(map[string]any{"token": o.Token})
	if err != nil {
		t.Fatal(err)
	}
	text.Write(body)
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&text, nil),
	} {
		slog.New(h).Info("x", "token", o.Token, "options", map[string]any{"t": o.Token})
	}
	for _, spelt := range []string{canary, fmt.Sprintf("%x", canary)} {
		if strings.Contains(text.String(), spelt) {
			t.Error(text.String())
		}
	}
	if string(o.Token) != canary || strings.Count(text.String(), "(secret)") < 20 {
		t.Error(text.String())
	}
}

func TestS15TokenStays(t *testing.T) {
	var shown []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		shown = append(shown, "elsewhere: "+r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = append(shown, r.Header.Get("Authorization"))
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer here.Close()
	c, err := New(Options{URL: here.URL, Token: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cluster(t.Context()); err == nil {
		t.Error("a redirect is taken for an answer")
	}
	if got := strings.Join(shown, "; "); got != "Bearer abc" {
		t.Errorf("shown: %s", got)
	}
}
