package compactor

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// part is what becomes one stretch of a partition: adjacent placements, in order.
type part struct {
	partition foz.Partition
	typed     []foz.SchemaColumn // of its topic
	inputs    []foz.Placement
}

// plan is what could be merged.
type plan struct {
	fresh []part // of level 0, one job's worth, from the oldest objects on
	small []part // of level 1, as much as one job takes
	// What there is to do, in this job and later.
	freshBytes, freshPlacements, smallPlacements int64
}

// table is one partition as a view shows it.
type table struct {
	topic      foz.Topic
	partition  foz.Partition
	placements []foz.Placement
	bounds     foz.Bounds
}

// tables calls f with each partition, by name of its topic and number.
func tables(view View, f func(table)) {
	const page = 1000
	after := ""
	for more := true; more; {
		var topics []foz.Topic
		topics, more = view.Topics("", after, page)
		for _, t := range topics {
			after = t.Name
			for n := range t.Partitions {
				p := foz.Partition{Topic: t.ID, Number: n}
				if placements, bounds, err := view.Locate(p, 0, math.MaxInt); err == nil {
					f(table{t, p, placements, bounds})
				}
			}
		}
		more = more && len(topics) > 0
	}
}

// mine gives which partitions are this node's: each is that of the node whose hash with it is
// the highest. Where nodes disagree on who is there, two do the same work, and a swap of each
// pair is refused.
func (c *Compactor) mine() func(foz.Partition) bool {
	nodes := c.deps.Tables.Compactors()
	if c.cfg.Node == "" || len(nodes) == 0 || len(nodes) == 1 && nodes[0] == c.cfg.Node {
		return func(foz.Partition) bool { return true }
	}
	return func(p foz.Partition) bool {
		own := weight(c.cfg.Node, p)
		return !slices.ContainsFunc(nodes, func(node string) bool {
			w := weight(node, p)
			return w > own || w == own && node > c.cfg.Node
		})
	}
}

