package sim

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// aftermath ends the storm and looks the house over.
func (h *house) aftermath() {
	h.judge.stormOver()
	h.heal()
	for _, step := range []struct {
		name   string
		within time.Duration
		do     func(ctx context.Context, s *services) error
	}{
		{"append after the storm", healWithin, h.appendOnce},
		{"catch up", healWithin, h.catchUp},
	} {
		if !h.everywhere(step.name, step.within, step.do) {
			return
		}
	}
	if !h.quiet() {
		return
	}
	h.everywhere("read it all", time.Minute, h.drain)
	h.everywhere("raise the floor", time.Minute, h.floor)
	h.everywhere("catch up again", healWithin, h.catchUp)
	h.everywhere("sweep", time.Minute, h.sweep)
	if h.broken() {
		return
	}
	h.leaks()
	h.fresh()
	h.judge.settle()
}

// heal ends all faults: what is cut is joined, what is down starts, what is late arrives.
func (h *house) heal() {
	h.calm = true
	h.weather.slowest = 5
	for _, p := range h.procs {
		p.pausedUntil, p.blackUntil, p.busyUntil = 0, 0, 0
	}
	for _, n := range h.nodes {
		h.hub.Heal("", n.name())
		h.hub.Heal(n.name(), "")
		for _, o := range h.nodes {
			h.hub.Heal(n.name(), o.name())
		}
		if n.old { // all are upgraded
			n.old = false
			h.down(n)
		}
		if n.proc == nil {
			h.start(n)
		}
	}
	synctest.Wait() // for the nodes that start
	h.admit()
	slices.SortStableFunc(h.queue, func(a, b *event) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.name, b.name))
	})
	for _, e := range h.queue {
		e.due = min(e.due, h.Now()+jitter(h.rng, 200*time.Millisecond))
	}
	heap.Init(&h.queue)
}

func (n *node) name() string {
	if n.proc == nil {
		return "down"
	}
	return n.proc.Name
}

// everywhere does something at every node, all at once, and expects it to work in time.
func (h *house) everywhere(
	what string, within time.Duration, do func(context.Context, *services) error,
) bool {
	if h.broken() {
		return false
	}
	ready := func() bool { return len(h.up()) == len(h.nodes) || h.broken() }
	if !h.RunUntil(h.Now()+within, ready) || h.broken() {
		h.judge.violation(19, "%s: a node is not up %s after the storm", what, within)
		return false
	}
	left := 0
	var failures []string
	for _, s := range h.up() {
		left++
		h.actor(what+" "+s.Name, func(ctx context.Context, _ *rand.Rand) {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			err := do(ctx, s)
			h.After(0, fmt.Sprintf("%s at %s: %v", what, s.Name, err), func() {
				left--
				if err != nil {
					failures = append(failures, fmt.Sprintf("%s: %v", s.Name, err))
				}
			})
		})
	}
	done := func() bool { return left == 0 || h.broken() }
	if !h.RunUntil(h.Now()+within+time.Second, done) {
		h.judge.violation(19, "%s: %d nodes are not done within %s", what, left, within)
	}
	slices.Sort(failures)
	for _, f := range failures {
		h.judge.violation(19, "%s: %s", what, f)
	}
	return !h.broken()
}

// appendOnce appends through a node.
func (h *house) appendOnce(ctx context.Context, s *services) error {
	number := slices.IndexFunc(h.nodes, func(n *node) bool { return n.id == s.node })
	p := &producer{house: h, rng: h.rngFor("late " + s.Name), subject: h.topics[0]}
	for id := uint32(100+number) << 24; ; id++ {
		p.find(s)
		request, rows := p.request()
		a := h.judge.sending(&attempt{id: id, topic: p.topic, rows: rows})
		fill(request, a)
		ack, err := s.ingest.Produce(ctx, request)
		if err == nil {
			h.judge.answered(a, ack, h.ledger.tail())
		}
		if err == nil || sleep(ctx, 50*time.Millisecond+jitter(p.rng, 50*time.Millisecond)) != nil {
			return err
		}
	}
}

func (h *house) catchUp(ctx context.Context, s *services) error {
	tail := h.ledger.tail()
	if err := s.replica.CatchUp(ctx); err != nil {
		return err
	}
	state := s.replica.State()
	h.ledger.checkState(s.Name, state, true)
	if state.Slot() < tail {
		return fmt.Errorf("caught up to slot %d of %d", state.Slot(), tail)
	}
	return nil
}

// quiet sends the clients home, lets the compactors rest, and waits until nothing moves: a swap
// accepted while the last sweep is under way would release what that sweep has passed.
func (h *house) quiet() bool {
	h.cancel()
	home := h.RunUntil(h.Now()+healWithin, func() bool { return h.actors == 0 || h.broken() })
	if !home {
		h.judge.violation(19, "%d clients do not come home", h.actors)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.rest()
	h.RunUntil(h.Now()+5*time.Second, h.broken)
	return !h.broken()
}

// drain reads every partition through a node, whole, and compares.
func (h *house) drain(ctx context.Context, s *services) error {
	for _, t := range topicsOf(h.ledger.newest()) {
		for n := range t.Partitions {
			if err := h.drainOne(ctx, s, foz.Partition{Topic: t.ID, Number: n}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *house) drainOne(ctx context.Context, s *services, p foz.Partition) error {
	bounds, err := s.reader.Bounds(ctx, p, true)
	if err != nil {
		return err
	}
	next, err := h.around(ctx, s, p, foz.Range{Base: bounds.Earliest, Next: math.MaxInt64},
		"the last look of "+s.Name)
	if err != nil {
		return err
	}
	if want := h.judge.bounds(p); next != want.Next || bounds.Next != next ||
		bounds.Earliest != want.Base {
		return fmt.Errorf("%s: read to %d of [%d, %d), the log holds [%d, %d)",
			p, next, bounds.Earliest, bounds.Next, want.Base, want.Next)
	}
	return nil
}

// floor lets one node say that nothing older may come any more.
func (h *house) floor(ctx context.Context, s *services) error {
	if s != h.up()[0] {
		return nil
	}
	return s.client.RaiseFloor(ctx, s.replica.State().Slot()+1)
}

// sweep has a new sweeper find what is dead, and delete it when its grace is over.
func (h *house) sweep(ctx context.Context, s *services) error {
	c := h.newSweeper(s)
	for range 2 {
		if err := c.Step(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// leaks compares the data objects that are there with those that are live. What was born at
// the floor or above may be of compactors that were called off half-way.
func (h *house) leaks() {
	state := h.ledger.newest()
	there := map[string]bool{}
	for _, key := range h.ledger.keys("data/") {
		there[key] = true
		birth, _, err := foz.ParseObjectKey(key)
		if err != nil || birth < state.Floor() && !state.Live(key) {
			h.judge.violation(16, "%s is left and nothing names it (floor %d)", key, state.Floor())
		}
	}
	for object := range state.Objects {
		if !there[object] {
			h.judge.violation(15, "%s is named and not there", object)
		}
	}
}

// fresh starts a node that knows nothing and compares what it finds in the bucket.
func (h *house) fresh() {
	n := &node{id: "fresh"}
	h.nodes = append(h.nodes, n)
	h.start(n)
	look := func(ctx context.Context, s *services) error {
		if s.node != "fresh" {
			return nil
		}
		if err := h.catchUp(ctx, s); err != nil {
			return err
		}
		if s.replica.State().Hash() != h.ledger.newest().Hash() {
			return errors.New("a fresh node finds another state")
		}
		return h.drain(ctx, s)
	}
	h.everywhere("a fresh node", time.Minute, look)
}
