package metadata

import (
	"context"
	"sync"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
)

// Limits of what waits for the replica's loop.
const (
	inboxEntriesMax = 1024     // broadcasts; more are dropped, which makes them hints
	inboxBytesMax   = 64 << 20 // of commands; more are answered OVERLOADED
)

// turn is all that waits for the replica's loop, taken at once: what happens does not
// depend on which of them woke it.
type turn struct {
	entries [][]byte // broadcast log objects, as they came
	asks    []*ask
	bytes   int    // of asks
	hint    uint64 // highest slot somebody spoke of
	epoch   uint64 // highest epoch somebody leads, as heard
	seen    uint64 // highest slot that a listing showed
}

// ask is a list of commands to be answered as one.
type ask struct {
	commands    []*logpb.Command
	silentEpoch uint64
	size        int // bytes
	reply       chan *logpb.Reply
}

func (a *ask) answer(r *logpb.Reply) { a.reply <- r } // has room for the one answer

// inbox gathers what the replica's loop has to do. All methods are safe for concurrent use.
type inbox struct {
	mu      sync.Mutex
	pending turn
	ready   chan struct{} // holds one token while pending is not empty
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (b *inbox) change(f func(*turn)) {
	b.mu.Lock()
	f(&b.pending)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *inbox) entry(body []byte) {
	b.change(func(t *turn) {
		if len(t.entries) < inboxEntriesMax {
			t.entries = append(t.entries, body)
		}
	})
}

// wake has the loop look again how long it may sleep.
func (b *inbox) wake() { b.change(func(*turn) {}) }

func (b *inbox) beat(slot, epoch uint64) {
	b.change(func(t *turn) { t.hint, t.epoch = max(t.hint, slot), max(t.epoch, epoch) })
}

func (b *inbox) tail(slot uint64) { b.change(func(t *turn) { t.seen = max(t.seen, slot) }) }

// ask queues commands; false: the queue is full and nothing was taken.
func (b *inbox) ask(a *ask) (taken bool) {
	b.change(func(t *turn) {
		if taken = t.bytes+a.size <= inboxBytesMax; taken {
			t.asks = append(t.asks, a)
			t.bytes += a.size
		}
	})
	return taken
}

func (b *inbox) take() turn {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.pending
	b.pending = turn{}
	return t
}

// wait returns when something is there, when d is over (0: never), or with ctx's error.
func (b *inbox) wait(ctx context.Context, d time.Duration) error {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-b.ready:
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err()
}
