package metadata

import (
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// commitment is one COMMIT being decided: its segments, and how many rows of each have
// been given to requests so far, accepted or not.
type commitment struct {
	object     string
	appendedMS int64
	segments   []foz.Segment
	taken      []int32
}

// commit accepts an object and decides each of its requests whole. It never refuses the
// object: what a refused request brought is left out of the placements.
func (d *draft) commit(id string, c *logpb.Commit) *logpb.Result {
	segments, err := segmentRows(c.Segments)
	merged := func(s foz.Segment) bool { return s.Level != 0 || s.Batches != 0 }
	if err != nil || c.Object != objectKey(id) || slices.ContainsFunc(segments, merged) {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "commit %s is malformed", id))
	}
	d.committed = d.slot
	m := &commitment{c.Object, c.AppendedMs, segments, make([]int32, len(segments))}
	result := &logpb.Result{Requests: make([]*logpb.RequestResult, len(c.Requests))}
	for i, r := range c.Requests {
		result.Requests[i] = d.request(m, r)
	}
	return result
}

// request decides one request: duplicate, refused, or every batch placed. Whatever it is
// told, its rows of the segments are used up.
func (d *draft) request(m *commitment, r *logpb.Request) *logpb.RequestResult {
	first, err := m.take(r)
	if err != nil {
		return &logpb.RequestResult{Refusal: refusal(err)}
	}
	parts := make([]*partition, len(r.Segment))
	for i, at := range r.Segment {
		p := m.segments[at].Partition
		if string(p.Topic[:]) != string(r.Topic) {
			return &logpb.RequestResult{Refusal: refusal(foz.Errorf(foz.CodeBadRequest,
				"segment %d is not of the request's topic", at))}
		}
		if parts[i], err = d.ownPartition(r.Topic, p.Number); err != nil {
			return &logpb.RequestResult{Refusal: refusal(err)}
		}
	}
	answer, err := d.sequence(r)
	if err != nil {
		return &logpb.RequestResult{Refusal: refusal(err)}
	}
	if answer != nil {
		return &logpb.RequestResult{Duplicate: answer}
	}
	if r.IfNextOffset != nil && (len(parts) != 1 || parts[0].next != *r.IfNextOffset) {
		return &logpb.RequestResult{Refusal: refusal(offsetConflict(parts, *r.IfNextOffset))}
	}
	result := &logpb.RequestResult{Bases: make([]int64, len(parts))}
	for i, p := range parts {
		result.Bases[i] = d.place(p, m, r.Segment[i], first[i], r.Rows[i])
	}
	d.remember(m, r, result.Bases)
	return result
}

func offsetConflict(parts []*partition, want int64) *foz.Error {
	if len(parts) != 1 {
		return foz.Errorf(foz.CodeBadRequest, "if_next_offset with %d partitions", len(parts))
	}
	return foz.Errorf(foz.CodeOffsetConflict, "the next offset is %d, not %d",
		parts[0].next, want).With(foz.NumberNextOffset, parts[0].next)
}

// take gives the request its rows: the next ones of each segment it names. first[i] is the
// row at which its i-th batch begins.
func (m *commitment) take(r *logpb.Request) (first []int32, err *foz.Error) {
	if len(r.Segment) == 0 || len(r.Segment) != len(r.Rows) || len(r.Topic) != 16 {
		return nil, foz.Errorf(foz.CodeBadRequest, "request is malformed")
	}
	first = make([]int32, len(r.Segment))
	for i, at := range r.Segment {
		if at < 0 || int(at) >= len(m.segments) || r.Rows[i] <= 0 ||
			r.Rows[i] > m.segments[at].Rows-m.taken[at] {
			return nil, foz.Errorf(foz.CodeBadRequest, "request claims rows that are not there")
		}
		first[i] = m.taken[at]
		m.taken[at] += r.Rows[i]
	}
	return first, nil
}

