package compactor

import (
	"math"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// When pieces of level 1 are merged again. A piece of at least 80 % of the target is done. The
// others wait until those side by side make a target, so that a byte of a busy partition is
// written twice after ingest: into a piece, into the target.
//
// Pieces below 1/128 of the target would have to wait in such numbers that metadata felt it:
// sixteen of a size class, each class sixteen times the one below, make one of the next. A
// byte of the smallest partition is thus written log16(target/piece) times, and a partition
// has at most 128 + 4*16 pieces that wait.
const (
	donePercent = 80
	crowd       = 16
	crowdPart   = 128
	crowdLevels = 4
)

// smallRuns are the runs of adjacent pieces of level 1 that are not done.
func (c *Compactor) smallRuns(now time.Time, t table) (runs [][]foz.Placement) {
	done := c.cfg.SegmentBytes * donePercent / 100
	ages := c.ages(t.topic.Config)
	var run []foz.Placement
	for i, pl := range t.placements {
		wanted := pl.Segment.Level > 0 && size(pl) < done && !c.avoids(now, t.partition, pl)
		if len(run) > 0 && (!wanted || ages(pl) != ages(run[0])) {
			runs = append(runs, run)
			run = nil
		}
		if wanted {
			run = t.placements[i-len(run) : i+1]
		}
	}
	if len(run) > 0 {
		runs = append(runs, run)
	}
	return runs
}

// ages gives the age class of a placement, of a topic that is compacted by key; the same for
// all of any other. What is merged has the append time of its newest row, so a tombstone
// merged with ever newer neighbours would never be old enough to go. Those of different
// quarters of the time that a tombstone is kept stay apart, until that time is over.
func (c *Compactor) ages(t foz.TopicConfig) func(foz.Placement) int64 {
	if !compacts(t) {
		return func(foz.Placement) int64 { return 0 }
	}
	retention := deleteRetentionMS(t)
	now, known := c.clock.now()
	return func(pl foz.Placement) int64 {
		if known && pl.AppendedMS <= now-retention {
			return math.MinInt64
		}
		return pl.AppendedMS / max(1, retention/4)
	}
}

func compacts(t foz.TopicConfig) bool { return strings.Contains(t.CleanupPolicy, "compact") }

// ripe gives which pieces of a run are to be merged with each other. forced: not only what is
// worth it by itself, but whatever at most doubles what its youngest members are written.
func ripe(run []foz.Placement, target int64, forced bool) (groups [][]foz.Placement) {
	from, bytes, rows := 0, int64(0), int64(0)
	for i, pl := range run {
		if rows += int64(pl.RowCount); rows > math.MaxInt32 {
			from, bytes, rows = i, 0, int64(pl.RowCount)
		}
		if bytes += size(pl); bytes >= target {
			groups = append(groups, run[from:i+1])
			from, bytes, rows = i+1, 0, 0
		}
	}
	rest := run[from:]
	if crowds := crowded(rest, target/crowdPart); len(crowds) > 0 {
		return append(groups, crowds...)
	}
	if forced {
		return append(groups, pairs(rest)...)
	}
	return groups
}

// crowded gives the pieces that are too many of a small size, of the smallest size there is
// such a crowd of.
func crowded(run []foz.Placement, unit int64) (groups [][]foz.Placement) {
	for level := crowdLevels - 1; level >= 0 && len(groups) == 0; level-- {
		most := unit >> (4 * level)
		least := most / crowd
		if level == crowdLevels-1 {
			least = 0
		}
		from, n := 0, 0
		for i := 0; i <= len(run); i++ {
			if i < len(run) && size(run[i]) < most {
				if size(run[i]) >= least {
					n++
				}
				continue
			}
			if n >= crowd {
				groups = append(groups, run[from:i])
			}
			from, n = i+1, 0
		}
	}
	return groups
}

// pairs groups pieces from the youngest on, each with those after it if it is at most twice
// as large as they are together.
func pairs(run []foz.Placement) (groups [][]foz.Placement) {
	for end := len(run); end > 0; {
		from, bytes, rows := end-1, size(run[end-1]), int64(run[end-1].RowCount)
		for from > 0 && size(run[from-1]) <= 2*bytes &&
			rows+int64(run[from-1].RowCount) <= math.MaxInt32 {
			from--
			bytes += size(run[from])
			rows += int64(run[from].RowCount)
		}
		if end-from > 1 {
			groups = append([][]foz.Placement{run[from:end]}, groups...)
		}
		end = from
	}
	return groups
}
