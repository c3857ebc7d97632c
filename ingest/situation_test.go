package ingest

// Situations: a house of ingest alone. The store is objectstore.Memory behind a gate that
// counts requests and decides their fates; metadata is a ledger that gives dense offsets per
// partition and remembers objects. Time is that of the bubble (testing/synctest): a test
// that says "at once" means that no virtual time passed.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	background = context.Background()

	flights = foz.TopicID{1}
	trains  = foz.TopicID{2}
)

// house is an ingest with everything around it.
type house struct {
	*Ingest
	t      *testing.T
	memory *objectstore.Memory
	ledger *ledger
	cache  shelfOfObjects

	mu    sync.Mutex
	calls []objectstore.Call                        // every request that reached the gate
	fate  func(c objectstore.Call) objectstore.Fate // nil: all pass
	stop  context.CancelFunc
	ended chan error
}

// inHouse runs body in a bubble, with an ingest that is drained afterwards.
func inHouse(t *testing.T, c Config, body func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := build(t, c)
		h.start()
		body(h)
		h.drained()
	})
}

func build(t *testing.T, c Config) *house {
	h := &house{t: t, memory: objectstore.NewMemory(), ledger: newLedger(), ended: make(chan error, 1)}
	gate := func(_ context.Context, c objectstore.Call) objectstore.Fate {
		h.mu.Lock()
		h.calls = append(h.calls, c)
		fate := h.fate
		h.mu.Unlock()
		if fate == nil {
			return objectstore.Fate{}
		}
		return fate(c)
	}
	h.Ingest = New(Deps{
		Store:     objectstore.NewGated(h.memory, gate),
		Committer: h.ledger,
		Slots:     heard(7),
		Cache:     &h.cache,
		Entropy:   rand.NewChaCha8([32]byte{1}),
	}, c)
	return h
}

func (h *house) start() {
	ctx, stop := context.WithCancel(background)
	h.stop = stop
	go func() { h.ended <- h.Run(ctx) }()
	synctest.Wait()
}

// drained stops the ingest and asserts that it has let go of everything.
func (h *house) drained() {
	h.t.Helper()
	h.stop()
	if err := <-h.ended; err != nil {
		h.t.Errorf("Run: %v", err)
	}
	synctest.Wait()
	if held := h.heldBytes(); held != 0 {
		h.t.Errorf("%d bytes are still held", held)
	}
	if h.open != nil || len(h.sealed) != 0 || len(h.queue) != 0 {
		h.t.Errorf("something is still queued")
	}
}

// answer is what a Produce came to.
type answer struct {
	ack foz.Ack
	err error
	at  time.Time
}

// send starts a Produce and returns where its answer will be, once every goroutine has come
// to rest.
func (h *house) send(r foz.Request) *future { return h.sendAs(background, r) }

func (h *house) sendAs(ctx context.Context, r foz.Request) *future {
	f := &future{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		ack, err := h.Produce(ctx, r)
		f.answer = answer{ack, err, time.Now()}
	}()
	synctest.Wait()
	return f
}

type future struct {
	done chan struct{}
	answer
}

func (f *future) wait() answer { <-f.done; return f.answer }

