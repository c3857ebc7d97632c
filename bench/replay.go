package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// ReplayReport is what Replay has measured.
type ReplayReport struct {
	Rounds    []Round    `json:"rounds"`
	Ratio     Spread     `json:"ratio"`
	Requests  []Requests `json:"requests"`    // of the last foz arm
	GetsPerGB float64    `json:"gets_per_gb"` // of the last foz arm
}

// Replay measures reading everything from the start. The raw arm reads the service's objects
// by ranges of Config.ObjectBytes with Config.Readers at a time; the foz arm reads as many
// partitions at a time as Arrow streams, from a service that has just started, so that
// nothing is in its memory. What the operating system keeps of files, it keeps for both.
func Replay(ctx context.Context, d Deps, c Config) (report ReplayReport, err error) {
	s, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	s.say("produce what will be read")
	r := replay{session: s}
	before, err := s.raw.ranges(ctx, nil)
	if err != nil {
		return report, err
	}
	err = s.withProducers(ctx, func(produce func(context.Context) (int64, error)) (err error) {
		r.produced, err = produce(ctx)
		r.least = r.produced
		return err
	})
	if err != nil {
		return report, err
	}
	if r.ranges, err = s.raw.ranges(ctx, before); err != nil {
		return report, err
	}
	report.Rounds, err = s.rounds(ctx, c.Rounds, measured(r.readRaw), r.readFoz)
	report.Ratio = RatioOf(report.Rounds)
	report.Requests = r.requests
	report.GetsPerGB = per(float64(asked(r.requests, objectstore.OpGet, "fetch").Requests),
		float64(r.produced)/1e9)
	return report, err
}

// replay is a run of Replay under way.
type replay struct {
	*session
	produced int64
	least    int64 // bytes that all streams together have at least
	ranges   []byteRange
	requests []Requests
}

// byteRange is a piece of an object.
type byteRange struct {
	key            string
	offset, length int64
}

// ranges lists the service's objects, cut into pieces, but for those of earlier runs.
func (r *raw) ranges(ctx context.Context, earlier []byteRange) (all []byteRange, err error) {
	size := int64(r.cfg.ObjectBytes)
	old := map[string]bool{}
	for _, piece := range earlier {
		old[piece.key] = true
	}
	for after, more := "", true; more; {
		var page []objectstore.Info
		if page, more, err = r.store.List(ctx, "data/", after, 0); err != nil {
			return nil, err
		}
		for _, object := range page {
			after = object.Key
			for from := int64(0); from < object.Size && !old[object.Key]; from += size {
				all = append(all, byteRange{object.Key, from, min(size, object.Size-from)})
			}
		}
	}
	return all, nil
}

// readers is how many work at a time on the raw side.
func (r *replay) readers() int {
	if r.cfg.Whole {
		return 1
	}
	return r.cfg.Readers
}

// readRaw is the raw arm. It counts records' bytes too: those that the objects hold.
func (r *replay) readRaw(ctx context.Context) (int64, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.readers())
	for _, piece := range r.ranges {
		g.Go(func() error {
			data, err := r.Store.Get(ctx, piece.key, piece.offset, piece.length)
			if err == nil && int64(len(data)) != piece.length {
				err = fmt.Errorf("read %s: %d bytes of %d", piece.key, len(data), piece.length)
			}
			return err
		})
	}
	return r.produced, g.Wait()
}

// readFoz is the foz arm.
func (r *replay) readFoz(ctx context.Context) (sample, error) {
	if err := r.restart(ctx); err != nil {
		return sample{}, err
	}
	before := r.service.Counts()
	done, _, err := r.measured(ctx, r.readPartitions)
	r.requests = between(before, r.service.Counts())
	return done, err
}

func (r *replay) readPartitions(ctx context.Context) (int64, error) {
	partitions := []int32{client.AllPartitions}
	if !r.cfg.Whole {
		partitions = partitions[:0]
		for p := range r.cfg.Partitions {
			partitions = append(partitions, p)
		}
	}
	var total atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.cfg.Readers)
	for _, p := range partitions {
		g.Go(func() error {
			n, err := r.readPartition(ctx, p)
			total.Add(n)
			return err
		})
	}
	err := g.Wait()
	if err == nil && total.Load() < r.least {
		err = fmt.Errorf("read %d bytes, which are not the %d that there are", total.Load(), r.least)
	}
	return r.produced, err
}

// readPartition reads one partition's stream to its end and returns its bytes.
func (r *replay) readPartition(ctx context.Context, p int32) (int64, error) {
	stream, err := r.client.Arrow(ctx, client.Read{Topic: r.topic, Partition: p})
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	var end lastBytes
	n, err := io.CopyBuffer(&end, stream, make([]byte, 256<<10))
	if err == nil && !bytes.Equal(end[:], endOfStream) {
		err = fmt.Errorf("read partition %d: the stream has no end", p)
	}
	return n, err
}

// endOfStream ends an Arrow stream that is whole.
var endOfStream = []byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}

// lastBytes keeps the last bytes of what is written to it.
type lastBytes [8]byte

func (l *lastBytes) Write(b []byte) (int, error) {
	if len(b) >= len(l) {
		copy(l[:], b[len(b)-len(l):])
		return len(b), nil
	}
	copy(l[:], l[len(b):])
	copy(l[len(l)-len(b):], b)
	return len(b), nil
}
