package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// MergeReport is what merging costs. All bytes are as ingest stored them.
type MergeReport struct {
	Rounds []MergeRound `json:"rounds"`
	// CoreRatio compares bytes per second of processor time, WallRatio bytes per second.
	CoreRatio Spread `json:"core_ratio"`
	WallRatio Spread `json:"wall_ratio"`

	Bytes          int64      `json:"bytes"`
	Requests       []Requests `json:"requests"` // of all rounds
	RequestsPerGB  float64    `json:"requests_per_gb"`
	WrittenPerByte float64    `json:"written_per_byte"` // bytes of merged objects, beyond ingest's own
}

// MergeRound is one turn: codec, merge, merge, codec, on the same fresh objects pair by pair.
type MergeRound struct {
	Merge RateOf `json:"merge"`
	Codec RateOf `json:"codec"` // decode, encode and zstd alone, from memory to memory
}

// RateOf is bytes per second, of time and of processor time.
type RateOf struct {
	PerSecond     float64 `json:"bytes_per_second"`
	PerCoreSecond float64 `json:"bytes_per_core_second"`
}

func (s sample) rates() RateOf {
	return RateOf{s.rate(), per(float64(s.bytes), s.cpu.Seconds())}
}

// merges measures merging a backlog against the codec alone.
func (c *compaction) merges(ctx context.Context) error {
	r := &c.report.Merge
	var cores, walls []float64
	for round := range c.cfg.Rounds + 1 { // the first touches memory, and is not measured
		c.say(fmt.Sprintf("merge: round %d of %d", round, c.cfg.Rounds))
		var codec, merge sample
		for _, mergeFirst := range []bool{false, true} {
			if err := c.pair(ctx, mergeFirst, &codec, &merge); err != nil {
				return err
			}
		}
		if round == 0 {
			*r = MergeReport{}
			continue
		}
		done := MergeRound{merge.rates(), codec.rates()}
		r.Rounds = append(r.Rounds, done)
		cores = append(cores, per(done.Merge.PerCoreSecond, done.Codec.PerCoreSecond))
		walls = append(walls, per(done.Merge.PerSecond, done.Codec.PerSecond))
	}
	r.CoreRatio, r.WallRatio = spreadOf(cores), spreadOf(walls)
	gb := float64(r.Bytes) / 1e9
	r.RequestsPerGB = per(float64(asked(r.Requests, "", "").Requests), gb)
	r.WrittenPerByte = per(float64(asked(r.Requests, objectstore.OpCreate, "merge").Bytes),
		float64(r.Bytes))
	return nil
}

// pair produces a backlog and has both arms work on it.
func (c *compaction) pair(ctx context.Context, mergeFirst bool, codec, merge *sample) error {
	if err := c.backlog(ctx); err != nil {
		return err
	}
	f, err := c.fresh(ctx)
	if err != nil {
		return err
	}
	arms := []func() error{
		func() error {
			done, err := measured(func(context.Context) (int64, error) { return f.bytes, f.rewrite() })(ctx)
			*codec = codec.plus(done)
			return err
		},
		func() error { return c.mergeArm(ctx, f.bytes, merge) },
	}
	if mergeFirst {
		slices.Reverse(arms)
	}
	for _, arm := range arms {
		if err := arm(); err != nil {
			return err
		}
	}
	return nil
}

// mergeArm has the service merge the backlog.
func (c *compaction) mergeArm(ctx context.Context, fresh int64, sum *sample) error {
	before := c.service.Counts()
	done, err := measured(c.merge)(ctx)
	if err == nil && done.bytes < fresh {
		err = fmt.Errorf("merge: %d bytes were read of %d that are fresh", done.bytes, fresh)
	}
	done.bytes = fresh // what is read of merged objects is on top
	*sum = sum.plus(done)
	r := &c.report.Merge
	r.Bytes += fresh
	r.Requests = addRequests(r.Requests, between(before, c.service.Counts()))
	return err
}

func addRequests(sum, more []Requests) []Requests {
	for _, m := range more {
		i := slices.IndexFunc(sum, func(r Requests) bool { return r.Op == m.Op && r.Cause == m.Cause })
		if i < 0 {
			sum = append(sum, m)
			continue
		}
		sum[i].Requests += m.Requests
		sum[i].Bytes += m.Bytes
	}
	return sum
}

// fresh is what is to be merged, in memory.
type fresh struct {
	bytes   int64
	objects map[string][]byte
	parts   [][]foz.Placement // of each partition, in order
}

// fresh fetches the objects that were not merged yet.
func (c *compaction) fresh(ctx context.Context) (*fresh, error) {
	all, _, err := c.placements(ctx, c.topic)
	if err != nil {
		return nil, err
	}
	f := &fresh{objects: map[string][]byte{}}
	for _, pl := range all {
		if pl.Segment.Level > 0 {
			continue
		}
		if f.objects[pl.Object] == nil {
			if f.objects[pl.Object], err = c.Store.Get(ctx, pl.Object, 0, -1); err != nil {
				return nil, fmt.Errorf("get %s: %w", pl.Object, err)
			}
		}
		f.bytes += pl.Segment.ByteEnd - pl.Segment.ByteStart
		last := len(f.parts) - 1
		if last < 0 || f.parts[last][0].Segment.Partition != pl.Segment.Partition {
			f.parts = append(f.parts, nil)
			last++
		}
		f.parts[last] = append(f.parts[last], pl)
	}
	slices.SortFunc(f.parts, func(a, b []foz.Placement) int {
		return a[0].Segment.Partition.Compare(b[0].Segment.Partition)
	})
	return f, nil
}

// rewrite decodes all rows and encodes them as merged objects, one for each partition.
func (f *fresh) rewrite() error {
	builder := segment.NewMerged(segment.MergedOptions{})
	for _, part := range f.parts {
		for _, pl := range part {
			s := pl.Segment
			rows, err := segment.Decode(f.objects[pl.Object][s.ByteStart:s.ByteEnd], s)
			if err != nil {
				return err
			}
			run := foz.Run{Base: pl.Base, Rows: rows, From: int(pl.RowStart),
				To: int(pl.RowStart + pl.RowCount)}
			if err := builder.Append(s.Partition, run); err != nil {
				return err
			}
		}
		if _, _, err := builder.Finish(nil); err != nil {
			return err
		}
	}
	return nil
}
