package compactor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fozlog/foz"
)

// Key compaction keeps the newest record of each key, and every record without one. A pass
// over a partition reads the keys of its dirty part, as many as fit its memory, and then
// rewrites the partition from the log start on, without the records that have a newer one.
// Offsets stay. A partition with more keys than fit takes several passes, each of which
// reads all that is below what it maps.
//
// Invariant: a tombstone goes only when every older record of its key is gone, or a deleted
// key would come back. So it goes in a pass that began at the log start, has read everything
// below it, now or when that was mapped, and had each swap accepted; and late enough for readers
// to have seen it.
//
// Which part is clean is kept in memory alone. After a restart all is dirty, which costs each
// partition one more reading; what has nothing to drop is not written again.

// passes are key compaction's state.
type passes struct {
	clean map[foz.Partition]cleaned
	pass  *pass         // under way
	last  foz.Partition // had the last pass
}

// cleaned is what a pass left behind.
type cleaned struct {
	until     int64 // no record below has a newer one of its key below, as far as could be read
	hole      int64 // where it could not, first; noHole: nowhere
	again     bool  // the next pass is to read all, because of the hole
	tombstone int64 // append time of the oldest tombstone left; 0: there is none
}

func (p *passes) on(partition foz.Partition) bool {
	return p.pass != nil && p.pass.partition == partition
}

// pass is one on its way. It maps [from, to), then rewrites all below to.
type pass struct {
	topic     foz.Topic
	partition foz.Partition
	from, to  int64
	mapped    int64 // so far
	full      bool  // the map is
	cut       bool  // to was to be further: the next pass goes on from there
	latest    map[[16]byte]int64

	next      int64           // rewritten up to here
	emptied   []foz.Placement // just below next: none of their records stays
	hole      int64           // below, everything could be read and no more is there than has to be
	oldMS     int64           // tombstones appended by then may go
	tombstone int64           // append time of the oldest one left
}

const noHole = math.MaxInt64

// leave notes that what lies at an offset may have older records of any key, or newer.
func (p *pass) leave(offset int64) { p.hole = min(p.hole, offset) }

// leaveEmptied leaves placements as they are of which nothing was to stay.
func (p *pass) leaveEmptied() {
	if len(p.emptied) > 0 {
		p.leave(p.emptied[0].Base)
	}
	p.emptied = nil
}

// front gives the placements that can be compacted: up to the first that is to be merged yet.
func (c *Compactor) front(now time.Time, t table) []foz.Placement {
	for i, pl := range t.placements {
		if pl.Segment.Level == 0 && !c.avoids(now, t.partition, pl) {
			return t.placements[:i]
		}
	}
	return t.placements
}

// dirty gives the partitions that are due for a pass. forced: that anything is new is enough.
func (c *Compactor) dirty(now time.Time, mine func(foz.Partition) bool, forced bool) (due []pass) {
	exists := map[foz.Partition]bool{}
	tables(c.deps.Tables.View(), func(t table) {
		exists[t.partition] = true
		if !compacts(t.topic.Config) || !mine(t.partition) {
			return
		}
		clean, known := c.passes.clean[t.partition]
		front := c.front(now, t)
		var dirtyBytes, cleanBytes int64
		for _, pl := range front {
			if pl.Next() > clean.until {
				dirtyBytes += size(pl)
			} else {
				cleanBytes += size(pl)
			}
		}
		enough := dirtyBytes > 0 && (forced || dirtyBytes*100 >= cleanBytes*c.cfg.DirtyPercent)
		ms, dated := c.clock.now()
		late := dated && clean.tombstone > 0 && clean.tombstone <= ms-deleteRetentionMS(t.topic.Config)
		if len(front) > 0 && (enough || late) { // all may have expired, the last tombstone too
			p := pass{topic: t.topic, partition: t.partition, from: clean.until, hole: clean.hole,
				to: front[len(front)-1].Next()}
			if !known || clean.again {
				p.from, p.hole = 0, noHole
			}
			due = append(due, p)
		}
	})
	maps.DeleteFunc(c.passes.clean, func(p foz.Partition, _ cleaned) bool { return !exists[p] })
	return due
}

