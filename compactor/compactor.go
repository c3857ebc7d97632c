package compactor

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// Index is the index of what is live at one slot of the log. It does not change.
type Index interface {
	// Floor: no object born below it will ever become live again.
	Floor() uint64
	// CommittedSlot is the slot of the last entry that held a commit.
	CommittedSlot() uint64
	// ReleasedSlot is the slot of the last entry by which an object ceased to be live.
	ReleasedSlot() uint64
	// Live says whether a placement names the object.
	Live(object string) bool
	// Objects calls yield with each live object's key, ascending, until it returns false.
	Objects(yield func(object string) bool)
}

// Catalog is metadata as what throws away sees it.
type Catalog interface {
	// Index is the newest index this node knows, however stale.
	Index() Index
	// RaiseFloor returns when the floor is at slot or above, and this node knows it.
	RaiseFloor(ctx context.Context, slot uint64) error
	// ForgetProducers forgets idempotent producers that were silent for too long, and gives
	// their number.
	ForgetProducers(ctx context.Context) (int, error)
}

// View is where everything lies, at one slot of the log. It does not change.
type View interface {
	Slot() uint64
	// Topics lists up to limit topics by name, those that begin with prefix and come after
	// startAfter.
	Topics(prefix, startAfter string, limit int) (page []foz.Topic, more bool)
	// Locate gives up to limit placements whose Next is above from, in order of offset.
	// They are shared: read only.
	Locate(p foz.Partition, from int64, limit int) ([]foz.Placement, foz.Bounds, error)
}

// Tables is metadata as what rewrites sees it.
type Tables interface {
	// View is the newest one this node knows, however stale.
	View() View
	// HeardSlot is the highest slot this node has heard of.
	HeardSlot() uint64
	// Swap returns metadata's answer, once View holds it. An error means that the outcome is
	// unknown: the outputs may be live.
	Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error)
	// Retain returns when the starts are moved, and View shows it. An error means that they
	// are not, or that nobody knows.
	Retain(ctx context.Context, r foz.Retain) error
	// Compactors are the nodes that compact now, as far as this one has heard.
	Compactors() []string
}

// Deps are what a Compactor works with.
type Deps struct {
	Store   objectstore.Store // best a client of its own: cold work is not to delay hot work
	Catalog Catalog
	Tables  Tables    // nil: nothing is merged, retained or compacted, only swept
	Entropy io.Reader // of objects' names; nil: crypto/rand
	// Busy says whether this node takes records now: what can wait gives way. nil: it never does.
	Busy   func() bool
	Logger *slog.Logger
}

// Config are its settings. Zero values are the defaults.
type Config struct {
	// Node is this node's id among Tables.Compactors; "": every partition is this one's.
	Node string
	// Interval is the time between two looks at what is not merging; 1 minute. A look at a
	// house in which nothing happened makes no request.
	Interval time.Duration

	// SegmentBytes is how large a merged object is to become, as stored; 64 MiB.
	SegmentBytes int64
	// BatchBytes is where a record batch is full, decoded; an eighth of SegmentBytes, 8 MiB at
	// most. Whoever has more in a job gets an object of its own.
	BatchBytes int
	// JobBytes is how much one job takes in: what it holds in memory, beside the object that
	// it writes and one decoded batch; 256 MiB.
	JobBytes int64
	// MergeIntervalMin and MergeIntervalMax bound how long fresh objects wait for others to
	// be merged with, while they are less than a job's worth; 10 seconds and 10 minutes. It
	// begins at six times the former.
	MergeIntervalMin, MergeIntervalMax time.Duration
	// DamageRetry is how long a placement that could not be read is left alone; 1 hour.
	DamageRetry time.Duration
	// PutDeadline is after how long an upload is given up; 5 minutes.
	PutDeadline time.Duration
	// KeysMax is how many keys one pass of key compaction remembers, at some 50 bytes each;
	// 1 Mi. A partition with more takes more passes.
	KeysMax int
	// DirtyPercent is how much of a partition, of what is compacted by key, must be new before
	// it is compacted again; 50.
	DirtyPercent int64

	// FloorAge is how far the floor stays behind: a commit that takes longer than this to
	// arrive is told that its outcome is unknown; 10 minutes.
	FloorAge time.Duration
	// Grace is how long an object is left alone after this node first saw that it is dead:
	// readers may be on their way to it, and plans name it; 5 minutes more than foz.PlanLifetime.
	Grace time.Duration
	// ReconcileInterval is the time between two listings of everything; 24 hours. Those
	// between list only what the floor has passed since.
	ReconcileInterval time.Duration
	// ForgetInterval is the time between two looks for silent producers; 1 hour.
	ForgetInterval time.Duration
	// PendingMax is how many dead objects are remembered at a time; 100,000.
	PendingMax int

	// BytesPerSecond and RequestsPerSecond are what may be asked of the store; 256 MiB, both
	// ways together, and 200.
	BytesPerSecond, RequestsPerSecond int64
	// BusyBytesPerSecond is how fast records are merged while Busy, at least; 8 MiB, as they
	// lie in memory. CatchUp is how far behind that may leave it: what there is to merge is
	// merged in as much time, however busy; 3 minutes.
	BusyBytesPerSecond int64
	CatchUp            time.Duration
}

