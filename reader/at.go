package reader

import (
	"context"
	"errors"
	"math"

	"github.com/fozlog/foz"
)

// OffsetAt gives the first offset of p whose timestamp is at least ms, and that timestamp.
// If no record is that young it gives Next and -1, after catching up. Timestamps are the
// producers' and in no order: the bounds of a segment, or of a batch of a merged one, only say
// that it need not be opened, and one that is opened may turn out to hold no such record among
// the rows that count. Errors as in Scan. It costs a GET for each segment or batch opened that
// is not in memory, which is one but for rows that were refused, and one for the footer of a
// merged segment not seen before.
func (r *Reader) OffsetAt(
	ctx context.Context, p foz.Partition, ms int64,
) (offset, timestamp int64, err error) {
	bounds, err := r.Bounds(ctx, p, false)
	if err != nil {
		return 0, 0, err
	}
	at, err := r.search(ctx, p, bounds.Earliest, ms)
	if err == nil && !at.found { // "there is none" is a denial: look at what is new
		if err = r.catchUp(ctx); err == nil {
			at, err = r.search(ctx, p, at.offset, ms)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	return at.offset, at.timestamp, nil
}

// moment is a record that was looked for, or, not found, the offset that was looked up to.
type moment struct {
	offset, timestamp int64
	found             bool
}

// search looks from an offset on, or from the log's start if retention has overtaken it.
func (r *Reader) search(
	ctx context.Context, p foz.Partition, from, ms int64,
) (moment, error) {
	for {
		at, err := r.searchFrom(ctx, p, from, ms)
		if !errors.Is(err, &foz.Error{Code: foz.CodeOffsetOutOfRange}) {
			return at, err
		}
		bounds, err := r.Bounds(ctx, p, false)
		if err != nil {
			return moment{}, err
		}
		from = max(bounds.Earliest, at.offset)
	}
}

// searchFrom looks at all records from an offset on that may be young enough.
func (r *Reader) searchFrom(
	ctx context.Context, p foz.Partition, from, ms int64,
) (moment, error) {
	at := moment{offset: from, timestamp: -1}
	s := r.newScan(ctx)
	s.since, s.depthMax, s.fetchBytes = ms, 1, 0 // one is likely to be enough
	s.visit = func(_ foz.Partition, run foz.Run) bool {
		at.offset = run.Next()
		for i, timestamp := range run.Rows.Timestamps[run.From:run.To] {
			if timestamp >= ms {
				at = moment{run.Offset(i), timestamp, true}
				break
			}
		}
		return !at.found
	}
	rg := foz.Range{Base: from, Next: math.MaxInt64}
	err := s.all(p.Topic, foz.PartitionRange{Partition: p.Number, Range: rg})
	return at, err
}