// deleteRetentionMS is how long a topic's tombstones are kept.
func deleteRetentionMS(t foz.TopicConfig) int64 {
	return cmp.Or(t.DeleteRetentionMS, (24 * time.Hour).Milliseconds())
}

// compact does a step of the pass under way, or of the next.
func (c *Compactor) compact(ctx context.Context, now time.Time) (more bool, err error) {
	if c.passes.pass == nil {
		due := c.dirty(now, c.mine(), false)
		if len(due) == 0 {
			return false, nil
		}
		// In turn, so that a busy partition does not keep the others waiting.
		slices.SortFunc(due, func(a, b pass) int { return a.partition.Compare(b.partition) })
		i := max(0, slices.IndexFunc(due, func(p pass) bool {
			return p.partition.Compare(c.passes.last) > 0
		}))
		if err := c.begin(ctx, due[i]); err != nil {
			return false, err
		}
	}
	err = c.stepPass(ctx, c.passes.pass)
	return err == nil, err
}

func (c *Compactor) begin(ctx context.Context, p pass) error {
	ms, err := c.askTime(ctx)
	if err != nil {
		return err
	}
	p.mapped, p.latest = p.from, map[[16]byte]int64{}
	p.oldMS = ms - deleteRetentionMS(p.topic.Config)
	c.passes.pass, c.passes.last = &p, p.partition
	return nil
}

// compactAll compacts all there is by key, whoever's it is.
func (c *Compactor) compactAll(ctx context.Context) (report JobReport, err error) {
	for c.passes.pass != nil && err == nil && !c.late() { // of Run
		err = c.stepPass(ctx, c.passes.pass)
	}
	given := map[foz.Partition]bool{}
	due := c.dirty(time.Now(), everyones, true)
	report.Due = int64(len(due))
	for len(due) > 0 && err == nil && !c.late() {
		p := due[0]
		if err = c.begin(ctx, p); err == nil {
			for c.passes.pass != nil && err == nil && !c.late() {
				err = c.stepPass(ctx, c.passes.pass)
			}
		}
		if c.passes.clean[p.partition].until <= p.from { // it did not get on
			given[p.partition] = true
		}
		due = slices.DeleteFunc(c.dirty(time.Now(), everyones, true),
			func(p pass) bool { return given[p.partition] })
	}
	report.Left = int64(len(c.dirty(time.Now(), everyones, true)))
	report.Done = max(0, report.Due-report.Left)
	return report, err
}

// stepPass reads or rewrites one object's worth. The pass is over when passes.pass is nil.
func (c *Compactor) stepPass(ctx context.Context, p *pass) error {
	placements, _, err := c.deps.Tables.View().Locate(p.partition, p.next, 1<<62)
	if err != nil { // the topic is gone
		c.passes.pass = nil
		return nil
	}
	t := table{p.topic, p.partition, placements, foz.Bounds{}}
	placements = c.front(time.Now(), t)
	p.upTo(placements)
	if !p.full {
		return c.mapKeys(ctx, p, placements)
	}
	return c.dropOld(ctx, p, placements)
}

// upTo has a pass end where the front does. It was further when the pass began, if a fresh
// placement was left alone then that is to be merged after all. From there on nothing more is
// mapped or rewritten, so that it is dirty still, also when the front is further again.
func (p *pass) upTo(front []foz.Placement) {
	end := p.next
	if n := len(front); n > 0 {
		end = front[n-1].Next()
	}
	if end < p.to {
		p.to, p.cut = end, true
	}
}

// finish notes what is clean: what the pass was to make so, and what was when it began.
func (c *Compactor) finish(p *pass) {
	p.leaveEmptied()
	until, hole := max(p.from, p.to), p.hole
	if hole >= until { // the next pass looks there
		hole = noHole
	}
	c.passes.clean[p.partition] = cleaned{until, hole, !p.cut && hole != noHole, p.tombstone}
	c.passes.pass = nil
}

