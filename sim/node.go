package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/ingest"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/reader"
	"github.com/fozlog/foz/segment"
)

// node is one machine of the house through all its lives. Its fields change on the driver's
// goroutine alone.
type node struct {
	id        string
	candidate bool
	old       bool // its binary does not know RETAIN
	life      int
	proc      *Proc     // nil while it is down
	services  *services // nil until it is ready
}

// services are what a life offers once its replica has loaded.
type services struct {
	*Proc
	node    string
	replica settled
	client  *metadata.Client
	ingest  *ingest.Ingest
	reader  *reader.Reader
}

// start begins a life, unless there is one. It is wired as cmd wires a node with all roles.
func (h *house) start(n *node) {
	if n.proc != nil {
		return
	}
	n.life++
	p := h.newProc(fmt.Sprintf("%s#%d", n.id, n.life))
	n.proc = p
	go func() {
		err := h.run(n, p)
		if p.ctx.Err() != nil {
			return // it was crashed
		}
		h.After(0, p.Name+" halts", func() { h.halted(n, p, err) })
	}()
}

// run is a life.
func (h *house) run(n *node, p *Proc) error {
	entropy := &entropy{rng: p.rng("entropy")}
	genesisNode := ""
	if n.candidate {
		genesisNode = n.id
	}
	cluster, err := metadata.Genesis(p.ctx, p.Store, entropy, genesisNode)
	for errors.Is(err, metadata.ErrNoCluster) {
		if err = sleep(p.ctx, 100*time.Millisecond+jitter(p.rng("genesis"), time.Second)); err == nil {
			cluster, err = metadata.Genesis(p.ctx, p.Store, entropy, genesisNode)
		}
	}
	if err != nil {
		return err
	}
	s := h.wire(n, p, cluster, entropy)
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(name string, run func(context.Context) error) {
		parts.Go(func() {
			err := run(ctx)
			if !p.dead.Load() {
				h.note("%s %s ends: %v", p.Name, name, err)
			}
			cancel(err)
		})
	}
	part("replica", s.replica.Run)
	parts.Go(func() { h.watch(ctx, s) })
	part("ingest", s.ingest.Run)
	part("compactor", func(ctx context.Context) error { return h.compact(ctx, s) })
	select {
	case <-s.replica.Ready():
		h.After(0, p.Name+" is ready", func() {
			if n.proc == p {
				h.serve(n, s)
			}
		})
	case <-ctx.Done():
	}
	parts.Wait()
	return context.Cause(ctx)
}

// compact runs a node's compactor until the house rests. The node lives on.
func (h *house) compact(ctx context.Context, s *services) error {
	if h.merging.Err() == nil {
		rng := s.rng("compactor")
		merging, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(h.merging, stop)()
		err := h.newCompactor(s, compactor.Config{
			Interval: 200*time.Millisecond + upTo(rng, 8000),
			FloorAge: upTo(rng, 20_000), Grace: upTo(rng, 3000),
			MergeIntervalMin: 100*time.Millisecond + upTo(rng, 3000),
			MergeIntervalMax: 3*time.Second + upTo(rng, 5000),
			DamageRetry:      upTo(rng, 10_000),
			ForgetInterval:   upTo(rng, 10_000),
		}).Run(merging)
		if err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func (h *house) wire(n *node, p *Proc, cluster [16]byte, e *entropy) *services {
	rng := p.rng("config")
	s := &services{Proc: p, node: n.id}
	roles := []string{"ingest", "reader", "compactor"}
	if n.candidate {
		roles = append(roles, metadata.RoleMetadata)
	}
	logger := slog.New(&listener{h, p})
	defects := h.options.Defects
	defects.RetainUnknown = n.old && !h.options.UnknownSkipped
	defects.UnknownSkipped = n.old && h.options.UnknownSkipped
	store := p.Store
	if h.options.AckEarly {
		store = writeBehind{p.Store}
	}
	replica := metadata.New(
		metadata.Deps{Store: store, Bus: p.Bus, Entropy: e, Logger: logger},
		metadata.Config{
			Cluster: cluster, Node: n.id, Roles: roles, Candidate: n.candidate, Seed: rng.Uint64(),
			Silence:       700*time.Millisecond + jitter(rng, 1800*time.Millisecond),
			SnapshotSlots: h.snapshotSlots, SnapshotBytes: 1 << 20, Defects: defects,
		})
	s.replica = settled{replica, h.Driver}
	s.client = metadata.NewClient(replica)
	s.reader = reader.New(
		reader.Deps{
			Store: p.Store, Locator: s.replica, Jitter: p.rng("reader").Float64, Logger: logger,
			Settle: func(ctx context.Context) { _ = s.replica.settle(ctx, nil) },
		},
		reader.Config{CacheBytesMax: 64 << 10, ColdBytesMax: 64 << 10})
	s.ingest = ingest.New(
		ingest.Deps{
			Store: p.Store, Committer: h.committer(s.client), Slots: s.replica, Cache: s.reader,
			Entropy: &entropy{rng: p.rng("ingest")}, Logger: logger,
		},
		ingest.Config{
			FlushInterval: time.Duration(rng.IntN(3)) * 20 * time.Millisecond,
			FlushBytesMax: 4 << 10, UploadsMax: 3, DrainDeadline: time.Millisecond,
		})
	return s
}

// halted notes that a node gave up by itself and lets it be started again.
func (h *house) halted(n *node, p *Proc, err error) {
	if n.proc != p {
		return
	}
	damaged := errors.Is(err, metadata.ErrDamaged) || errors.Is(err, segment.ErrDamaged)
	switch {
	case n.old && errors.Is(err, metadata.ErrNewer):
		h.judge.sometimes("old binary halted")
		n.old = false // is upgraded
	case damaged && h.weather.damage > 0:
		h.judge.sometimes("node halted")
	default:
		h.judge.violation(14, "%s halted: %v", p.Name, err)
	}
	h.down(n)
	h.After(time.Second, n.id+" starts again", func() { h.start(n) })
}

// down ends a node's life at once.
func (h *house) down(n *node) {
	if n.proc == nil {
		return
	}
	n.proc.crash()
	n.proc = nil
	h.serve(n, nil)
}

// serve makes a life's services known to the clients, or nobody's.
func (h *house) serve(n *node, s *services) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n.services = s
}

// entropy is randomness that a seed replays.
type entropy struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (e *entropy) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range b {
		b[i] = byte(e.rng.Uint32())
	}
	return len(b), nil
}

