package compactor

import (
	"context"
	"fmt"
	"time"
)

// floor is what raising it needs to remember.
type floor struct {
	marks    []mark // of past looks, oldest first
	active   uint64 // slot of the last commit or release, at the last look
	forgotAt time.Time
}

// mark remembers which slot was the newest when.
type mark struct {
	at   time.Time
	slot uint64
}

// attend does what is due while there is traffic, and until the floor has passed what was
// released: an idle house writes nothing.
func (c *Compactor) attend(ctx context.Context, now time.Time) (more bool, err error) {
	index, f := c.deps.Catalog.Index(), &c.floor
	active := max(index.CommittedSlot(), index.ReleasedSlot())
	c.metrics.floorAge(now, f.marks, index.Floor())
	if active == f.active && index.ReleasedSlot() <= index.Floor() {
		return false, nil
	}
	f.active = active
	if err := c.raiseFloor(ctx, now, active); err != nil {
		return false, err
	}
	if f.forgotAt.IsZero() {
		f.forgotAt = now
	}
	if now.Sub(f.forgotAt) < c.cfg.ForgetInterval {
		return false, nil
	}
	f.forgotAt = now
	n, err := c.deps.Catalog.ForgetProducers(ctx)
	if err != nil {
		return false, fmt.Errorf("forget silent producers: %w", err)
	}
	c.deps.Logger.Debug("forgot silent producers", "producers", n)
	return false, nil
}

// raiseFloor moves the floor to where the log was FloorAge ago. The last orphans of a burst
// of traffic wait for the next commit, or for the next release.
func (c *Compactor) raiseFloor(ctx context.Context, now time.Time, slot uint64) error {
	var goal uint64
	old, f := 0, &c.floor
	for _, m := range f.marks {
		if now.Sub(m.at) >= c.cfg.FloorAge {
			goal = m.slot
			old++
		}
	}
	// The newest of the old marks stays: it is the goal until a newer one is old enough.
	f.marks = f.marks[max(0, old-1):]
	if n := len(f.marks); n == 0 || f.marks[n-1].slot < slot {
		f.marks = append(f.marks, mark{now, slot})
	}
	if goal <= c.deps.Catalog.Index().Floor() {
		return nil
	}
	if err := c.deps.Catalog.RaiseFloor(ctx, goal); err != nil {
		return fmt.Errorf("raise the floor to %d: %w", goal, err)
	}
	return nil
}
