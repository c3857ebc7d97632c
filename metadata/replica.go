package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"golang.org/x/sync/errgroup"
)

// Bus carries requests to nodes and news from them. Nothing that is said on it is truth:
// messages may be lost, late, doubled and reordered.
type Bus interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, handle func(data []byte)) (stop func(), err error)
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
	Serve(subject string, answer func(context.Context, []byte) []byte) (stop func(), err error)
}

// Deps are what a Replica works with.
type Deps struct {
	Store   objectstore.Store
	Bus     Bus
	Entropy io.Reader // of ids and nonces
	Logger  *slog.Logger
}

// Config are a Replica's settings.
type Config struct {
	Cluster   [16]byte // as Genesis found it
	Node      string   // this node's id, unique in the cluster
	HTTP      string   // the base URL this node is reached at
	Roles     []string // for the heartbeats
	Candidate bool     // may lead
	// Silence is how long no leader must have been heard before this node claims. 0: claim
	// at once, for a bus with one node.
	Silence       time.Duration
	Seed          uint64 // of all jitter
	SnapshotSlots int    // take a snapshot after so many slots; 0: 1000
	SnapshotBytes int    // or so many bytes of log, or as many as the last one has; 0: 16 MiB
	StateMax      int    // State.Size at which what makes it grow is refused; 0: 50 million
	Defects       Defects
}

// ErrStopped: the replica's Run has ended.
var ErrStopped = errors.New("metadata replica stopped")

// Replica holds the state as far as this node knows it, follows the log, and leads it when
// it must. One loop owns the state; everybody reads what it publishes.
type Replica struct {
	cfg    Config
	deps   Deps
	bucket *bucket
	inbox  *inbox
	heard  *heard
	tails  *tailReads
	snaps  *snapshotter

	state   atomic.Pointer[State]
	told    atomic.Uint64 // highest slot this node has broadcast or learnt of otherwise
	leads   atomic.Uint64 // epoch this node leads, or 0
	since   atomic.Int64  // when the append under way began, Unix nanoseconds, or 0
	watched atomic.Int64  // when somebody last waited for news, Unix nanoseconds
	proved  atomic.Int64  // when the store last showed that this node has all, Unix nanoseconds
	ready   chan struct{} // closed when the state was loaded and the bus joined
	done    chan struct{} // closed when Run has ended

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every new state

	// Owned by the loop.
	started    time.Time
	claimedAt  time.Time
	claimAfter time.Time // no claim before: somebody else was faster
	losses     int       // claims lost in a row
	misses     int       // 404s in a row
	polledAt   time.Time
	logSlots   int // since the last snapshot
	logBytes   int
}

// New makes a Replica; Run makes it work.
func New(deps Deps, cfg Config) *Replica {
	if cfg.StateMax == 0 {
		cfg.StateMax = 50_000_000
	}
	b := &bucket{store: deps.Store, seed: cfg.Seed, defects: cfg.Defects}
	r := &Replica{
		cfg: cfg, deps: deps, bucket: b,
		inbox: newInbox(), heard: newHeard(cfg), tails: newTailReads(),
		snaps:   newSnapshotter(b, cfg),
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	r.state.Store(NewState(cfg.Cluster))
	return r
}

// Run loads the state, follows the log and leads it when asked to, until ctx ends. An error
// means that this node must not go on: the log holds what it does not understand, or is
// damaged.
func (r *Replica) Run(ctx context.Context) error {
	defer close(r.done)
	r.started = time.Now()
	if err := r.load(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("load metadata: %w", err)
	}
	stop, err := r.listen()
	if err != nil {
		return fmt.Errorf("join the bus: %w", err)
	}
	defer stop()
	close(r.ready) // now: who is told so may ask this node, and is answered
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.loop(ctx) })
	g.Go(func() error { return r.beats(ctx) })
	g.Go(func() error { return r.tails.run(ctx, r) })
	g.Go(func() error { return r.snaps.run(ctx, r.deps.Logger) })
	return g.Wait()
}

