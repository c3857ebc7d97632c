package client_test

// Reads against the scripted service of client_test.go: pages that go on, streams that break.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

// lines answers with records [from, to) as NDJSON and hangs up afterwards if torn.
func lines(from, to, head int, torn bool) step {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Foz-High-Watermark", fmt.Sprint(head))
		for i := from; i < to; i++ {
			fmt.Fprintf(w, "{\"offset\":%d,\"timestamp\":1,\"key\":null,\"value\":\"v%d\"}\n", i, i)
		}
		if torn {
			io.WriteString(w, `{"offset":`)
			w.(http.Flusher).Flush()
			hangUp(w, r)
		}
	}
}

func TestScan(t *testing.T) {
	base := client.Read{Topic: "t", Partition: 1}
	with := func(change func(*client.Read)) client.Read {
		r := base
		change(&r)
		return r
	}
	for _, c := range []struct {
		name  string
		read  client.Read
		steps []step
		want  int // records, from 0
		asks  []string
		err   error
	}{
		{"one answer", base, []step{lines(0, 3, 3, false)}, 3, []string{""}, nil},
		{"nothing there", base, []step{lines(0, 0, 0, false)}, 0, []string{""}, nil},
		{"cut short by the service, and the head moves", base,
			[]step{lines(0, 2, 4, false), lines(2, 4, 9, false)}, 4,
			[]string{"", "offset=2"}, nil},
		{"broken, goes on", with(func(r *client.Read) { r.From = client.FromTime(7) }),
			[]step{lines(0, 2, 4, true), lines(2, 4, 4, false)}, 4,
			[]string{"timestamp=7", "offset=2"}, nil},
		{"broken again and again", base,
			[]step{lines(0, 2, 4, true), lines(2, 2, 4, true), lines(2, 2, 4, true)}, 2,
			[]string{"", "offset=2", "offset=2"}, io.ErrUnexpectedEOF},
		{"broken without offsets", with(func(r *client.Read) { r.Columns = []string{"value"} }),
			[]step{func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "{\"value\":\"v0\"}\n")
				w.(http.Flusher).Flush()
				hangUp(w, r)
			}}, 1, []string{"columns=value"}, io.ErrUnexpectedEOF},
		{"a limit", with(func(r *client.Read) { r.Limit = 3 }),
			[]step{lines(0, 2, 9, false), lines(2, 3, 9, false)}, 3,
			[]string{"limit=3", "limit=1&offset=2"}, nil},
		{"an end", with(func(r *client.Read) { r.EndOffset = new(int64(2)) }),
			[]step{lines(0, 2, 9, false)}, 2, []string{"end_offset=2"}, nil},
		{"a refusal", base, []step{refuse(416, foz.CodeOffsetOutOfRange, false, "none", "")}, 0,
			[]string{""}, &foz.Error{Code: foz.CodeOffsetOutOfRange}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := play(t, c.steps...)
			n, err := int64(0), error(nil)
			for r, e := range s.Scan(t.Context(), c.read) {
				if err = e; err != nil {
					break
				}
				if r.Offset != n || r.Partition != 1 || string(r.Value) != fmt.Sprintf("v%d", n) {
					t.Fatalf("record %d: %+v", n, r)
				}
				n++
			}
			if n != int64(c.want) || !errors.Is(err, c.err) {
				t.Errorf("%d records, error %v; want %d, %v", n, err, c.want, c.err)
			}
			var asks []string
			for _, ask := range s.requests() {
				_, query, _ := strings.Cut(ask, "/v1/topics/t/partitions/1/records")
				asks = append(asks, strings.TrimPrefix(query, "?"))
			}
			if diff := cmp.Diff(c.asks, asks); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScanAllDoesNotGoOnAfterABreak(t *testing.T) {
	s := play(t, lines(0, 2, 4, true))
	var err error
	for _, err = range s.Scan(t.Context(), client.Read{Topic: "t", Partition: client.AllPartitions}) {
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v: a broken stream must be visible", err)
	}
}

func TestFetch(t *testing.T) {
	s := play(t, answer(200, `{"records":[{"offset":5,"timestamp":1,"key":"k","value":null}],
		"next_offset":6,"high_watermark":9}`))
	page, err := s.Fetch(t.Context(), client.Read{Topic: "a/b", Partition: 2,
		From: client.FromTail(3), MaxBytes: 10, Columns: []string{"key", "value"}})
	want := client.Page{NextOffset: 6, HighWatermark: 9, Records: []client.Record{{Partition: 2,
		Record: foz.Record{Offset: 5, Timestamp: 1, Key: []byte("k")}}}}
	if diff := cmp.Diff(want, page); diff != "" || err != nil {
		t.Error(diff, err)
	}
	wantAsk := "GET /v1/topics/a%2Fb/partitions/2/records?columns=key%2Cvalue&max_bytes=10&tail=3"
	if got := s.requests()[0]; got != wantAsk {
		t.Errorf("asked %q, want %q", got, wantAsk)
	}
}

func sse(text string, torn bool) step {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, text)
		if torn {
			w.(http.Flusher).Flush()
			hangUp(w, r)
		}
	}
}

