package verify

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run is a load with its own judgement: writers, followers, and the check of both.
type Run struct {
	Service *Service // written to
	Reader  *Service // followed and checked; nil: Service
	Shape   Shape
	Writers int
	Tails   int // followers, of each kind in turn

	ledger *Ledger
}

// drainMax is how long followers may take to get what was there when the check read it.
const drainMax = 30 * time.Second

// Acked is how many requests have been acknowledged so far.
func (r *Run) Acked() int {
	if r.ledger == nil {
		return 0
	}
	return r.ledger.Acked()
}

// Prepare makes the topic.
func (r *Run) Prepare(ctx context.Context) error {
	r.ledger = NewLedger()
	return r.Service.CreateTopic(ctx, r.Shape.Partitions)
}

func (r *Run) reader() *Service {
	if r.Reader != nil {
		return r.Reader
	}
	return r.Service
}

// Load writes and follows until load ends, then checks everything. Its error means that the
// check could not read; what it read is in the report.
func (r *Run) Load(ctx, load context.Context) (*Report, error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	var writers, followers sync.WaitGroup
	tails := r.tails()
	for _, t := range tails {
		followers.Go(func() { t.Run(following) })
	}
	for id := range r.Writers {
		w := NewWriter(r.Service, r.ledger, r.Shape, int32(id))
		writers.Go(func() { w.Run(load) })
	}
	writers.Wait()
	c := newCheck(r.ledger)
	err := c.all(ctx, r.reader(), r.Shape.Partitions)
	if err == nil {
		r.drain(ctx, tails, c.logs)
	}
	stop()
	followers.Wait()
	if err != nil {
		return nil, fmt.Errorf("check topic %s: %w", r.Service.Topic, err)
	}
	for _, t := range tails {
		t.compare(c.logs, &c.report)
	}
	r.ledger.findings.into(&c.report)
	return &c.report, nil
}

func (r *Run) tails() (tails []*Tail) {
	for n := range r.Tails {
		p := int32(n) % r.Shape.Partitions
		switch n % 3 {
		case 0:
			tails = append(tails, NewTopicTail(r.reader(), r.ledger))
		case 1:
			tails = append(tails, NewPollTail(r.reader(), r.ledger, p))
		case 2:
			tails = append(tails, NewEventTail(r.reader(), r.ledger, p))
		}
	}
	return tails
}

// drain waits until the followers have what is there.
func (r *Run) drain(ctx context.Context, tails []*Tail, logs map[int32]*log) {
	ctx, cancel := context.WithTimeout(ctx, drainMax)
	defer cancel()
	for _, t := range tails {
		for !t.reached(logs) && ctx.Err() == nil {
			sleep(ctx, 5*time.Millisecond)
		}
	}
}
