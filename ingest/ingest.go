// Package ingest turns many clients' requests into few objects: accept, batch, upload,
// commit, acknowledge. It knows what a request costs (one PUT for its object, one for the
// log), in which order commits must be sent, and which outcome is definite. It refuses to
// know HTTP, who leads the log, how offsets are given, and what a segment's bytes mean.
//
//	Produce --add--> open object --seal--> [sealed] --uploaders--> Store.Create
//	   ^                 | size, budget,      |                        |
//	   |                 | commit bytes       v                        v
//	   |                 | or drain        [queue, in flush order] <- uploaded or failed
//	   |                 v                    |
//	   +------ ack <----------------- committer: Committer.Commit, one call at a time
//
// One mutex guards all of it and is never held across a call to another room.
package ingest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// Committer gives objects' rows their offsets.
type Committer interface {
	// Commit asks metadata to commit objects, in order, and returns one result per commit,
	// in order. It is idempotent by object and asks again by itself, at whichever node
	// leads, until every commit has its answer from an applied entry. An error means that
	// the outcome is unknown and stays so; it returns one only when ctx has ended or when
	// asking again can never help. Ingest never has two calls under way.
	Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error)
}

// Cache is told what this node has just uploaded.
type Cache interface {
	// Put hands over the bytes of an object. They are the cache's from then on: nobody
	// changes them again, unless they are given back. spare is memory that the cache has no
	// use for and nobody looks at, or nil. It must not block.
	Put(object string, data []byte) (spare []byte)
}

// Slots is this node's ear at the metadata log.
type Slots interface {
	// HeardSlot is the highest slot of the log that this node has heard of. It may be
	// arbitrarily stale: it only labels objects.
	HeardSlot() uint64
}

// Deps are the things that do work.
type Deps struct {
	Store     objectstore.Store
	Committer Committer
	Slots     Slots
	Cache     Cache        // nil: none
	Entropy   io.Reader    // for object names and jitter: 16 bytes per object, never concurrently
	Logger    *slog.Logger // nil: silent
}

// Config is the numbers. Zero means the default, except for FlushInterval.
type Config struct {
	// FlushBytesMax flushes an object at once when its rows take as many bytes. An object
	// is smaller than twice this, or holds a single request. Default 8 MiB.
	FlushBytesMax int
	// FlushInterval is the longest that a row waits for others to share its object, and
	// the period in which the request budget grows by one flush. 0: no wait, no budget.
	FlushInterval time.Duration
	// BudgetBurst is how many flushes the budget saves up while nothing comes: so many
	// lone requests after a rest are flushed at once. Default 4.
	BudgetBurst int
	// CommitBytesMax bounds what one call of Commit carries, as estimated: it keeps entries of
	// the log small, so that many nodes' commits share one. A request that is over it by itself
	// is committed alone: foz.PartitionsMax partitions take 450 KiB, of the 4 MiB that an entry
	// has and the 8 MiB of a message on the bus. Default 256 KiB.
	CommitBytesMax int
	// BufferBytesMax bounds the rows that are accepted and not yet answered; what does not
	// fit now is refused as overloaded, what never fits as too large. Default 192 MiB, which has
	// room for any body that httpapi decodes: at most 64 MiB of contents, and 23 bytes for each
	// of 4 Mi rows (8 for the time, 4 and a null for key, value and headers) are 156 MiB.
	BufferBytesMax int
	// UploadsMax is how many objects are uploaded at a time. Default 8.
	UploadsMax int
	// UploadDeadline is how long an object's upload may take with all its retries, and
	// AttemptDeadline how long one of them. Defaults 30 s and 10 s.
	UploadDeadline  time.Duration
	AttemptDeadline time.Duration
	// Codec compresses the buffers of objects. Default: not.
	Codec segment.Codec
	// DrainDeadline is how long Run goes on after its context has ended. Default 25 s.
	DrainDeadline time.Duration
}

func (c Config) withDefaults() Config {
	c.FlushBytesMax = cmp.Or(c.FlushBytesMax, 8<<20)
	c.BudgetBurst = cmp.Or(c.BudgetBurst, 4)
	c.CommitBytesMax = cmp.Or(c.CommitBytesMax, 256<<10)
	c.BufferBytesMax = cmp.Or(c.BufferBytesMax, 192<<20)
	c.UploadsMax = cmp.Or(c.UploadsMax, 8)
	c.UploadDeadline = cmp.Or(c.UploadDeadline, 30*time.Second)
	c.AttemptDeadline = cmp.Or(c.AttemptDeadline, 10*time.Second)
	c.DrainDeadline = cmp.Or(c.DrainDeadline, 25*time.Second)
	return c
}

