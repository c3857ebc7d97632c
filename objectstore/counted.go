package objectstore

import (
	"cmp"
	"context"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Counted is a Store that counts what is asked of another one, by operation and by cause
// (see WithCause). A request is what the store bills for: one call is one request.
type Counted struct {
	store    Store
	counters sync.Map // counterKey -> *counter; only ever grows, by one for each cause
	latency  [4]latency
	faulted  atomic.Int64 // when a request was last counted as an error, Unix nanoseconds, or 0
}

// Count is what was asked of a Store under one operation and cause.
type Count struct {
	Op, Cause string
	Requests  int64 // all of them, answered or not
	Bytes     int64 // of bodies that a Create stored and a Get returned
	Errors    int64 // requests answered neither with success nor with a fact about the key
}

type counterKey struct{ op, cause string }

type counter struct{ requests, bytes, errors atomic.Int64 }

// ops are the operations, in the order of Counted.latency.
var ops = [4]string{OpCreate, OpDelete, OpGet, OpList}

// latencyBits is the number of latency buckets: bucket i holds requests of less than 2^i
// microseconds, from 64 us to 134 s; the last holds all.
const latencyBits = 28

// latency is a histogram.
type latency struct {
	buckets [latencyBits]atomic.Uint64 // by bits.Len of the microseconds
	micros  atomic.Uint64
}

// NewCounted counts what is asked of s.
func NewCounted(s Store) *Counted { return &Counted{store: s} }

// Counts is what was asked so far, sorted by operation, then cause.
func (c *Counted) Counts() []Count {
	var counts []Count
	c.counters.Range(func(k, v any) bool {
		key, n := k.(counterKey), v.(*counter)
		counts = append(counts, Count{Op: key.op, Cause: key.cause, Bytes: n.bytes.Load(),
			Requests: n.requests.Load(), Errors: n.errors.Load()})
		return true
	})
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Cause, b.Cause))
	})
	return counts
}

// Faulted is when the store last left a request without an answer; the zero time if it never
// did. Whoever gives up a request is no fault of the store's; a deadline that passes is.
func (c *Counted) Faulted() time.Time {
	if at := c.faulted.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Requests is how many requests of one operation were made, for all causes.
func (c *Counted) Requests(op string) (n int64) {
	for _, count := range c.Counts() {
		if count.Op == op {
			n += count.Requests
		}
	}
	return n
}

// count adds one request that is over.
func (c *Counted) count(ctx context.Context, op int, began time.Time, bytes int, err error) {
	key := counterKey{ops[op], Cause(ctx)}
	v, ok := c.counters.Load(key)
	if !ok {
		v, _ = c.counters.LoadOrStore(key, new(counter))
	}
	n := v.(*counter)
	n.requests.Add(1)
	if err == nil {
		n.bytes.Add(int64(bytes))
	} else if !isAnswer(err) {
		n.errors.Add(1)
		if !errors.Is(err, context.Canceled) { // by whoever asked
			c.faulted.Store(time.Now().UnixNano())
		}
	}
	micros := uint64(max(0, time.Since(began).Microseconds()))
	c.latency[op].buckets[min(bits.Len64(micros), latencyBits-1)].Add(1)
	c.latency[op].micros.Add(micros)
}

// isAnswer says whether an error is a fact about the key and not a fault of the store.
func isAnswer(err error) bool {
	for _, answer := range []error{ErrExists, ErrNotFound, ErrRange, ErrKey} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// Create is Store.Create, counted.
func (c *Counted) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	began := time.Now()
	date, err := c.store.Create(ctx, key, data)
	c.count(ctx, 0, began, len(data), err)
	return date, err
}

// Delete is Store.Delete, counted.
func (c *Counted) Delete(ctx context.Context, keys ...string) error {
	began := time.Now()
	err := c.store.Delete(ctx, keys...)
	c.count(ctx, 1, began, 0, err)
	return err
}

// Get is Store.Get, counted.
func (c *Counted) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	began := time.Now()
	data, err := c.store.Get(ctx, key, offset, length)
	c.count(ctx, 2, began, len(data), err)
	return data, err
}

// List is Store.List, counted.
func (c *Counted) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]Info, bool, error) {
	began := time.Now()
	page, more, err := c.store.List(ctx, prefix, startAfter, limit)
	c.count(ctx, 3, began, 0, err)
	return page, more, err
}
