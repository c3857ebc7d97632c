package metadata

import (
	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

func commitToWire(c foz.Commit) *logpb.Commit {
	w := &logpb.Commit{
		Object: c.Object, AppendedMs: c.AppendedMS, Segments: segmentColumns(c.Segments),
		Requests: make([]*logpb.Request, len(c.Requests)),
	}
	for i, r := range c.Requests {
		request := &logpb.Request{Topic: r.Topic[:], IfNextOffset: r.IfNextOffset}
		if p := r.Producer; p != nil {
			request.Producer = &logpb.Producer{Id: p.ID, Epoch: p.Epoch, Seq: p.Seq}
		}
		for _, b := range r.Batches {
			request.Segment = append(request.Segment, b.Segment)
			request.Rows = append(request.Rows, b.Rows)
		}
		w.Requests[i] = request
	}
	return w
}

// commitResult tells each request what became of it. A commit that was refused as a whole
// (expired, malformed) is every request's refusal.
func commitResult(c *foz.Commit, r *logpb.Result) foz.CommitResult {
	answer := foz.CommitResult{Slot: r.Slot, Requests: make([]foz.RequestResult, len(c.Requests))}
	for i := range c.Requests {
		switch {
		case r.Refusal != nil:
			answer.Requests[i].Err = refusalError(r.Refusal)
		case i >= len(r.Requests):
			answer.Requests[i].Err = foz.Errorf(foz.CodeInternal,
				"commit %s has %d results for %d requests", c.Object, len(r.Requests), len(c.Requests))
		default:
			answer.Requests[i] = requestResult(c, &c.Requests[i], r.Slot, r.Requests[i])
		}
	}
	return answer
}

// swapResult tells a swap what became of it. Errors: its refusal as a whole.
func swapResult(s *foz.Swap, r *logpb.Result) (foz.SwapResult, error) {
	if r.Refusal != nil {
		return foz.SwapResult{}, refusalError(r.Refusal)
	}
	if len(r.Accepted) != len(s.Outputs) {
		return foz.SwapResult{}, foz.Errorf(foz.CodeInternal,
			"swap %s has %d results for %d outputs", s.Object, len(r.Accepted), len(s.Outputs))
	}
	return foz.SwapResult{Slot: r.Slot, Accepted: r.Accepted}, nil
}

func requestResult(
	c *foz.Commit, q *foz.CommitRequest, slot uint64, r *logpb.RequestResult,
) foz.RequestResult {
	if r.Refusal != nil {
		return foz.RequestResult{Err: refusalError(r.Refusal)}
	}
	if r.Duplicate != nil {
		return foz.RequestResult{Ack: duplicateAck(r.Duplicate)}
	}
	ack := foz.Ack{Slot: slot, AppendedMS: c.AppendedMS}
	for i, base := range r.Bases {
		ack.Ranges = append(ack.Ranges, foz.PartitionRange{
			Partition: c.Segments[q.Batches[i].Segment].Partition.Number,
			Range:     foz.Range{Base: base, Next: base + int64(q.Batches[i].Rows)},
		})
	}
	return foz.RequestResult{Ack: ack}
}

// duplicateAck is the answer that a request was given before.
func duplicateAck(a *logpb.Answer) foz.Ack {
	ack := foz.Ack{Slot: a.Slot, AppendedMS: a.AppendedMs, Duplicate: true}
	for _, p := range a.Ranges {
		ack.Ranges = append(ack.Ranges, foz.PartitionRange{
			Partition: p.Partition, Range: foz.Range{Base: p.Base, Next: p.Next},
		})
	}
	return ack
}

func refusalError(r *logpb.Refusal) *foz.Error {
	return &foz.Error{Code: foz.Code(r.Code), Detail: r.Detail, Numbers: r.Numbers}
}
