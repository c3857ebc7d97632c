package reader

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/objectstore"
)

// Scan yields the records of p with offsets in [rg.Base, rg.Next), in order, as runs that tile
// the range: each begins where the one before ended. Scan ends at rg.Next, or at the first
// offset that was not yet committed when it began; pass math.MaxInt64 to read to there. Where
// offsets have no record any more (compaction by key) a run ends later than its last record,
// and if there is none before the end, the last run is empty. The next poll begins at the last
// run's Next, or at rg.Base if there was none.
//
// An error is yielded last, with a zero Run: offset_out_of_range with earliest_offset and
// next_offset (also when retention overtakes a scan: nothing is skipped in silence),
// topic_not_found, partition_not_found, storage_error naming the object when it is damaged
// or lost, unavailable, or ctx's error. What was yielded before it is right.
//
// Each call of the iterator reads anew. Fetches run ahead: one at first, up to AheadMax as
// the consumer goes on. A consumer that stops calls off what nobody else waits for.
func (r *Reader) Scan(
	ctx context.Context, p foz.Partition, rg foz.Range,
) iter.Seq2[foz.Run, error] {
	return r.runs(ctx, p, rg, false)
}

// ScanStored is Scan whose runs may come as they are stored, not decoded: record batches of
// merged objects that lie in the range whole. Their checksums are verified; what they hold is
// as whoever merged them wrote it.
func (r *Reader) ScanStored(
	ctx context.Context, p foz.Partition, rg foz.Range,
) iter.Seq2[foz.Run, error] {
	return r.runs(ctx, p, rg, true)
}

func (r *Reader) runs(
	ctx context.Context, p foz.Partition, rg foz.Range, stored bool,
) iter.Seq2[foz.Run, error] {
	return func(yield func(foz.Run, error) bool) {
		s := r.newScan(ctx)
		s.stored = stored
		s.visit = func(_ foz.Partition, run foz.Run) bool { return yield(run, nil) }
		if err := s.all(p.Topic, foz.PartitionRange{Partition: p.Number, Range: rg}); err != nil {
			yield(foz.Run{}, err)
		}
	}
}

// ScanTopic is Scan for partitions of one topic at once, each partition's records in order.
// Between partitions they come in about the order in which they were appended, so that of
// every object the bytes of all partitions are fetched together, once: partition after
// partition, an object of 100 partitions would be fetched 100 times. What visit returns ends
// the scan and is its error.
//
// Arithmetic: GETs as Scan would make for one partition that has all records. The bytes are
// those of the segments, once: 1.00 of what 100 partitions have in objects that are together 15
// times larger than the cache, 1.2 where most partitions lack in each and nodes committed out
// of order (TestTopicScanFetchesEachObjectOnce, TestTopicScanOfUnevenPartitions). In memory are
// AheadMax fetches of up to WholeBytesMax, and for each partition where it stands.
func (r *Reader) ScanTopic(
	ctx context.Context, topic foz.TopicID, parts []foz.PartitionRange,
	visit func(partition int32, run foz.Run) error,
) error {
	return r.Query(ctx, topic, parts, filter.Query{}, visit)
}

// Query is ScanTopic for some of the records, and some of their columns. Runs have what the
// query wants; of records that do not match, only their absence is told.
func (r *Reader) Query(
	ctx context.Context, topic foz.TopicID, parts []foz.PartitionRange, q filter.Query,
	visit func(partition int32, run foz.Run) error,
) error {
	s := r.newScan(ctx)
	s.pageMax = min(r.config.PlacementsMax, pageMin+r.config.PlacementsMax/max(1, len(parts)))
	if len(parts) > 1 { // an object is whole more often than not
		s.fetchBytes = max(s.fetchBytes, r.config.WholeBytesMax)
	}
	s.query, s.picker = q, filter.NewPicker(q)
	s.stored = q.Stored && q.Filter == nil
	if s.picker != nil || len(q.Columns) > 0 {
		s.columns = needed(q, s.picker)
	}
	var stopped error
	s.visit = func(p foz.Partition, run foz.Run) bool {
		stopped = visit(p.Number, run)
		return stopped == nil
	}
	if err := s.all(topic, parts...); err != nil {
		return err
	}
	return stopped
}

