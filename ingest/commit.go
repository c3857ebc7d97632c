package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fozlog/foz"
)

// commitNext waits for the next uploaded objects and commits them; false: drained.
//
// Invariant: one commit call is under way at a time, and it holds a run of the queue from
// its head. A commit that overtook an earlier one's retry would reorder a producer.
func (i *Ingest) commitNext(ctx context.Context) bool {
	objects := i.takeUploaded()
	if objects == nil {
		return false
	}
	if err := i.commit(ctx, objects); err != nil {
		i.deps.Logger.Warn("commit unknown", "objects", len(objects), "error", err)
	}
	return true
}

// takeUploaded takes the objects at the head of the queue whose uploads have ended, as many
// as one commit call may carry, and drops those that failed; nil: drained.
func (i *Ingest) takeUploaded() []*object {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		var objects []*object
		size := 0
		taken := 0
		for _, o := range i.queue {
			if o.state == uploading ||
				len(objects) > 0 && size+o.commitBytes > i.cfg.CommitBytesMax {
				break
			}
			taken++
			if o.state == uploaded {
				objects = append(objects, o)
				size += o.commitBytes
			}
		}
		clear(i.queue[:taken])
		i.queue = i.queue[taken:]
		if len(objects) > 0 {
			return objects
		}
		if i.draining && len(i.queue) == 0 {
			return nil
		}
		i.done.Wait()
	}
}

// commit asks metadata for the objects' offsets and answers their requests.
//
// Crash here, once the call has been sent: committed or not; the clients see an unknown
// outcome, and those with a producer sequence may ask again.
func (i *Ingest) commit(ctx context.Context, objects []*object) error {
	commits := make([]foz.Commit, len(objects))
	for n, o := range objects {
		commits[n] = o.commit()
	}
	var results []foz.CommitResult
	var failure *foz.Error
	if ctx.Err() != nil { // never sent: definite
		failure = foz.Errorf(foz.CodeDraining, "this node shut down before the commit: %w", ctx.Err())
	} else {
		begun := time.Now()
		var err error
		if results, err = i.deps.Committer.Commit(ctx, commits); err == nil {
			err = checkResults(commits, results)
		}
		if err != nil {
			failure = foz.Errorf(foz.CodeAckTimeout, "commit %s: %w", commits[0].Object, err)
		}
		i.metrics.committed(time.Since(begun))
	}
	for n, o := range objects {
		i.release(o) // first: whoever is answered finds room
		if failure != nil {
			o.fail(failure)
		} else {
			i.acknowledge(o, results[n])
		}
	}
	if failure != nil {
		return failure
	}
	return nil
}

// acknowledge answers each request of an object from metadata's result. A result that says
// unknown (the commit expired) is passed on as it is: uploading the object again could
// append its records twice.
func (i *Ingest) acknowledge(o *object, result foz.CommitResult) {
	i.mu.Lock()
	i.answered = max(i.answered, result.Slot)
	i.mu.Unlock()
	for _, p := range o.pending {
		answer := result.Requests[p.request]
		if answer.Err != nil {
			p.answer(foz.Ack{}, answer.Err)
			continue
		}
		p.answer(p.split(answer.Ack))
	}
}

// split cuts a merged request's own offsets out of the ack of the commit request.
func (p *pending) split(whole foz.Ack) (foz.Ack, *foz.Error) {
	if p.shares == nil {
		return whole, nil
	}
	own := whole
	own.Ranges = make([]foz.PartitionRange, len(p.shares))
	for n, s := range p.shares {
		at, ok := slices.BinarySearchFunc(whole.Ranges, s.partition,
			func(r foz.PartitionRange, partition int32) int { return cmp.Compare(r.Partition, partition) })
		if !ok || int64(s.from+s.rows) > whole.Ranges[at].Len() {
			return foz.Ack{}, foz.Errorf(foz.CodeInternal,
				"metadata's answer has no offsets for partition %d", s.partition)
		}
		base := whole.Ranges[at].Base + int64(s.from)
		own.Ranges[n] = foz.PartitionRange{
			Partition: s.partition,
			Range:     foz.Range{Base: base, Next: base + int64(s.rows)},
		}
	}
	return own, nil
}

func checkResults(commits []foz.Commit, results []foz.CommitResult) error {
	if len(results) != len(commits) {
		return fmt.Errorf("metadata answered %d of %d commits", len(results), len(commits))
	}
	for n, c := range commits {
		if got := len(results[n].Requests); got != len(c.Requests) {
			return fmt.Errorf("metadata answered %d of %d requests", got, len(c.Requests))
		}
	}
	return nil
}