func (f *future) isDone() bool {
	synctest.Wait()
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// must is a Produce that has to succeed.
func (h *house) must(r foz.Request) foz.Ack {
	h.t.Helper()
	ack, err := h.Produce(background, r)
	if err != nil {
		h.t.Fatalf("Produce: %v", err)
	}
	return ack
}

// requests is how many requests of an operation reached the store.
func (h *house) requests(op string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.calls {
		if c.Op == op {
			n++
		}
	}
	return n
}

func (h *house) expectRequests(creates, gets int) {
	h.t.Helper()
	c, g := h.requests(objectstore.OpCreate), h.requests(objectstore.OpGet)
	if c != creates || g != gets {
		h.t.Errorf("%d creates and %d gets, want %d and %d", c, g, creates, gets)
	}
	if l, d := h.requests(objectstore.OpList), h.requests(objectstore.OpDelete); l+d != 0 {
		h.t.Errorf("%d lists and %d deletes, want none", l, d)
	}
}

func (h *house) setFate(fate func(c objectstore.Call) objectstore.Fate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fate = fate
}

// fates gives the n-th create the n-th outcome, and lets everything else pass.
func fates(outcomes ...objectstore.Outcome) func(objectstore.Call) objectstore.Fate {
	var mu sync.Mutex
	return func(c objectstore.Call) objectstore.Fate {
		mu.Lock()
		defer mu.Unlock()
		if c.Op != objectstore.OpCreate || len(outcomes) == 0 {
			return objectstore.Fate{}
		}
		next := outcomes[0]
		outcomes = outcomes[1:]
		return objectstore.Fate{Outcome: next}
	}
}

// slow makes every request take d.
func slow(d time.Duration) func(objectstore.Call) objectstore.Fate {
	return func(objectstore.Call) objectstore.Fate {
		time.Sleep(d)
		return objectstore.Fate{}
	}
}

// request builders.

// plain is a request to flights: one record per value, value "p:..." to partition p.
func plain(values ...string) foz.Request { return to(flights, values...) }

func to(topic foz.TopicID, values ...string) foz.Request {
	r := foz.Request{Topic: topic}
	for _, v := range values {
		number := int32(v[0] - '0')
		at := slices.IndexFunc(r.Batches, func(b foz.Batch) bool { return b.Partition == number })
		if at < 0 {
			at = len(r.Batches)
			r.Batches = append(r.Batches, foz.Batch{Partition: number, Rows: new(foz.Rows)})
		}
		r.Batches[at].Rows.Append(1000, nil, []byte(v), nil)
	}
	return r
}

func from(producer string, seq int64, values ...string) foz.Request {
	r := plain(values...)
	r.Producer = &foz.Producer{ID: producer, Seq: seq}
	return r
}

func ifNext(offset int64, values ...string) foz.Request {
	r := plain(values...)
	r.IfNextOffset = &offset
	return r
}

// sized is a request whose one row has a value of so many bytes.
func sized(n int) foz.Request { return plain("0" + strings.Repeat("x", n-1)) }

// ranges renders an ack's ranges: "0:[0,2) 1:[0,1)".
func ranges(a foz.Ack) string {
	var out []string
	for _, r := range a.Ranges {
		out = append(out, fmt.Sprintf("%d:[%d,%d)", r.Partition, r.Base, r.Next))
	}
	return strings.Join(out, " ")
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func expectCode(t *testing.T, err error, want foz.Code) {
	t.Helper()
	var e *foz.Error
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

type heard uint64

func (h heard) HeardSlot() uint64 { return uint64(h) }

// shelfOfObjects is a Cache that keeps everything, or only the last object.
type shelfOfObjects struct {
	mu      sync.Mutex
	objects map[string][]byte
	one     bool // the one before it is given back
}

func (s *shelfOfObjects) Put(object string, data []byte) (spare []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = map[string][]byte{}
	}
	if s.one {
		for _, spare = range s.objects {
		}
		clear(s.objects)
	}
	s.objects[object] = data
	return spare
}

// ledger is metadata as ingest sees it.
type ledger struct {
	mu     sync.Mutex
	slot   uint64
	next   map[foz.Partition]int64
	calls  [][]foz.Commit
	under  int // calls under way
	fail   func(call int) error
	refuse func(c foz.Commit, r foz.CommitRequest) *foz.Error
	hold   func() // runs in each call, before anything is decided
}

func newLedger() *ledger { return &ledger{next: map[foz.Partition]int64{}} }

func (l *ledger) Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	l.mu.Lock()
	call := len(l.calls)
	l.calls = append(l.calls, commits)
	l.under++
	if l.under > 1 {
		panic("two commit calls are under way")
	}
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		hold()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.under--
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if l.fail != nil {
		if err := l.fail(call); err != nil {
			return nil, err
		}
	}
	l.slot++
	results := make([]foz.CommitResult, len(commits))
	for n, c := range commits {
		results[n] = l.apply(c)
	}
	return results, nil
}

func (l *ledger) apply(c foz.Commit) foz.CommitResult {
	result := foz.CommitResult{Slot: l.slot}
	for _, r := range c.Requests {
		if l.refuse != nil {
			if err := l.refuse(c, r); err != nil {
				result.Requests = append(result.Requests, foz.RequestResult{Err: err})
				continue
			}
		}
		ack := foz.Ack{Slot: l.slot, AppendedMS: c.AppendedMS}
		for _, b := range r.Batches {
			p := c.Segments[b.Segment].Partition
			base := l.next[p]
			l.next[p] += int64(b.Rows)
			ack.Ranges = append(ack.Ranges, foz.PartitionRange{
				Partition: p.Number, Range: foz.Range{Base: base, Next: l.next[p]}})
		}
		result.Requests = append(result.Requests, foz.RequestResult{Ack: ack})
	}
	return result
}

// objects is how many objects each commit call named.
func (l *ledger) objects() (counts []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.calls {
		counts = append(counts, len(c))
	}
	return counts
}

// log reads back what was committed, from the bucket's bytes and the commits alone: for
// each partition the values in order. Every segment is decoded and every row accounted for.
func (h *house) log() map[string][]string {
	h.t.Helper()
	out := map[string][]string{}
	for _, call := range h.ledger.calls {
		for _, c := range call {
			data, err := h.memory.Get(background, c.Object, 0, -1)
			if err != nil {
				h.t.Fatalf("committed object: %v", err)
			}
			taken := make([]int, len(c.Segments))
			for _, r := range c.Requests {
				for _, b := range r.Batches {
					taken[b.Segment] += int(b.Rows)
				}
			}
			for n, s := range c.Segments {
				rows, err := segment.Decode(data[s.ByteStart:s.ByteEnd], s)
				if err != nil {
					h.t.Fatalf("segment %d of %s: %v", n, c.Object, err)
				}
				if rows.Len() != taken[n] {
					h.t.Errorf("segment %d has %d rows, requests own %d", n, rows.Len(), taken[n])
				}
				key := fmt.Sprintf("%d/%d", s.Partition.Topic[0], s.Partition.Number)
				for i := range rows.Len() {
					out[key] = append(out[key], string(rows.Values.Cell(i)))
				}
			}
		}
	}
	return out
}

// keys of a map, sorted.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
