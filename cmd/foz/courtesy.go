package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// courteous is a bucket in which what can wait gives way: while this node takes records, what
// it fetches for replays is held to a rate, because processors, memory and network are the
// same. Small pieces are never held: whoever follows the tail of another node's records asks
// for those. The reader and ingest are given it, and the compactor asks it whether the node is
// busy; what it holds is no latency of the store.
type courteous struct {
	objectstore.Store
	bytesPerSecond int64 // 0: as fast as it goes

	mu       sync.Mutex // guards what follows
	uploaded time.Time  // when an upload was last begun
	free     time.Time  // when the next fetch may begin
}

// Of courtesy: what is small, how long after an upload a node still counts as taking records,
// and how long a fetch is held at most, whatever the rate: it has its own deadline.
const (
	courtesyBytesMin = 1 << 20
	courtesyFor      = time.Second
	courtesyWaitMax  = 10 * time.Second
)

const coldRateUsage = "bytes per second that replays fetch while records come in, 0: no limit"

// coldRate is the default, by the number of processors: about what they can take in as records,
// so that a consumer that has fallen behind catches up with what comes in.
func coldRate() byteCount { return byteCount(64<<20) * byteCount(runtime.GOMAXPROCS(0)) }

// Create is Store.Create, and notes uploads.
func (c *courteous) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if objectstore.Cause(ctx) == "upload" {
		c.mu.Lock()
		c.uploaded = time.Now()
		c.mu.Unlock()
	}
	return c.Store.Create(ctx, key, data)
}

// Get is Store.Get, in its turn.
func (c *courteous) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if c.bytesPerSecond > 0 && length >= courtesyBytesMin && objectstore.Cause(ctx) == "fetch" {
		if err := c.wait(ctx, c.turn(length)); err != nil {
			return nil, err
		}
	}
	return c.Store.Get(ctx, key, offset, length)
}

// busy says whether this node takes records.
func (c *courteous) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.uploaded.IsZero() && time.Since(c.uploaded) <= courtesyFor
}

// turn gives n bytes their time, and says how long it is until then: not at all if no records
// come in.
func (c *courteous) turn(n int64) time.Duration {
	if !c.busy() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.free.Before(now) {
		c.free = now
	}
	in := min(c.free.Sub(now), courtesyWaitMax)
	c.free = c.free.Add(time.Duration(float64(n) / float64(c.bytesPerSecond) * float64(time.Second)))
	return in
}

func (c *courteous) wait(ctx context.Context, in time.Duration) error {
	if in == 0 {
		return nil
	}
	timer := time.NewTimer(in)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
