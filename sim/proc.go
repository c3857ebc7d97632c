package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/objectstore"
)

// Proc is one process: a name, a life, and the gates between it and the bucket. Its fields
// change on the driver's goroutine alone, while nothing else runs.
type Proc struct {
	Name  string // of this life: "n1#2"
	Store objectstore.Store
	Bus   *bus.Memory

	driver *Driver
	world  *World
	ctx    context.Context
	cancel context.CancelFunc

	asks map[string]bool // operations and keys of log/ and snap/. Guarded by driver.mu

	missing     atomic.Int64 // objects, see counting
	dead        atomic.Bool
	pausedUntil time.Duration
	blackUntil  time.Duration // its requests to the store are lost
	busyUntil   time.Duration // its requests to the store are throttled
}

// newProc begins a life. The store it sees is gated and records what takes effect.
func (w *World) newProc(name string) *Proc {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proc{
		Name: name, driver: w.Driver, world: w, ctx: ctx, cancel: cancel,
		Bus: w.hub.Conn(name), asks: map[string]bool{},
	}
	p.Store = w.bucketOf(p, client{objectstore.NewGated(w.bucket, p.gate)})
	w.procs[name] = p
	return p
}

// crash ends a life without any cleanup: nothing it says is heard from now on, calls under
// way may still take effect, and what its code does while it unwinds is seen by nobody.
func (p *Proc) crash() {
	p.dead.Store(true)
	p.driver.mu.Lock()
	p.world.gone[p.Name] = true
	p.driver.mu.Unlock()
	p.world.hub.Cut(p.Name, "")
	p.world.hub.Cut("", p.Name)
	delete(p.world.procs, p.Name)
	p.cancel()
	go p.Bus.Close() // waits for handlers, which unwind
}

// rng is a generator of this life's own, for one purpose.
func (p *Proc) rng(purpose string) *rand.Rand {
	return p.driver.rngFor(p.Name + " " + purpose)
}

// gate parks a store request until the driver lets it take effect.
func (p *Proc) gate(ctx context.Context, c objectstore.Call) objectstore.Fate {
	if p.dead.Load() {
		return objectstore.Fate{Outcome: objectstore.Drop}
	}
	if c.Op != objectstore.OpList && !strings.HasPrefix(c.Key, "data/") {
		p.ask(c.Op, c.Key)
	}
	r := &request{proc: p, call: c, ctx: ctx, fate: make(chan objectstore.Fate, 1)}
	p.driver.park(&event{
		name: fmt.Sprintf("%s %s", p.Name, c), proc: p, plan: r.plan, fire: r.execute,
	})
	select {
	case f := <-r.fate:
		return f
	case <-ctx.Done():
		return r.abandon(ctx.Err())
	case <-p.ctx.Done(): // the process is gone, whatever its code thinks of deadlines
		return r.abandon(p.ctx.Err())
	}
}

// client is a store's client: it does not report success to a caller whose deadline passed
// while the answer was on its way.
type client struct{ objectstore.Store }

func (c client) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	date, err := c.Store.Create(ctx, key, data)
	return date, late(ctx, err)
}

func (c client) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := c.Store.Get(ctx, key, offset, length)
	return data, late(ctx, err)
}

func (c client) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]objectstore.Info, bool, error,
) {
	page, more, err := c.Store.List(ctx, prefix, startAfter, limit)
	return page, more, late(ctx, err)
}

func (c client) Delete(ctx context.Context, keys ...string) error {
	return late(ctx, c.Store.Delete(ctx, keys...))
}

func late(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
