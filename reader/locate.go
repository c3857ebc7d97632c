package reader

import (
	"context"
	"errors"
	"math"

	"github.com/fozlog/foz"
)

// anyOffset asks locate for bounds alone: nothing is placed there and it is never refused.
const anyOffset = math.MaxInt64

// locate asks the index for placements from an offset on. An answer that denies something
// (not found, out of range) is asked for again after catching up, so that a lagging replica
// never denies what another node has acknowledged.
func (r *Reader) locate(
	ctx context.Context, p foz.Partition, from int64, limit int,
) ([]foz.Placement, foz.Bounds, error) {
	page, bounds, err := r.locator.Locate(p, from, limit)
	if err == nil && holds(bounds, from) {
		return page, bounds, nil
	}
	if err := r.catchUp(ctx); err != nil {
		return nil, foz.Bounds{}, err
	}
	page, bounds, err = r.locator.Locate(p, from, limit)
	if err == nil && !holds(bounds, from) {
		err = outOfRange(p, from, bounds)
	}
	return page, bounds, err
}

// holds says whether a read may begin at an offset. The end is a place to begin: it is where
// the next record will be.
func holds(b foz.Bounds, from int64) bool {
	return from == anyOffset || b.Earliest <= from && from <= b.Next
}

func outOfRange(p foz.Partition, offset int64, b foz.Bounds) error {
	return foz.Errorf(foz.CodeOffsetOutOfRange,
		"partition %s holds offsets from %d to before %d, asked for %d",
		p, b.Earliest, b.Next, offset).
		With(foz.NumberEarliestOffset, b.Earliest).
		With(foz.NumberNextOffset, b.Next)
}

// catchUp makes the index current. When it cannot, nothing may be denied: the error says
// that the answer is not known, not that it is no.
func (r *Reader) catchUp(ctx context.Context) error {
	r.metrics.catchUps.Inc()
	err := r.locator.CatchUp(ctx)
	var known *foz.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return err
	}
	return foz.Errorf(foz.CodeUnavailable, "catch up with the log: %w", err)
}
