package compactor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// sweep finds what is dead, and deletes it when readers had their time.
//
// Invariant: an object born below the floor that is not live in any one index will never be
// live: its commit or swap expires. So the index may be as stale as it likes.
//
// Two things make an object dead below the floor. The floor passes it: what was born between
// the old floor and the new is listed, 1 LIST for 1,000 objects. Or it is released: the last
// index and this one tell, without a request. What neither finds, an upload that arrives
// after the floor has passed its birth, is found by listing everything, which is done first
// and then rarely.
type sweep struct {
	floor    uint64    // everything born below it was listed, once
	cursor   string    // the key listed last, of a listing that is not over; "": there is none
	goal     uint64    // births below were listed, or are being listed
	since    Index     // whose releases are known; nil: none
	listedAt time.Time // when the last listing of everything was over
	listedTo uint64    // and its goal: while the floor stays, nothing is listed
	listing  census    // of everything: what it has seen
	full     bool      // the listing is of everything

	pending map[string]time.Time // dead objects, and when this node saw it first
}

// sweepStep looks for what is dead now and deletes what has been dead for long enough.
func (c *Compactor) sweepStep(ctx context.Context, now time.Time) (more bool, err error) {
	s := &c.sweep
	if !s.listedAt.IsZero() && now.Sub(s.listedAt) >= c.cfg.ReconcileInterval && s.goal > s.listedTo {
		s.restart()
	}
	if err := c.find(ctx, now); err != nil {
		return false, err
	}
	return false, c.delete(ctx, now)
}

// restart has everything listed again.
func (s *sweep) restart() {
	s.floor, s.cursor, s.listedAt = 0, "", time.Time{}
}

// find notes what has died.
func (c *Compactor) find(ctx context.Context, now time.Time) error {
	s, index := &c.sweep, c.deps.Catalog.Index()
	if s.since != nil && index.ReleasedSlot() != s.since.ReleasedSlot() {
		s.since.Objects(func(object string) bool {
			birth, _, err := foz.ParseObjectKey(object)
			if err == nil && birth < s.goal && !index.Live(object) &&
				!c.remember(object, now) {
				s.restart() // when there is room
			}
			return true
		})
	}
	s.since = index
	if s.cursor == "" {
		s.goal = index.Floor()
		if s.goal <= s.floor {
			return nil
		}
		s.full, s.listing = s.floor == 0, census{}
	}
	return c.list(ctx, index, now)
}

// list goes on with a listing of births in [floor, goal).
func (c *Compactor) list(ctx context.Context, index Index, now time.Time) error {
	s := &c.sweep
	after := s.cursor
	if after == "" && s.floor > 0 {
		after = fmt.Sprintf("%s%020d/", foz.ObjectPrefix, s.floor)
	}
	for {
		page, more, err := c.store.List(ctx, foz.ObjectPrefix, after, 0)
		if err != nil {
			return fmt.Errorf("list %s: %w", foz.ObjectPrefix, err)
		}
		for _, info := range page {
			birth, _, err := foz.ParseObjectKey(info.Key)
			if err == nil && birth >= s.goal {
				return c.listed(now)
			}
			switch {
			case err != nil: // not ours: never deleted
				s.listing.foreign++
			case index.Live(info.Key):
				s.listing.live++
			case !c.remember(info.Key, now):
				return nil // the next pass goes on from the key before
			default:
				s.listing.dead++
			}
			after, s.cursor = info.Key, info.Key
		}
		if !more {
			return c.listed(now)
		}
		if len(page) == 0 {
			return nil // not all was seen: the next pass goes on
		}
	}
}

// listed ends a listing. What a listing of everything has found is told: it is the only thing
// that sees what the bookkeeping missed.
func (c *Compactor) listed(now time.Time) error {
	s := &c.sweep
	s.floor, s.cursor = s.goal, ""
	if s.full {
		s.listedAt, s.listedTo = now, s.goal
		c.deps.Logger.Info("listed every object below the floor", "floor", s.goal,
			"live", s.listing.live, "dead", s.listing.dead, "foreign", s.listing.foreign)
	}
	return nil
}

// remember notes that a key is dead; false: no room.
func (c *Compactor) remember(key string, now time.Time) bool {
	if _, known := c.sweep.pending[key]; known {
		return true
	}
	if len(c.sweep.pending) >= c.cfg.PendingMax {
		return false
	}
	c.sweep.pending[key] = now
	c.metrics.pending.Store(int64(len(c.sweep.pending)))
	return true
}

// delete deletes what has been dead for the grace period. A crash here leaves what was not
// deleted yet; it is found again.
func (c *Compactor) delete(ctx context.Context, now time.Time) error {
	var due []string
	for key, since := range c.sweep.pending {
		if now.Sub(since) >= c.cfg.Grace {
			due = append(due, key)
		}
	}
	slices.Sort(due)
	for batch := range slices.Chunk(due, objectstore.DeleteMax) {
		if err := c.store.Delete(ctx, batch...); err != nil {
			return fmt.Errorf("delete %d objects from %s: %w", len(batch), batch[0], err)
		}
		for _, key := range batch {
			delete(c.sweep.pending, key)
		}
		c.metrics.deleted.Add(int64(len(batch)))
		c.metrics.pending.Store(int64(len(c.sweep.pending)))
	}
	return nil
}

// sweepAll raises the floor as far as it may be, lists everything below it, and deletes what
// may go.
func (c *Compactor) sweepAll(ctx context.Context, now time.Time) (report JobReport, err error) {
	if _, err := c.attend(ctx, now); err != nil {
		return report, err
	}
	before := c.metrics.deleted.n.Load()
	c.sweep.restart()
	if err = c.find(ctx, now); err == nil {
		err = c.delete(ctx, now)
	}
	report.Done = c.metrics.deleted.n.Load() - before
	report.Left = int64(len(c.sweep.pending))
	report.Due = report.Done + report.Left
	return report, err
}

// Deleted counts the objects deleted so far.
func (c *Compactor) Deleted() int64 { return c.metrics.deleted.n.Load() }

// census counts objects and placements by what they are.
type census struct {
	live, dead, foreign int64

	placements [2]int64 // by level: 0, above
	alone      int64    // objects of one placement of level 1 with many batches
	shared     [2]map[string]struct{}
}

func (n *census) add(pl foz.Placement) {
	level := min(1, int(pl.Segment.Level))
	n.placements[level]++
	if pl.Segment.Batches > 1 {
		n.alone++
		return
	}
	if n.shared[level] == nil {
		n.shared[level] = map[string]struct{}{}
	}
	n.shared[level][pl.Object] = struct{}{}
}
