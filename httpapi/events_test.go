package httpapi

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// follower reads an event stream in a bubble: what has been written, by when.
type follower struct {
	mu     sync.Mutex
	text   strings.Builder
	header http.Header
	status int
	broken bool // the handler reset the connection
	over   bool // the handler has returned
	stop   context.CancelFunc
}

func (f *follower) Header() http.Header { return f.header }

func (f *follower) WriteHeader(status int) { f.status = status }

func (f *follower) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(b)
}

func (f *follower) FlushError() error { return nil }

// read gives what came since the last read, once nothing moves.
func (f *follower) read() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.text.Reset()
	return f.text.String()
}

func follow(t *testing.T, api http.Handler, target string, header ...string) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{header: http.Header{}, stop: cancel}
	r := httptest.NewRequest("GET", "http://foz"+target, nil).WithContext(ctx)
	r.Header.Set("Accept", mediaSSE)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	go func() {
		defer func() {
			f.broken = recover() == http.ErrAbortHandler
			f.over = true
		}()
		api.ServeHTTP(f, r)
	}()
	return f
}

// push appends a record with a one-byte value.
func (h *house) push(p foz.Partition, ms int64, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log(p).Append(ms, nil, []byte(value), nil)
	h.next()
}

// How: in a bubble, a follower of one partition: the position at once, records as they come,
// comments in silence, and nothing after the client has gone.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(2)
		a := h.api(Config{})
		f := follow(t, a.Handler(), oneRead+"?columns=offset")
		wantEqual(t, "position", f.read(), "id: 10\nevent: position\n"+
			`data: {"next_offset":10,"high_watermark":10,"earliest_offset":2}`+"\n\n")
		wantEqual(t, "header", f.header.Get("X-Accel-Buffering")+f.header.Get("Cache-Control")+
			f.header.Get("Content-Type"), "no"+"no-store"+mediaSSE)
		time.Sleep(14 * time.Second)
		wantEqual(t, "silence", f.read(), "")
		time.Sleep(time.Second)
		wantEqual(t, "comment", f.read(), ": nothing new\n\n")
		h.push(p, 1, "a")
		h.push(p, 2, "b")
		wantEqual(t, "records", f.read(),
			"id: 11\ndata: {\"offset\":10}\n\nid: 12\ndata: {\"offset\":11}\n\n")
		h.push(foz.Partition{Topic: p.Topic, Number: 1}, 1, "x")
		wantEqual(t, "another partition's", f.read(), "")
		wantEqual(t, "followers", a.followers.used.Load(), 1)
		f.stop()
		wantEqual(t, "after the end", f.read(), "")
		wantEqual(t, "over, not broken", []bool{f.over, f.broken}, []bool{true, false})
		wantEqual(t, "followers", a.followers.used.Load(), 0)
	})
}

// How: in a bubble, where each beginning begins and where each end ends.
func TestFollowRanges(t *testing.T) {
	for _, c := range []struct {
		query, id, first, ids string // ids of records there and of two more that come
		over                  bool
	}{
		{"?offset=8", "", "8", "9 10 11 12", false},
		{"?tail=1", "", "9", "10 11 12", false},
		{"?timestamp=900", "", "8", "9 10 11 12", false},
		{"?offset=3", "9", "9", "10 11 12", false},
		{"", "10", "10", "11 12", false},
		{"?offset=8&end_offset=10", "", "8", "9 10", true},
		{"?offset=9&end_offset=11", "", "9", "10 11", true},
		{"?offset=8&end_offset=8", "", "8", "", true},
		{"?offset=9&limit=2", "", "9", "10 11", true},
		{"?offset=8&until=1000", "", "8", "9", true},
		{"?offset=9&until=1200", "", "9", "10 11", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, p := ten(2)
			var header []string
			if c.id != "" {
				header = []string{"Last-Event-ID: " + c.id}
			}
			f := follow(t, h.api(Config{}).Handler(), oneRead+c.query, header...)
			text := f.read()
			h.push(p, 1100, "a")
			h.push(p, 1200, "b")
			text += f.read()
			var ids []string
			for line := range strings.Lines(text) {
				if id, ok := strings.CutPrefix(line, "id: "); ok {
					ids = append(ids, strings.TrimSpace(id))
				}
			}
			wantEqual(t, c.query+" position", ids[0], c.first)
			wantEqual(t, c.query+" records", strings.Join(ids[1:], " "), c.ids)
			wantEqual(t, c.query+" over", f.over, c.over)
			wantEqual(t, c.query+" broken", f.broken, false)
			f.stop()
			synctest.Wait()
		})
	}
}

