package sim

import (
	"context"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/objectstore"
)

// Planted bugs in what compactors are told, and in what they tell.

// tables are what a compactor swaps through.
func (h *house) tables(s *services, t compactor.Tables) compactor.Tables {
	switch {
	case h.options.DeleteRefused:
		return tidy{t, s.Store}
	case h.options.RetainLess:
		return eager{t}
	case h.options.PassPartly:
		return partial{t}
	case h.options.OffsetsNarrow:
		return narrow{t}
	}
	return t
}

// tidy deletes what was written for a swap that was not accepted, as far as it can tell.
type tidy struct {
	compactor.Tables
	store objectstore.Store
}

func (t tidy) Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error) {
	r, err := t.Tables.Swap(ctx, s)
	if err != nil || !slices.Contains(r.Accepted, true) {
		_ = t.store.Delete(ctx, s.Object)
	}
	return r, err
}

// eager lets one record more go than retention says.
type eager struct{ compactor.Tables }

func (e eager) Retain(ctx context.Context, r foz.Retain) error {
	r.Starts = slices.Clone(r.Starts)
	for i := range r.Starts {
		r.Starts[i].Earliest++
	}
	return e.Tables.Retain(ctx, r)
}

// partial leaves out the first placement of each partition: passes of key compaction take all
// for what begins after it.
type partial struct{ compactor.Tables }

func (p partial) View() compactor.View { return headless{p.Tables.View()} }

type headless struct{ compactor.View }

func (v headless) Locate(p foz.Partition, from int64, limit int) (
	[]foz.Placement, foz.Bounds, error,
) {
	placements, bounds, err := v.View.Locate(p, from, limit)
	if len(placements) > 0 && placements[0].Base <= bounds.Earliest {
		placements = placements[1:]
	}
	return placements, bounds, err
}

// narrow has merges compute with offsets of a byte. The swap names the placements as they are.
type narrow struct{ compactor.Tables }

func (n narrow) View() compactor.View { return bytewise{n.Tables.View()} }

type bytewise struct{ compactor.View }

func (v bytewise) Locate(p foz.Partition, from int64, limit int) (
	[]foz.Placement, foz.Bounds, error,
) {
	placements, bounds, err := v.View.Locate(p, from, limit)
	placements = slices.Clone(placements)
	for i := range placements {
		if pl := &placements[i]; pl.Segment.Level == 0 {
			pl.Base = int64(uint8(pl.Base))
		}
	}
	return placements, bounds, err
}

func (n narrow) Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error) {
	for i := range s.Outputs {
		out := &s.Outputs[i]
		placements, _, _ := n.Tables.View().Locate(out.Segment.Partition, 0, 1<<62)
		for j := range out.Inputs {
			in := &out.Inputs[j]
			for _, pl := range placements {
				if pl.Object == in.Object && uint8(pl.Base) == uint8(in.Range.Base) {
					in.Range = foz.Range{Base: pl.Base, Next: pl.Next()}
				}
			}
		}
		out.Range = foz.Range{
			Base: out.Inputs[0].Range.Base, Next: out.Inputs[len(out.Inputs)-1].Range.Next,
		}
	}
	return n.Tables.Swap(ctx, s)
}
