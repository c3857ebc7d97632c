package metadata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: swaps and retention as the model has them. It knows of the pieces of a partition what
// the wire names: an object and a range. Which offsets of a merged range have no record is
// the object's business, so all of them are written alike.

type modelPiece struct {
	object     string
	base, next int64
	rows       int64
}

func isCompact(c *logpb.TopicConfig) bool {
	return strings.HasPrefix(c.GetCleanupPolicy(), "compact")
}

// splitRecord gives the segment ("object/segment") and the row of a record's name.
func splitRecord(record string) (segment string, row int) {
	at := strings.LastIndex(record, "/")
	if _, err := fmt.Sscan(record[at+1:], &row); err != nil {
		panic(err)
	}
	return record[:at], row
}

// append takes the rows of one batch: the last piece grows if they continue its segment.
func (p *modelPart) append(rows []string) {
	n, count := int64(len(p.records)), int64(len(rows))
	segment, row := splitRecord(rows[0])
	object := segment[:strings.LastIndex(segment, "/")]
	if i := len(p.pieces) - 1; i >= 0 && p.pieces[i].object == object {
		if s, r := splitRecord(p.records[n-1]); s == segment && r+1 == row {
			p.pieces[i].next += count
			p.pieces[i].rows += count
			p.records = append(p.records, rows...)
			return
		}
	}
	p.pieces = append(p.pieces, modelPiece{object, n, n + count, count})
	p.records = append(p.records, rows...)
}

func mergedRecord(object string, s foz.Segment, base, next int64) string {
	return fmt.Sprintf("%s/%d of %d in %d-%d", object, s.ByteStart, s.Rows, base, next)
}

func (m *model) swap(id string, w *logpb.Swap) string {
	s, err := DecodeSwap(w)
	birth, unique, _ := strings.Cut(id, "/")
	if err != nil || s.Object != "data/"+birth+"/"+unique+".arrow" {
		return "bad_request"
	}
	accepted := make([]bool, len(s.Outputs))
	for i, o := range s.Outputs {
		accepted[i] = m.output(s.Object, o)
	}
	return tellAccepted(accepted)
}

func (m *model) output(object string, o foz.SwapOutput) bool {
	t := m.topics[string(o.Segment.Partition.Topic[:])]
	number := int(o.Segment.Partition.Number)
	if t == nil || number >= len(t.parts) || len(o.Inputs) == 0 || o.Range.Base < 0 {
		return false
	}
	p := t.parts[number]
	var live, most int64 // records
	found, at := 0, o.Range.Base
	for _, in := range o.Inputs {
		if in.Range.Base != at {
			return false
		}
		at = in.Range.Next
		if in.Range.Next <= p.earliest {
			most += in.Range.Len()
			continue
		}
		i := slices.IndexFunc(p.pieces, func(q modelPiece) bool {
			return q.object == in.Object && q.base == in.Range.Base && q.next == in.Range.Next
		})
		if i < 0 {
			return false
		}
		found++
		live += p.pieces[i].rows
	}
	most += live
	rows := int64(o.Segment.Rows)
	if found == 0 || at != o.Range.Next || rows > most || rows < live && !t.compact {
		return false
	}
	if rows < most {
		p.generation = m.slot
	}
	p.put(object, o)
	return true
}

// put has one piece stand where its inputs stood.
func (p *modelPart) put(object string, o foz.SwapOutput) {
	p.pieces = slices.DeleteFunc(p.pieces, func(q modelPiece) bool {
		return q.next > o.Range.Base && q.base < o.Range.Next
	})
	p.pieces = append(p.pieces,
		modelPiece{object, o.Range.Base, o.Range.Next, int64(o.Segment.Rows)})
	slices.SortFunc(p.pieces, func(a, b modelPiece) int { return int(a.base - b.base) })
	for i := o.Range.Base; i < o.Range.Next; i++ {
		p.records[i] = mergedRecord(object, o.Segment, o.Range.Base, o.Range.Next)
	}
}

