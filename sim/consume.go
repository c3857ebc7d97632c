package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fozlog/foz"
)

// consumer is one client that reads, at any node, and checks what it gets.
type consumer struct {
	*house
	name string
	rng  *rand.Rand
	seen map[string]int64 // next offset seen per life and partition
}

func (c *consumer) run(ctx context.Context) {
	pace := between(c.rng, 20, 800)
	for sleep(ctx, jitter(c.rng, pace)+time.Microsecond) == nil {
		s := c.pick(c.rng)
		if s == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, between(c.rng, 1000, 15_000))
		stop := context.AfterFunc(s.ctx, cancel)
		if p, ok := c.where(c.rng, s); ok {
			c.visit(ctx, s, p)
		}
		stop()
		cancel()
	}
}

func (c *consumer) visit(ctx context.Context, s *services, p foz.Partition) {
	switch c.rng.IntN(3) {
	case 0:
		c.crowd(ctx, s, p)
	case 1:
		c.monotonic(s, p)
	default:
		c.replay(ctx, s, p)
	}
}

// crowd asks for ends several times at once, so that questions meet requests of others that
// are under way.
func (c *consumer) crowd(ctx context.Context, s *services, p foz.Partition) {
	var all sync.WaitGroup
	for i := range 1 + c.rng.IntN(4) {
		wait := jitter(c.rng, 40*time.Millisecond)
		one := &consumer{house: c.house, name: c.name, rng: rand.New(rand.NewPCG(c.rng.Uint64(), 0))}
		ctx := asActor(ctx, fmt.Sprint(c.name, i))
		all.Go(func() {
			if sleep(ctx, wait+time.Microsecond) == nil {
				one.linearizable(ctx, s, p)
			}
		})
	}
	all.Wait()
}

// linearizable asks for the bounds: they must be as far as they were before the question, and
// no further than they are when the answer comes.
func (c *consumer) linearizable(ctx context.Context, s *services, p foz.Partition) {
	before := c.judge.bounds(p)
	bounds, err := s.reader.Bounds(ctx, p, true)
	if s.dead.Load() {
		return
	}
	if err != nil {
		_ = c.excuse(ctx, p, "bounds", err) // judged; there is nobody to tell
		return
	}
	c.judge.sometimes("linearizable read")
	if bounds.Next < before.Next || bounds.Earliest < before.Base {
		c.judge.violation(11, "%s at %s: %s is [%d, %d), it was [%d, %d) when it asked",
			c.name, s.Name, p, bounds.Earliest, bounds.Next, before.Base, before.Next)
	}
	if after := c.judge.bounds(p).Next; bounds.Next > after {
		c.judge.violation(4, "%s at %s: %s ends at %d, the log says %d",
			c.name, s.Name, p, bounds.Next, after)
	}
	if c.rng.IntN(3) > 0 {
		return
	}
	from := max(bounds.Earliest, bounds.Next-int64(c.rng.IntN(300)))
	who := fmt.Sprintf("%s at %s", c.name, s.Name)
	next, err := c.scan(ctx, s, p, foz.Range{Base: from, Next: bounds.Next}, who)
	if err == nil && next != bounds.Next && !s.dead.Load() && ctx.Err() == nil {
		c.judge.violation(10, "%s: scan of [%d, %d) of %s ended at %d",
			who, from, bounds.Next, p, next)
	}
}

// monotonic looks at what a life knows: it never goes back, and it is what the log says.
func (c *consumer) monotonic(s *services, p foz.Partition) {
	state := s.replica.State()
	c.ledger.checkState(s.Name, state, c.rng.IntN(16) == 0)
	_, bounds, err := state.Locate(p, 0, 1)
	if err != nil {
		return // a replica that has not heard of the topic
	}
	key := fmt.Sprintf("%s %s", s.Name, p)
	if bounds.Next < c.seen[key] {
		c.judge.violation(12, "%s: %s at %s ended at %d and now at %d",
			c.name, p, s.Name, c.seen[key], bounds.Next)
	}
	c.seen[key] = bounds.Next
}

// replay reads from somewhere to the end that the node knows.
func (c *consumer) replay(ctx context.Context, s *services, p foz.Partition) {
	_, bounds, err := s.replica.Locate(p, 0, 1)
	if err != nil || bounds.Next == bounds.Earliest {
		return
	}
	from := bounds.Earliest + c.rng.Int64N(bounds.Next-bounds.Earliest)
	to := min(bounds.Next, from+600)
	who := fmt.Sprintf("%s at %s", c.name, s.Name)
	next, err := c.scan(ctx, s, p, foz.Range{Base: from, Next: to}, who)
	if err == nil && next != to && !s.dead.Load() && ctx.Err() == nil {
		c.judge.violation(10, "%s: scan of [%d, %d) of %s ended at %d", who, from, to, p, next)
	}
}

// scan reads a range at a node, judges every record and what is left out, and says where it
// ended. What may go wrong in a storm is an error; anything else is a violation.
func (h *house) scan(
	ctx context.Context, s *services, p foz.Partition, rg foz.Range, who string,
) (next int64, err error) {
	next = rg.Base
	for run, err := range h.runs(ctx, s, p, rg) {
		if s.dead.Load() {
			return next, context.Canceled
		}
		if err != nil {
			return next, h.excuseScan(ctx, p, rg, err)
		}
		if run.Base != next {
			h.judge.violation(10, "%s: %d follows %d in %s", who, run.Base, next, p)
		}
		for i := range run.Len() {
			offset := run.Offset(i)
			h.judge.skipped(p, next, offset, who)
			h.judge.saw(p, offset, idOf(run.Rows, run.From+i), who)
			next = offset + 1
		}
		h.judge.skipped(p, next, run.Next(), who)
		next = run.Next()
	}
	return next, nil
}

// excuseScan is excuse for a scan: an offset may be out of range if the log says so.
func (h *house) excuseScan(ctx context.Context, p foz.Partition, rg foz.Range, err error) error {
	var known *foz.Error
	if errors.As(err, &known) && known.Code == foz.CodeOffsetOutOfRange {
		bounds := h.judge.bounds(p)
		if rg.Base < bounds.Base {
			h.judge.sometimes("scan overtaken by the log start")
			return err
		}
		h.judge.violation(10, "offset %d of %s is denied, the log holds [%d, %d): %v",
			rg.Base, p, bounds.Base, bounds.Next, err)
		return err
	}
	return h.excuse(ctx, p, "scan", err)
}

// excuse judges an error of a read.
func (h *house) excuse(ctx context.Context, p foz.Partition, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	var known *foz.Error
	if errors.As(err, &known) {
		h.judge.sometimes(what + " " + string(known.Code))
		switch known.Code {
		case foz.CodeUnavailable, foz.CodeOverloaded, foz.CodeThrottled:
			return err
		case foz.CodeTopicNotFound:
			if !h.exists(p.Topic) {
				return err
			}
		case foz.CodeStorage:
			if h.weather.damage > 0 || h.ledger.anyRuined() {
				return err
			}
		}
	}
	h.judge.violation(10, "%s: %v", what, err)
	return err
}
