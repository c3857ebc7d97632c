package metadata

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// swap decides each of a merged object's segments by itself, in order: it takes the place of
// its inputs if they are what the partition has, and nothing changes if they are not. Nobody
// owns a range: of two merges of the same placements, the second finds them gone.
func (d *draft) swap(id string, w *logpb.Swap) *logpb.Result {
	s, err := DecodeSwap(w)
	if err != nil || s.Object != objectKey(id) {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "swap %s is malformed", id))
	}
	result := &logpb.Result{Slot: d.slot, Accepted: make([]bool, len(s.Outputs))}
	for i := range s.Outputs {
		result.Accepted[i] = d.output(s.Object, &s.Outputs[i])
	}
	return result
}

// output puts one segment in the place of its inputs, or says no.
func (d *draft) output(object string, o *foz.SwapOutput) bool {
	at := o.Segment.Partition
	p, err := d.partition(at)
	if err != nil || !sane(o) {
		return false
	}
	first, last, live := p.find(o)
	if d.defects.SwapUncheckedInputs {
		first, last = p.within(o.Range)
	} else if !live || !d.possible(p.placements[first:last], o) {
		return false
	}
	p, _ = d.ownPartition(at.Topic[:], at.Number)
	d.replace(p, first, last, foz.Placement{
		Object: object, Segment: o.Segment, RowCount: o.Segment.Rows,
		Base: o.Range.Base, Missing: o.Range.Len() - int64(o.Segment.Rows),
	})
	return true
}

// sane: the segment can be what it is said to be, and the inputs tile its range.
func sane(o *foz.SwapOutput) bool {
	s, next := &o.Segment, o.Range.Base
	for _, in := range o.Inputs {
		if in.Range.Base != next || in.Range.Next <= next {
			return false
		}
		next = in.Range.Next
	}
	return len(o.Inputs) > 0 && next == o.Range.Next && o.Range.Base >= 0 &&
		s.Level == 1 && s.Batches > 0 && s.Rows > 0 && int64(s.Rows) <= o.Range.Len() &&
		s.ByteEnd > s.ByteStart && s.MaxTimestamp >= s.MinTimestamp
}

// find gives the placements [first, last) that are the output's inputs. An input wholly below
// the log start counts as there, because its records would have gone with it; every other
// must be live just as it was, and one at least must be.
func (p *partition) find(o *foz.SwapOutput) (first, last int, live bool) {
	inputs := o.Inputs
	for len(inputs) > 0 && inputs[0].Range.Next <= p.earliest {
		inputs = inputs[1:]
	}
	if len(inputs) == 0 {
		return 0, 0, false
	}
	first = p.index(inputs[0].Range.Base)
	last = first + len(inputs)
	if last > len(p.placements) {
		return 0, 0, false
	}
	for i, in := range inputs {
		is := &p.placements[first+i]
		if is.Object != in.Object || is.Base != in.Range.Base || is.Next() != in.Range.Next {
			return 0, 0, false
		}
	}
	return first, last, true
}

// index is where the first placement lies that begins at base or above.
func (p *partition) index(base int64) int {
	i, _ := slices.BinarySearchFunc(p.placements, base,
		func(l foz.Placement, base int64) int { return cmp.Compare(l.Base, base) })
	return i
}

// within gives the placements [first, last) inside a range, whosever they are.
func (p *partition) within(r foz.Range) (first, last int) {
	first = p.index(r.Base)
	for last = first; last < len(p.placements) && p.placements[last].Next() <= r.Next; {
		last++
	}
	return first, last
}

// possible: the output has no more records than its live inputs and what lies below them,
// and no fewer than the live ones unless the topic is compacted by key: then they are the
// same records.
func (d *draft) possible(inputs []foz.Placement, o *foz.SwapOutput) bool {
	var live int64
	for i := range inputs {
		live += int64(inputs[i].RowCount)
	}
	rows, below := int64(o.Segment.Rows), inputs[0].Base-o.Range.Base
	t, _ := d.TopicByID(o.Segment.Partition.Topic)
	compacted := strings.Contains(t.Config.CleanupPolicy, "compact")
	return rows <= live+below && (compacted || rows >= live)
}

// replace puts one placement in the place of [first, last). Older states see the slice as it
// is, so the partition gets a new one.
func (d *draft) replace(p *partition, first, last int, merged foz.Placement) {
	missing := p.missing
	d.name(&merged)
	p.count(&merged, 1)
	for i := first; i < last; i++ {
		merged.AppendedMS = max(merged.AppendedMS, p.placements[i].AppendedMS)
		d.release(&p.placements[i])
		p.count(&p.placements[i], -1)
	}
	if p.missing != missing {
		p.generation = d.slot
	}
	all := make([]foz.Placement, 0, len(p.placements)-(last-first)+1)
	all = append(append(all, p.placements[:first]...), merged)
	p.placements = append(all, p.placements[last:]...)
}
