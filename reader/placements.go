package reader

import (
	"context"
	"slices"

	"github.com/fozlog/foz"
)

// Placements gives up to limit placements of p that hold offsets of a range, in order, as one
// state of the index has them, and what p holds. It costs nothing. Errors as in Bounds;
// offset_out_of_range where p does not hold rg.Base.
func (r *Reader) Placements(
	ctx context.Context, p foz.Partition, rg foz.Range, limit int,
) ([]foz.Placement, foz.Bounds, error) {
	page, bounds, err := r.locate(ctx, p, rg.Base, limit)
	if err != nil {
		return nil, bounds, err
	}
	if n := slices.IndexFunc(page, func(pl foz.Placement) bool { return pl.Base >= rg.Next }); n >= 0 {
		page = page[:n]
	}
	return page, bounds, nil
}
