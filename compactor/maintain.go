package compactor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// Report is what Maintain found due, and did.
type Report struct {
	Jobs     []JobReport
	Requests []objectstore.Count // to the store, meanwhile
	Damaged  []Damage            // known by now, whenever it was found
}

// JobReport is one job's part of it. Merge and retain count placements, compact partitions,
// sweep objects.
type JobReport struct {
	Job      string
	Due      int64
	Done     int64
	Left     int64 // still due, or will be when its time has come
	BytesIn  int64 // read
	BytesOut int64 // written
}

// Damage is a stretch of a partition that could not be read. It is left as it is.
type Damage struct {
	Partition foz.Partition
	foz.Range
	Object string
	Err    string
}

// errand is a call of Maintain on its way to Run.
type errand struct {
	ctx    context.Context
	run    []string
	atMost time.Duration // 0: as long as it takes
	report Report
	err    error
	done   chan struct{}
}

// maintainable are the jobs that Maintain does, in this order: what is dropped needs no
// merging, what is merged is compacted better, and the sweep sees what all of them left.
var maintainable = []string{jobRetain, jobMerge, jobCompact, jobSweep}

// Maintain has Run do all that is due now, of the jobs named ("merge", "retain", "compact",
// "sweep"), for all partitions, whoever's they are and however short they have waited. Floor
// and grace are kept. Errors: bad_request, overloaded while another call is under way; after
// any other the report says how far it came.
func (c *Compactor) Maintain(ctx context.Context, run []string) (Report, error) {
	return c.MaintainFor(ctx, run, 0)
}

// MaintainFor is Maintain that begins nothing new when the time is over, unless that is 0:
// what was not done is left.
func (c *Compactor) MaintainFor(ctx context.Context, run []string, atMost time.Duration) (
	Report, error,
) {
	for _, name := range run {
		if !slices.Contains(maintainable, name) {
			return Report{}, foz.Errorf(foz.CodeBadRequest, "no job is called %q: there are %v",
				name, maintainable)
		}
	}
	e := &errand{ctx: ctx, run: run, atMost: atMost, done: make(chan struct{})}
	select {
	case c.mail <- e:
	default:
		return Report{}, foz.Errorf(foz.CodeOverloaded, "maintenance is under way")
	}
	select {
	case <-e.done:
		return e.report, e.err
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// serve does an errand until it is done, or its caller or Run has gone.
func (c *Compactor) serve(ctx context.Context, e *errand) {
	defer close(e.done)
	within, cancel := context.WithCancel(e.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	c.asked, c.until = true, time.Time{}
	defer func() { c.asked = false }()
	if e.atMost > 0 {
		c.until = time.Now().Add(e.atMost)
	}
	before := c.store.Counts()
	for _, name := range maintainable {
		if e.err == nil && slices.Contains(e.run, name) {
			j, err := c.maintain(objectstore.WithCause(within, name), name)
			e.report.Jobs = append(e.report.Jobs, j)
			e.err = err
		}
	}
	e.report.Requests = since(before, c.store.Counts())
	e.report.Damaged = c.damage()
	if ctx.Err() != nil && e.err != nil {
		e.err = foz.Errorf(foz.CodeDraining, "maintenance was broken off: this node stops")
	}
}

// maintain does one job until nothing more of it can be done now.
func (c *Compactor) maintain(ctx context.Context, name string) (report JobReport, err error) {
	in, out := c.metrics.bytesIn.n.Load(), c.metrics.bytesOut.n.Load()
	switch {
	case name == jobSweep:
		report, err = c.sweepAll(ctx, time.Now())
	case c.deps.Tables == nil:
	case name == jobMerge:
		report, err = c.mergeAll(ctx)
	case name == jobRetain:
		report, err = c.retainAll(ctx, time.Now())
	case name == jobCompact:
		report, err = c.compactAll(ctx)
	}
	report.Job = name
	report.BytesIn = c.metrics.bytesIn.n.Load() - in
	report.BytesOut = c.metrics.bytesOut.n.Load() - out
	if err != nil {
		return report, fmt.Errorf("%s: %w", name, err)
	}
	return report, nil
}

// late says whether the time of the errand is over.
func (c *Compactor) late() bool { return !c.until.IsZero() && !time.Now().Before(c.until) }

// since gives the counts that have grown, by how much.
func since(before, after []objectstore.Count) (grown []objectstore.Count) {
	for _, n := range after {
		for _, old := range before {
			if old.Op == n.Op && old.Cause == n.Cause {
				n.Requests -= old.Requests
				n.Bytes -= old.Bytes
				n.Errors -= old.Errors
			}
		}
		if n.Requests > 0 {
			grown = append(grown, n)
		}
	}
	return grown
}
