// Package reader turns an offset range into records: locate, fetch, check, decode, in order.
//
// It knows the index only as a [Locator], objects only as bytes under a key, and the format
// only as segment.Decode. It refuses to know how offsets are assigned, who wrote an object,
// what HTTP is, and how to choose an offset for a client beyond earliest, latest and time.
//
// # What a read costs
//
// What this node uploaded itself is served from memory: 0 requests. Anything else is fetched
// with ranged GETs of the segments a read needs, adjacent ones in one request, and kept in a
// cache of its own, so that a replay cannot wash out the tail. An object whose segments
// several partitions ask for is fetched whole, once (see share.go for the arithmetic).
// Waiting for records costs nothing while nobody commits. An answer that denies something
// (no such topic, offset out of range, no record that young) costs one LIST: it is given
// only after the index has caught up.
//
// # What a read never does
//
// It never yields a row that no placement names, never skips a record that the index holds,
// and never takes bytes that fail their checksum for records: it ends with an error.
package reader

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// Locator is this node's replica of the index. All methods may be called at once from many
// goroutines.
type Locator interface {
	// Locate gives up to limit placements of p whose Next is greater than from, in order of
	// offset, and what p holds. It is a memory read and may lag behind the log, but never goes
	// back. The placements are shared: nobody changes them. Errors are *foz.Error:
	// topic_not_found, partition_not_found.
	Locate(p foz.Partition, from int64, limit int) ([]foz.Placement, foz.Bounds, error)
	// Changed is closed when the next log entry is applied. Take it before looking.
	Changed() <-chan struct{}
	// CatchUp returns when everything committed before the call can be located. It costs a
	// LIST, shared by those who wait at once.
	CatchUp(ctx context.Context) error
	// WaitSlot returns when the log slot has been applied here.
	WaitSlot(ctx context.Context, slot uint64) error
}

// Deps are what a Reader works with. Store and Locator must be set.
type Deps struct {
	Store   objectstore.Store
	Locator Locator
	Logger  *slog.Logger   // nil: silent. Told of damage that a second fetch healed
	Jitter  func() float64 // in [0,1), spreads retries, called by one at a time; nil: random
	// Settle is called by a scan that had waited for bytes together with others, for a
	// simulator to put them in an order; nil: they go on as they come.
	Settle func(ctx context.Context)
}

// Config is a Reader's limits. Zero values are the defaults.
type Config struct {
	CacheBytesMax   int64         // objects put by this node's ingest; 256 MiB
	ColdBytesMax    int64         // fetched bytes, beside the former; 128 MiB
	AheadBytesMax   int64         // fetched ahead of consumers, all scans together; 128 MiB
	FetchBytesMax   int64         // adjacent segments are fetched together up to this; 8 MiB
	WholeBytesMax   int64         // an object is fetched whole only up to here; 16 MiB
	WholePartitions int           // after so many partitions missed one object it is; 4
	FetchesMax      int           // GETs in flight, all scans together; 16
	AheadMax        int           // fetches one scan runs ahead; 8
	PlacementsMax   int           // placements per Locate; 256
	FetchTimeout    time.Duration // of one GET; 30 s
	AttemptsMax     int           // GETs of the same bytes before a store's fault is an error; 4
	RetryDelay      time.Duration // before the second attempt, doubled after; 50 ms
}

func (c Config) withDefaults() Config {
	orDefault(&c.CacheBytesMax, 256<<20)
	orDefault(&c.ColdBytesMax, 128<<20)
	orDefault(&c.AheadBytesMax, 128<<20)
	orDefault(&c.FetchBytesMax, 8<<20)
	orDefault(&c.WholeBytesMax, 16<<20)
	orDefault(&c.WholePartitions, 4)
	orDefault(&c.FetchesMax, 16)
	orDefault(&c.AheadMax, 8)
	orDefault(&c.PlacementsMax, 256)
	orDefault(&c.FetchTimeout, 30*time.Second)
	orDefault(&c.AttemptsMax, 4)
	orDefault(&c.RetryDelay, 50*time.Millisecond)
	return c
}

func orDefault[N int | int64 | time.Duration](field *N, value N) {
	if *field == 0 {
		*field = value
	}
}

// Reader reads partitions. All methods may be called from many goroutines.
type Reader struct {
	config  Config
	locator Locator
	fetches *fetcher
	footers *footers
	metrics *metrics
	log     *slog.Logger
}

// New makes a Reader. It starts nothing: goroutines live only while a Scan runs.
func New(d Deps, c Config) *Reader {
	c = c.withDefaults()
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Jitter == nil {
		d.Jitter = rand.Float64
	}
	m := &metrics{}
	return &Reader{
		config:  c,
		locator: d.Locator,
		fetches: newFetcher(d, c, m),
		footers: newFooters(),
		metrics: m,
		log:     d.Logger,
	}
}

// Put keeps an object that this node has just created, so that its consumers read it without
// a GET. data is kept: it must not be changed afterwards, until it is given back: spare is memory
// of an object put earlier that is not kept any more and that nobody has read, if there is one.
func (r *Reader) Put(object string, data []byte) (spare []byte) {
	return r.fetches.put(object, data)
}

// Bounds is what p holds, as this node knows it or, if linearizable, with everything that
// was committed before the call (which costs a LIST). Errors: topic_not_found and
// partition_not_found, only after catching up; unavailable if that was not possible.
func (r *Reader) Bounds(
	ctx context.Context, p foz.Partition, linearizable bool,
) (foz.Bounds, error) {
	if linearizable {
		if err := r.catchUp(ctx); err != nil {
			return foz.Bounds{}, err
		}
		_, bounds, err := r.locator.Locate(p, math.MaxInt64, 1)
		return bounds, err
	}
	_, bounds, err := r.locate(ctx, p, anyOffset, 1)
	return bounds, err
}

// WaitSlot waits until this node has applied a log slot: afterwards it sees what an Ack with
// that slot acknowledged.
func (r *Reader) WaitSlot(ctx context.Context, slot uint64) error {
	return r.locator.WaitSlot(ctx, slot)
}

// Wait returns nil when p holds a record at or after offset, or ctx's error when that ends
// first. While nothing is committed it costs nothing. Other errors as in Bounds.
func (r *Reader) Wait(ctx context.Context, p foz.Partition, offset int64) error {
	for ctx.Err() == nil {
		changed := r.locator.Changed() // before looking, or a commit in between is missed
		_, bounds, err := r.locate(ctx, p, anyOffset, 1)
		if err != nil {
			return err
		}
		if bounds.Next > offset {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
