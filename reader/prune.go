package reader

import (
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// mayMatch says whether a placement, or a record batch of it, can hold records that are wanted,
// by what is known without its bytes. A segment's times are those of all its rows.
func (s *scan) mayMatch(c *cursor, pl foz.Placement, b *segment.MergedBatch) bool {
	if s.query.Filter == nil {
		return true
	}
	bounds := map[string][2]int64{
		foz.ColumnPartition: {int64(c.partition.Number), int64(c.partition.Number)},
		foz.ColumnOffset:    {pl.Base, pl.Next() - 1},
		foz.ColumnTimestamp: {pl.Segment.MinTimestamp, pl.Segment.MaxTimestamp},
	}
	if b != nil {
		bounds[foz.ColumnOffset] = [2]int64{b.First, b.Last}
		bounds[foz.ColumnTimestamp] = [2]int64{b.MinTimestamp, b.MaxTimestamp}
	}
	return s.query.Filter.MayMatch(func(column string) (foz.ColumnStats, bool) {
		if at, known := bounds[column]; known {
			return foz.ColumnStats{
				Min: &foz.Scalar{Int64: at[0]}, Max: &foz.Scalar{Int64: at[1]},
			}, true
		}
		return s.statsOf(b, column)
	})
}

// statsOf is what a footer says of a column: of the key, or a typed one that is stored.
func (s *scan) statsOf(b *segment.MergedBatch, column string) (stats foz.ColumnStats, ok bool) {
	if b == nil || len(b.Stats) == 0 {
		return stats, false
	}
	if column == foz.ColumnKey {
		return b.Stats[0], true
	}
	for i, c := range b.Typed() {
		if c.Name == column {
			return b.Stats[1+i], slices.Contains(s.query.Schema, c)
		}
	}
	return stats, false
}
