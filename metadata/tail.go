package metadata

import (
	"context"
	"sync"

	"github.com/fozlog/foz/objectstore"
)

// tailReads shares listings of the log's tail: one serves all reads that waited when it was
// issued. A read that arrives while one is under way waits for the next, because what the
// running one shows may be older than the read.
type tailReads struct {
	wake chan struct{}

	mu      sync.Mutex
	next    *tailRead
	running *tailRead
}

type tailRead struct {
	done chan struct{}
	slot uint64
	err  error
}

func newTailReads() *tailReads { return &tailReads{wake: make(chan struct{}, 1)} }

// tail gives a slot that is at or above everything in the log when the call began.
func (t *tailReads) tail(ctx context.Context, r *Replica) (uint64, error) {
	t.mu.Lock()
	if t.next == nil {
		t.next = &tailRead{done: make(chan struct{})}
	}
	read := t.next
	if r.cfg.Defects.ReadJoins && t.running != nil {
		read = t.running
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
	select {
	case <-read.done:
		return read.slot, read.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-r.done:
		return 0, ErrStopped
	}
}

// run issues the listings until ctx ends.
func (t *tailReads) run(ctx context.Context, r *Replica) error {
	ctx = objectstore.WithCause(ctx, "tail")
	for {
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil
		}
		t.mu.Lock()
		read := t.next
		t.next, t.running = nil, read
		t.mu.Unlock()
		if read == nil {
			continue
		}
		read.slot, read.err = r.bucket.tail(ctx, r.slot())
		if read.err == nil {
			r.inbox.tail(read.slot)
		}
		t.mu.Lock()
		t.running = nil
		t.mu.Unlock()
		close(read.done)
	}
}
