package s3test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// calls are the operations, each one request.
var calls = map[string]func(ctx context.Context, s objectstore.Store) error{
	objectstore.OpCreate: func(ctx context.Context, s objectstore.Store) error {
		_, err := s.Create(ctx, "new", []byte("data"))
		return err
	},
	objectstore.OpGet: func(ctx context.Context, s objectstore.Store) error {
		_, err := s.Get(ctx, "a", 2, 3)
		return err
	},
	objectstore.OpList: func(ctx context.Context, s objectstore.Store) error {
		_, _, err := s.List(ctx, "a/", "a/b", 10)
		return err
	},
	objectstore.OpDelete: func(ctx context.Context, s objectstore.Store) error {
		return s.Delete(ctx, "a", "b")
	},
}

var effects = []string{objectstore.OpCreate, objectstore.OpDelete}

var facts = []error{objectstore.ErrExists, objectstore.ErrNotFound, objectstore.ErrRange,
	objectstore.ErrThrottled, objectstore.ErrFull, objectstore.ErrKey}

// fact is the sentinel that err is, or nil: the outcome is unknown.
func fact(err error) error {
	for _, f := range facts {
		if errors.Is(err, f) {
			return f
		}
	}
	return nil
}

// refusal answers as S3 does.
func refusal(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code>`+
			`<Message>because</Message><Resource>/x</Resource></Error>`, code)
	}
}

// page answers without S3's words, as a proxy in between does.
func page(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, "<html>computer says no</html>")
	}
}

// testFaults answers every operation with every refusal: what it is taken for, and that it is
// not tried again.
func testFaults(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	throttled, full := objectstore.ErrThrottled, objectstore.ErrFull
	for _, c := range []struct {
		name         string
		answer       http.HandlerFunc
		write, other error
	}{
		{"slow down", refusal(503, "SlowDown"), throttled, throttled},
		{"too many", refusal(429, "TooManyRequests"), throttled, throttled},
		{"starting", refusal(503, "XMinioServerNotInitialized"), throttled, throttled},
		{"no quorum", refusal(503, "SlowDownWrite"), nil, throttled},
		{"busy proxy", page(503), nil, throttled},
		{"conflict", refusal(409, "ConditionalRequestConflict"), throttled, throttled},
		{"other conflict", refusal(409, "BucketNotEmpty"), nil, nil},
		{"internal", refusal(500, "InternalError"), nil, nil},
		{"bad gateway", page(502), nil, nil},
		{"gateway timeout", page(504), nil, nil},
		{"full", refusal(507, "XMinioStorageFull"), full, nil},
		{"quota", refusal(400, "XMinioAdminBucketQuotaExceeded"), full, nil},
		{"denied", refusal(403, "AccessDenied"), nil, nil},
		{"lost proxy", page(404), nil, nil},
		{"no bucket", refusal(404, "NoSuchBucket"), nil, nil},
		{"proxy's precondition", page(412), nil, nil},
		{"redirect", page(307), nil, nil},
		{"moved", refusal(301, "PermanentRedirect"), nil, nil},
	} {
		server.Answer(c.answer)
		for op, call := range calls {
			want := c.other
			if op == effects[0] || op == effects[1] {
				want = c.write
			}
			server.Took()
			err := call(t.Context(), s)
			if err == nil || !errors.Is(fact(err), want) {
				t.Errorf("%s: %s: %v, want %v", c.name, op, err, want)
			}
			if took := server.Took(); len(took) != 1 {
				t.Errorf("%s: %s took %q, want 1 request", c.name, op, took)
			}
		}
	}
}

// testMisleading answers with success what was none, or was not said completely.
func testMisleading(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	server.Answer(refusal(412, "PreconditionFailed"))
	if err := calls["create"](t.Context(), s); !errors.Is(err, objectstore.ErrExists) {
		t.Errorf("create what is there: %v", err)
	}
	server.Answer(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil })
	if err := calls["create"](t.Context(), s); err == nil || fact(err) != nil {
		t.Errorf("create, answered without a date: %v", err)
	}
	server.Answer(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>`+
			`<Code>InternalError</Code></Error></DeleteResult>`)
	})
	if err := calls["delete"](t.Context(), s); err == nil || !strings.Contains(err.Error(), "b") {
		t.Errorf("delete, of which one key failed: %v", err)
	}
	server.Answer(page(200))
	if err := calls["delete"](t.Context(), s); err == nil {
		t.Error("delete, answered with a web page: no error")
	}
}

// body answers a Get with headers and a body that may not fit.
func body(status int, length, contentRange, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
		if contentRange != "" {
			w.Header().Set("Content-Range", contentRange)
		}
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.WriteHeader(status)
		w.(http.Flusher).Flush()
		io.WriteString(w, text)
	}
}

