package reader

import (
	"fmt"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/segment"
)

// projection is how the columns of one record batch are had by their buffers alone.
type projection struct {
	*segment.Projection
	ranges []segment.Bytes
}

// projectGapMax is how many unwanted bytes between two columns are read rather than asked
// around. What lies between columns of one batch is other columns: to read much of them is what
// a projection is to avoid.
const projectGapMax = 4 << 10

// needed are the columns that a query's runs are made of, before it picks: those wanted, and what
// the filter looks at; typed ones in the picker's order.
func needed(q filter.Query, p *filter.Picker) (names []string) {
	looked := q.Wanted()
	if q.Filter != nil {
		looked = append(slices.Clip(looked), q.Filter.Columns()...)
	}
	for _, name := range []string{
		foz.ColumnOffset, foz.ColumnTimestamp, foz.ColumnKey, foz.ColumnValue, foz.ColumnHeaders,
	} {
		// A run that is picked from says the offsets of what is left.
		if slices.Contains(looked, name) || name == foz.ColumnOffset && q.Filter != nil {
			names = append(names, name)
		}
	}
	if p != nil {
		for _, c := range p.Typed() {
			names = append(names, c.Name)
		}
	}
	return names
}

// choose says how a piece is read of which all records are wanted: as it is stored, if that is just
// what is wanted; by columns; or else, and that is how a piece begins, to be decoded whole.
func (s *scan) choose(p *piece) {
	at := p.span()
	stored := s.stored && p.Segment.Level == 1 && at.end-at.start >= storedBytesMin
	switch b := p.batch; {
	case s.columns == nil:
		p.stored = stored && (b == nil || len(b.Typed()) == 0)
	case b != nil && len(b.Nodes) > 0:
		p.columns = s.project(b, p.holds)
		if stored && p.columns != nil && p.columns.Whole(b) {
			p.columns, p.stored = nil, true
		}
	}
}

// project says how a batch's columns are had by themselves; nil: not all are stored.
func (s *scan) project(b *segment.MergedBatch, holds foz.Range) *projection {
	names := s.columns
	switch {
	case s.stored:
		names = s.query.Wanted()
	case int64(b.Rows) < holds.Len() && !slices.Contains(names, foz.ColumnOffset):
		names = append([]string{foz.ColumnOffset}, names...) // what is missing shows in the others
	}
	p, ok := segment.NewProjection(b, names, s.query.Schema)
	if !ok {
		return nil
	}
	var ranges []segment.Bytes
	for _, r := range p.Ranges(b) {
		if n := len(ranges); n > 0 && r.Start-ranges[n-1].End <= projectGapMax {
			ranges[n-1].End = r.End
			continue
		}
		ranges = append(ranges, r)
	}
	return &projection{p, ranges}
}

// spans are the bytes that a piece needs.
func (p piece) spans() []span {
	if p.columns == nil {
		return []span{p.span()}
	}
	spans := make([]span, len(p.columns.ranges))
	for i, r := range p.columns.ranges {
		spans[i] = span{p.Object, r.Start, r.End, p.of.partition}
	}
	return spans
}

// runProjected is a whole batch's columns.
func (s *scan) runProjected(p piece, at foz.Range, c chunks) (run foz.Run, err error) {
	if at != p.holds {
		return run, fmt.Errorf("offsets [%d,%d) are cut from a projection", at.Base, at.Next)
	}
	read := func(c chunks) (err error) {
		get := func(r segment.Bytes) ([]byte, bool) { return c.bytes(r.Start, r.End) }
		if s.stored {
			run = foz.Run{To: int(p.batch.Rows)}
			run.Stored, err = p.columns.Message(p.batch, p.of.partition.Number, get)
		} else {
			run, err = p.columns.Decode(p.batch, get)
		}
		return err
	}
	if err = read(c); err != nil {
		err = s.heal(p.spans(), err, read)
	}
	run.Base, run.End = p.holds.Base, p.holds.Next
	return run, err
}

// chunks are the bytes of a load.
type chunks []chunk

// bytes gives the object's bytes [start, end); false if no chunk has them all.
func (c chunks) bytes(start, end int64) ([]byte, bool) {
	for _, chunk := range c {
		if data, ok := chunk.bytes(start, end); ok {
			return data, true
		}
	}
	return nil, false
}