// Ingest accepts requests. Its methods may be called from any number of goroutines.
type Ingest struct {
	deps    Deps
	cfg     Config
	metrics metrics
	trouble atomic.Pointer[foz.Error] // what the last object that ended died of; nil: it did not

	mu       sync.Mutex // guards everything below; never held across I/O
	work     sync.Cond  // an object is sealed, or due, or ingest drains
	done     sync.Cond  // an upload has ended, or ingest drains
	open     *object    // takes requests; nil: nothing is buffered
	sealed   []*object  // wait for an uploader, in flush order
	queue    []*object  // sealed and not yet committed or dropped, in flush order
	held     int        // bytes of rows accepted and not yet answered
	draining bool
	budget   budget
	shelf    shelf      // buffers to use again
	clock    storeClock // what time it is at the store
	answered uint64     // highest slot that a commit's answer named
}

// New makes an Ingest that accepts at once; nothing is flushed before Run.
func New(d Deps, c Config) *Ingest {
	c = c.withDefaults()
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Ingest{
		deps:   d,
		cfg:    c,
		budget: budget{interval: c.FlushInterval, burst: c.BudgetBurst},
		shelf:  newShelf(c),
	}
	i.work.L, i.done.L = &i.mu, &i.mu
	i.metrics = newMetrics(i.heldBytes)
	return i
}

// Produce appends a request to the log and returns its offsets, in order of partition, once
// it is durable; or a *foz.Error. CodeOverloaded, CodeDraining, CodeBatchTooLarge,
// CodeBadRequest, CodeStorage and CodeUnavailable are definite: nothing of the request is in
// the log or ever will be. When ctx ends first the answer is CodeAckTimeout: the outcome is
// unknown, and the request goes on without its client. Metadata's refusals are passed on.
// The caller may use r's buffers again as soon as Produce returns.
func (i *Ingest) Produce(ctx context.Context, r foz.Request) (foz.Ack, error) {
	ack, err := i.produce(ctx, r)
	if err != nil {
		i.metrics.answered(string(err.Code))
		return foz.Ack{}, err
	}
	i.metrics.answered("ok")
	return ack, nil
}

func (i *Ingest) produce(ctx context.Context, r foz.Request) (foz.Ack, *foz.Error) {
	if ctx.Err() != nil {
		return foz.Ack{}, foz.Errorf(foz.CodeAckTimeout, "accept request: %w", ctx.Err())
	}
	p, err := i.accept(r)
	if err != nil {
		return foz.Ack{}, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // both at once: the answer is the better news
		default:
			return foz.Ack{}, foz.Errorf(foz.CodeAckTimeout,
				"await acknowledgement: %w: the records may be appended yet", ctx.Err())
		}
	}
	return p.ack, p.err
}

// Run uploads and commits until ctx ends; then it refuses new requests, flushes and commits
// what is buffered, and returns nil. An error says that DrainDeadline was too short: what
// was not sent to metadata by then has failed, what was is unknown.
func (i *Ingest) Run(ctx context.Context) error {
	// Invariant: uploads and commits outlive the context that started them, and every
	// client; only the drain's deadline ends this one.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var workers sync.WaitGroup
	for range i.cfg.UploadsMax {
		workers.Go(func() {
			encoder := &segment.Encoder{Codec: i.cfg.Codec}
			for i.uploadNext(work, encoder) {
			}
		})
	}
	workers.Go(func() {
		for i.commitNext(work) {
		}
	})
	<-ctx.Done()
	deadline := time.AfterFunc(i.cfg.DrainDeadline, cancel)
	defer deadline.Stop()
	i.drain()
	workers.Wait()
	if err := work.Err(); err != nil {
		return fmt.Errorf("drain ingest within %s: %w", i.cfg.DrainDeadline, err)
	}
	return nil
}

// Health is nil, or what the object that was uploaded last has failed of: a *foz.Error.
// It tells of trouble, not of readiness: only new requests can make it nil again.
func (i *Ingest) Health() error {
	if e := i.trouble.Load(); e != nil {
		return e
	}
	return nil
}

func (i *Ingest) heldBytes() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held
}
