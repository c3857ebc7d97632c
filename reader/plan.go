package reader

import (
	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// gapBytesMax is how many unwanted bytes between two segments are read rather than asked
// around: 1 MiB takes about 10 ms, a GET of its own about 30.
const gapBytesMax = 1 << 20

// piece is what one decode gives, for the cursor that came across it: a placement, or one
// record batch of it.
type piece struct {
	of *cursor
	foz.Placement
	batch   *segment.MergedBatch // of many; nil: the segment is one batch
	columns *projection          // of the batch; nil: all of it is read
	stored  bool                 // it may be yielded as it is stored
	holds   foz.Range            // offsets that are told of here
}

func (p piece) span() span {
	at := span{p.Object, p.Segment.ByteStart, p.Segment.ByteEnd, p.of.partition}
	if p.batch != nil {
		at.start, at.end = p.batch.ByteStart, p.batch.ByteEnd
	}
	return at
}

func (p piece) crc() uint32 {
	if p.batch != nil {
		return p.batch.CRC32C
	}
	return p.Segment.CRC32C
}

// planMore fills the plan unless everything before the end has been planned.
func (s *scan) planMore() error {
	for len(s.plan) == 0 {
		first, err := s.oldest()
		if first == "" || err != nil {
			return err
		}
		if err := s.planObject(first); err != nil {
			return err
		}
	}
	return nil
}

// oldest is the object that comes next: of those where the cursors are the one that was
// appended first.
func (s *scan) oldest() (object string, err error) {
	var first foz.Placement
	for _, c := range s.cursors {
		more, err := s.head(c)
		if err != nil {
			return "", err
		}
		if more && (first.Object == "" || appended(c.page[0], first) < 0) {
			first = c.page[0]
		}
	}
	return first.Object, nil
}

// planObject plans all that comes next in one object, for every partition whose turn it is
// there. Segments lie in an object in order of their partitions, so that neighbours in the
// plan are neighbours in the object.
func (s *scan) planObject(object string) error {
	for _, c := range s.cursors {
		for {
			more, err := s.head(c)
			if err != nil {
				return err
			}
			if !more || c.page[0].Object != object {
				break
			}
			if err := s.planPlacement(c, c.page[0]); err != nil {
				return err
			}
			c.page, c.planned = c.page[1:], c.page[0].Next()
		}
	}
	return nil
}

// planPlacement plans the pieces of a placement that are wanted: none where there are no
// records, or all are too old.
func (s *scan) planPlacement(c *cursor, pl foz.Placement) error {
	whole := foz.Range{Base: pl.Base, Next: pl.Next()}
	switch {
	case pl.RowCount == 0 || pl.Segment.MaxTimestamp < s.since, !s.mayMatch(c, pl, nil):
		return nil
	case pl.Segment.Batches < 2:
		p := piece{of: c, Placement: pl, holds: whole}
		s.choose(&p)
		s.plan = append(s.plan, p)
		return nil
	}
	batches, err := s.batches(c, pl)
	for i := range batches {
		b := &batches[i]
		rg := foz.Range{Base: whole.Base, Next: b.Last + 1}
		whole.Base = rg.Next
		if rg.Base < c.end && rg.Next > c.next && b.MaxTimestamp >= s.since && s.mayMatch(c, pl, b) {
			p := piece{of: c, Placement: pl, batch: b, holds: rg}
			if c.next <= rg.Base && rg.Next <= c.end { // all of it is wanted
				s.choose(&p)
			}
			s.plan = append(s.plan, p)
		}
	}
	return err
}

// group says how many of the pieces that come next one fetch serves, at least one, and which
// bytes it needs: those that one cached chunk holds, or, when the first is not cached,
// neighbours in one object up to bytesMax. A hit is to be served from held, which the cache may
// have dropped when it is asked again.
func group(plan []piece, bytesMax int64, cached func(span) (chunk, bool)) (
	n int, want span, held chunk, hit bool,
) {
	want = plan[0].span()
	held, hit = cached(want)
	n = 1
	for ; n < len(plan) && plan[n].Object == want.object && plan[n].columns == nil; n++ {
		next := plan[n].span()
		if hit {
			if _, ok := held.bytes(next.start, next.end); !ok {
				break
			}
			continue
		}
		if !neighbours(want, next, bytesMax) {
			break
		}
		want.end = max(want.end, next.end)
	}
	return n, want, held, hit
}

func neighbours(have, next span, bytesMax int64) bool {
	return next.start >= have.start &&
		next.start-have.end <= gapBytesMax &&
		next.end > next.start &&
		next.end-have.start <= max(bytesMax, have.end-have.start)
}