func TestFollow(t *testing.T) {
	var resumed []string
	note := func(next step) step {
		return func(w http.ResponseWriter, r *http.Request) {
			resumed = append(resumed, r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID"))
			next(w, r)
		}
	}
	s := play(t,
		note(sse("event: position\nid: 4\ndata: {\"next_offset\":4}\n\n"+
			": still here\n\nid: 5\ndata: {\"offset\":4,\"value\":\"a\"}\n\n", true)),
		note(hangUp),
		note(sse("data: {\"offset\":5,\ndata: \"value\":\"b\"}\nid: 6\n\n", false)),
		note(sse("event: error\ndata: {\"code\":\"topic_not_found\",\"retryable\":false}\n\n", false)),
	)
	var got []string
	var err error
	for e, failed := range s.Follow(t.Context(), client.Read{Topic: "t"}, "") {
		if err = failed; err != nil {
			break
		}
		if e.Line == nil {
			got = append(got, "at "+e.ID)
			continue
		}
		r, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s %s", r.Offset, r.Value, e.ID))
	}
	if diff := cmp.Diff([]string{"at 4", "4 a 5", "5 b 6"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"tail=0 ", " 5", " 5", " 6"}, resumed); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, &foz.Error{Code: foz.CodeTopicNotFound}) {
		t.Errorf("error %v, want topic_not_found", err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := play(t, func(w http.ResponseWriter, r *http.Request) {
		sse("id: 1\ndata: {\"offset\":0,\"value\":\"a\"}\n\n", false)(w, r)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for _, err := range s.Follow(ctx, client.Read{Topic: "t"}, "") {
		if err != nil {
			t.Fatalf("error %v: the end of the context is none", err)
		}
		cancel()
	}
}

// TestFollowEndsWhereItIsStuck: a stream that breaks again and again at one place ends in what
// the service says of it, although each begins with a position, and though other partitions
// bring records meanwhile. The client is asked as often as it is told to, and no more.
func TestFollowEndsWhereItIsStuck(t *testing.T) {
	const position = "event: position\nid: 4\ndata: {\"next_offset\":4}\n\n"
	const record = "id: 5\ndata: {\"offset\":4,\"value\":\"a\"}\n\n"
	const damaged = "event: error\ndata: {\"code\":\"storage_error\",\"retryable\":true," +
		"\"detail\":\"data/1.arrow is damaged\"}\n\n"
	for _, c := range []struct {
		what      string
		partition int32
		streams   []string
		attempts  int
	}{
		{"one partition", 0, []string{position + damaged}, 3},
		{"one partition, after a record", 0,
			[]string{position + record + damaged, position + damaged}, 3},
		{"progress in between", 0,
			[]string{position + damaged, position + record + damaged, position + damaged}, 4},
		{"the neighbour of another one", client.AllPartitions,
			[]string{position + record + damaged}, 3},
	} {
		t.Run(c.what, func(t *testing.T) {
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				sse(c.streams[min(asked, len(c.streams))-1], false)(w, r)
			}))
			defer s.Close()
			follower, err := client.New(client.Options{URL: s.URL, Attempts: 3})
			if err != nil {
				t.Fatal(err)
			}
			read := client.Read{Topic: "t", Partition: c.partition}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for _, err = range follower.Follow(ctx, read, "") {
			}
			if !errors.Is(err, &foz.Error{Code: foz.CodeStorage}) ||
				!strings.Contains(err.Error(), "data/1.arrow is damaged") {
				t.Errorf("ended in %v", err)
			}
			if asked != c.attempts {
				t.Errorf("asked %d times, want %d", asked, c.attempts)
			}
		})
	}
}
