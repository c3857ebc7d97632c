package flight

// How: a stranger's client (flighttest) calls over loopback; the contract is a function of the
// test, so that answers can break wherever they like. The splitter alone is fed streams in pieces
// of every size, and by the fuzzer.

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
	"github.com/fozlog/foz/segment"
)

func TestGet(t *testing.T) {
	stream := streamOf(t, 3, 1, 2)
	var asked []string
	client := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("Accept"), " ",
			r.Header.Get("Authorization"), " ", r.Header.Get("Foz-Min-Slot"), " ", r.Header.Get("Other")))
		for part := range bytesOf(stream, 7) {
			w.Write(part)
		}
	})
	client.Header["authorization"] = "Bearer x"
	client.Header["foz-min-slot"] = "9"
	client.Header["other"] = "not passed on"
	got, err := client.Get(t.Context(), "/v1/topics/t/partitions/2/records?where=a > 1&offset=7")
	if err != nil || valuesOf(t, got) != "v0 v1 v2 v3 v4 v5" {
		t.Errorf("got %v, %q", err, valuesOf(t, got))
	}
	want := "GET http://flight/v1/topics/t/partitions/2/records?offset=7&where=a+%3E+1 " +
		"application/vnd.apache.arrow.stream Bearer x 9 "
	if len(asked) != 1 || asked[0] != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// bytesOf cuts b into pieces of n bytes.
func bytesOf(b []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			k := min(n, len(b))
			if !yield(b[:k]) {
				return
			}
			b = b[k:]
		}
	}
}

// TestGetBroken: an answer that is not whole never ends with OK, and what came before the break
// has no end.
func TestGetBroken(t *testing.T) {
	stream := streamOf(t, 3, 3)
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   string
	}{
		"before anything": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "Aborted"},
		"between messages": {func(w http.ResponseWriter) {
			w.Write(stream[:len(stream)-8])
			panic(http.ErrAbortHandler)
		}, "Aborted"},
		"inside a body": {func(w http.ResponseWriter) {
			w.Write(stream[:len(stream)-20])
			panic(http.ErrAbortHandler)
		}, "Internal"},
		"inside a head": {func(w http.ResponseWriter) {
			w.Write(stream[:20])
			panic(http.ErrAbortHandler)
		}, "Aborted"},
		"no end-of-stream marker": {func(w http.ResponseWriter) {
			w.Write(stream[:len(stream)-8])
		}, "Internal"},
		"more after it": {func(w http.ResponseWriter) {
			w.Write(append(bytes.Clone(stream), 0))
		}, "Internal"},
		"no stream": {func(w http.ResponseWriter) {
			io.WriteString(w, "hello, world")
		}, "Internal"},
		"nothing": {func(http.ResponseWriter) {}, "Internal"},
		"no such problem": {func(w http.ResponseWriter) {
			http.Error(w, "", http.StatusTeapot)
		}, "Unknown"},
	} {
		client := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
		got, err := client.Get(t.Context(), "/v1/topics/t/records")
		if flighttest.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if bytes.HasSuffix(got, segment.AppendEndOfStream(nil)) {
			t.Errorf("%s: the stream has an end", name)
		}
	}
}

// TestStatuses: how: every kind of problem, as the contract says it.
func TestStatuses(t *testing.T) {
	var kind foz.Code
	client := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 400, kind, "50 % of naïve\nlines")
	})
	for _, kind = range []foz.Code{
		foz.CodeBadRequest, foz.CodeUnauthenticated, foz.CodeForbidden, foz.CodeProducerFenced,
		foz.CodeTopicNotFound, foz.CodePartitionNotFound, foz.CodeGroupNotFound, foz.CodeNotFound,
		foz.CodeMethodNotAllowed, foz.CodeNotAcceptable, foz.CodeTopicExists, foz.CodeTopicChanged,
		foz.CodeSequenceGap, foz.CodeUnknownProducer, foz.CodeSequenceExpired,
		foz.CodeOffsetConflict, foz.CodeRecordTooLarge, foz.CodeBatchTooLarge,
		foz.CodeUnsupportedMediaType, foz.CodeOffsetOutOfRange, foz.CodeInvalidRecord,
		foz.CodeThrottled, foz.CodeInternal, foz.CodeStorage, foz.CodeUnavailable,
		foz.CodeDraining, foz.CodeOverloaded, foz.CodeAckTimeout,
	} {
		_, err := client.Get(t.Context(), "/v1/topics/t/records")
		want := string(kind) + ": 50 % of naïve\nlines"
		code := flighttest.Code(err)
		if code == "OK" || code == "Unknown" || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s became %s: %v", kind, code, err)
		}
		retry := code == "Unavailable" || code == "Aborted" || code == "ResourceExhausted" ||
			code == "DeadlineExceeded" || code == "Internal"
		if kind.Retryable() && !retry {
			t.Errorf("%s is retryable and became %s", kind, code)
		}
	}
}

