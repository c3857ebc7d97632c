// How: a Transport talks to servers that stand still, in the middle of a request and of an
// answer, and to ones that say too much; URLs and spans are tables.
package s3api

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// stand answers each connection with some bytes, reads nothing, and stands still.
func stand(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			io.WriteString(conn, answer)
		}
	}()
	return "http://" + l.Addr().String()
}

// TestStall has no deadline but the Transport's own.
func TestStall(t *testing.T) {
	transport := NewTransport(100 * time.Millisecond)
	defer transport.http.CloseIdleConnections()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	for name, c := range map[string]struct {
		answer string
		body   []byte
	}{
		"no answer":          {"", nil},
		"half a head":        {head[:20], nil},
		"half a body":        {head + "half", nil},
		"an upload not read": {"", make([]byte, 64<<20)},
	} {
		began := time.Now()
		req, err := http.NewRequestWithContext(t.Context(), "PUT", stand(t, c.answer),
			bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil || time.Since(began) > 30*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
	}
}

// TestSlowIsNoStall: what moves, however slowly, is not cut.
func TestSlowIsNoStall(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 10 {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(150 * time.Millisecond)
		}
	}))
	defer server.Close()
	transport := NewTransport(time.Second)
	defer transport.http.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || len(text) != 10 {
		t.Errorf("%q, %v", text, err)
	}
}

// TestOneRequest: a second request of one call is refused, and so is an endless error.
func TestOneRequest(t *testing.T) {
	status := 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if status != 200 {
			io.WriteString(w, strings.Repeat("x", errorBytesMax+1))
		}
	}))
	defer server.Close()
	transport := NewTransport(Stall)
	defer transport.http.CloseIdleConnections()
	for i, want := range []string{"<nil>", ErrSecond.Error(), "more than 65536 bytes"} {
		ctx, _ := withAnswer(t.Context())
		if i == 2 {
			status = 500
		}
		var err error
		for range i%2 + 1 {
			req, _ := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
			var resp *http.Response
			if resp, err = transport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		}
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%d: %v, want %s", i, err, want)
		}
	}
}

// TestVerifiedTLS: a certificate that nobody vouches for is refused.
func TestVerifiedTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	server.Config.ErrorLog = nil
	transport := NewTransport(Stall)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	if resp, err := transport.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("trusted whoever it met")
	} else if !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

func TestPlaces(t *testing.T) {
	for rawURL, want := range map[string]string{
		"minio://h:9000/bucket":                     "bucket  https://h:9000  false",
		"minio://h/bucket/?secure=false":            "bucket  http://h  false",
		"minio://h/bucket/a/b/?region=r":            "bucket a/b/ https://h r false",
		"minio://h/bucket?create=true":              "bucket  https://h  true",
		"minio:///bucket":                           "no host",
		"minio://h/":                                "no name of a bucket",
		"minio://h/b":                               "no name of a bucket",
		"minio://h/bucket?endpoint=x":               `unknown parameter "endpoint", known are region`,
		"minio://h/bucket?a=%zz":                    "invalid URL escape",
		"s3://bucket":                               "bucket  <nil>  false",
		"s3://bucket/a?region=r":                    "bucket a/ <nil> r false",
		"s3://bucket?endpoint=h:1&secure=false":     "bucket  http://h:1  false",
		"s3://bucket?endpoint=http%3A%2F%2Fh":       "bucket  http://h  false",
		"s3://bucket?endpoint=https://h/":           "bucket  https://h  false",
		"s3://bucket?endpoint=https://h/x":          "not a URL such as",
		"s3://bucket?endpoint=ftp://h":              "not a URL such as",
		"s3://bucket?endpoint=https://u:p@h":        "not a URL such as",
		"s3://bucket?secure=false":                  "secure goes with endpoint",
		"s3://bucket?endpoint=http://h&secure=true": "scheme says",
		"s3://":       "no name of a bucket",
		"s3:bucket":   "want s3://",
		"s3://..%2Fa": "",
	} {
		u, err := url.Parse(rawURL)
		if err != nil {
			continue // Open never sees it
		}
		parse := ParseHosted
		if u.Scheme == "s3" {
			parse = ParseNamed
		}
		p, err := parse(u)
		got := fmt.Sprint(p.Bucket, " ", p.Prefix, " ", p.Endpoint, " ", p.Region, " ", p.Create)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", rawURL, got, want)
		}
	}
}

func TestSpanHeaders(t *testing.T) {
	const huge = 1<<63 - 1
	for s, want := range map[span]string{
		{0, -1}: "", {5, -1}: "bytes=5-", {0, 1}: "bytes=0-0", {5, 3}: "bytes=5-7",
		{5, 0}: "bytes=5-5", {5, huge}: "bytes=5-", {0, huge}: "bytes=0-9223372036854775806",
	} {
		if got := s.header(); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
}

// TestReadExactly allocates for what comes, not for what is announced.
func TestReadExactly(t *testing.T) {
	data := make([]byte, readAhead*2+5)
	data[len(data)-1] = 7
	got, err := readExactly(bytes.NewReader(data), int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(data))
	}
	for _, size := range []int64{int64(len(data)) - 1, int64(len(data)) + 1, 1 << 50} {
		if got, err := readExactly(bytes.NewReader(data), size); err == nil {
			t.Errorf("%d bytes for %d", len(got), size)
		}
	}
}