// place gives rows of a segment the next offsets of their partition. Rows that continue
// the last placement of the same segment join it.
func (d *draft) place(p *partition, m *commitment, segment, row, rows int32) int64 {
	base := p.next
	p.next += int64(rows)
	if n := len(p.placements); n > 0 {
		last := &p.placements[n-1]
		if last.Object == m.object && last.Segment == m.segments[segment] &&
			last.RowStart+last.RowCount == row {
			p.count(last, -1)
			last.RowCount += rows
			p.count(last, 1)
			return base
		}
	}
	placement := foz.Placement{
		Object: m.object, Segment: m.segments[segment],
		RowStart: row, RowCount: rows, Base: base, AppendedMS: m.appendedMS,
	}
	p.placements = append(p.placements, placement)
	p.count(&placement, 1)
	d.name(&placement)
	return base
}

// sequence judges an idempotent request. Exactly one of: an answer it was given before, an
// error, or neither (it is the next one). A duplicate is found before any condition is
// looked at, and a refused request consumes no sequence.
func (d *draft) sequence(r *logpb.Request) (*logpb.Answer, *foz.Error) {
	if r.Producer == nil {
		return nil, nil
	}
	epoch, seq := r.Producer.Epoch, r.Producer.Seq
	p, known := d.producers.Get(string(r.Topic) + r.Producer.Id)
	switch {
	case seq < 0 || len(r.Producer.Id) > nameBytesMax:
		return nil, foz.Errorf(foz.CodeBadRequest,
			"sequence %d of a producer of %d bytes: sequences begin at 0, ids have %d bytes at most",
			seq, len(r.Producer.Id), nameBytesMax)
	case !known && seq > 0:
		return nil, foz.Errorf(foz.CodeUnknownProducer,
			"producer %q is not known here and sequence %d is not its first", r.Producer.Id, seq).
			With(foz.NumberExpectedSeq, 0)
	case !known:
		return nil, nil
	case epoch < p.epoch:
		return nil, foz.Errorf(foz.CodeProducerFenced,
			"producer %q is at epoch %d, not %d", r.Producer.Id, p.epoch, epoch).
			With(foz.NumberProducerEpoch, p.epoch)
	case epoch > p.epoch && seq > 0:
		return nil, sequenceGap(r.Producer, 0)
	case epoch > p.epoch || seq == p.next:
		return nil, nil
	case seq > p.next:
		return nil, sequenceGap(r.Producer, p.next)
	}
	for _, a := range p.answers {
		if a.Seq == seq {
			return a, nil
		}
	}
	return nil, foz.Errorf(foz.CodeSequenceExpired,
		"sequence %d of producer %q was appended, and its offsets are no longer remembered",
		seq, r.Producer.Id).With(foz.NumberExpectedSeq, p.next)
}

func sequenceGap(p *logpb.Producer, expected int64) *foz.Error {
	return foz.Errorf(foz.CodeSequenceGap, "producer %q sent sequence %d, expected %d",
		p.Id, p.Seq, expected).With(foz.NumberExpectedSeq, expected)
}

// remember keeps an idempotent request's answer for its retries.
func (d *draft) remember(m *commitment, r *logpb.Request, bases []int64) {
	if r.Producer == nil {
		return
	}
	key := string(r.Topic) + r.Producer.Id
	own := producer{}
	if p, ok := d.producers.Get(key); ok && p.epoch == r.Producer.Epoch {
		own = *p
	}
	answer := &logpb.Answer{
		Seq: r.Producer.Seq, Slot: d.slot, AppendedMs: m.appendedMS,
		Ranges: make([]*logpb.PartitionRange, len(bases)),
	}
	for i, base := range bases {
		answer.Ranges[i] = &logpb.PartitionRange{
			Partition: m.segments[r.Segment[i]].Partition.Number,
			Base:      base,
			Next:      base + int64(r.Rows[i]),
		}
	}
	own.epoch, own.next = r.Producer.Epoch, r.Producer.Seq+1
	own.slot, own.appendedMS = d.slot, m.appendedMS
	own.answers = append(own.answers, answer)
	own.answers = own.answers[max(0, len(own.answers)-answersMax):]
	d.producers.Set(key, &own)
}
