package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// What a store's client may be told when the outcome is unknown.
var (
	errReset    = errors.New("connection reset by peer")
	errInternal = errors.New("500 internal error")
	errConflict = errors.New("409 conflict")
)

// request is one store call between its park and its answer.
type request struct {
	proc *Proc
	call objectstore.Call
	ctx  context.Context
	fate chan objectstore.Fate

	planned objectstore.Fate
	answer  time.Duration // from effect to answer
	gone    bool          // its caller has its answer: do nothing. Guarded by driver.mu
}

// plan draws the fate of a request and how long it takes until it takes effect, or until its
// caller is told that it is unknown.
func (r *request) plan(rng *rand.Rand) time.Duration {
	w := r.proc.world
	wait := w.weather.latency(rng)
	r.answer = w.weather.latency(rng)
	now := r.proc.driver.Now()
	if w.calm {
		return wait
	}
	if w.onClaim != nil && r.call.Op == objectstore.OpCreate && r.call.Cause == "claim" {
		w.onClaim(r.proc)
		return wait
	}
	switch {
	case r.proc.blackUntil > now:
		return r.fault("blackout", objectstore.Drop, errReset, upTo(rng, 4000))
	case r.proc.busyUntil > now:
		return r.fault("throttled", objectstore.Throttle, nil, wait)
	}
	return r.draw(rng, wait)
}

// draw rolls the dice of the seed's weather.
func (r *request) draw(rng *rand.Rand, wait time.Duration) time.Duration {
	w := r.proc.world.weather
	roll := rng.Float64()
	hit := func(rate float64) bool {
		roll -= rate
		return roll < 0
	}
	create := r.call.Op == objectstore.OpCreate
	switch {
	case create && r.call.Cause == "claim" && rng.Float64() < w.slowClaim:
		r.proc.world.fault("slow claimant")
		return time.Second + upTo(rng, 30_000)
	case hit(w.lost):
		return r.fault("lost", objectstore.Drop, errReset, upTo(rng, 8000))
	case hit(w.replyLost):
		r.answer = upTo(rng, 8000)
		return r.fault("reply lost", objectstore.ApplyThenFail, errReset, wait)
	case hit(w.failAfter):
		return r.fault("500 after", objectstore.ApplyThenFail, errInternal, wait)
	case hit(w.late):
		return r.fault("late", objectstore.FailLate, errReset, upTo(rng, 8000))
	case hit(w.busy):
		r.proc.busyUntil = r.proc.driver.Now() + upTo(rng, 1500)
		return r.fault("throttled", objectstore.Throttle, nil, wait)
	case hit(w.conflict) && create:
		return r.fault("409", objectstore.Drop, errConflict, wait)
	case hit(w.slow):
		r.proc.world.fault("slow")
		r.answer += upTo(rng, 4000)
		return wait + upTo(rng, 60_000)
	case hit(w.damage) && r.call.Op == objectstore.OpGet:
		return r.damage(rng, wait)
	}
	return wait
}

func (r *request) damage(rng *rand.Rand, wait time.Duration) time.Duration {
	r.planned.At = rng.Int64N(4096)
	if rng.IntN(2) == 0 {
		return r.fault("truncated", objectstore.Truncate, nil, wait)
	}
	return r.fault("flipped", objectstore.Flip, nil, wait)
}

func (r *request) fault(
	kind string, o objectstore.Outcome, err error, wait time.Duration,
) time.Duration {
	r.proc.world.fault(kind)
	r.planned.Outcome, r.planned.Err = o, err
	return wait
}

// execute lets the caller go on to the store.
func (r *request) execute() {
	d := r.proc.driver
	d.mu.Lock()
	gone := r.gone
	d.mu.Unlock()
	if gone {
		return
	}
	f := r.planned
	f.Later = r.later
	f.Answer = r.deliver
	r.fate <- f
}

// abandon is the caller's deadline, or its end: the request may be on its way all the same.
func (r *request) abandon(why error) objectstore.Fate {
	d := r.proc.driver
	d.mu.Lock()
	r.gone = true
	d.mu.Unlock()
	return objectstore.Fate{
		Outcome: objectstore.FailLate, Err: why, Later: r.later,
	}
}

// later executes the request up to a minute after its caller gave up, or never.
func (r *request) later(execute func() error) {
	if r.call.Op == objectstore.OpGet || r.call.Op == objectstore.OpList {
		return
	}
	e := &event{name: fmt.Sprintf("%s late %s", r.proc.Name, r.call)}
	e.fire = func() {
		err := execute()
		r.proc.world.sometimes("late effect")
		r.proc.driver.note("%s: %s", e.name, outcome(err))
	}
	e.plan = func(rng *rand.Rand) time.Duration {
		if r.proc.world.calm || rng.IntN(3) == 0 {
			e.fire = func() {}
			return 0
		}
		return between(rng, 1, 60_000)
	}
	r.proc.driver.park(e)
}

// deliver keeps the answer on its way.
func (r *request) deliver(told, _ error) {
	arrived := make(chan struct{})
	r.proc.driver.park(&event{
		name: fmt.Sprintf("%s answer %s: %s", r.proc.Name, r.call, outcome(told)),
		proc: r.proc, delay: r.answer, fire: func() { close(arrived) },
	})
	select {
	case <-arrived:
	case <-r.ctx.Done():
	case <-r.proc.ctx.Done():
	}
}

// outcome is an error in the words of the trace.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, objectstore.ErrExists):
		return "exists"
	case errors.Is(err, objectstore.ErrNotFound):
		return "not found"
	}
	text := err.Error()
	return text[strings.LastIndexByte(text, ':')+1:]
}

// between is something in [from, to) milliseconds.
func between(rng *rand.Rand, from, to int64) time.Duration {
	span := (to - from) * int64(time.Millisecond)
	return time.Duration(from)*time.Millisecond + time.Duration(rng.Int64N(span))
}

// upTo is mostly short and sometimes most milliseconds: a sixteenth in the median, a fifth on
// average.
func upTo(rng *rand.Rand, most int64) time.Duration {
	return time.Duration(math.Pow(rng.Float64(), 4)*float64(most)*float64(time.Millisecond)) + 1
}