var _ io.Reader = (*entropy)(nil)

// sleep waits unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// catalog is metadata as the compactor's Catalog and Tables.
type catalog struct {
	replica settled
	client  *metadata.Client
	house   *house
}

func (c catalog) Index() compactor.Index { return c.house.index(c.replica.State()) }

func (c catalog) RaiseFloor(ctx context.Context, slot uint64) error {
	return c.settled(ctx, c.client.RaiseFloor(ctx, slot))
}

func (c catalog) ForgetProducers(ctx context.Context) (int, error) {
	n, err := c.client.ForgetProducers(ctx)
	return n, c.settled(ctx, err)
}

func (c catalog) View() compactor.View { return c.replica.State() }

func (c catalog) HeardSlot() uint64 { return c.replica.HeardSlot() }

func (c catalog) Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error) {
	r, err := c.client.Swap(ctx, s)
	c.house.swapped(r, err)
	return r, c.settled(ctx, err)
}

func (c catalog) Retain(ctx context.Context, r foz.Retain) error {
	return c.settled(ctx, c.client.Retain(ctx, r))
}

// settled is for refusals, too: they come with the entry that this node has just applied.
func (c catalog) settled(ctx context.Context, err error) error {
	if later := c.replica.settle(ctx, nil); err == nil {
		return later
	}
	return err
}

func (c catalog) Compactors() (ids []string) {
	for _, m := range c.replica.Members() {
		ids = append(ids, m.ID)
	}
	return ids
}

// swapped counts what becomes of swaps.
func (h *house) swapped(r foz.SwapResult, err error) {
	if err != nil {
		h.judge.sometimes("swap unknown")
	}
	for _, accepted := range r.Accepted {
		if accepted {
			h.judge.sometimes("swap accepted")
		} else {
			h.judge.sometimes("swap refused")
		}
	}
}

// newCompactor makes a compactor for a life: of objects so small that merges are many, and,
// in every third life, one that takes all partitions for its own.
func (h *house) newCompactor(s *services, cfg compactor.Config) *compactor.Compactor {
	rng := s.rng("compactor's objects")
	cfg.SegmentBytes, cfg.BatchBytes, cfg.JobBytes = 8<<10, 1<<10, 16<<10
	cfg.BytesPerSecond, cfg.RequestsPerSecond = 1<<30, 1<<20
	cfg.PutDeadline = 10 * time.Second
	if rng.IntN(3) > 0 {
		cfg.Node = s.node
	}
	if rng.IntN(2) == 0 { // fewer than there are: a partition takes several passes
		cfg.KeysMax = 3 + rng.IntN(6)
	}
	cfg.DirtyPercent = 1 + rng.Int64N(50)
	index := catalog{s.replica, s.client, h}
	return compactor.New(compactor.Deps{
		Store: s.Store, Catalog: index, Tables: h.tables(s, index), Entropy: &entropy{rng: rng},
	}, cfg)
}

// newSweeper makes a compactor that merges nothing, and deletes what it has seen dead once.
func (h *house) newSweeper(s *services) *compactor.Compactor {
	return compactor.New(compactor.Deps{
		Store: s.Store, Catalog: catalog{s.replica, s.client, h},
		Entropy: &entropy{rng: s.rng("sweeper")},
	}, compactor.Config{FloorAge: time.Hour, Grace: time.Millisecond})
}
