package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz/client"
)

// LatencyReport is what EndToEnd has measured. Times are in milliseconds and count from when
// something was due, whatever was late before it.
type LatencyReport struct {
	CapacityBytesPerSecond float64        `json:"capacity_bytes_per_second"`
	LoadBytesPerSecond     float64        `json:"load_bytes_per_second"`
	Rounds                 []LatencyRound `json:"rounds"`
	// OverMS is p99 of an acknowledgement less the flush interval and p99 of the raw arm.
	OverMS  Spread `json:"over_p99_ms"`
	Refused int64  `json:"refused"` // produce requests that the service had no room for
}

// LatencyRound is one turn: raw, foz, foz, raw.
type LatencyRound struct {
	Ack    Latency `json:"ack"`    // of a produce request of the load
	Follow Latency `json:"follow"` // of one record, until a consumer has it
	Raw    Latency `json:"raw"`    // of an object, created at the same rate of bytes
}

// Latency is how long things took.
type Latency struct {
	Count int     `json:"count"`
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
}

func latencyOf(took []float64) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	return Latency{len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100)}
}

// EndToEnd measures latencies under a load that does not wait for answers: Config.Load of
// what the service takes when it is given all that it can, for Config.For in each arm. Beside
// it single records go to a topic that a consumer follows.
func EndToEnd(ctx context.Context, d Deps, c Config) (report LatencyReport, err error) {
	s, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	if err := s.warm(ctx, nil); err != nil {
		return report, err
	}
	s.say("measure what the service takes")
	e := &endToEnd{session: s, probes: s.topic + "-probes"}
	_, _, err = s.client.CreateTopic(ctx, e.probes, client.TopicSpec{Partitions: 1})
	if err != nil {
		return report, err
	}
	defer func() {
		err = errors.Join(err, s.client.DeleteTopic(context.WithoutCancel(ctx), e.probes))
	}()
	err = s.withProducers(ctx, func(produce func(context.Context) (int64, error)) error {
		full, err := measured(produce)(ctx)
		report.CapacityBytesPerSecond = full.rate()
		return err
	})
	if err != nil {
		return report, err
	}
	e.load = c.Load * report.CapacityBytesPerSecond
	report.LoadBytesPerSecond = e.load
	s.refused.Store(0)
	report.Rounds, err = e.turns(ctx)
	report.Refused = s.refused.Load()
	var over []float64
	for _, r := range report.Rounds {
		over = append(over, r.Ack.P99MS-r.Raw.P99MS-float64(c.FlushInterval)/float64(time.Millisecond))
	}
	report.OverMS = spreadOf(over)
	return report, err
}

// endToEnd is a run of EndToEnd under way.
type endToEnd struct {
	*session
	load   float64 // bytes per second
	probes string  // topic of the single records
}

// turns runs the rounds.
func (e *endToEnd) turns(ctx context.Context) (done []LatencyRound, err error) {
	for round := range e.cfg.Rounds {
		var raw, ack, follow []float64
		for _, arm := range []func() error{
			func() error { return e.rawArm(ctx, &raw) },
			func() error { return e.fozArm(ctx, &ack, &follow) },
			func() error { return e.fozArm(ctx, &ack, &follow) },
			func() error { return e.rawArm(ctx, &raw) },
		} {
			if err := arm(); err != nil {
				return done, err
			}
		}
		r := LatencyRound{latencyOf(ack), latencyOf(follow), latencyOf(raw)}
		done = append(done, r)
		e.say(fmt.Sprintf("round %d of %d: ack p99 %.1f ms, raw p99 %.1f ms",
			round+1, e.cfg.Rounds, r.Ack.P99MS, r.Raw.P99MS))
	}
	return done, nil
}

// rawArm creates objects.
func (e *endToEnd) rawArm(ctx context.Context, took *[]float64) error {
	e.raw.arms++
	p := pace{rate: e.load / float64(e.cfg.ObjectBytes), length: e.cfg.For}
	more, err := p.run(ctx, e.cfg.Uploads, func(ctx context.Context, _ int, n int64) error {
		key := fmt.Sprintf("%s%d/%020d", e.raw.prefix, e.raw.arms, n)
		_, err := e.Store.Create(ctx, key, e.raw.objects[n%int64(len(e.raw.objects))])
		return err
	})
	*took = append(*took, more...)
	return err
}

