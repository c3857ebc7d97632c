package sim

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
)

// sleeper is a producer who identifies himself and is silent for longer than his topic remembers
// him. He tries once, and begins a new epoch when he does not know what became of it.
func (h *house) sleeper(name string, t foz.Topic) {
	p := h.newProducer(name, true)
	p.subject = t
	ttl := time.Duration(t.Config.ProducerTTLMS) * time.Millisecond
	h.actor(name, func(ctx context.Context, rng *rand.Rand) {
		for epoch := int64(0); ; {
			rest := time.Microsecond + upTo(rng, 2000)
			if rng.IntN(4) == 0 {
				rest += ttl + jitter(rng, ttl)
			}
			if sleep(ctx, rest) != nil {
				return
			}
			if s := p.pick(rng); s != nil && p.find(s) && !p.once(ctx, s, epoch) {
				p.seqs[p.topic] = 0
				epoch++
			}
		}
	})
}

// once says whether the next sequence of the epoch may follow.
func (p *producer) once(ctx context.Context, s *services, epoch int64) bool {
	a, request := p.draw()
	request.Producer.Epoch = epoch
	ack, err := p.send(ctx, s, request, between(p.rng, 500, 20_000))
	switch {
	case err == nil:
		p.acked(ctx, a, ack)
	case err.code == foz.CodeUnknownProducer:
		p.judge.sometimes("producer forgotten")
	case err.definite:
		p.judge.refused(a)
	}
	return err == nil
}

// wrote is the last write of a producer that the log remembers.
type wrote struct {
	slot       uint64
	appendedMS int64
}

// remembered follows who is remembered: nobody is forgotten who wrote a short while ago, or after
// that was decided.
func (l *ledger) remembered(before, after *metadata.State, d decision) {
	if d.result.Refusal != nil {
		return
	}
	for i, r := range d.GetCommit().GetRequests() {
		if r.Producer == nil {
			continue
		}
		_, known := l.wrote[string(r.Topic)+r.Producer.Id]
		switch result := d.result.Requests[i]; {
		case result.GetRefusal().GetCode() == string(foz.CodeUnknownProducer) && known:
			l.judge.violation(6, "slot %d does not know %s, who was not forgotten",
				after.Slot(), r.Producer.Id)
		case result.Refusal == nil && result.Duplicate == nil:
			l.wrote[string(r.Topic)+r.Producer.Id] = wrote{after.Slot(), d.GetCommit().AppendedMs}
			l.newestMS = max(l.newestMS, d.GetCommit().AppendedMs)
		}
	}
	if f := d.GetForgetProducers(); f != nil {
		t, _ := before.TopicByID(foz.TopicID(f.Topic))
		ttl := cmp.Or(t.Config.ProducerTTLMS, (7 * 24 * time.Hour).Milliseconds())
		for _, id := range f.Ids {
			w, known := l.wrote[string(f.Topic)+id]
			if !known || w.slot > f.Decided {
				continue
			}
			if l.newestMS-w.appendedMS <= ttl {
				l.judge.violation(6, "slot %d forgets %s, who wrote %d ms before the newest write",
					after.Slot(), id, l.newestMS-w.appendedMS)
			}
			delete(l.wrote, string(f.Topic)+id)
		}
	}
}
