package compactor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/fozlog/foz"
)

// ledger is metadata in small, as rules 11 to 16 of the log have it: topics, placements, a
// floor, and what became of each swap. Every change makes a new slot; views do not change.
type ledger struct {
	now     chart
	decided map[string]foz.SwapResult
	swaps   []foz.Swap
	raised  []uint64
	nodes   []string
	stale   *chart                              // what View shows, if not now
	gate    func(foz.Swap) (apply, answer bool) // nil: yes, yes
	retains []foz.Retain
}

// chart is the ledger at one slot.
type chart struct {
	slot, floor, committed, released uint64
	topics                           []foz.Topic
	parts                            map[foz.Partition]shelf
}

// shelf is a partition.
type shelf struct {
	earliest   int64
	placements []foz.Placement
}

func newLedger() *ledger {
	return &ledger{now: chart{parts: map[foz.Partition]shelf{}},
		decided: map[string]foz.SwapResult{}}
}

func (l *ledger) next() *chart {
	l.now.parts = maps.Clone(l.now.parts)
	l.now.topics = slices.Clone(l.now.topics)
	l.now.slot++
	return &l.now
}

func (l *ledger) View() View {
	if l.stale != nil {
		return *l.stale
	}
	return l.now
}
func (l *ledger) Index() Index         { return l.View().(chart) }
func (l *ledger) HeardSlot() uint64    { return l.View().Slot() }
func (l *ledger) Compactors() []string { return l.nodes }

func (c chart) Slot() uint64          { return c.slot }
func (c chart) Floor() uint64         { return c.floor }
func (c chart) CommittedSlot() uint64 { return c.committed }
func (c chart) ReleasedSlot() uint64  { return c.released }

func (c chart) live() map[string]bool {
	live := map[string]bool{}
	for _, s := range c.parts {
		for _, pl := range s.placements {
			live[pl.Object] = true
		}
	}
	return live
}

func (c chart) Live(object string) bool { return c.live()[object] }

func (c chart) Objects(yield func(string) bool) {
	for _, object := range slices.Sorted(maps.Keys(c.live())) {
		if !yield(object) {
			return
		}
	}
}

func (c chart) Topics(prefix, after string, limit int) (page []foz.Topic, more bool) {
	for _, t := range c.topics {
		if t.Name > after {
			page = append(page, t)
		}
	}
	slices.SortFunc(page, func(a, b foz.Topic) int { return cmpString(a.Name, b.Name) })
	if more = len(page) > limit; more {
		page = page[:limit]
	}
	return page, more
}

func cmpString(a, b string) int {
	if a < b {
		return -1
	}
	return map[bool]int{true: 1}[a > b]
}

func (c chart) Locate(p foz.Partition, from int64, limit int) (
	[]foz.Placement, foz.Bounds, error,
) {
	s, found := c.parts[p]
	if !found {
		return nil, foz.Bounds{}, foz.Errorf(foz.CodeTopicNotFound, "no %s", p)
	}
	i := sort.Search(len(s.placements), func(i int) bool { return s.placements[i].Next() > from })
	all := s.placements[i:]
	bounds := foz.Bounds{Earliest: s.earliest, Next: s.end(), Segments: len(s.placements)}
	return all[:min(limit, len(all))], bounds, nil
}

func (s shelf) end() int64 {
	if n := len(s.placements); n > 0 {
		return s.placements[n-1].Next()
	}
	return s.earliest
}

func (l *ledger) RaiseFloor(_ context.Context, slot uint64) error {
	l.raised = append(l.raised, slot)
	c := l.next()
	c.floor = max(c.floor, slot)
	return nil
}

func (l *ledger) ForgetProducers(context.Context) (int, error) { return 0, nil }

