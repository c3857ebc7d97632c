package compactor

import (
	"context"
	"slices"
	"time"
)

// Merging has two tiers. Fresh objects, as ingest wrote them, become pieces of level 1: an
// object of its own for a partition that has more than a record batch, one shared object for
// all others together. Pieces become targets (small.go).
//
// The arithmetic for P partitions, F flushes in an interval and N nodes: F GETs, each object
// whole and once, 1 PUT for all small partitions together, and one for each large one.

// merges is when fresh objects are merged.
type merges struct {
	interval time.Duration // how long the oldest waits for a job's worth
	since    time.Time     // when it was first seen; zero: there is none
	slot     uint64        // of the view looked at last
	next     time.Time     // when to look again at the same one
}

// fullPercent is how much of a job makes it worth doing at once.
const fullPercent = 80

// due says whether there is enough, or it has waited long enough.
func (m *merges) due(now time.Time, bytes, job int64) bool {
	if bytes == 0 {
		m.since = time.Time{}
		return false
	}
	if m.since.IsZero() {
		m.since = now
	}
	return bytes >= job*fullPercent/100 || now.Sub(m.since) >= m.interval
}

// adapt learns from a job: one that had to wait until its time was over could have waited a
// little longer; one that was full before could have come twice as soon.
func (m *merges) adapt(now time.Time, full bool, cfg Config) {
	switch early := now.Sub(m.since) < m.interval; {
	case full && early:
		m.interval = max(cfg.MergeIntervalMin, m.interval/2)
	case !full:
		m.interval = min(cfg.MergeIntervalMax, m.interval+m.interval/10)
	}
	m.since = now
}

// merge does one job, if one is due.
func (c *Compactor) merge(ctx context.Context, now time.Time) (more bool, err error) {
	view, m := c.deps.Tables.View(), &c.merges
	if view.Slot() == m.slot && now.Before(m.next) {
		return false, nil
	}
	p := c.plan(now, view, c.mine(), false)
	m.slot, m.next = view.Slot(), now.Add(c.cfg.MergeIntervalMax)
	if m.due(now, p.freshBytes, c.cfg.JobBytes) {
		m.adapt(now, p.freshBytes >= c.cfg.JobBytes*fullPercent/100, c.cfg)
		p.small = nil
	} else {
		if p.freshBytes > 0 {
			m.next = m.since.Add(m.interval)
		}
		p.fresh = nil
	}
	t, err := c.rewrite(ctx, p)
	if err != nil || t.accepted > 0 {
		m.slot = 0
	}
	return t.accepted > 0, err
}

// mergeAll merges all there is, whoever's it is.
func (c *Compactor) mergeAll(ctx context.Context) (report JobReport, err error) {
	for err == nil && !c.late() {
		p := c.plan(time.Now(), c.deps.Tables.View(), everyones, true)
		if len(p.fresh) > 0 {
			p.small = nil // first the fresh, then all pieces at once
		}
		var t tally
		t, err = c.rewrite(ctx, p)
		report.Done += t.accepted
		if t.accepted == 0 {
			break
		}
	}
	p := c.plan(time.Now(), c.deps.Tables.View(), everyones, true)
	report.Left = p.freshPlacements + p.smallPlacements + int64(len(c.damage()))
	report.Due = report.Done + report.Left
	return report, err
}

// rewrite does what a plan says of one tier.
func (c *Compactor) rewrite(ctx context.Context, p plan) (tally, error) {
	c.pace(p.freshBytes)
	if len(p.fresh) > 0 {
		return c.write(ctx, p.fresh, &writer{restMin: 1})
	}
	return c.write(ctx, p.small, &writer{restMin: 2})
}

// write reads parts and writes them anew.
func (c *Compactor) write(ctx context.Context, parts []part, w *writer) (tally, error) {
	if len(parts) == 0 {
		return tally{}, nil
	}
	h, err := c.fetch(ctx, parts)
	if err != nil {
		return tally{}, err
	}
	return c.writeHeld(ctx, h, parts, w)
}

// writeHeld writes parts anew that have been read.
func (c *Compactor) writeHeld(ctx context.Context, h held, parts []part, w *writer) (
	tally, error,
) {
	var err error
	w.c, w.held, w.shared.merged = c, h, c.builders.shared()
	slices.SortStableFunc(parts, func(a, b part) int { return a.partition.Compare(b.partition) })
	for _, p := range parts {
		if err = w.part(ctx, p); err != nil {
			break
		}
	}
	if err == nil {
		err = w.close(ctx)
	}
	if err != nil {
		c.builders.ofMany, c.builders.ofOne = nil, nil // whatever is under way in them
	}
	return w.done, err
}
