package compactor

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// job is one of what a Compactor does in turn.
type job struct {
	name  string
	every time.Duration
	// step does a bounded part of what is due. more says that it should be called again soon.
	step func(ctx context.Context, now time.Time) (more bool, err error)

	at     time.Time // when it is to be done next
	failed int       // times in a row
}

// The jobs, as Maintain and the causes of requests name them.
const (
	jobFloor   = "floor"
	jobRetain  = "retain"
	jobMerge   = "merge"
	jobCompact = "compact"
	jobSweep   = "sweep"
)

// hurry is how often a setting shorter than the interval makes a job look.
func hurry(interval, setting time.Duration) time.Duration {
	return min(interval, max(setting/4, 100*time.Millisecond))
}

func (c *Compactor) rota() []*job {
	jobs := []*job{{name: jobFloor, every: hurry(c.cfg.Interval, c.cfg.FloorAge), step: c.attend}}
	if c.deps.Tables != nil {
		jobs = append(jobs,
			&job{name: jobRetain, every: c.cfg.Interval, step: c.retain},
			&job{name: jobMerge, every: min(c.cfg.Interval, c.cfg.MergeIntervalMin), step: c.merge},
			&job{name: jobCompact, every: c.cfg.Interval, step: c.compact})
	}
	return append(jobs,
		&job{name: jobSweep, every: hurry(c.cfg.Interval, c.cfg.Grace), step: c.sweepStep})
}

// Run does each job when it is due until ctx ends. What could not be done is done later: the
// store's bad days are waited for, with longer and longer pauses.
func (c *Compactor) Run(ctx context.Context) error {
	for _, j := range c.jobs {
		j.at = time.Now().Add(c.spread(j.every))
	}
	for {
		j := slices.MinFunc(c.jobs, func(a, b *job) int { return a.at.Compare(b.at) })
		if e := c.await(ctx, time.Until(j.at)); e != nil {
			c.serve(ctx, e)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		more, err := c.do(ctx, j)
		switch {
		case err != nil:
			j.failed++
			j.at = time.Now().Add(min(j.every, time.Second<<min(j.failed-1, 10)))
			if ctx.Err() == nil {
				c.deps.Logger.Warn("job failed", "job", j.name, "times", j.failed, "err", err)
			}
			continue
		case more:
			j.at = time.Now()
		default:
			j.at = time.Now().Add(c.spread(j.every))
		}
		j.failed = 0
	}
}

// spread is d and up to a sixteenth more, so that nodes that started together drift apart.
func (c *Compactor) spread(d time.Duration) time.Duration {
	var b [4]byte
	if _, err := io.ReadFull(c.deps.Entropy, b[:]); err != nil {
		return d
	}
	return d + time.Duration(float64(d)/16*float64(binary.LittleEndian.Uint32(b[:]))/(1<<32))
}

// await waits for an errand, for at most d. nil: the time is over, or ctx has ended.
func (c *Compactor) await(ctx context.Context, d time.Duration) *errand {
	if d <= 0 {
		select {
		case e := <-c.mail:
			return e
		default:
			return nil
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case e := <-c.mail:
		return e
	}
	return nil
}

func (c *Compactor) do(ctx context.Context, j *job) (more bool, err error) {
	return j.step(objectstore.WithCause(ctx, j.name), time.Now())
}

// Step does every job once, until none has more to do now.
func (c *Compactor) Step(ctx context.Context) error {
	var first error
	for _, j := range c.jobs {
		for more := true; more; {
			var err error
			more, err = c.do(ctx, j)
			if err != nil && first == nil {
				first = err
			}
			more = more && err == nil
		}
	}
	return first
}