// mapKeys reads keys of the dirty part.
func (c *Compactor) mapKeys(ctx context.Context, p *pass, placements []foz.Placement) error {
	from := slices.IndexFunc(placements, func(pl foz.Placement) bool { return pl.Next() > p.mapped })
	if from < 0 || placements[from].Base >= p.to {
		p.full = true
		return nil
	}
	group := c.group(p, placements[from:], 0)
	if len(group) == 0 { // unreadable
		p.leave(placements[from].Base)
		p.mapped = placements[from].Next()
		return nil
	}
	h, err := c.fetch(ctx, []part{{p.partition, p.topic.Schema.Columns, group}})
	if err != nil {
		return err
	}
	for _, pl := range group {
		err := c.scan(ctx, h, pl, func(run foz.Run) error {
			p.remember(run, c.cfg.KeysMax)
			return nil
		})
		switch {
		case errors.Is(err, errUnreadable):
			c.leaveAlone(p.partition, pl, err)
			p.leave(pl.Base)
		case err != nil:
			return err
		}
		p.mapped = pl.Next()
		if p.full {
			return nil
		}
	}
	return nil
}

// scan opens a placement and gives its runs.
func (c *Compactor) scan(ctx context.Context, h held, pl foz.Placement,
	f func(foz.Run) error,
) error {
	o, err := c.open(ctx, h, pl)
	if err != nil {
		return err
	}
	return o.each(f)
}

// remember notes the offsets of a run's keys, until there are too many of them: then the map
// ends there.
func (p *pass) remember(run foz.Run, keysMax int) {
	for i := range run.Len() {
		offset := run.Offset(i)
		key := run.Rows.Keys.Cell(run.From + i)
		if key == nil || offset < p.from || offset >= p.to {
			continue
		}
		h := hash(key)
		if _, known := p.latest[h]; !known && len(p.latest) >= keysMax {
			p.to, p.full, p.cut = offset, true, true
			return
		}
		p.latest[h] = offset
	}
}

func hash(key []byte) [16]byte {
	sum := sha256.Sum256(key)
	return [16]byte(sum[:16])
}

// group is the next placements to be taken together: adjacent, readable, of one age, an
// object's worth of bytes and one at least.
func (c *Compactor) group(p *pass, placements []foz.Placement, before int) []foz.Placement {
	ages, now := c.ages(p.topic.Config), time.Now()
	bytes := int64(0)
	for i, pl := range placements {
		bytes += size(pl)
		if pl.Segment.Level == 0 || c.avoids(now, p.partition, pl) || pl.Base >= p.to ||
			i > 0 && (bytes > c.cfg.SegmentBytes || ages(pl) != ages(placements[0]) ||
				before+i >= inputsMax) {
			return placements[:i]
		}
	}
	return placements
}

// verdict is what a look at a group found.
type verdict struct {
	kept, dropped int64
	last          int64 // offset of the last record
	old           bool  // which has a newer one of its key
	tombstone     int64 // append time of the oldest tombstone that stays
	newest        int64 // append time of the newest record
}

// dropOld rewrites the next group.
func (c *Compactor) dropOld(ctx context.Context, p *pass, placements []foz.Placement) error {
	if len(placements) == 0 || placements[0].Base >= p.to {
		c.finish(p)
		return nil
	}
	switch base := placements[0].Base; {
	case base < p.next: // somebody else has merged what came before: some of them, perhaps not all
		p.leaveEmptied()
	case base > p.next: // the log start has passed them
		p.emptied = nil
	}
	group := c.group(p, placements, len(p.emptied))
	if len(group) == 0 {
		p.leave(placements[0].Base)
		p.leaveEmptied()
		p.next = placements[0].Next()
		return nil
	}
	parts := []part{{p.partition, p.topic.Schema.Columns, group}}
	h, err := c.fetch(ctx, parts)
	if err != nil {
		return err
	}
	found, err := c.look(ctx, p, h, group)
	if errors.Is(err, errUnreadable) {
		return nil // it is left alone from now on: the next step goes around it
	}
	if err != nil {
		return err
	}
	after := placements[len(group):]
	final := len(after) == 0 || len(c.group(p, after, 0)) == 0 ||
		len(p.emptied)+len(group) >= inputsMax
	if found.kept == 0 && !final {
		p.emptied = append(p.emptied, group...)
		p.next = group[len(group)-1].Next()
		return nil
	}
	spare := int64(-1)
	if found.kept == 0 { // a placement has a row at least
		spare = found.last
		if found.old {
			p.leave(spare)
		}
	}
	if found.dropped > 0 && (spare < 0 || found.dropped > 1) || len(p.emptied) > 0 {
		if done, err := c.replace(ctx, p, h, group, spare); !done || err != nil {
			return err
		}
		c.metrics.dropped.Add(found.dropped)
		if found.tombstone > 0 {
			found.tombstone = found.newest // as that of all of it now
		}
	}
	p.went(group, found)
	return nil
}

