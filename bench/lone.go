package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// lonePeriod is a lone producer's pace: ten requests a second.
const lonePeriod = 100 * time.Millisecond

// Lone is how long one record takes that has nobody to wait for, beside creating an object
// and then a log entry of the same sizes, which is the least that it can take. Each is begun
// when its time has come, whatever became of the one before, and its time counts from then.
type Lone struct {
	Requests    int     `json:"requests"`
	FozP50MS    float64 `json:"foz_p50_ms"`
	FozP99MS    float64 `json:"foz_p99_ms"`
	RawP50MS    float64 `json:"raw_p50_ms"`
	RawP99MS    float64 `json:"raw_p99_ms"`
	OverheadMS  float64 `json:"overhead_p50_ms"` // the difference of the medians
	ObjectBytes int64   `json:"object_bytes"`
	EntryBytes  int64   `json:"entry_bytes"`
}

// lone takes turns: foz at full tenths of a second, raw halfway between.
func (s *session) lone(ctx context.Context, report *IngestReport) error {
	if s.cfg.Lone == 0 {
		return nil
	}
	s.say(fmt.Sprintf("a lone producer: %d requests, 10 a second", s.cfg.Lone))
	c, err := dial(ctx, s.service.URL)
	if err != nil {
		return err
	}
	defer c.Close()
	path := partitionPath(s.topic, tailPartition)
	produce := func() error { return c.produce(path, s.record) }
	before := s.service.Counts()
	if err := produce(); err != nil {
		return err
	}
	sizes := between(before, s.service.Counts())
	report.Lone.ObjectBytes = asked(sizes, objectstore.OpCreate, "upload").Bytes
	report.Lone.EntryBytes = asked(sizes, objectstore.OpCreate, "append").Bytes

	pair := s.raw.pair(report.Lone.ObjectBytes, report.Lone.EntryBytes)
	var foz, raw []float64
	begun := time.Now()
	for n := range s.cfg.Lone {
		due := begun.Add(time.Duration(n) * lonePeriod)
		took, err := paced(ctx, due, produce)
		if err != nil {
			return err
		}
		foz = append(foz, took)
		took, err = paced(ctx, due.Add(lonePeriod/2), func() error { return pair(ctx, n) })
		if err != nil {
			return err
		}
		raw = append(raw, took)
	}
	report.Lone.Requests = s.cfg.Lone
	report.Lone.FozP50MS, report.Lone.FozP99MS = percentile(foz, 50), percentile(foz, 99)
	report.Lone.RawP50MS, report.Lone.RawP99MS = percentile(raw, 50), percentile(raw, 99)
	report.Lone.OverheadMS = report.Lone.FozP50MS - report.Lone.RawP50MS
	return nil
}

// pair creates an object and then an entry.
func (r *raw) pair(objectBytes, entryBytes int64) func(ctx context.Context, n int) error {
	object, entry := make([]byte, objectBytes), make([]byte, entryBytes)
	return func(ctx context.Context, n int) error {
		// Each object in a directory of its own, as those of different slots are.
		_, err := r.store.Create(ctx, fmt.Sprintf("%slone/%020d/object", r.prefix, n), object)
		if err != nil {
			return err
		}
		_, err = r.store.Create(ctx, fmt.Sprintf("%slone/log/%020d", r.prefix, n), entry)
		return err
	}
}

// paced does something when it is due and returns how long after that it was done, in
// milliseconds.
func paced(ctx context.Context, due time.Time, do func() error) (float64, error) {
	if err := sleep(ctx, time.Until(due)); err != nil {
		return 0, err
	}
	err := do()
	return float64(time.Since(due).Microseconds()) / 1000, err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