func (m *model) retain(r *logpb.Retain) string {
	t := m.topics[string(r.Topic)]
	switch {
	case t == nil:
		return "topic_not_found"
	case t.revision != r.Revision:
		return "topic_changed"
	case !slices.IsSorted(r.Partition):
		return "bad_request"
	case len(r.Partition) > 0 && int(slices.Max(r.Partition)) >= len(t.parts):
		return "partition_not_found"
	}
	for i, number := range r.Partition {
		p := t.parts[number]
		p.earliest = max(p.earliest, min(r.Earliest[i], int64(len(p.records))))
	}
	return "ok"
}

// swap draws a merge of pieces that lie beside each other, some of which may be below the log
// start by now, sometimes spoilt, and sometimes kept back, as by a compactor that is slow.
func (d *drawer) swap(birth uint64, unique string) *logpb.Command {
	keep := d.chance("keep", 3)
	if keep {
		unique += "kept"
	}
	s := foz.Swap{Object: foz.ObjectKey(birth, unique)}
	topic, number := d.topic(), int32(d.upTo("partition", 2))
	for i := range 1 + d.upTo("outputs", 1) {
		if o, ok := d.output(topic, number, int64(8+100*i)); ok {
			s.Outputs = append(s.Outputs, o)
		}
	}
	c := command(swapToWire(s))
	if keep {
		d.kept = append(d.kept, born(birth, unique, c))
		return noop()
	}
	return c
}

func (d *drawer) output(topic foz.TopicID, number int32, start int64) (
	o foz.SwapOutput, ok bool,
) {
	t := d.m.topics[string(topic[:])]
	if t == nil || int(number) >= len(t.parts) || len(t.parts[number].pieces) == 0 {
		return o, false
	}
	pieces := t.parts[number].pieces
	first := d.upTo("first", len(pieces)-1)
	last := min(len(pieces), first+5-d.upTo("fewer inputs", 4))
	rows := int64(0)
	for _, piece := range pieces[first:last] {
		o.Inputs = append(o.Inputs, foz.SwapInput{
			Object: piece.object, Range: foz.Range{Base: piece.base, Next: piece.next}})
		rows += piece.rows
	}
	o.Range = foz.Range{Base: pieces[first].base, Next: pieces[last-1].next}
	if t.compact && d.chance("fewer", 2) || d.chance("too few", 12) {
		rows = max(1, rows-int64(d.upTo("fewer by", 9)))
	}
	switch d.upTo("spoil", 15) {
	case 0:
		o.Inputs[0].Object = o.Inputs[len(o.Inputs)-1].Object
	case 1:
		slices.Reverse(o.Inputs)
	case 2:
		o.Range.Base += int64(d.upTo("off by", 2)) - 1
		o.Inputs[0].Range.Base = o.Range.Base
	case 3:
		rows++
	case 4:
		o.Range.Next += int64(d.upTo("off by", 2)) - 1
		o.Inputs[len(o.Inputs)-1].Range.Next = o.Range.Next
	}
	o.Segment = foz.Segment{
		Partition: foz.Partition{Topic: topic, Number: number}, Rows: int32(rows),
		ByteStart: start, ByteEnd: start + 50, Level: 1, Batches: 1,
	}
	return o, true
}

func (d *drawer) retain() *logpb.Command {
	topic := d.topic()
	r := foz.Retain{Topic: topic}
	if t := d.m.topics[string(topic[:])]; t != nil {
		r.Revision = t.revision - uint64(d.upTo("stale", 1))
	}
	for number := range int32(3) {
		if d.chance("move", 2) {
			r.Starts = append(r.Starts,
				foz.PartitionStart{Partition: number, Earliest: d.near(topic, number)})
		}
	}
	if d.chance("unsorted", 12) {
		slices.Reverse(r.Starts)
	}
	return command(retainToWire(r))
}