func weight(node string, p foz.Partition) uint64 {
	text := append([]byte(node), 0)
	text = append(text, p.Topic[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(text, uint32(p.Number)))
	return binary.BigEndian.Uint64(sum[:])
}

func everyones(foz.Partition) bool { return true }

// plan looks for what could be merged. forced: also what is not worth it yet.
func (c *Compactor) plan(now time.Time, view View, mine func(foz.Partition) bool,
	forced bool,
) plan {
	var p plan
	var chosen []table
	objects := map[string]*extent{}
	var seen census
	tables(view, func(t table) {
		if !mine(t.partition) {
			return
		}
		chosen = append(chosen, t)
		for _, pl := range t.placements {
			seen.add(pl)
			if pl.Segment.Level == 0 && !c.avoids(now, t.partition, pl) {
				p.freshPlacements++
				p.freshBytes += size(pl)
				extend(objects, pl)
			}
		}
	})
	c.metrics.saw(seen, p.freshBytes)
	slices.SortFunc(chosen, func(a, b table) int { return a.partition.Compare(b.partition) })
	oldest := firstJob(objects, c.cfg.JobBytes)
	for _, t := range chosen {
		p.fresh = append(p.fresh, t.stretches(func(pl foz.Placement) bool {
			return pl.Segment.Level == 0 && oldest[pl.Object] && !c.avoids(now, t.partition, pl)
		})...)
	}
	c.planSmall(&p, now, chosen, forced)
	return p
}

// planSmall adds what is ripe of level 1, from the lowest partition on, up to a job's worth.
func (c *Compactor) planSmall(p *plan, now time.Time, chosen []table, forced bool) {
	var bytes int64
	for _, t := range chosen {
		if c.passes.on(t.partition) {
			continue
		}
		for _, run := range c.smallRuns(now, t) {
			for _, group := range ripe(run, c.cfg.SegmentBytes, forced) {
				p.smallPlacements += int64(len(group))
				if bytes < c.cfg.JobBytes {
					p.small = append(p.small, part{t.partition, t.topic.Schema.Columns, group})
					bytes += total(group) + gapMax*int64(len(group))
				}
			}
		}
	}
}

// stretches are the longest runs of adjacent placements that all are wanted.
func (t table) stretches(wanted func(foz.Placement) bool) (parts []part) {
	from := 0
	for i, pl := range t.placements {
		if wanted(pl) {
			if i == len(t.placements)-1 {
				parts = append(parts, part{t.partition, t.topic.Schema.Columns, t.placements[from:]})
			}
			continue
		}
		if from < i {
			parts = append(parts, part{t.partition, t.topic.Schema.Columns, t.placements[from:i]})
		}
		from = i + 1
	}
	return parts
}

// extent is which bytes of an object are wanted.
type extent struct{ start, end int64 }

func extend(objects map[string]*extent, pl foz.Placement) {
	s := pl.Segment
	if x := objects[pl.Object]; x != nil {
		x.start, x.end = min(x.start, s.ByteStart), max(x.end, s.ByteEnd)
		return
	}
	objects[pl.Object] = &extent{s.ByteStart, s.ByteEnd}
}

// firstJob gives the oldest objects, by birth, up to a job's worth of bytes, and one at least.
func firstJob(objects map[string]*extent, bytesMax int64) map[string]bool {
	job := map[string]bool{}
	var bytes int64
	for _, object := range slices.Sorted(maps.Keys(objects)) {
		x := objects[object]
		if bytes += x.end - x.start; bytes > bytesMax && len(job) > 0 {
			break
		}
		job[object] = true
	}
	return job
}

// size is what a placement takes of its object.
func size(pl foz.Placement) int64 {
	bytes := pl.Segment.ByteEnd - pl.Segment.ByteStart
	if pl.RowCount == pl.Segment.Rows || pl.Segment.Rows == 0 {
		return bytes
	}
	return int64(float64(bytes) * float64(pl.RowCount) / float64(pl.Segment.Rows))
}

func total(placements []foz.Placement) (bytes int64) {
	for _, pl := range placements {
		bytes += size(pl)
	}
	return bytes
}

// place names a placement, whichever view shows it.
type place struct {
	partition foz.Partition
	object    string
	base      int64
}

// avoided is a placement that could not be read.
type avoided struct {
	until  time.Time
	damage Damage
}

// avoids says whether a placement is left alone for now.
func (c *Compactor) avoids(now time.Time, p foz.Partition, pl foz.Placement) bool {
	if len(c.avoid) == 0 {
		return false
	}
	at := place{p, pl.Object, pl.Base}
	a, found := c.avoid[at]
	if found && !now.Before(a.until) {
		delete(c.avoid, at)
		return false
	}
	return found
}

// named says whether a view still has a placement.
func named(view View, at place) bool {
	found, _, err := view.Locate(at.partition, at.base, 1)
	return err == nil && len(found) > 0 && found[0].Object == at.object && found[0].Base == at.base
}

// leaveAlone notes that a placement could not be read: it is tried again later, and until
// then everything around it goes on without it. Nothing is dropped. One that is named no more
// is no damage: another node was faster, and the sweep was, too.
func (c *Compactor) leaveAlone(p foz.Partition, pl foz.Placement, err error) {
	at := place{p, pl.Object, pl.Base}
	if !named(c.deps.Tables.View(), at) {
		return
	}
	c.deps.Logger.Error("cannot read a placement; it is left as it is", "object", pl.Object,
		"partition", p.String(), "from", pl.Base, "to", pl.Next(), "err", err)
	c.avoid[at] = avoided{
		until: time.Now().Add(c.cfg.DamageRetry),
		damage: Damage{Partition: p, Range: foz.Range{Base: pl.Base, Next: pl.Next()},
			Object: pl.Object, Err: err.Error()},
	}
	c.metrics.damaged.Add(1)
	c.metrics.avoided.Store(int64(len(c.avoid)))
}

// damage is what is left alone now, by partition and offset: what was merged, or has expired,
// by another node is forgotten.
func (c *Compactor) damage() []Damage {
	var all []Damage
	for at, a := range c.avoid {
		if !named(c.deps.Tables.View(), at) {
			delete(c.avoid, at)
			continue
		}
		all = append(all, a.damage)
	}
	c.metrics.avoided.Store(int64(len(c.avoid)))
	slices.SortFunc(all, compareDamage)
	return all
}

func compareDamage(a, b Damage) int {
	return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Base, b.Base),
		strings.Compare(a.Object, b.Object))
}