// TestDeadline: the client's own deadline ends what the contract is still at.
func TestDeadline(t *testing.T) {
	ended := make(chan error, 1)
	client := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- r.Context().Err()
		problem(w, 503, foz.CodeUnavailable, "too long")
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := client.Get(ctx, "/v1/topics/t/records"); flighttest.Code(err) != "DeadlineExceeded" {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("the contract's request goes on")
	}
}

// sent keeps what a splitter sends, and checks that messages are as long as they say.
type sent struct {
	messages [][]byte
	open     int64
}

func (s *sent) begin(size int64) error {
	if s.open != 0 {
		panic("a message inside another")
	}
	s.open, s.messages = size, append(s.messages, nil)
	return nil
}

func (s *sent) write(b []byte) error {
	if s.open -= int64(len(b)); s.open < 0 {
		panic("a message is longer than it says")
	}
	last := &s.messages[len(s.messages)-1]
	*last = append(*last, b...)
	return nil
}

func (s *sent) flush() error { return nil }

// rejoined is the stream of which the messages were made.
func (s *sent) rejoined(t testing.TB) []byte {
	var b []byte
	for _, m := range s.messages {
		var header, body []byte
		if err := visitFields(m, func(field protowire.Number, value []byte, _ uint64) {
			switch field {
			case fieldDataHeader:
				header = value
			case fieldDataBody:
				body = value
			}
		}); err != nil {
			t.Fatal(err)
		}
		b = binary.LittleEndian.AppendUint32(b, math.MaxUint32)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
		b = append(append(b, header...), body...)
	}
	return b
}

// split feeds a splitter, in pieces of n bytes.
func split(stream []byte, n int) (*sent, error) {
	out := &sent{}
	s := &splitter{call: out, need: segment.MessagePrefixBytes}
	for part := range bytesOf(stream, n) {
		if _, err := s.Write(part); err != nil {
			return out, err
		}
	}
	return out, s.end()
}

func TestSplitter(t *testing.T) {
	stream := streamOf(t, 3, 0, 1, 200)
	for n := 1; n <= len(stream); n++ {
		out, err := split(stream, n)
		if err != nil || !bytes.Equal(out.rejoined(t), stream[:len(stream)-8]) {
			t.Fatalf("in pieces of %d: %v, %d messages", n, err, len(out.messages))
		}
	}
	for n := range len(stream) {
		if _, err := split(stream[:n], 100); err == nil {
			t.Fatalf("%d of %d bytes are a whole stream", n, len(stream))
		}
	}
}

func FuzzSplitter(f *testing.F) {
	stream := streamOf(f, 3, 1)
	f.Add(stream, 5)
	f.Add(stream[:100], 1000)
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 127, 1, 2, 3}, 1)
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		out, err := split(stream, max(1, n))
		whole, errWhole := split(stream, max(1, len(stream)))
		if (err == nil) != (errWhole == nil) || len(out.messages) != len(whole.messages) {
			t.Fatalf("in pieces of %d: %v, whole: %v", n, err, errWhole)
		}
		if err == nil && !bytes.HasPrefix(stream, out.rejoined(t)) {
			t.Fatal("the messages are not those of the stream")
		}
	})
}

// TestS6FlightReader: how: a client calls and takes nothing; the contract gives it so long, as it
// does over HTTP.
func TestS6FlightReader(t *testing.T) {
	stream := streamOf(t, 200_000)
	ended := make(chan error, 1)
	client := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for part := range bytesOf(stream, 64<<10) {
			deadline := time.Now().Add(50 * time.Millisecond)
			if err = http.NewResponseController(w).SetWriteDeadline(deadline); err == nil {
				_, err = w.Write(part)
			}
			if err != nil {
				break
			}
		}
		ended <- err
		panic(http.ErrAbortHandler)
	})
	call, err := client.DoGet(t.Context(),
		&flighttest.Ticket{Ticket: []byte("/v1/topics/t/records")})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Errorf("%d bytes went to a client that took none", len(stream))
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the client is waited for")
	}
	for err == nil {
		_, err = call.Recv()
	}
	if flighttest.Code(err) != "Internal" {
		t.Errorf("the call ended with %v", err)
	}
}
