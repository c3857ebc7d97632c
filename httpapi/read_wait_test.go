package httpapi

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// How: in a bubble, a long poll at the head answers when a record comes, at its own end, and
// at once when there is something or never will be.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(0)
		api := h.api(Config{}).Handler()
		poll := func(query string) (string, time.Duration) {
			begun := time.Now()
			return do(api, "GET", oneRead+query, "").header.Get("Foz-Next-Offset"), time.Since(begun)
		}
		go func() {
			time.Sleep(3 * time.Second)
			h.mu.Lock()
			h.log(p).Append(1, nil, []byte("new"), nil)
			h.next()
			h.mu.Unlock()
		}()
		for _, c := range []struct {
			query, next string
			after       time.Duration
		}{
			{"?offset=9&wait=20", "10", 0},
			{"?offset=10", "10", 0},
			{"?offset=10&wait=0.5", "10", 500 * time.Millisecond},
			{"?offset=10&end_offset=10&wait=20", "10", 0},
			{"?offset=10&wait=20", "11", 2500 * time.Millisecond},
			{"?tail=0&wait=999", "11", time.Minute},
			{"?tail=0&wait=-5", "11", 0},
		} {
			next, after := poll(c.query)
			if next != c.next || after != c.after {
				t.Errorf("%s: next %s after %v, want %s after %v", c.query, next, after, c.next, c.after)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		r := httptest.NewRequest("GET", oneRead+"?tail=0&wait=60", nil).WithContext(ctx)
		begun := time.Now()
		api.ServeHTTP(httptest.NewRecorder(), r)
		wantEqual(t, "client gone", time.Since(begun), time.Second)
	})
}

// How: in a bubble, what ends a long poll is a record from after its end: it is not in the answer.
func TestLongPollUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(0)
		api := h.api(Config{}).Handler()
		go func() { time.Sleep(time.Second); h.push(p, 9999, "late") }()
		begun := time.Now()
		got := do(api, "GET", oneRead+"?offset=10&until=2000&wait=20", "")
		wantEqual(t, "after", time.Since(begun), time.Second)
		wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "10")
		if !strings.Contains(got.body, `"records":[]`) || got.header.Get("Etag") == "" {
			t.Errorf("%s %v", got.body, got.header)
		}
	})
}

// appendLater appends a record in a second.
func (h *house) appendLater(p foz.Partition) {
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log(p).Append(1, nil, []byte("new"), nil)
	h.next()
}

// How: in a bubble, a read with Foz-Min-Slot waits until the slot is applied.
func TestMinSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(0)
		api := h.api(Config{}).Handler()
		go h.appendLater(p)
		got := do(api, "GET", oneRead+"?offset=10", "", "Foz-Min-Slot: 2")
		wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "11")
		begun := time.Now()
		got = do(api, "GET", oneRead, "", "Foz-Min-Slot: 3")
		checkProblem(t, "slot that does not come", got, foz.CodeUnavailable)
		wantEqual(t, "waited", time.Since(begun), 10*time.Second)
	})
}

// How: in a bubble, a long poll answers with what came while it waited; its Foz-Slot is that, so
// that a read elsewhere with it as Foz-Min-Slot is not older.
func TestSlotIsThatOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := ten(0)
		api := h.api(Config{}).Handler()
		go h.appendLater(p)
		got := do(api, "GET", oneRead+"?offset=10&wait=20", "")
		wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "11")
		wantEqual(t, "slot", got.header.Get("Foz-Slot"), "2")
	})
}

// How: answers with limits share a budget: the second finds less and is shorter, or is told
// to come again; afterwards nothing is held.
func TestCollectBudget(t *testing.T) {
	h := newHouse()
	p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
	for range 8 {
		h.log(p).Append(1, nil, make([]byte, leaseStep), nil)
	}
	h.runRows = 1
	a := h.api(Config{CollectBytesMax: 3 * leaseStep})
	got := do(a.Handler(), "GET", oneRead, "")
	wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "3")
	wantEqual(t, "held", a.collected.used.Load(), 0)
	a.collected.used.Store(3 * leaseStep)
	checkProblem(t, "none left", do(a.Handler(), "GET", oneRead, ""), foz.CodeOverloaded)
}