// Swap is rule 16.
func (l *ledger) Swap(_ context.Context, s foz.Swap) (foz.SwapResult, error) {
	l.swaps = append(l.swaps, s)
	apply, answer := true, true
	if l.gate != nil {
		apply, answer = l.gate(s)
	}
	lost := foz.Errorf(foz.CodeAckTimeout, "the outcome is unknown")
	if !apply {
		return foz.SwapResult{}, lost
	}
	if birth, _, err := foz.ParseObjectKey(s.Object); err != nil || birth < l.now.floor {
		return foz.SwapResult{}, lost
	}
	if r, done := l.decided[s.Object]; done {
		return r, nil
	}
	c := l.next()
	result := foz.SwapResult{Slot: c.slot}
	for _, o := range s.Outputs {
		result.Accepted = append(result.Accepted, c.swap(s.Object, o))
	}
	l.decided[s.Object] = result
	if !answer {
		return foz.SwapResult{}, lost
	}
	return result, nil
}

func (c *chart) swap(object string, o foz.SwapOutput) bool {
	p := o.Segment.Partition
	s, found := c.parts[p]
	inputs := o.Inputs
	for len(inputs) > 0 && inputs[0].Range.Next <= s.earliest {
		inputs = inputs[1:]
	}
	if !found || len(inputs) == 0 || o.Segment.Rows <= 0 || !tiles(o) {
		return false
	}
	i := slices.IndexFunc(s.placements, func(pl foz.Placement) bool {
		return pl.Object == inputs[0].Object && pl.Base == inputs[0].Range.Base
	})
	if i < 0 || i+len(inputs) > len(s.placements) {
		return false
	}
	merged := foz.Placement{Object: object, Segment: o.Segment, RowCount: o.Segment.Rows,
		Base: o.Range.Base, Missing: o.Range.Len() - int64(o.Segment.Rows)}
	for n, in := range inputs {
		pl := s.placements[i+n]
		if pl.Object != in.Object || pl.Base != in.Range.Base || pl.Next() != in.Range.Next {
			return false
		}
		merged.AppendedMS = max(merged.AppendedMS, pl.AppendedMS)
	}
	s.placements = slices.Concat(s.placements[:i], []foz.Placement{merged},
		s.placements[i+len(inputs):])
	c.parts[p] = s
	c.released = c.slot
	return true
}

// tiles says whether an output's inputs are its range.
func tiles(o foz.SwapOutput) bool {
	next := o.Range.Base
	for _, in := range o.Inputs {
		if in.Range.Base != next {
			return false
		}
		next = in.Range.Next
	}
	return next == o.Range.Next && int64(o.Segment.Rows) <= o.Range.Len()
}

// Retain moves starts up, unless the topic is another.
func (l *ledger) Retain(_ context.Context, r foz.Retain) error {
	l.retains = append(l.retains, r)
	c := l.next()
	i := slices.IndexFunc(c.topics, func(t foz.Topic) bool { return t.ID == r.Topic })
	if i < 0 || c.topics[i].Revision != r.Revision {
		return foz.Errorf(foz.CodeTopicChanged, "the topic has changed")
	}
	for _, start := range r.Starts {
		c.start(foz.Partition{Topic: r.Topic, Number: start.Partition}, start.Earliest)
	}
	return nil
}

func (c *chart) start(p foz.Partition, earliest int64) {
	s := c.parts[p]
	if s.earliest = max(s.earliest, earliest); s.earliest > s.end() {
		panic(fmt.Sprintf("%s starts at %d, past its end", p, earliest))
	}
	for len(s.placements) > 0 && s.placements[0].Next() <= s.earliest {
		s.placements = s.placements[1:]
		c.released = c.slot
	}
	c.parts[p] = s
}

// topic makes a topic.
func (l *ledger) topic(name string, partitions int32, cfg foz.TopicConfig) foz.Topic {
	c := l.next()
	t := foz.Topic{ID: foz.TopicID{byte(c.slot)}, Name: name, Partitions: partitions,
		Config: cfg, Revision: c.slot}
	c.topics = append(c.topics, t)
	for n := range partitions {
		c.parts[foz.Partition{Topic: t.ID, Number: n}] = shelf{}
	}
	return t
}

// drop deletes a topic.
func (l *ledger) drop(id foz.TopicID) {
	c := l.next()
	c.topics = slices.DeleteFunc(c.topics, func(t foz.Topic) bool { return t.ID == id })
	maps.DeleteFunc(c.parts, func(p foz.Partition, _ shelf) bool { return p.Topic == id })
	c.released = c.slot
}