// pageMin is how many placements of a partition are located at once, however many partitions.
const pageMin = 16

// scan is one pass over ranges. It belongs to the goroutine that iterates.
type scan struct {
	r          *Reader
	ctx        context.Context
	visit      func(foz.Partition, foz.Run) bool // false: enough
	cursors    []*cursor                         // in order of partition
	since      int64                             // older records need not be yielded
	stored     bool                              // runs may be yielded as they are stored
	query      filter.Query
	picker     *filter.Picker // takes what is wanted; nil: all is
	columns    []string       // that runs are made of; nil: all of a record
	pageMax    int            // placements per Locate
	fetchBytes int64          // of one fetch, unless a piece is larger

	// Looking ahead.
	plan     []piece // of one object: located, not yet being fetched
	loads    []load  // being fetched, in order
	depth    int     // how many loads there may be
	depthMax int
	failed   error // what stopped planning: told when the loads before it are served

	decoded decoded  // the last segment: several placements may name rows of one
	gone    []string // objects the store lacked: none must be located again
}

// load is a fetch and the pieces it serves.
type load struct {
	spans   []span
	pieces  []piece
	tickets []*ticket // one for each span
	ahead   int64     // bytes held of the budget for fetching ahead
}

func (r *Reader) newScan(ctx context.Context) *scan {
	return &scan{
		r: r, ctx: ctx, since: math.MinInt64, depth: 1, depthMax: r.config.AheadMax,
		pageMax: r.config.PlacementsMax, fetchBytes: r.config.FetchBytesMax,
	}
}

// all yields all records of ranges.
func (s *scan) all(topic foz.TopicID, parts ...foz.PartitionRange) error {
	for _, part := range parts {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		p := foz.Partition{Topic: topic, Number: part.Partition}
		if err := s.begin(p, part.Range); err != nil {
			return err
		}
	}
	return s.run()
}

func (s *scan) run() (err error) {
	defer s.discard()
	for more := true; err == nil && more; {
		more, err = s.step()
		if gone, ok := errors.AsType[*goneError](err); ok {
			more, err = true, s.relocate(gone.object)
		}
	}
	return err
}

// step yields one load's records, or finds that there are no more.
func (s *scan) step() (more bool, err error) {
	if err := s.lookAhead(); err != nil {
		return false, err
	}
	if len(s.loads) == 0 {
		s.conclude()
		return false, nil
	}
	l := s.loads[0]
	s.loads = s.loads[1:]
	defer s.finish(l)
	var held chunks
	for i, t := range l.tickets {
		c, err := s.r.fetches.wait(s.ctx, t)
		if err != nil {
			return false, s.explain(l.spans[i], err)
		}
		held = append(held, c)
	}
	more, err = s.serve(l, held)
	s.depth = min(2*s.depth, s.depthMax)
	return more, s.explain(l.spans[0], err)
}

// serve yields the rows that a load's pieces name.
func (s *scan) serve(l load, c chunks) (more bool, err error) {
	for _, p := range l.pieces {
		at := foz.Range{Base: max(p.of.next, p.holds.Base), Next: min(p.of.end, p.holds.Next)}
		if at.Len() <= 0 {
			continue
		}
		run, err := s.runOf(p, at, c)
		if err != nil {
			return false, err
		}
		p.of.next = at.Next
		if run.Stored != nil {
			if !s.tell(p.of, run) {
				return false, nil
			}
			continue
		}
		for part := range s.picker.Picks(p.of.partition.Number, run) {
			if !s.tell(p.of, part) {
				return false, nil
			}
		}
		if err := s.ctx.Err(); err != nil {
			return false, err
		}
	}
	return true, nil
}

// tell yields a run, which begins where the one before ended: an empty one fills in where
// offsets were left out. One without records is left out itself.
func (s *scan) tell(c *cursor, run foz.Run) bool {
	switch {
	case run.Len() == 0:
		return true
	case run.Offsets != nil || run.Stored != nil:
		run.Base = c.told
	case run.Base > c.told && !s.skip(c, run.Base):
		return false
	}
	c.told = run.Next()
	return s.visit(c.partition, run)
}

