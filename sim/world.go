package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/objectstore"
)

// World is what all processes of a seed share: the bucket, the bus, the weather and the
// counts of what happened.
type World struct {
	*Driver
	hub     *bus.Hub
	bucket  objectstore.Store // ungated: what takes effect
	weather weather
	bugs    Options     // the planted ones
	calm    bool        // faults have ended
	onClaim func(*Proc) // told when a claim is on its way to the store, or nil

	procs  map[string]*Proc // alive, by name. The driver's
	faults map[string]int   // the driver's
	seen   map[string]int   // guarded by Driver.mu
	gone   map[string]bool  // processes that crashed, by name. Guarded by Driver.mu
}

// NewWorld must be called inside the bubble of the seed.
func NewWorld(seed uint64, bucket objectstore.Store) *World {
	w := &World{
		Driver: NewDriver(seed), bucket: bucket,
		procs: map[string]*Proc{}, faults: map[string]int{}, seen: map[string]int{},
		gone: map[string]bool{},
	}
	w.weather = drawWeather(w.rngFor("weather"))
	w.hub = bus.NewHub(w.carry)
	return w
}

// fault counts a fault that the driver decided on.
func (w *World) fault(kind string) { w.faults[kind]++ }

// sometimes counts a state that a campaign must reach at least once.
func (w *World) sometimes(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[what]++
}

// carry is the gate of the bus. What a process says while it unwinds from a crash is not
// even decided on: its code runs as it likes.
func (w *World) carry(m bus.Delivery) {
	if w.crashed(m.From) {
		return
	}
	e := &event{
		name: fmt.Sprintf("%s>%s %s %s %x", m.From, m.To, m.Kind, m.Subject, digest(m.Data)),
	}
	e.fire = func() { w.deliver(e.name, m) }
	e.plan = func(rng *rand.Rand) time.Duration { return w.carriage(e, m.Kind, rng) }
	w.park(e)
}

func (w *World) crashed(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone[name]
}

// deliver hands a message over, once its receiver is not paused.
func (w *World) deliver(name string, m bus.Delivery) {
	to := w.procs[m.To]
	if to == nil || to.pausedUntil <= w.Now() {
		m.Deliver()
		return
	}
	w.push(&event{name: name, proc: to, fire: m.Deliver}, to.pausedUntil)
}

// carriage draws what becomes of a message.
func (w *World) carriage(e *event, kind bus.Kind, rng *rand.Rand) time.Duration {
	way := 50*time.Microsecond + jitter(rng, 2*time.Millisecond)
	if w.calm {
		return way
	}
	if kind == bus.KindReply && rng.Float64() < w.weather.dropReply {
		w.fault("bus answer lost")
		e.fire = func() {}
		return way
	}
	deliver := e.fire
	switch roll := rng.Float64(); {
	case roll < w.weather.drop:
		w.fault("bus drop")
		e.fire = func() {}
	case roll < w.weather.drop+w.weather.dup:
		w.fault("bus dup")
		again := upTo(rng, 10_000)
		e.fire = func() {
			deliver()
			w.push(&event{name: e.name + " again", fire: deliver}, w.Now()+again)
		}
	case roll < w.weather.drop+w.weather.dup+w.weather.delay:
		w.fault("bus late")
		return upTo(rng, 40_000)
	}
	return way
}

// digest tells messages apart in names.
func digest(data []byte) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, b := range data {
		h = (h ^ uint64(b)) * prime
	}
	return h
}
