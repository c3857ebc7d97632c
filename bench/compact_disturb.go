package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// Disturbed is one turn of a load: quiet, busy, busy, quiet.
type Disturbed struct {
	Quiet Latency `json:"quiet"` // of a produce request
	Busy  Latency `json:"busy"`  // while something else goes on
	Ratio float64 `json:"ratio"` // of p99, busy to quiet
	// BytesPerSecond is how fast what else goes on went: bytes merged, or replayed, as stored.
	BytesPerSecond float64 `json:"bytes_per_second"`
}

// disturbance is what goes on beside a load.
type disturbance struct {
	name    string
	prepare func(ctx context.Context) error
	step    func(ctx context.Context) error // does a part, until ctx ends
	moved   func() int64                    // bytes so far
}

// disturb measures what producers notice of merging, and of a cold replay.
func (c *compaction) disturb(ctx context.Context) (err error) {
	load := c.cfg.Load * c.capacity
	c.report.LoadBytesPerSecond = load
	c.report.Backlog, err = c.turns(ctx, load, disturbance{"merging a backlog", c.backlog,
		func(ctx context.Context) error {
			_, err := c.client.Maintain(ctx, []string{"merge"}, time.Second)
			return err
		},
		func() int64 {
			return asked(between(nil, c.service.Counts()), objectstore.OpGet, "merge").Bytes
		}})
	if err != nil {
		return err
	}
	var read atomic.Int64
	c.report.Cold, err = c.turns(ctx, load, disturbance{"a cold replay", c.restart,
		func(ctx context.Context) error { return c.readAll(ctx, &read) }, read.Load})
	c.report.BacklogRatio, c.report.ColdRatio = p99RatioOf(c.report.Backlog), p99RatioOf(c.report.Cold)
	return err
}

func p99RatioOf(all []Disturbed) Spread {
	ratios := make([]float64, len(all))
	for n, d := range all {
		ratios[n] = d.Ratio
	}
	return spreadOf(ratios)
}

// turns runs the rounds.
func (c *compaction) turns(ctx context.Context, load float64, d disturbance) (
	done []Disturbed, err error,
) {
	for round := range c.cfg.Rounds {
		var quiet, busy []float64
		var bytes int64
		for _, arm := range []func() error{
			func() error { return c.quiet(ctx, load, &quiet) },
			func() error { return c.busy(ctx, load, d, &busy, &bytes) },
			func() error { return c.busy(ctx, load, d, &busy, &bytes) },
			func() error { return c.quiet(ctx, load, &quiet) },
		} {
			if err := d.prepare(ctx); err != nil { // for the quiet as well: what it costs is not meant
				return done, err
			}
			if err := arm(); err != nil {
				return done, err
			}
		}
		r := Disturbed{Quiet: latencyOf(quiet), Busy: latencyOf(busy),
			BytesPerSecond: float64(bytes) / (2 * c.cfg.For.Seconds())}
		r.Ratio = per(r.Busy.P99MS, r.Quiet.P99MS)
		done = append(done, r)
		c.say(fmt.Sprintf("%s: round %d of %d: p99 %.1f ms, quiet %.1f ms", d.name, round+1,
			c.cfg.Rounds, r.Busy.P99MS, r.Quiet.P99MS))
	}
	return done, nil
}

func (c *compaction) quiet(ctx context.Context, load float64, took *[]float64) error {
	more, err := c.loaded().underLoad(ctx, load)
	*took = append(*took, more...)
	return err
}

// loaded is the session as producers of the load have it.
func (c *compaction) loaded() *session {
	return &session{Deps: c.Deps, cfg: c.cfg, service: c.service, client: c.client,
		topic: c.loadTopic(), bodies: c.bodies}
}

// busy is quiet while something goes on, again and again until the load is over.
func (c *compaction) busy(ctx context.Context, load float64, d disturbance, took *[]float64,
	bytes *int64,
) error {
	within, end := context.WithCancel(ctx)
	g, within := errgroup.WithContext(within)
	before := d.moved()
	g.Go(func() error {
		for within.Err() == nil {
			if err := d.step(within); err != nil && within.Err() == nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
		}
		return nil
	})
	err := c.quiet(ctx, load, took)
	*bytes += d.moved() - before
	end()
	return errors.Join(err, g.Wait())
}

// readAll reads all partitions of what was merged once, Config.Readers at a time.
func (c *compaction) readAll(ctx context.Context, bytes *atomic.Int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Readers)
	for p := range c.cfg.Partitions {
		g.Go(func() error {
			stream, err := c.client.Arrow(ctx, client.Read{Topic: c.topic, Partition: p})
			if err != nil {
				return err
			}
			defer stream.Close()
			buffer := make([]byte, 256<<10)
			for {
				n, err := stream.Read(buffer)
				bytes.Add(int64(n))
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