// skip says that there is no record before an offset.
func (s *scan) skip(c *cursor, to int64) bool {
	run := foz.Run{Base: c.told, Rows: &foz.Rows{}, End: to}
	c.told = to
	return s.visit(c.partition, run)
}

// conclude says of each partition that nothing comes before its end.
func (s *scan) conclude() {
	for _, c := range s.cursors {
		if c.told < c.end && !s.skip(c, c.end) {
			return
		}
	}
}

// lookAhead keeps up to depth loads under way. The first needs no budget, so that every scan
// goes on, however many there are; the others take what is left of AheadBytesMax.
func (s *scan) lookAhead() error {
	for len(s.loads) < s.depth && s.failed == nil {
		if len(s.plan) == 0 {
			s.failed = s.planMore()
		}
		if s.failed != nil || len(s.plan) == 0 {
			break
		}
		l := s.next()
		size := int64(0)
		for _, want := range l.spans {
			if want.start < 0 || want.end <= want.start {
				s.failed = s.explain(want, errBounds)
			}
			size += want.end - want.start
		}
		if s.failed != nil {
			break
		}
		if len(s.loads) > 0 {
			if !s.r.fetches.ahead.TryAcquire(size) {
				break
			}
			l.ahead = size
		}
		s.open(&l)
		s.loads = append(s.loads, l)
		s.plan = s.plan[len(l.pieces):]
	}
	if len(s.loads) == 0 {
		return s.failed
	}
	return nil
}

// next is what comes next of the plan: some pieces and the bytes that they need, with a ticket if
// these are in memory.
func (s *scan) next() load {
	if s.plan[0].columns != nil {
		return load{spans: s.plan[0].spans(), pieces: s.plan[:1]}
	}
	n, want, held, hit := group(s.plan, s.fetchBytes, s.r.fetches.cached)
	l := load{spans: []span{want}, pieces: s.plan[:n]}
	if hit {
		l.tickets = []*ticket{{chunk: held}}
	}
	return l
}

// open has the bytes of a load come, unless they are there.
func (s *scan) open(l *load) {
	if len(l.tickets) > 0 {
		s.r.metrics.hits.Inc()
		return
	}
	for _, want := range l.spans {
		l.tickets = append(l.tickets, s.r.fetches.open(s.ctx, want))
	}
}

// relocate is what a 404 asks for: the object was merged into another, or expired, and this
// node has not heard of it. Everything fetched ahead is let go; the scan goes on from the
// same offset with what the log says now.
func (s *scan) relocate(object string) error {
	s.r.metrics.stale.Inc()
	s.discard()
	if err := s.r.catchUp(s.ctx); err != nil {
		return err
	}
	s.plan, s.failed = nil, nil
	for _, c := range s.cursors {
		c.rewind()
	}
	s.gone = append(s.gone, object)
	return nil
}

// lost is the alarm: the log, as current as it gets, names an object that is not there.
// Never an empty answer: the records exist, as far as anyone has been told.
func (s *scan) lost(pl foz.Placement) error {
	s.r.metrics.lost.Inc()
	return foz.Errorf(foz.CodeStorage,
		"object %s is missing from the store, but holds offsets [%d,%d) of partition %s: %w",
		pl.Object, pl.Base, pl.Next(), pl.Segment.Partition, objectstore.ErrNotFound)
}

// finish gives back what a load holds.
func (s *scan) finish(l load) {
	for _, t := range l.tickets {
		s.r.fetches.leave(t)
	}
	s.r.fetches.ahead.Release(l.ahead)
}

// discard gives back what all loads hold.
func (s *scan) discard() {
	for _, l := range s.loads {
		s.finish(l)
	}
	s.loads = nil
}

// explain makes an error of decode into one that a client can act on.
func (s *scan) explain(at span, err error) error {
	if err == nil || s.ctx.Err() != nil {
		return err
	}
	var known *foz.Error
	if errors.As(err, &known) {
		return err
	}
	return foz.Errorf(foz.CodeStorage, "read %s: %w", at, err)
}

var errBounds = errors.New("the index names no bytes")
