package compactor

import (
	"context"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// turn is when the next run may be merged while this node takes records. Merging takes a
// processor and the disk, as acknowledgements do. It is held to a rate that what has piled up
// raises: a burst is merged when it is over, a stream that goes on is kept up with, CatchUp behind.
type turn struct {
	next time.Time
	rate float64 // bytes per second
}

// pace sets the rate for a job, by how many bytes there are to merge, in this job and later.
func (c *Compactor) pace(bytes int64) {
	c.turn.rate = max(float64(c.cfg.BusyBytesPerSecond), float64(bytes)/c.cfg.CatchUp.Seconds())
}

// giveWay waits for a run's turn, and takes the time that it has. What somebody has asked for is
// done at once.
func (c *Compactor) giveWay(ctx context.Context, run foz.Run) error {
	if c.deps.Busy == nil || c.asked || len(c.mail) > 0 || !c.deps.Busy() {
		return nil
	}
	now := time.Now()
	if c.turn.next.Before(now) {
		c.turn.next = now
	}
	wait := c.turn.next.Sub(now)
	c.turn.next = c.turn.next.Add(
		time.Duration(float64(segment.DecodedBytes(run)) / c.turn.rate * float64(time.Second)))
	return pause(ctx, wait)
}