// fozArm produces the load, and single records that are followed.
func (e *endToEnd) fozArm(ctx context.Context, ack, follow *[]float64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		more, err := e.underLoad(ctx, e.load)
		*ack = append(*ack, more...)
		return err
	})
	g.Go(func() error {
		more, err := e.probe(ctx)
		*follow = append(*follow, more...)
		return err
	})
	return g.Wait()
}

// underLoad produces so many bytes per second for Config.For, and says how long each request
// took from when it was due, in milliseconds.
func (s *session) underLoad(ctx context.Context, bytesPerSecond float64) ([]float64, error) {
	connections, end, err := dialAll(ctx, s.service.URL, s.cfg.Connections)
	if err != nil {
		return nil, err
	}
	p := pace{rate: bytesPerSecond / float64(s.cfg.records()*s.cfg.RecordBytes), length: s.cfg.For}
	took, err := p.run(ctx, len(connections), func(ctx context.Context, w int, n int64) error {
		return s.produce(ctx, connections[w], n)
	})
	return took, errors.Join(err, end())
}

// probeRate is how many single records there are in a second, and probeWorkers how many of
// them may be under way.
const (
	probeRate    = 20
	probeWorkers = 16
)

// probeLine is a single record.
type probeLine struct {
	Due int64 `json:"due_ns"` // since 1970
}

// probe sends single records and says how long each took to its consumer.
func (e *endToEnd) probe(ctx context.Context) ([]float64, error) {
	connections, end, err := dialAll(ctx, e.service.URL, probeWorkers)
	if err != nil {
		return nil, err
	}
	p := pace{rate: probeRate, length: e.cfg.For}
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	var took []float64
	g.Go(func() (err error) {
		took, err = e.follow(ctx, p.total(), ready)
		return err
	})
	g.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		begun := time.Now()
		_, err := p.run(ctx, probeWorkers, func(_ context.Context, w int, n int64) error {
			line, err := json.Marshal(probeLine{p.due(begun, n).UnixNano()})
			if err != nil {
				return err
			}
			return connections[w].produce(partitionPath(e.probes, 0), append(line, '\n'))
		})
		return err
	})
	err = errors.Join(g.Wait(), end())
	return took, err
}

// followTimeout is how long after the last record was due a consumer waits for it.
const followTimeout = 30 * time.Second

// follow consumes n records from the tail; ready is closed when it stands there.
func (e *endToEnd) follow(ctx context.Context, n int64, ready chan struct{}) ([]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.For+followTimeout)
	defer cancel()
	var took []float64
	read := client.Read{Topic: e.probes, From: client.FromTail(0)}
	for event, err := range e.client.Follow(ctx, read, "") {
		if err != nil {
			return took, err
		}
		if ready != nil {
			close(ready)
			ready = nil
		}
		if event.Line == nil {
			continue
		}
		r, err := event.Record()
		if err != nil {
			return took, err
		}
		var line probeLine
		if err := json.Unmarshal(r.Value, &line); err != nil {
			return took, fmt.Errorf("follow single records: %w", err)
		}
		took = append(took, float64(time.Now().UnixNano()-line.Due)/1e6)
		if int64(len(took)) == n {
			return took, nil
		}
	}
	return took, fmt.Errorf("a consumer got %d of %d single records", len(took), n)
}

// pace is a load that does not wait: things are due at a steady rate.
type pace struct {
	rate   float64 // a second
	length time.Duration
}

// total is how many things are due, at least one.
func (p pace) total() int64 { return max(1, int64(p.rate*p.length.Seconds())) }

// due is when the n-th is.
func (p pace) due(begun time.Time, n int64) time.Time {
	return begun.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
}

// run does all of them, at most workers at a time, and returns how long after it was due each
// was done, in milliseconds.
func (p pace) run(
	ctx context.Context, workers int, do func(ctx context.Context, worker int, n int64) error,
) ([]float64, error) {
	took := make([]float64, p.total())
	var next atomic.Int64
	begun := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for worker := range workers {
		g.Go(func() (err error) {
			for n := next.Add(1) - 1; n < int64(len(took)); n = next.Add(1) - 1 {
				took[n], err = paced(ctx, p.due(begun, n), func() error { return do(ctx, worker, n) })
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return took, g.Wait()
}
