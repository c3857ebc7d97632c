package metadata

import (
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// trim moves a partition's log start up to before.
func (d *draft) trim(t *logpb.Trim) *logpb.Result {
	p, err := d.ownPartition(t.Topic, t.Partition)
	if err != nil {
		return d.refused(err)
	}
	if t.Before > p.next {
		return d.refused(foz.Errorf(foz.CodeOffsetOutOfRange,
			"partition ends at %d, before %d", p.next, t.Before).
			With(foz.NumberNextOffset, p.next).With(foz.NumberEarliestOffset, p.earliest))
	}
	d.start(p, t.Before)
	return &logpb.Result{Offset: p.earliest}
}

// retain moves log starts of a topic up, each to its partition's end at most, unless the
// topic's settings are no longer those it was decided on. It is refused whole.
func (d *draft) retain(r *logpb.Retain) *logpb.Result {
	t, ok := d.topics.Get(string(r.Topic))
	if !ok {
		return d.refused(foz.Errorf(foz.CodeTopicNotFound, "no topic has the id %x", r.Topic))
	}
	if r.Revision != t.Revision {
		return d.refused(foz.Errorf(foz.CodeTopicChanged,
			"topic %q was changed meanwhile: read it again", t.Name))
	}
	if len(r.Partition) != len(r.Earliest) || !slices.IsSorted(r.Partition) {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "%d starts of %d partitions, ascending",
			len(r.Earliest), len(r.Partition)))
	}
	for _, number := range r.Partition {
		if number < 0 || int(number) >= len(t.partitions) {
			return d.refused(foz.Errorf(foz.CodePartitionNotFound,
				"topic %q has partitions 0 to %d, not %d", t.Name, len(t.partitions)-1, number))
		}
	}
	for i, number := range r.Partition {
		if p, err := d.ownPartition(r.Topic, number); err == nil {
			d.start(p, min(r.Earliest[i], p.next))
		}
	}
	return &logpb.Result{}
}

// start moves a partition's log start up to offset and releases what lies wholly below. What
// begins below and goes on above stays whole.
func (d *draft) start(p *partition, offset int64) {
	p.earliest = max(p.earliest, offset)
	gone := 0
	for gone < len(p.placements) && p.placements[gone].Next() <= p.earliest {
		d.release(&p.placements[gone])
		p.count(&p.placements[gone], -1)
		gone++
	}
	p.placements = p.placements[gone:]
}

// name counts a placement in, and its name of its object.
func (d *draft) name(p *foz.Placement) {
	d.placements++
	names, _ := d.objects.Get(p.Object)
	d.objects.Set(p.Object, names+1)
}

// release takes back one placement's name of its object. An object that no placement names
// is dead: it can never become live again, because its key was decided on.
func (d *draft) release(p *foz.Placement) {
	d.placements--
	names, _ := d.objects.Get(p.Object)
	if names > 1 {
		d.objects.Set(p.Object, names-1)
		return
	}
	d.objects.Delete(p.Object)
	d.released = d.slot
}

// count adds a placement's sizes to the partition's sums, n times.
func (p *partition) count(placement *foz.Placement, n int64) {
	p.bytes += n * placementBytes(placement)
	p.missing += n * placement.Missing
}

func placementBytes(p *foz.Placement) int64 {
	if p.Segment.Rows == 0 {
		return 0
	}
	length := p.Segment.ByteEnd - p.Segment.ByteStart
	return length * int64(p.RowCount) / int64(p.Segment.Rows)
}
