package foz_test

// How: ids are written and read back (rapid), malformed ones refused (table), and the order of
// partitions compared with that of their text.

import (
	"cmp"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

func drawTopic(t *rapid.T) (id foz.TopicID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic"))
	return id
}

func TestTopicIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawTopic(t)
		got, err := foz.ParseTopicID(id.String())
		if err != nil || got != id {
			t.Fatalf("%s is read as %s, error %v", id, got, err)
		}
	})
	id := foz.TopicID{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66,
		0x14, 0x17, 0x40, 0x00}
	if got := id.String(); got != "123e4567-e89b-12d3-a456-426614174000" {
		t.Errorf("String() = %s", got)
	}
}

func TestParseTopicIDRefuses(t *testing.T) {
	for _, s := range []string{
		"", "123e4567-e89b-12d3-a456-42661417400", "123e4567-e89b-12d3-a456-4266141740000",
		"123e4567e89b-12d3-a456-4266141740000", "123e4567-e89b-12d3-a456-42661417400g",
		"123e4567-e89b-12d3-a456_426614174000", "{23e4567-e89b-12d3-a456-42661417400}",
	} {
		if id, err := foz.ParseTopicID(s); err == nil || id != (foz.TopicID{}) {
			t.Errorf("ParseTopicID(%q) = %s, %v", s, id, err)
		}
	}
}

func TestPartitionCompare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := foz.Partition{Topic: drawTopic(t), Number: rapid.Int32Min(0).Draw(t, "number")}
		q := foz.Partition{Topic: p.Topic, Number: rapid.Int32Min(0).Draw(t, "number")}
		if rapid.Bool().Draw(t, "other topic") {
			q.Topic = drawTopic(t)
		}
		text := func(p foz.Partition) string { return fmt.Sprintf("%s/%010d", p.Topic, p.Number) }
		want := cmp.Compare(text(p), text(q))
		if got := p.Compare(q); cmp.Compare(got, 0) != want {
			t.Fatalf("%s against %s: %d, want %d", p, q, got, want)
		}
	})
}

func TestRanges(t *testing.T) {
	rows := &foz.Rows{}
	placement := foz.Placement{Base: 10, RowStart: 2, RowCount: 5}
	run := foz.Run{Base: 10, Rows: rows, From: 2, To: 7}
	if placement.Next() != 15 || run.Next() != 15 || (foz.Range{Base: 10, Next: 15}).Len() != 5 {
		t.Errorf("next %d and %d", placement.Next(), run.Next())
	}
}

// How: runs of every kind, and where the next one begins.
func TestRuns(t *testing.T) {
	rows := &foz.Rows{}
	for range 3 {
		rows.Append(0, nil, nil, nil)
	}
	for name, c := range map[string]struct {
		run       foz.Run
		len       int
		last, end int64
	}{
		"dense":      {foz.Run{Base: 5, Rows: rows, From: 1, To: 3}, 2, 6, 7},
		"holes":      {foz.Run{Base: 5, Rows: rows, To: 2, Offsets: []int64{7, 9}}, 2, 9, 10},
		"a hole end": {foz.Run{Base: 5, Rows: rows, To: 2, Offsets: []int64{7, 9}, End: 20}, 2, 9, 20},
		"empty":      {foz.Run{Base: 5, Rows: rows, End: 8}, 0, 0, 8},
		"nothing":    {foz.Run{Base: 5}, 0, 0, 5},
		"stored":     {foz.Run{Base: 5, To: 2, End: 9, Stored: []byte("x")}, 2, 0, 9},
	} {
		if c.run.Len() != c.len || c.run.Next() != c.end ||
			c.last > 0 && c.run.Offset(c.len-1) != c.last {
			t.Errorf("%s: %d records, the next run at %d", name, c.run.Len(), c.run.Next())
		}
	}
}
