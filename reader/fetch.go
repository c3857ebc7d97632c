package reader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// span is bytes [start, end) of an object, wanted for a partition.
type span struct {
	object     string
	start, end int64
	partition  foz.Partition
}

func (s span) String() string { return fmt.Sprintf("%s bytes [%d,%d)", s.object, s.start, s.end) }

// fetcher owns the caches and every GET: each span that is wanted is in memory, or on its
// way once, however many scans want it.
type fetcher struct {
	store   objectstore.Store
	config  Config
	metrics *metrics
	jitter  func() float64
	settle  func(ctx context.Context)
	ahead   *semaphore.Weighted // bytes fetched before they are wanted

	mu      sync.Mutex // guards what follows; never held across I/O
	hot     *pool      // whole objects, put by this node's ingest; no fetch displaces them
	cold    *pool      // what was fetched
	sharing *sharing
	flights map[string][]*flight // by object: waiting or running
	waiting []*flight            // in order; at most AheadMax for each scan that runs
	running int                  // at most FetchesMax
}

// flight is one fetch and those who wait for it. It ends early when the last of them leaves,
// whoever began it.
type flight struct {
	span
	ctx    context.Context
	cancel context.CancelFunc
	whole  bool          // an object's beginning at least, for more than who asked
	users  int           // guarded by fetcher.mu
	needed bool          // guarded by fetcher.mu: a scan can go no further without it
	done   chan struct{} // closed when chunk and err are set
	chunk  chunk
	err    error
}

// ticket is one user's hold on a span: bytes in memory, or a flight. It ends with leave.
type ticket struct {
	chunk  chunk
	flight *flight // nil: chunk is there
}

func newFetcher(d Deps, c Config, m *metrics) *fetcher {
	return &fetcher{
		store: d.Store, config: c, metrics: m, jitter: d.Jitter, settle: d.Settle,
		ahead:   semaphore.NewWeighted(c.AheadBytesMax),
		hot:     newPool(c.CacheBytesMax),
		cold:    newPool(c.ColdBytesMax),
		sharing: newSharing(c.ColdBytesMax),
		flights: map[string][]*flight{},
	}
}

// put gives memory of an object that had to go, if nobody can hold any of it.
func (f *fetcher) put(object string, data []byte) (spare []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cold.drop(object)
	for _, e := range f.hot.add(object, chunk{data: data}) {
		if !e.found && cap(e.data) > cap(spare) {
			spare = e.data[:0]
		}
	}
	return spare
}

func (f *fetcher) drop(object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hot.drop(object)
	f.cold.drop(object)
}

// cached gives a chunk that holds the span, if one is in memory.
func (f *fetcher) cached(s span) (chunk, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(s)
}

func (f *fetcher) find(s span) (chunk, bool) {
	if c, ok := f.hot.find(s.object, s.start, s.end); ok {
		return c, true
	}
	return f.cold.find(s.object, s.start, s.end)
}

// open takes a span from memory, joins the flight that will bring it, or begins one.
func (f *fetcher) open(ctx context.Context, s span) *ticket {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.find(s); ok {
		f.metrics.hits.Inc()
		return &ticket{chunk: c}
	}
	parties := 0
	if s.end <= f.config.WholeBytesMax {
		parties = f.sharing.miss(s.object, s.partition, s.end)
	}
	for _, fl := range f.flights[s.object] {
		if fl.start <= s.start && s.end <= fl.end {
			f.metrics.joined.Inc()
			fl.users++
			return &ticket{flight: fl}
		}
	}
	f.metrics.misses.Inc()
	if parties >= f.config.WholePartitions {
		s.start, s.end = 0, f.config.WholeBytesMax // a Get ends where the object does
		return f.launch(ctx, s, true)
	}
	return f.launch(ctx, s, false)
}

// reopen fetches a span again, whatever is in memory or on its way: those bytes are damaged.
func (f *fetcher) reopen(ctx context.Context, s span) *ticket {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hot.drop(s.object)
	f.cold.drop(s.object)
	return f.launch(ctx, s, false)
}

func (f *fetcher) launch(ctx context.Context, s span, whole bool) *ticket {
	fl := &flight{span: s, whole: whole, users: 1, done: make(chan struct{})}
	ctx = objectstore.WithCause(context.WithoutCancel(ctx), "fetch")
	fl.ctx, fl.cancel = context.WithCancel(ctx)
	f.flights[s.object] = append(f.flights[s.object], fl)
	f.waiting = append(f.waiting, fl)
	f.dispatch()
	return &ticket{flight: fl}
}