func (r *Replica) loop(ctx context.Context) error {
	for {
		if err := r.step(ctx); err != nil {
			r.leads.Store(0)
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := r.inbox.wait(ctx, r.wakeIn()); err != nil {
			r.leads.Store(0)
			return nil
		}
	}
}

// step does all that waits, once. An error is final: ctx's, or what halts the node.
func (r *Replica) step(ctx context.Context) error {
	t := r.inbox.take()
	if epoch := r.leads.Load(); epoch != 0 {
		if t.seen <= r.slot() && t.epoch <= epoch {
			return r.append(ctx, t.asks)
		}
		r.stepDown("another node leads")
	}
	if err := r.follow(ctx, &t); err != nil {
		r.refuse(t.asks)
		return err
	}
	return r.consider(ctx, t.asks)
}

func (r *Replica) slot() uint64 { return r.state.Load().slot }

// publish makes s what everybody sees.
func (r *Replica) publish(s *State) {
	r.state.Store(s)
	r.told.Store(max(r.told.Load(), s.slot))
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// State is what this node knows now. It may lag behind the log: see CatchUp.
func (r *Replica) State() *State { return r.state.Load() }

// Ready is closed once the state was loaded and asks over the bus are answered.
func (r *Replica) Ready() <-chan struct{} { return r.ready }

// Changed gives a channel that is closed when the next entry is applied. Take it before
// you look at the state.
func (r *Replica) Changed() <-chan struct{} {
	now := time.Now()
	if last := r.watched.Swap(now.UnixNano()); now.Sub(time.Unix(0, last)) > watchedFor {
		r.inbox.wake() // the loop sleeps for ever while nobody waits
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Locate is State.Locate on what this node knows now.
func (r *Replica) Locate(p foz.Partition, from int64, limit int) (
	[]foz.Placement, foz.Bounds, error,
) {
	return r.state.Load().Locate(p, from, limit)
}

// HeardSlot is the highest slot this node has heard of, applied or not: the birth of what
// it writes next.
func (r *Replica) HeardSlot() uint64 { return max(r.told.Load(), r.heard.slot()) }

// WaitSlot returns once this node has applied slot, of which a client says that it is there. What
// the log says of it is asked once a second, for all who wait.
func (r *Replica) WaitSlot(ctx context.Context, slot uint64) error {
	return r.await(ctx, slot, func() {
		if r.provedFor(time.Now()) >= time.Second {
			_ = r.CatchUp(ctx) // or ctx has ended, or it is asked again
		}
	})
}

// waitApplied is WaitSlot of a slot that is known to be there.
func (r *Replica) waitApplied(ctx context.Context, slot uint64) error {
	return r.await(ctx, slot, func() { r.inbox.beat(slot, 0) })
}

// await waits for a slot, and looks for it when it does not come by itself.
func (r *Replica) await(ctx context.Context, slot uint64, look func()) error {
	patience := 50 * time.Millisecond // in which a broadcast is likely to bring it
	for {
		changed := r.Changed()
		if r.slot() >= slot {
			return nil
		}
		timer := time.NewTimer(patience)
		select {
		case <-changed:
		case <-timer.C:
			look()
			patience = time.Second
		case <-ctx.Done():
		case <-r.done:
		}
		timer.Stop()
		if err := r.ended(ctx); err != nil {
			return err
		}
	}
}

func (r *Replica) ended(ctx context.Context) error {
	select {
	case <-r.done:
		return ErrStopped
	default:
		return ctx.Err()
	}
}

// catchUpTimeout bounds how long a read waits for the store to show it the tail.
const catchUpTimeout = 10*time.Second + 13*time.Millisecond

// CatchUp returns once this node has applied everything that was in the log when the call
// began: what is then read is linearizable. One LIST, shared with the calls that wait. It
// gives up after 10 s: context.DeadlineExceeded.
func (r *Replica) CatchUp(ctx context.Context) error {
	if r.cfg.Defects.ReadLocal {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	begun := time.Now()
	tail, err := r.tails.tail(ctx, r)
	if err != nil {
		return err
	}
	if err := r.waitApplied(ctx, tail); err != nil {
		return err
	}
	r.proved.Store(begun.UnixNano())
	return nil
}

// freshFor is how old what a node says of the log's end may be.
const freshFor = 5 * time.Second

// KeepUp returns once what this node knows is known to have been all there was some seconds ago,
// at most freshFor: it appended or caught up since, or heard a leader that had no more. Else it
// catches up. It is for answers that say "no more yet", which a node that the bus has left out
// would give for ever. While a leader is heard it costs nothing.
func (r *Replica) KeepUp(ctx context.Context) error {
	now := time.Now()
	if r.provedFor(now) <= freshFor || r.heard.hasNoMore(now, r.slot(), r.leads.Load()) {
		return nil
	}
	return r.CatchUp(ctx)
}

// provedFor is how long ago the store showed that this node has all.
func (r *Replica) provedFor(now time.Time) time.Duration {
	return now.Sub(time.Unix(0, r.proved.Load()))
}

// Leader is who leads now, as far as this node has heard: itself, unless another leads by a
// newer claim.
func (r *Replica) Leader() foz.Leader {
	b, ok := r.heard.leader(time.Now())
	if epoch := r.leads.Load(); epoch != 0 && (!ok || b.Epoch < epoch) {
		return foz.Leader{ID: r.cfg.Node, HTTP: r.cfg.HTTP, ClaimSlot: epoch}
	}
	if !ok {
		return foz.Leader{}
	}
	return foz.Leader{ID: b.Node, HTTP: b.Http, ClaimSlot: b.Epoch}
}

// Members are the nodes heard of lately, this one among them, by id.
func (r *Replica) Members() []foz.Member {
	return r.heard.members(time.Now(), foz.Member{
		ID: r.cfg.Node, HTTP: r.cfg.HTTP, Roles: r.cfg.Roles, Applied: r.slot(),
	})
}
