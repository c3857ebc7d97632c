package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/metadata"
)

// CompactReport is what Compact has measured.
type CompactReport struct {
	Merge MergeReport `json:"merge"`
	Index IndexReport `json:"index"`
	// Replay is reading merged objects as Arrow, Config.Readers at a time, against ranged
	// reads of the same objects.
	Replay      []Round `json:"replay"`
	ReplayRatio Spread  `json:"replay_ratio"`

	LoadBytesPerSecond float64     `json:"load_bytes_per_second"` // of what follows
	Backlog            []Disturbed `json:"backlog"`               // by merging
	BacklogRatio       Spread      `json:"backlog_ratio"`
	Cold               []Disturbed `json:"cold"` // by a replay from a node that has just started
	ColdRatio          Spread      `json:"cold_ratio"`
	// AloneBytesPerSecond is how fast that replay is while nobody produces, as stored.
	AloneBytesPerSecond float64 `json:"cold_alone_bytes_per_second"`
}

// IndexReport is what the log remembers of merged objects.
type IndexReport struct {
	Placements    int     `json:"placements"` // all of level 1
	Bytes         int     `json:"bytes"`      // of a snapshot, beyond that of the empty topic
	PerPlacement  float64 `json:"per_placement"`
	PerGiBAt64MiB float64 `json:"per_gib_at_64_mib"` // if each were an object of that size
	PerGiBAt256   float64 `json:"per_gib_at_256_mib"`
}

// compaction is a run of Compact under way.
type compaction struct {
	*session
	report   *CompactReport
	produced int64   // bytes of records in the topic
	capacity float64 // bytes per second that the service takes, as last seen
	bare     int     // bytes of a snapshot of the empty topic
}

// Compact measures what merging costs and whom it disturbs. The service must not merge by
// itself, and its floor must follow within a minute: what is due is asked for.
func Compact(ctx context.Context, d Deps, c Config) (report CompactReport, err error) {
	s, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	run := &compaction{session: s, report: &report}
	if err := run.prepare(ctx); err != nil {
		return report, err
	}
	defer func() {
		if run.client != nil {
			err = errors.Join(err, run.client.DeleteTopic(context.WithoutCancel(ctx), run.loadTopic()))
		}
	}()
	for _, step := range []func(context.Context) error{
		run.merges, run.index, run.replays, run.disturb,
	} {
		if err := step(ctx); err != nil {
			return report, err
		}
	}
	return report, nil
}

// prepare makes the topic that the load goes to, and measures the index of nothing.
func (c *compaction) prepare(ctx context.Context) error {
	_, _, err := c.client.CreateTopic(ctx, c.loadTopic(),
		client.TopicSpec{Partitions: c.cfg.Partitions})
	if err != nil {
		return err
	}
	state, err := metadata.Load(ctx, c.Store)
	if err != nil {
		return err
	}
	c.bare = state.SnapshotBytes()
	return nil
}

func (c *compaction) loadTopic() string { return c.topic + "-load" }

// backlog produces Config.Bytes, as fast as it goes.
func (c *compaction) backlog(ctx context.Context) error {
	return c.withProducers(ctx, func(produce func(context.Context) (int64, error)) error {
		done, err := measured(produce)(ctx)
		c.produced += done.bytes
		c.capacity = done.rate()
		return err
	})
}

// mergeTurn bounds one request to merge.
const mergeTurn = 10 * time.Second

// merge merges until nothing is left to merge, and gives the bytes that were read for it.
func (c *compaction) merge(ctx context.Context) (bytes int64, err error) {
	for {
		m, err := c.client.Maintain(ctx, []string{"merge"}, mergeTurn)
		if err != nil {
			return bytes, err
		}
		if len(m.Damaged) > 0 {
			return bytes, fmt.Errorf("merge: cannot read %s: %s", m.Damaged[0].Object,
				m.Damaged[0].Detail)
		}
		bytes += m.BytesIn
		if m.Done == 0 {
			return bytes, nil
		}
	}
}

// placements gives all placements of a topic.
func (c *compaction) placements(ctx context.Context, topic string) (
	all []foz.Placement, s *metadata.State, err error,
) {
	if s, err = metadata.Load(ctx, c.Store); err != nil {
		return nil, nil, err
	}
	t, ok := s.Topic(topic)
	if !ok {
		return nil, nil, fmt.Errorf("find topic %s: it is not in the log", topic)
	}
	for n := range t.Partitions {
		some, _, err := s.Locate(foz.Partition{Topic: t.ID, Number: n}, 0, math.MaxInt)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, some...)
	}
	return all, s, nil
}

// floorTimeout is how long the floor may take to pass what was merged: below it the log
// remembers no answers to commits and swaps, which are not the index's.
const floorTimeout = time.Minute

// index measures what the log remembers when all is merged.
func (c *compaction) index(ctx context.Context) error {
	c.say("wait for the floor, and measure a snapshot")
	_, merged, err := c.placements(ctx, c.topic)
	if err != nil {
		return err
	}
	for begun := time.Now(); ; {
		all, s, err := c.placements(ctx, c.topic)
		if err != nil {
			return err
		}
		if s.Floor() >= merged.ReleasedSlot() {
			return c.indexOf(all, s)
		}
		if time.Since(begun) > floorTimeout {
			return fmt.Errorf("wait for the floor: it is at %d, the last release at %d", s.Floor(),
				merged.ReleasedSlot())
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (c *compaction) indexOf(all []foz.Placement, s *metadata.State) error {
	for _, pl := range all {
		if pl.Segment.Level == 0 {
			return fmt.Errorf("measure the index: %s is not merged", pl.Object)
		}
	}
	r := &c.report.Index
	r.Placements, r.Bytes = len(all), s.SnapshotBytes()-c.bare
	r.PerPlacement = per(float64(r.Bytes), float64(r.Placements))
	r.PerGiBAt64MiB, r.PerGiBAt256 = r.PerPlacement*1024/64, r.PerPlacement*1024/256
	return nil
}

// replays measures reading what is merged.
func (c *compaction) replays(ctx context.Context) error {
	all, _, err := c.placements(ctx, c.topic)
	if err != nil {
		return err
	}
	live := map[string]bool{}
	for _, pl := range all {
		live[pl.Object] = true
	}
	r := replay{session: c.session, produced: c.produced}
	pieces, err := c.raw.ranges(ctx, nil)
	if err != nil {
		return err
	}
	var stored int64
	for _, piece := range pieces {
		if live[piece.key] {
			r.ranges = append(r.ranges, piece)
			stored += piece.length
		}
	}
	c.say(fmt.Sprintf("replay %d objects", len(live)))
	r.least = stored * 9 / 10 // the footers are not in the streams
	c.report.Replay, err = c.rounds(ctx, c.cfg.Rounds, measured(r.readRaw), r.readFoz)
	c.report.ReplayRatio = RatioOf(c.report.Replay)
	rates := make([]float64, len(c.report.Replay))
	for n, round := range c.report.Replay {
		rates[n] = round.FozBytesPerSecond * float64(stored) / float64(c.produced)
	}
	c.report.AloneBytesPerSecond = spreadOf(rates).Median
	return err
}