// dispatch starts waiting flights while there is room: first one that a scan cannot do
// without, so that a replay's look ahead does not hold up a consumer at the tail.
func (f *fetcher) dispatch() {
	for f.running < f.config.FetchesMax && len(f.waiting) > 0 {
		i := max(0, slices.IndexFunc(f.waiting, func(fl *flight) bool { return fl.needed }))
		fl := f.waiting[i]
		f.waiting = slices.Delete(f.waiting, i, i+1)
		f.running++
		go f.run(fl)
	}
}

func (f *fetcher) run(fl *flight) {
	data, err := f.get(fl.ctx, fl.span)
	fl.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.chunk, fl.err = chunk{start: fl.start, data: data}, err
	if len(data) > 0 {
		f.cold.add(fl.object, fl.chunk)
		if fl.whole {
			f.sharing.buy(fl.object, int64(len(data)))
		}
	}
	close(fl.done)
	f.running--
	f.forget(fl)
	f.dispatch()
}

// forget takes a flight off the lists: nobody joins it any more.
func (f *fetcher) forget(fl *flight) {
	same := func(o *flight) bool { return o == fl }
	f.waiting = slices.DeleteFunc(f.waiting, same)
	left := slices.DeleteFunc(f.flights[fl.object], same)
	if f.flights[fl.object] = left; len(left) == 0 {
		delete(f.flights, fl.object)
	}
}

// goneError says that the store has no such object.
type goneError struct{ span }

func (e *goneError) Error() string { return fmt.Sprintf("fetch %s: object not found", e.span) }

// wait returns the ticket's chunk once it is there. *goneError if the object is not; ctx's
// error; else *foz.Error storage_error or unavailable.
func (f *fetcher) wait(ctx context.Context, t *ticket) (chunk, error) {
	fl := t.flight
	if fl == nil {
		return t.chunk, nil
	}
	f.mu.Lock()
	fl.needed = true
	f.mu.Unlock()
	select {
	case <-fl.done:
	case <-ctx.Done():
	}
	if f.settle != nil {
		f.settle(ctx)
	}
	if ctx.Err() != nil {
		return chunk{}, ctx.Err()
	}
	return fl.chunk, fl.err
}

// leave ends a ticket. A flight that nobody waits for any more is called off.
func (f *fetcher) leave(t *ticket) {
	fl := t.flight
	if fl == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.users--; fl.users > 0 {
		return
	}
	fl.cancel()
	f.forget(fl)
}

// get reads a span with its own deadline for each attempt. A GET changes nothing, so any
// fault of the store is tried again, AttemptsMax times in all.
func (f *fetcher) get(ctx context.Context, s span) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		data, err := f.getOnce(ctx, s)
		switch {
		case err == nil:
			return data, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, objectstore.ErrNotFound):
			return nil, &goneError{s}
		case errors.Is(err, objectstore.ErrRange):
			return nil, nil // too short to hold any of it: decode will find it damaged
		case attempt == f.config.AttemptsMax:
			return nil, storeError(s, err)
		}
		f.metrics.retries.Inc()
		if err := f.pause(ctx, attempt); err != nil {
			return nil, err
		}
	}
}

func (f *fetcher) getOnce(ctx context.Context, s span) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, f.config.FetchTimeout)
	defer cancel()
	began := time.Now()
	data, err := f.store.Get(ctx, s.object, s.start, s.end-s.start)
	f.metrics.fetched(len(data), time.Since(began))
	if cap(data)-len(data) > len(data)/2 {
		data = bytes.Clone(data) // a cache of slack is no cache
	}
	return data, err
}

// pause waits RetryDelay before the second attempt, twice as long before each further one,
// less up to half of it at random.
func (f *fetcher) pause(ctx context.Context, attempt int) error {
	delay := f.config.RetryDelay << (attempt - 1)
	f.mu.Lock()
	less := time.Duration(f.jitter() * float64(delay) / 2)
	f.mu.Unlock()
	timer := time.NewTimer(delay - less)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// storeError says that the store did not give the bytes. A deadline was ours, not the
// client's: it is told in words, so that nobody takes it for a client that hung up.
func storeError(s span, err error) error {
	switch {
	case errors.Is(err, objectstore.ErrThrottled):
		return foz.Errorf(foz.CodeUnavailable, "fetch %s: %w", s, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return foz.Errorf(foz.CodeStorage, "fetch %s: %v", s, err)
	}
	return foz.Errorf(foz.CodeStorage, "fetch %s: %w", s, err)
}