// went moves a pass past a group.
func (p *pass) went(group []foz.Placement, found verdict) {
	p.next, p.emptied = group[len(group)-1].Next(), nil
	if p.next <= p.hole && found.tombstone > 0 && (p.tombstone == 0 || found.tombstone < p.tombstone) {
		p.tombstone = found.tombstone
	}
}

// look counts what would be dropped of a group.
func (c *Compactor) look(ctx context.Context, p *pass, h held, group []foz.Placement) (
	v verdict, err error,
) {
	for _, pl := range group {
		v.newest = max(v.newest, pl.AppendedMS)
		err := c.scan(ctx, h, pl, func(run foz.Run) error {
			for i := range run.Len() {
				v.last = run.Offset(i)
				stays, tombstone := p.stays(pl, run, i)
				v.old = !stays && !tombstone
				switch {
				case !stays:
					v.dropped++
					continue
				case tombstone && (v.tombstone == 0 || pl.AppendedMS < v.tombstone):
					v.tombstone = max(1, pl.AppendedMS)
				}
				v.kept++
			}
			return nil
		})
		if errors.Is(err, errUnreadable) {
			c.leaveAlone(p.partition, pl, err)
		}
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

// stays says whether a record is the newest of its key, and not a tombstone that has been
// there long enough.
func (p *pass) stays(pl foz.Placement, run foz.Run, i int) (stays, tombstone bool) {
	key := run.Rows.Keys.Cell(run.From + i)
	offset := run.Offset(i)
	if key == nil || offset >= p.to {
		return true, false
	}
	if newest, known := p.latest[hash(key)]; known && newest > offset {
		return false, false
	}
	if run.Rows.Values.Cell(run.From+i) != nil {
		return true, false
	}
	return offset >= p.hole || pl.AppendedMS > p.oldMS, true
}

// replace writes what stays of a group, and of those emptied before it, and has it swapped
// in. Not done: the pass is over, because whether what is older is gone is not known.
func (c *Compactor) replace(ctx context.Context, p *pass, h held, group []foz.Placement,
	spare int64,
) (done bool, err error) {
	w := &writer{restMin: 1, uncut: true, before: p.emptied}
	w.filter = func(pl foz.Placement, run foz.Run, take func(foz.Run) error) error {
		return eachKept(run, func(i int) bool {
			stays, _ := p.stays(pl, run, i)
			return stays || run.Offset(i) == spare
		}, take)
	}
	t, err := c.writeHeld(ctx, h, []part{{p.partition, p.topic.Schema.Columns, group}}, w)
	if err != nil {
		return false, fmt.Errorf("compact %s: %w", p.partition, err)
	}
	if t.accepted != int64(len(p.emptied)+len(group)) {
		c.passes.pass = nil
		return false, nil
	}
	return true, nil
}

// eachKept gives the longest runs of rows that are kept.
func eachKept(run foz.Run, kept func(i int) bool, f func(foz.Run) error) error {
	for from := 0; from < run.Len(); {
		if !kept(from) {
			from++
			continue
		}
		to := from + 1
		for to < run.Len() && kept(to) {
			to++
		}
		some := foz.Run{Base: run.Offset(from), Rows: run.Rows,
			From: run.From + from, To: run.From + to}
		if run.Offsets != nil {
			some.Offsets = run.Offsets[from:to]
		}
		if err := f(some); err != nil {
			return err
		}
		from = to
	}
	return nil
}
