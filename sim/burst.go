package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fozlog/foz"
)

// shot is one request of a burst.
type shot struct {
	*attempt
	request foz.Request
	ack     foz.Ack
	err     *failure
}

// burst sends several requests through one node without waiting for answers in between. They
// keep their order there; who identifies himself sees to the rest afterwards.
func (p *producer) burst(ctx context.Context, s *services) {
	shots := make([]shot, 2+p.rng.IntN(4))
	var all sync.WaitGroup
	for i := range shots {
		shot := &shots[i]
		shot.attempt, shot.request = p.draw()
		if p.idempotent {
			shot.request.Producer.Seq += int64(i)
		}
		within := between(p.rng, 2000, 20_000)
		ctx := asActor(ctx, fmt.Sprint(p.name, i))
		all.Go(func() { shot.ack, shot.err = p.send(ctx, s, shot.request, within) })
		if sleep(ctx, time.Microsecond+jitter(p.rng, time.Millisecond)) != nil {
			shots = shots[:i+1]
			break
		}
	}
	all.Wait()
	p.judge.sometimes("burst")
	p.inOrder(shots)
	for i := range shots {
		// Others may have lost the same node at the same moment.
		if sleep(ctx, time.Microsecond+jitter(p.rng, 10*time.Millisecond)) != nil {
			return
		}
		switch shot := &shots[i]; {
		case shot.err == nil:
			p.acked(ctx, shot.attempt, shot.ack)
		case p.idempotent:
			p.persist(ctx, shot.attempt, shot.request)
		case shot.err.definite:
			p.judge.refused(shot.attempt)
		}
	}
}

// inOrder: of two requests that were acknowledged the one sent first has the smaller offsets,
// and none is told that it left a gap when the one before it was acknowledged.
func (p *producer) inOrder(shots []shot) {
	ends := map[int32]int64{}
	for i, shot := range shots {
		if shot.err != nil {
			if i > 0 && shots[i-1].err == nil && shot.err.code == foz.CodeSequenceGap {
				p.judge.violation(8, "%s: attempt %d was sent after %d, which was acked, and leaves a gap",
					p.name, shot.id, shots[i-1].id)
			}
			continue
		}
		for _, r := range shot.ack.Ranges {
			if r.Base < ends[r.Partition] {
				p.judge.violation(8, "%s: attempt %d is at %d of %s, one sent before it ends at %d",
					p.name, shot.id, r.Base, shot.partition(r.Partition), ends[r.Partition])
			}
			ends[r.Partition] = max(ends[r.Partition], r.Next)
		}
	}
}
