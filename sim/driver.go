package sim

import (
	"cmp"
	"container/heap"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// event is something that happens when the driver says so: a store call takes effect, an
// answer arrives, a message is delivered, a node crashes.
type event struct {
	name string // from content, the same in every run of the seed
	// plan is called once by the driver, in the order of names, when the event is first
	// seen: it draws what is random about it and says how long it takes. nil: delay stands.
	plan  func(r *rand.Rand) time.Duration
	delay time.Duration
	fire  func() // on the driver's goroutine; must not block
	proc  *Proc  // whose call it is: held while that process is paused. nil: nobody's

	due  time.Duration // since the start
	rank uint64        // among events due at one moment
}

// Driver decides what happens next, from one seed. All but park and note belong to the
// goroutine that runs it.
type Driver struct {
	seed  uint64
	start time.Time
	queue queue
	rank  uint64
	trace trace
	steps int

	wake chan struct{} // something has parked

	mu     sync.Mutex // guards what follows
	parked []*event
	notes  []string
}

// NewDriver must be called inside the bubble it will drive.
func NewDriver(seed uint64) *Driver {
	return &Driver{
		seed:  seed,
		start: time.Now(),
		trace: trace{hash: fnv.New64a()},
		wake:  make(chan struct{}, 1),
	}
}

// Now is virtual time since the start.
func (d *Driver) Now() time.Duration { return time.Since(d.start) }

// park hands an event to the driver. It may be called from any goroutine.
func (d *Driver) park(e *event) {
	d.mu.Lock()
	d.parked = append(d.parked, e)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// note adds a line to the trace: something that was seen, not decided.
func (d *Driver) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	d.mu.Lock()
	d.notes = append(d.notes, line)
	d.mu.Unlock()
}

// After makes f happen on the driver's goroutine after a while. f must not block.
func (d *Driver) After(delay time.Duration, name string, f func()) {
	d.park(&event{name: name, delay: delay, fire: f})
}

// RunUntil drives until done says so, which is asked whenever nothing can run, or until the
// time limit; it says whether done came first.
func (d *Driver) RunUntil(limit time.Duration, done func() bool) bool {
	for {
		synctest.Wait()
		d.admit()
		now := d.Now()
		switch {
		case done():
			return true
		case now >= limit:
			return false
		case len(d.queue) == 0 || d.queue[0].due > now:
			d.sleep(limit - now)
		default:
			d.together()
		}
	}
}

// together lets the next event happen, and with it those that look the same: which of them comes
// first is not known.
func (d *Driver) together() {
	same := []*event{heap.Pop(&d.queue).(*event)}
	for len(d.queue) > 0 && d.queue[0].due == same[0].due && d.queue[0].name == same[0].name {
		same = append(same, heap.Pop(&d.queue).(*event))
	}
	for _, e := range same {
		d.step(e)
	}
}

// admit plans what has parked since the last look. What is drawn for a call depends on the
// seed, its name and the time alone: calls that look the same are planned the same, because
// which is which is not known.
func (d *Driver) admit() {
	d.mu.Lock()
	parked, notes := d.parked, d.notes
	d.parked, d.notes = nil, nil
	d.mu.Unlock()
	slices.Sort(notes)
	for _, line := range notes {
		d.trace.add(d.Now(), line)
	}
	slices.SortStableFunc(parked, func(a, b *event) int { return cmp.Compare(a.name, b.name) })
	for _, e := range parked {
		if e.plan != nil {
			e.delay = e.plan(d.rngFor(e.name))
		}
		d.push(e, d.Now()+e.delay)
	}
}

// rngFor is a generator that depends on the seed, a name and the time.
func (d *Driver) rngFor(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash never fails
	return rand.New(rand.NewPCG(d.seed^uint64(d.Now()), h.Sum64()))
}

// jitter is something in [0, most).
func jitter(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}

func (d *Driver) push(e *event, due time.Duration) {
	d.rank++
	e.due, e.rank = due, d.rank
	heap.Push(&d.queue, e)
}

// sleep lets virtual time pass until the next event is due, or something parks.
func (d *Driver) sleep(most time.Duration) {
	if len(d.queue) > 0 {
		most = min(most, d.queue[0].due-d.Now())
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.wake:
	}
}

func (d *Driver) step(e *event) {
	if p := e.proc; p != nil && p.pausedUntil > d.Now() {
		d.push(e, p.pausedUntil+jitter(d.rngFor(e.name), 5*time.Millisecond))
		return
	}
	d.steps++
	d.trace.add(d.Now(), e.name)
	e.fire()
}

// queue is a heap of events by due time.
type queue []*event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].rank < q[j].rank
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(*event)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}

// traceKept is how many lines of a trace are kept.
var traceKept = 400

// trace is the hash of all that happened, and the last of it in words.
type trace struct {
	hash  hash.Hash64
	lines []string // a ring
	count int
}

func (t *trace) add(at time.Duration, line string) {
	line = at.String() + " " + line
	_, _ = t.hash.Write([]byte(line)) // a hash never fails
	if len(t.lines) < traceKept {
		t.lines = append(t.lines, "")
	}
	t.lines[t.count%traceKept] = line
	t.count++
}

// last is up to n lines, oldest first.
func (t *trace) last(n int) []string {
	n = min(n, t.count, len(t.lines))
	lines := make([]string, 0, n)
	for i := t.count - n; i < t.count; i++ {
		lines = append(lines, t.lines[i%traceKept])
	}
	return lines
}
