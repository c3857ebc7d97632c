package reader

import (
	"container/list"
	"fmt"
	"math"
	"sync"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// footerBatchesMax is how many batches all footers that are kept may tell of, about 1 KiB
// each: of 8 MiB, they are 512 GiB. One with typed columns counts more.
const footerBatchesMax = 1 << 16

// weight is how many batches of a topic without typed columns take as much.
func weight(batches []segment.MergedBatch) (n int) {
	for i := range batches {
		n += 1 + len(batches[i].Typed())/4
	}
	return n
}

// footers keeps what segments of many batches say of them, the least recently used dropped
// first.
type footers struct {
	mu       sync.Mutex
	batches  int
	recent   *list.List // of footer
	byObject map[string]*list.Element
}

type footer struct {
	object  string
	segment foz.Segment
	batches []segment.MergedBatch
}

func newFooters() *footers {
	return &footers{recent: list.New(), byObject: map[string]*list.Element{}}
}

func (f *footers) find(pl foz.Placement) ([]segment.MergedBatch, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.byObject[pl.Object]
	if at == nil || at.Value.(footer).segment != pl.Segment {
		return nil, false
	}
	f.recent.MoveToFront(at)
	return at.Value.(footer).batches, true
}

func (f *footers) add(pl foz.Placement, batches []segment.MergedBatch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := f.byObject[pl.Object]; at != nil {
		f.remove(at)
	}
	f.byObject[pl.Object] = f.recent.PushFront(footer{pl.Object, pl.Segment, batches})
	f.batches += weight(batches)
	for f.batches > footerBatchesMax && f.recent.Len() > 1 {
		f.remove(f.recent.Back())
	}
}

func (f *footers) remove(at *list.Element) {
	old := f.recent.Remove(at).(footer)
	f.batches -= weight(old.batches)
	delete(f.byObject, old.object)
}

// batches gives the record batches of a segment of many. It costs a GET the first time.
func (s *scan) batches(c *cursor, pl foz.Placement) ([]segment.MergedBatch, error) {
	if known, ok := s.r.footers.find(pl); ok {
		return known, nil
	}
	at := span{pl.Object, pl.Segment.ByteEnd, pl.Segment.ByteEnd, c.partition}
	if at.start <= 0 || at.start > math.MaxInt64-segment.FooterBytesMax {
		return nil, s.explain(at, errBounds)
	}
	at.end += segment.FooterBytesMax // a Get ends where the object does
	t := s.r.fetches.open(s.ctx, at)
	defer s.r.fetches.leave(t)
	bytes, err := s.r.fetches.wait(s.ctx, t)
	if err != nil {
		return nil, err
	}
	batches, err := inspect(pl, bytes)
	if err != nil {
		err = s.heal([]span{at}, err, func(again chunks) (err error) {
			batches, err = inspect(pl, again[0])
			return err
		})
	}
	if err == nil {
		s.r.footers.add(pl, batches)
	}
	return batches, err
}

// inspect reads a footer and makes sure that it tells of what the index names.
func inspect(pl foz.Placement, c chunk) ([]segment.MergedBatch, error) {
	tail, ok := c.bytes(pl.Segment.ByteEnd, c.end())
	if !ok {
		return nil, fmt.Errorf("%w: the object ends before byte %d",
			segment.ErrDamaged, pl.Segment.ByteEnd)
	}
	batches, err := segment.InspectMerged(tail, pl.Segment)
	if err != nil {
		return nil, err
	}
	first, last := batches[0].First, batches[len(batches)-1].Last
	if err := checkOffsets(pl, int(pl.Segment.Rows), first, last); err != nil {
		return nil, err
	}
	return batches, nil
}

// checkOffsets makes sure that n rows with offsets from first to last are what the index says.
func checkOffsets(pl foz.Placement, n int, first, last int64) error {
	if n != int(pl.RowCount) || n > 0 && (first < pl.Base || last >= pl.Next()) {
		return fmt.Errorf("%w: %d rows at offsets [%d,%d], the index names %d in [%d,%d)",
			segment.ErrDamaged, n, first, last, pl.RowCount, pl.Base, pl.Next())
	}
	return nil
}