func (c Config) withDefaults() Config {
	orDefault(&c.Interval, time.Minute)
	orDefault(&c.SegmentBytes, 64<<20)
	orDefault(&c.BatchBytes,
		int(min(segment.MergedBatchBytes, max(c.SegmentBytes/8, 64<<10))))
	orDefault(&c.JobBytes, 256<<20)
	orDefault(&c.MergeIntervalMin, 10*time.Second)
	orDefault(&c.MergeIntervalMax, 10*time.Minute)
	orDefault(&c.DamageRetry, time.Hour)
	orDefault(&c.PutDeadline, 5*time.Minute)
	orDefault(&c.KeysMax, 1<<20)
	orDefault(&c.DirtyPercent, 50)
	orDefault(&c.FloorAge, 10*time.Minute)
	orDefault(&c.Grace, foz.PlanLifetime+5*time.Minute)
	orDefault(&c.ReconcileInterval, 24*time.Hour)
	orDefault(&c.ForgetInterval, time.Hour)
	orDefault(&c.PendingMax, 100_000)
	orDefault(&c.BytesPerSecond, 256<<20)
	orDefault(&c.RequestsPerSecond, 200)
	orDefault(&c.BusyBytesPerSecond, 8<<20)
	orDefault(&c.CatchUp, 3*time.Minute)
	return c
}

func orDefault[N int | int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// Compactor does its jobs in turn. All of it but Maintain, Metrics and Deleted is for one
// goroutine: that of Run, or of whoever calls Step.
type Compactor struct {
	deps    Deps
	cfg     Config
	store   *objectstore.Counted // within the budget
	jobs    []*job
	mail    chan *errand
	asked   bool      // an errand is under way
	until   time.Time // when it is to end; zero: when it is done
	metrics metrics

	merges   merges
	turn     turn
	builders builders
	avoid    map[place]avoided
	passes   passes
	clock    clock
	floor    floor
	sweep    sweep
}

// New makes a Compactor; Run or Step make it work.
func New(deps Deps, cfg Config) *Compactor {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Entropy == nil {
		deps.Entropy = rand.Reader
	}
	c := &Compactor{deps: deps, cfg: cfg.withDefaults(), mail: make(chan *errand, 1),
		avoid: map[place]avoided{}}
	c.store = objectstore.NewCounted(&paced{store: deps.Store, bytes: c.cfg.BytesPerSecond,
		requests: c.cfg.RequestsPerSecond})
	c.builders.options.BatchBytes = c.cfg.BatchBytes
	c.merges.interval = min(6*c.cfg.MergeIntervalMin, c.cfg.MergeIntervalMax)
	c.pace(0)
	c.passes.clean = map[foz.Partition]cleaned{}
	c.sweep.pending = map[string]time.Time{}
	c.jobs = c.rota()
	return c
}
