package s3test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// testPresign: a URL gets its object, ranges of it, and nothing else, until it expires. The server
// in this process verifies no signatures: a real one is asked.
func testPresign(t *testing.T, d Driver) {
	s := d.openReal(t)
	for _, key := range []string{"data/a", "data/b"} {
		if _, err := s.Create(t.Context(), key, []byte("content of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(lifetime time.Duration) string {
		url, err := s.(objectstore.Presigner).Presign(t.Context(), "data/a", lifetime)
		if err != nil {
			t.Fatal(err)
		}
		return url
	}
	signed := sign(time.Minute)
	ask := func(method, url, byteRange string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if byteRange != "" {
			r.Header.Set("Range", byteRange)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	if status, body := ask(http.MethodGet, signed, ""); status != 200 || body != "content of data/a" {
		t.Errorf("got %d %s", status, body)
	}
	if status, body := ask(http.MethodGet, signed, "bytes=3-6"); status != 206 || body != "tent" {
		t.Errorf("a range: %d %s", status, body)
	}
	for name, refused := range map[string][2]string{
		"another key":    {http.MethodGet, strings.Replace(signed, "data/a", "data/b", 1)},
		"another method": {http.MethodDelete, signed},
		"a write":        {http.MethodPut, signed},
	} {
		if status, _ := ask(refused[0], refused[1], ""); status != 403 {
			t.Errorf("%s: %d", name, status)
		}
	}
	short := sign(time.Second)
	time.Sleep(2 * time.Second)
	if status, _ := ask(http.MethodGet, short, ""); status != 403 {
		t.Errorf("expired: %d", status)
	}
}