// testDamagedReads reads [2 +3] of what is not what was asked for, nor said to be an error.
func testDamagedReads(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	for name, answer := range map[string]http.HandlerFunc{
		"short body":       body(206, "3", "bytes 2-4/10", "23"),
		"no body":          body(206, "3", "bytes 2-4/10", ""),
		"no length":        body(206, "", "bytes 2-4/10", "234"),
		"no range":         body(206, "3", "", "234"),
		"another range":    body(206, "3", "bytes 3-5/10", "345"),
		"shorter range":    body(206, "2", "bytes 2-3/10", "23"),
		"longer range":     body(206, "4", "bytes 2-5/10", "2345"),
		"impossible range": body(206, "3", "bytes 2-4/3", "234"),
		"garbled range":    body(206, "3", "bytes two", "234"),
		"the whole object": body(200, "10", "", "0123456789"),
		"nothing":          body(204, "", "", ""),
		"huge":             body(206, "9223372036854775807", "bytes 2-4/10", "234"),
	} {
		server.Answer(answer)
		if data, err := s.Get(t.Context(), "a", 2, 3); err == nil || data != nil || fact(err) != nil {
			t.Errorf("%s: %q, %v, want an error", name, data, err)
		}
	}
	server.Answer(body(200, "1099511627776", "", "0123456789"))
	if data, err := s.Get(t.Context(), "a", 0, -1); err == nil {
		t.Errorf("a terabyte that is not there: %q", data)
	}
	server.Answer(body(206, "2", "bytes 2-3/4", "23"))
	if data, err := s.Get(t.Context(), "a", 2, 3); err != nil || string(data) != "23" {
		t.Errorf("what the object's end leaves: %q, %v", data, err)
	}
}

// testDamagedPages lists what would make a log look shorter than it is.
func testDamagedPages(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	const whole = `<ListBucketResult><IsTruncated>false</IsTruncated><MaxKeys>10</MaxKeys>` +
		`<Contents><Key>a/c</Key><Size>1</Size></Contents>` +
		`<Contents><Key>a/d</Key><Size>2</Size></Contents></ListBucketResult>`
	for name, text := range map[string]string{
		"cut":            whole[:len(whole)-40],
		"nothing":        "",
		"a web page":     "<html>welcome</html>",
		"out of order":   strings.Replace(whole, "a/d", "a/bb", 1),
		"twice":          strings.Replace(whole, "a/d", "a/c", 1),
		"at start-after": strings.Replace(whole, "a/c", "a/b", 1),
		"another prefix": strings.Replace(whole, "a/d", "b/d", 1),
		"nothing but more": `<ListBucketResult><IsTruncated>true</IsTruncated>` +
			`<NextContinuationToken>x</NextContinuationToken></ListBucketResult>`,
	} {
		server.Answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
		if page, _, err := s.List(t.Context(), "a/", "a/b", 10); err == nil {
			t.Errorf("%s: %v, want an error", name, page)
		}
	}
	server.Answer(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, whole) })
	if page, more, err := s.List(t.Context(), "a/", "a/b", 10); err != nil || more || len(page) != 2 {
		t.Errorf("whole: %v, %t, %v", page, more, err)
	}
}

// testNoAnswer asks a server that cuts the connection, and one that says nothing.
func testNoAnswer(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	reset := func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.Close()
		}
	}
	slow := func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for op, call := range calls {
		server.Answer(reset)
		server.Took()
		err := call(t.Context(), s)
		if err == nil || fact(err) != nil {
			t.Errorf("reset: %s: %v, want an unknown outcome", op, err)
		}
		if took := server.Took(); len(took) != 1 && op == objectstore.OpCreate {
			t.Errorf("reset: %s took %q, want 1 request", op, took)
		}
		server.Answer(slow)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err = call(ctx, s)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || fact(err) != nil {
			t.Errorf("slow: %s: %v, want %v", op, err, context.DeadlineExceeded)
		}
	}
}

// testEarlyEnd lists in a store that, asked from within a folder, gives one object at a time
// and says each time that this was all.
func testEarlyEnd(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	all := []string{"a/b", "a/c/d", "a/c/e", "a/f", "a0"}
	server.Answer(func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("start-after")
		for _, key := range all {
			if key > after {
				fmt.Fprintf(w, "<ListBucketResult><Contents><Key>%s</Key></Contents>"+
					"<IsTruncated>false</IsTruncated></ListBucketResult>", key)
				return
			}
		}
		io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
	})
	for limit, want := range map[int]string{
		0: "[{a/c/d 0} {a/c/e 0} {a/f 0} {a0 0}] false",
		3: "[{a/c/d 0} {a/c/e 0} {a/f 0}] true",
		4: "[{a/c/d 0} {a/c/e 0} {a/f 0} {a0 0}] false",
	} {
		page, more, err := s.List(t.Context(), "a", "a/b", limit)
		if got := fmt.Sprint(page, " ", more); err != nil || got != want {
			t.Errorf("limit %d: %s, %v, want %s", limit, got, err, want)
		}
	}
}
