package metadata

import (
	"bytes"
	"fmt"
	"maps"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: what must hold in every state, whatever was applied, written once and used by the
// stories, the properties and the fuzz targets.

// invariants names what does not hold in s.
func invariants(s *State) (broken []string) {
	c := &invariantCheck{named: map[string]int{}}
	for i, slot := range s.claims {
		c.must(slot <= s.slot && (i == 0 || s.claims[i-1] < slot), "claims %v", s.claims)
	}
	c.must(s.floor <= s.slot, "floor %d above slot %d", s.floor, s.slot)
	c.must(s.committed <= s.slot && s.released <= s.slot,
		"committed %d, released %d at slot %d", s.committed, s.released, s.slot)
	s.topics.Scan(func(id string, t *topic) bool {
		c.topic(s, id, t)
		return true
	})
	c.must(s.names.Len() == s.topics.Len(), "%d names of %d topics", s.names.Len(), s.topics.Len())
	c.must(s.placements == c.placements, "%d placements, counted %d", c.placements, s.placements)
	live := map[string]int{}
	s.objects.Scan(func(object string, names int) bool {
		live[object] = names
		return true
	})
	c.must(maps.Equal(live, c.named), "live %v, placements name %v", live, c.named)
	s.results.Scan(func(id string, r *logpb.Result) bool {
		birth, err := birthOf(id)
		c.must(err == nil && birth >= s.floor, "result of %s below floor %d", id, s.floor)
		c.must(r != nil && r.Slot <= s.slot, "result of %s: %v", id, r)
		return true
	})
	c.producers(s)
	return c.broken
}

type invariantCheck struct {
	named      map[string]int // objects to how many placements name them
	placements int
	broken     []string
}

func (c *invariantCheck) must(holds bool, format string, args ...any) {
	if !holds {
		c.broken = append(c.broken, fmt.Sprintf(format, args...))
	}
}

func (c *invariantCheck) topic(s *State, id string, t *topic) {
	at, ok := s.names.Get(t.Name)
	c.must(ok && at == id && string(t.ID[:]) == id, "topic %q is named %x", t.Name, at)
	c.must(len(t.partitions) == int(t.Partitions), "topic %q has %d partitions, says %d",
		t.Name, len(t.partitions), t.Partitions)
	for number, p := range t.partitions {
		c.partition(foz.Partition{Topic: t.ID, Number: int32(number)}, p)
		c.must(p.generation <= s.slot, "generation %d at slot %d", p.generation, s.slot)
	}
}

// partition: placements tile [earliest, next), the first may begin below; each lies inside
// its segment, which is of this partition; bytes are the sum of theirs.
func (c *invariantCheck) partition(at foz.Partition, p *partition) {
	c.must(p.earliest <= p.next && p.earliest >= 0, "%v: [%d, %d)", at, p.earliest, p.next)
	next, sum, missing := p.next, int64(0), int64(0)
	for i := len(p.placements) - 1; i >= 0; i-- {
		l := p.placements[i]
		c.must(l.Next() == next && l.RowCount > 0, "%v: placement %d ends at %d, not %d",
			at, i, l.Next(), next)
		c.must(l.RowStart >= 0 && l.RowStart+l.RowCount <= l.Segment.Rows,
			"%v: rows [%d, +%d) of %d", at, l.RowStart, l.RowCount, l.Segment.Rows)
		c.must(l.Segment.Partition == at, "%v: segment of %v", at, l.Segment.Partition)
		c.must(l.Segment.ByteStart >= 0 && l.Segment.ByteEnd >= l.Segment.ByteStart,
			"%v: bytes [%d, %d)", at, l.Segment.ByteStart, l.Segment.ByteEnd)
		c.must(l.Segment.Level == 1 && l.RowCount == l.Segment.Rows && l.Missing >= 0 ||
			l.Segment.Level == 0 && l.Missing == 0, "%v: placement %d is %+v", at, i, l)
		next, sum, missing = l.Base, sum+placementBytes(&l), missing+l.Missing
		c.named[l.Object]++
		c.placements++
	}
	c.must(next <= p.earliest, "%v: nothing holds [%d, %d)", at, p.earliest, next)
	if len(p.placements) > 0 {
		c.must(p.placements[0].Next() > p.earliest, "%v: a placement below the start", at)
	}
	c.must(sum == p.bytes && missing == p.missing, "%v: %d bytes, counted %d, %d missing, counted %d",
		at, sum, p.bytes, missing, p.missing)
	records := p.bounds().Records
	c.must(records >= 0 && records <= p.next-p.earliest, "%v: %d records of [%d, %d)", at,
		records, p.earliest, p.next)
}

func (c *invariantCheck) producers(s *State) {
	s.producers.Scan(func(key string, p *producer) bool {
		_, ok := s.topics.Get(key[:min(16, len(key))])
		c.must(ok, "producer %q of no topic", key)
		c.must(len(p.answers) > 0 && len(p.answers) <= answersMax, "producer %q: %d answers",
			key, len(p.answers))
		for i, a := range p.answers {
			want := p.next - int64(len(p.answers)-i)
			c.must(a.Seq == want, "producer %q: answer %d is of %d, want %d", key, i, a.Seq, want)
		}
		return true
	})
}

// checkRoundTrip: a state read back from its snapshot is the same, and its snapshot too.
func checkRoundTrip(t testing.TB, s *State) *State {
	t.Helper()
	body := encodeSnapshot(s, Defects{})
	again, err := decodeSnapshot(body)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encodeSnapshot(again, Defects{}), body) {
		t.Fatalf("slot %d: the snapshot's snapshot differs", s.slot)
	}
	if broken := invariants(again); len(broken) > 0 {
		t.Fatalf("slot %d, read back: %v", s.slot, broken)
	}
	return again
}
