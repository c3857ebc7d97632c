package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fozlog/foz"
)

// producer is one client that appends. Half of them identify themselves and retry; the
// others never retry what is unknown and believe a definite failure.
type producer struct {
	*house
	name       string
	rng        *rand.Rand
	idempotent bool
	subject    foz.Topic   // by name
	topic      foz.TopicID // the id under which it was found last
	seqs       map[foz.TopicID]int64
	lastID     uint32 // of its attempts: its number << 24, counted up
}

// run produces until ctx ends.
func (p *producer) run(ctx context.Context) {
	pace := between(p.rng, 5, 200)
	for sleep(ctx, jitter(p.rng, pace)+time.Microsecond) == nil {
		if s := p.pick(p.rng); s == nil || !p.find(s) {
			continue
		} else if p.rng.IntN(8) == 0 {
			p.burst(ctx, s)
		} else {
			a, request := p.draw()
			p.persist(ctx, a, request)
		}
	}
}

// find looks the topic up at a node. One that was made again is another.
func (p *producer) find(s *services) bool {
	t, ok := s.replica.State().Topic(p.subject.Name)
	p.topic = t.ID
	return ok
}

// draw makes an attempt, which is about to be sent.
func (p *producer) draw() (*attempt, foz.Request) {
	request, rows := p.request()
	p.lastID++
	a := p.judge.sending(&attempt{
		id: p.lastID, topic: p.topic, rows: rows, idempotent: p.idempotent,
	})
	fill(request, a)
	return a, request
}

// persist sends a request, and again as long as that is safe.
func (p *producer) persist(ctx context.Context, a *attempt, request foz.Request) {
	certain := true // no try so far can have had an effect
	for {
		s := p.pick(p.rng)
		if s == nil {
			if sleep(ctx, between(p.rng, 1, 200)) != nil {
				return
			}
			continue
		}
		p.condition(s, &request)
		ack, err := p.send(ctx, s, request, between(p.rng, 2000, 20_000))
		if err == nil {
			p.acked(ctx, a, ack)
			return
		}
		certain = certain && err.definite
		if !p.idempotent {
			if certain {
				p.judge.refused(a)
			}
			return
		}
		if p.judgeRefusal(a, err) || sleep(ctx, between(p.rng, 1, 500)) != nil {
			return
		}
	}
}

func (p *producer) acked(ctx context.Context, a *attempt, ack foz.Ack) {
	p.judge.answered(a, ack, p.ledger.tail())
	p.seqs[a.topic]++
	if ack.Duplicate {
		p.judge.sometimes("duplicate answered")
	}
	if p.rng.IntN(4) > 0 {
		return
	}
	wait := time.Microsecond + jitter(p.rng, time.Millisecond)
	if s := p.pick(p.rng); s != nil && sleep(ctx, wait) == nil {
		p.readBack(ctx, s, a, ack)
	}
}

// failure is what a producer is told, and whether that is final.
type failure struct {
	code     foz.Code
	definite bool
	err      error
}

// send makes one try. What a node says while it dies is heard by nobody.
func (p *producer) send(
	ctx context.Context, s *services, r foz.Request, within time.Duration,
) (foz.Ack, *failure) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel) // the connection breaks
	defer stop()
	ack, err := s.ingest.Produce(ctx, r)
	if s.dead.Load() {
		return foz.Ack{}, &failure{code: "crash"}
	}
	if err == nil {
		p.note("%s acked at %d %v by %s", p.name, ack.Slot, ack.Ranges, s.Name)
		return ack, nil
	}
	f := &failure{code: foz.CodeInternal, err: err}
	var known *foz.Error
	if errors.As(err, &known) {
		f.code, f.definite = known.Code, !known.Code.Unknown()
	}
	p.note("%s refused %s by %s", p.name, f.code, s.Name)
	p.judge.sometimes("produce " + string(f.code))
	return foz.Ack{}, f
}

// judgeRefusal says whether an idempotent attempt is over without an ack.
func (p *producer) judgeRefusal(a *attempt, f *failure) bool {
	switch f.code {
	case foz.CodeSequenceExpired: // it was appended, long ago
		p.seqs[a.topic]++
		return true
	case foz.CodeTopicNotFound:
		if !p.exists(a.topic) {
			return true
		}
		fallthrough
	case foz.CodeSequenceGap, foz.CodeUnknownProducer, foz.CodeProducerFenced,
		foz.CodePartitionNotFound, foz.CodeBadRequest:
		p.judge.violation(6, "%s sequence %d, attempt %d, is refused: %v", p.name, p.seqs[a.topic],
			a.id, f.err)
		return true
	}
	return false
}

// request draws one: up to three batches of up to 60 records.
func (p *producer) request() (foz.Request, map[int32]int) {
	r := foz.Request{Topic: p.topic}
	if p.idempotent {
		r.Producer = &foz.Producer{ID: p.name, Seq: p.seqs[p.topic]}
	}
	batches := 1
	if p.rng.IntN(3) == 0 {
		batches += p.rng.IntN(int(p.subject.Partitions))
	}
	rows := map[int32]int{}
	for _, n := range p.rng.Perm(int(p.subject.Partitions))[:batches] {
		rows[int32(n)] = 1 + p.rng.IntN(60)
		r.Batches = append(r.Batches, foz.Batch{Partition: int32(n)})
	}
	slices.SortFunc(r.Batches, func(a, b foz.Batch) int { return int(a.Partition - b.Partition) })
	return r, rows
}

// condition makes some plain requests of one batch depend on the end that the node knows.
func (p *producer) condition(s *services, r *foz.Request) {
	if p.idempotent || len(r.Batches) > 1 || p.rng.IntN(5) > 0 {
		return
	}
	at := foz.Partition{Topic: r.Topic, Number: r.Batches[0].Partition}
	_, bounds, err := s.replica.Locate(at, 0, 1)
	if err == nil {
		r.IfNextOffset = &bounds.Next
	}
}

// readBack reads at some node what was acknowledged at another: it waits for the slot, and
// then everything must be there.
func (p *producer) readBack(ctx context.Context, s *services, a *attempt, ack foz.Ack) {
	ctx, cancel := context.WithTimeout(ctx, between(p.rng, 5000, 20_000))
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	if s.replica.WaitSlot(ctx, ack.Slot) != nil {
		return
	}
	r := ack.Ranges[p.rng.IntN(len(ack.Ranges))]
	who := fmt.Sprintf("%s reading its ack of attempt %d at %s", p.name, a.id, s.Name)
	next, err := p.scan(ctx, s, a.partition(r.Partition), r.Range, who)
	if err == nil && next != r.Next && ctx.Err() == nil {
		p.judge.violation(2, "%s: read to %d, acknowledged to %d", who, next, r.Next)
	}
}

// newProducer brings a producer whose name and attempts no other has.
func (h *house) newProducer(name string, idempotent bool) *producer {
	h.producers++
	return &producer{
		house: h, name: name, rng: h.rngFor(name), idempotent: idempotent,
		seqs: map[foz.TopicID]int64{}, lastID: h.producers << 24,
	}
}