// How: in a bubble, whatever ends a stream early is told as an error event with a problem,
// and the connection is reset.
func TestFollowBreaks(t *testing.T) {
	for _, target := range []string{oneRead, "/v1/topics/t/records"} {
		for want, breakIt := range map[foz.Code]func(*API, *house, foz.Partition){
			foz.CodeStorage: func(_ *API, h *house, p foz.Partition) {
				h.scan = func(foz.Partition, foz.Range) error {
					return foz.Errorf(foz.CodeStorage, "object data/1 is damaged")
				}
				h.push(p, 1, "a")
			},
			foz.CodeInternal: func(_ *API, h *house, p foz.Partition) {
				h.scan = func(foz.Partition, foz.Range) error { return errors.New("secret") }
				h.push(p, 1, "a")
			},
			foz.CodeTopicNotFound: func(_ *API, h *house, p foz.Partition) {
				admin{h}.Delete(t.Context(), p.Topic)
			},
			foz.CodeDraining: func(a *API, _ *house, _ foz.Partition) { a.Drain() },
		} {
			synctest.Test(t, func(t *testing.T) {
				h, p := ten(0)
				a := h.api(Config{})
				f := follow(t, a.Handler(), target)
				f.read()
				breakIt(a, h, p)
				text := f.read()
				_, data, found := strings.Cut(text, "event: error\ndata: ")
				if !found || !strings.Contains(data, `"code":"`+string(want)+`"`) ||
					!strings.HasSuffix(data, "}\n\n") || strings.Contains(text, "secret") {
					t.Errorf("%s %s: %q", target, want, text)
				}
				wantEqual(t, "over and broken", []bool{f.over, f.broken}, []bool{true, true})
				wantEqual(t, "followers", a.followers.used.Load(), 0)
			})
		}
	}
}

// How: in a bubble, followers that get nothing while others' records come every two seconds, or
// none that they want, are told so all the same.
func TestFollowInVain(t *testing.T) {
	for _, url := range []string{
		oneRead, oneRead + "?where=offset%3D99999", "/v1/topics/t/records?where=offset%3D99999",
	} {
		synctest.Test(t, func(t *testing.T) {
			h, p := ten(2)
			if url == oneRead {
				p = foz.Partition{Topic: h.topic("other", 1, foz.TopicConfig{}).ID}
			}
			f := follow(t, h.api(Config{}).Handler(), url)
			f.read()
			for range 20 {
				time.Sleep(2 * time.Second)
				h.push(p, 1, "x")
			}
			wantEqual(t, url, f.read(), strings.Repeat(": nothing new\n\n", 2))
			f.stop()
		})
	}
}

// How: in a bubble, a follower of a topic: ids carry all partitions, partitions that are
// added are followed, and Last-Event-ID resumes with those that it does not know.
func TestFollowTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(2)
		api := h.api(Config{}).Handler()
		f := follow(t, api, "/v1/topics/t/records?columns=partition,offset")
		wantEqual(t, "position", f.read(), "id: 0:10,1:0\nevent: position\ndata: {\"positions\":["+
			`{"partition":0,"next_offset":10,"high_watermark":10},`+
			`{"partition":1,"next_offset":0,"high_watermark":0}]}`+"\n\n")
		time.Sleep(15 * time.Second)
		wantEqual(t, "comment", f.read(), ": nothing new\n\n")
		h.push(p, 1, "a")
		h.push(foz.Partition{Topic: p.Topic, Number: 1}, 1, "b")
		both := f.read()
		if !strings.Contains(both, "data: {\"partition\":0,\"offset\":10}\n\n") ||
			!strings.Contains(both, "id: 0:11,1:1\n") {
			t.Errorf("records: %q", both)
		}
		now := h.topics["t"]
		now.Partitions = 3
		if _, err := (admin{h}).Alter(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.push(foz.Partition{Topic: p.Topic, Number: 2}, 1, "c")
		wantEqual(t, "new partition", f.read(),
			"id: 0:11,1:1,2:1\ndata: {\"partition\":2,\"offset\":0}\n\n")
		f.stop()
		again := follow(t, api, "/v1/topics/t/records?columns=offset", "Last-Event-ID: 0:10,1:1")
		text := again.read()
		wantEqual(t, "resumed", strings.Contains(text, "id: 0:10,1:1,2:0\nevent: position"), true)
		wantEqual(t, "records", strings.Count(text, `data: {"offset":`), 2)
		again.stop()
		synctest.Wait()
	})
}

// How: more followers than allowed are told to come again.
func TestFollowersMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := ten(0)
		api := h.api(Config{FollowersMax: 1}).Handler()
		first := follow(t, api, oneRead)
		first.read()
		got := do(api, "GET", oneRead, "", "Accept: "+mediaSSE)
		checkProblem(t, "second", got, foz.CodeOverloaded)
		first.stop()
		synctest.Wait()
		third := follow(t, api, oneRead)
		wantEqual(t, "third", strings.HasPrefix(third.read(), "id: 10\n"), true)
		third.stop()
		synctest.Wait()
	})
}

// How: over a real connection the position arrives before any record does, and a broken
// stream is no clean end.
func TestFollowOverTheWire(t *testing.T) {
	h, p := ten(0)
	server := httptest.NewServer(h.api(Config{}).Handler())
	defer server.Close()
	r, _ := http.NewRequest("GET", server.URL+oneRead, nil)
	r.Header.Set("Accept", mediaSSE)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() string {
		if !lines.Scan() {
			t.Fatalf("stream ended: %v", lines.Err())
		}
		return lines.Text()
	}
	wantEqual(t, "first line", next(), "id: 10")
	for next() != "" {
	}
	h.push(p, 1, "a")
	wantEqual(t, "record's id", next(), "id: 11")
	for next() != "" {
	}
	admin{h}.Delete(t.Context(), p.Topic)
	wantEqual(t, "error", next(), "event: error")
	for lines.Scan() {
	}
	if lines.Err() == nil {
		t.Error("the stream ended cleanly")
	}
}
