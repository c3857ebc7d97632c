package metadata

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: stories (situation_test.go) of commits: each row is one object against a partition
// that holds ten rows already, what its requests are told, and what the two partitions hold
// afterwards.

var topicT = id("t")

// storyOfTen: topic t has two partitions; the first holds 10 rows of x.
func storyOfTen(t testing.TB) *story {
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	y.expect(newObject(0, "x", topicT, 10).ask(10).Command, "0")
	return y
}

// committed is an object and what becomes of it.
type committed struct {
	name   string
	object *object
	told   string
	first  string // what partition 0 holds
	second string
}

func TestCommit(t *testing.T) {
	for _, c := range []committed{
		{
			name:   "one request",
			object: newObject(0, "y", topicT, 3).ask(3),
			told:   "10", first: "[0 13) x[0:10]@0 y[0:3]@10", second: "[0 0)",
		}, {
			name:   "requests in order, rows that continue join",
			object: newObject(0, "y", topicT, 9).ask(4).ask(2).ask(3),
			told:   "10 | 14 | 16", first: "[0 19) x[0:10]@0 y[0:9]@10", second: "[0 0)",
		}, {
			name:   "a request over two partitions",
			object: newObject(0, "y", topicT, 3, 4).ask(1, 2).ask(2, 2),
			told:   "10 0 | 11 2", first: "[0 13) x[0:10]@0 y[0:3]@10", second: "[0 4) y[0:4]@0",
		}, {
			name:   "refused in the middle: its rows are used up and left out",
			object: newObject(0, "y", topicT, 9).ask(4).ask(2).ifNext(10).ask(3),
			told:   "10 | offset_conflict next_offset=14 | 14",
			first:  "[0 17) x[0:10]@0 y[0:4]@10 y[6:9]@14", second: "[0 0)",
		}, {
			name:   "refused at the end",
			object: newObject(0, "y", topicT, 6).ask(4).ask(2).ifNext(99),
			told:   "10 | offset_conflict next_offset=14",
			first:  "[0 14) x[0:10]@0 y[0:4]@10", second: "[0 0)",
		}, {
			name:   "every request refused: the object is decided and nobody names it",
			object: newObject(0, "y", topicT, 6).ask(4).ifNext(9).ask(2).ifNext(11),
			told:   "offset_conflict next_offset=10 | offset_conflict next_offset=10",
			first:  "[0 10) x[0:10]@0", second: "[0 0)",
		}, {
			name:   "the condition sees what the requests before it did",
			object: newObject(0, "y", topicT, 6).ask(4).ifNext(10).ask(2).ifNext(14),
			told:   "10 | 14", first: "[0 16) x[0:10]@0 y[0:6]@10", second: "[0 0)",
		}, {
			name:   "a condition speaks of one partition",
			object: newObject(0, "y", topicT, 6, 1).ask(4, 1).ifNext(10).ask(2),
			told:   "bad_request | 10", first: "[0 12) x[0:10]@0 y[4:6]@10", second: "[0 0)",
		}, {
			name:   "no such topic",
			object: newObject(0, "y", id("nowhere"), 2).ask(2),
			told:   "topic_not_found", first: "[0 10) x[0:10]@0", second: "[0 0)",
		}, {
			name:   "no such partition: none of the request's batches is placed",
			object: newObject(0, "y", topicT, 1, 1, 2).ask(1, 1, 1).ask(0, 0, 1),
			told:   "partition_not_found | partition_not_found",
			first:  "[0 10) x[0:10]@0", second: "[0 0)",
		}, {
			name:   "the segment is of another topic than the request",
			object: newObject(0, "y", topicT, 3).ask(1).of(id("nowhere")).ask(2),
			told:   "bad_request | 10", first: "[0 12) x[0:10]@0 y[1:3]@10", second: "[0 0)",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := storyOfTen(t)
			y.expect(c.object.Command, c.told)
			y.holds(topicT, 0, c.first)
			y.holds(topicT, 1, c.second)
			if got := y.state.CommittedSlot(); got != y.state.Slot() {
				t.Errorf("committed at %d, not %d", got, y.state.Slot())
			}
			if got := y.do(c.object.Command); got != c.told { // a retry, one slot later
				t.Errorf("asked again: %q", got)
			}
			y.holds(topicT, 0, c.first)
		})
	}
}

func byLong(bytes int) func(*object) {
	return func(o *object) {
		o.commit.Requests[0].Producer = &logpb.Producer{Id: strings.Repeat("p", bytes)}
	}
}

func TestCommitMalformed(t *testing.T) {
	whole := func(o *object) { _ = o }
	for _, c := range []struct {
		name  string
		spoil func(*object)
		told  string
	}{
		{"not spoilt", whole, "10 | 14"},
		{"segment above the last", func(o *object) { o.commit.Requests[0].Segment[0] = 1 },
			"bad_request | 10"},
		{"segment below zero", func(o *object) { o.commit.Requests[0].Segment[0] = -1 },
			"bad_request | 10"},
		{"more rows than there are", func(o *object) { o.commit.Requests[1].Rows[0] = 3 },
			"10 | bad_request"},
		{"rows as many as an int32 holds", func(o *object) { o.commit.Requests[1].Rows[0] = 1<<31 - 1 },
			"10 | bad_request"},
		{"no rows", func(o *object) { o.commit.Requests[0].Rows[0] = 0 }, "bad_request | 10"},
		{"rows below zero", func(o *object) { o.commit.Requests[0].Rows[0] = -1 },
			"bad_request | 10"},
		{"more segments than rows", func(o *object) { o.commit.Requests[0].Rows = nil },
			"bad_request | 10"},
		{"no batches", func(o *object) {
			o.commit.Requests[0].Rows, o.commit.Requests[0].Segment = nil, nil
		}, "bad_request | 10"},
		{"the topic is no id", func(o *object) { o.commit.Requests[0].Topic = []byte("t") },
			"bad_request | 10"},
		{"a sequence below zero", func(o *object) {
			o.commit.Requests[0].Producer = &logpb.Producer{Id: "p", Seq: -1}
		}, "bad_request | 10"},
		{"a producer of 249 bytes", byLong(249), "10 | 14"},
		{"a producer of 250 bytes", byLong(250), "bad_request | 10"},
		{"no requests", func(o *object) { o.commit.Requests = nil }, ""},
		{"columns of different lengths", func(o *object) { o.commit.Segments.Crc32C = nil },
			"bad_request"},
		{"no columns", func(o *object) { o.commit.Segments = nil }, "bad_request | bad_request"},
		{"a topic that is not listed", func(o *object) { o.commit.Segments.Topic[0] = 1 },
			"bad_request"},
		{"a topic far from any list", func(o *object) { o.commit.Segments.Topic[0] = 1<<32 - 1 },
			"bad_request"},
		{"a segment of fewer than no rows", func(o *object) { o.commit.Segments.Rows[0] = -6 },
			"bad_request"},
		{"bytes below zero", func(o *object) { o.commit.Segments.ByteStart[0] = -8 },
			"bad_request"},
		{"a length below zero", func(o *object) { o.commit.Segments.ByteLength[0] = -8 },
			"bad_request"},
		{"bytes past any end", func(o *object) {
			o.commit.Segments.ByteStart[0] = 1 << 62
			o.commit.Segments.ByteLength[0] = 1 << 62
		}, "bad_request"},
		{"another object than its id", func(o *object) { o.commit.Object = foz.ObjectKey(0, "z") },
			"bad_request"},
		{"no object", func(o *object) { o.commit.Object = "" }, "bad_request"},
		{"no id", func(o *object) { o.Id = "-" }, "bad_request"},
		{"a short birth", func(o *object) { o.Id = "1/y" }, "bad_request"},
		{"a birth past any slot", func(o *object) { o.Id = "99999999999999999999/y" }, "bad_request"},
		{"a birth that is no number", func(o *object) { o.Id = "0000000000000000000x/y" },
			"bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := storyOfTen(t)
			o := newObject(0, "y", topicT, 6).ask(4).ask(2)
			c.spoil(o)
			y.expect(o.Command, c.told) // checks the invariants, too
			y.expect(newObject(0, "after", topicT, 1).ask(1).Command,
				fmt.Sprint(y.state.topicNext(t, 0)))
		})
	}
}

// topicNext is the next offset of a partition of topic t.
func (s *State) topicNext(t *testing.T, number int32) int64 {
	t.Helper()
	_, bounds, err := s.Locate(foz.Partition{Topic: topicT, Number: number}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return bounds.Next
}

// Rows of one segment may only be joined to rows of the same one, whatever a commit says of
// where they lie.
func TestCommitSegmentsThatOverlap(t *testing.T) {
	y := storyOfTen(t)
	o := &object{topic: topicT}
	o.commit = &logpb.Commit{Object: foz.ObjectKey(0, "y")}
	o.Command = born(0, "y", command(o.commit))
	short, long := o.segment(topicT, 0, 5), o.segment(topicT, 0, 10)
	long.ByteStart, long.ByteEnd = short.ByteStart, short.ByteStart+100
	o.commit.Segments = segmentColumns([]foz.Segment{short, long})
	o.ask(0, 5).ifNext(1).ask(5, 0).ask(0, 5) // refused; short[0:5]; long[5:10]
	y.expect(o.Command, "offset_conflict next_offset=10 | 10 | 15")
	y.holds(topicT, 0, "[0 20) x[0:10]@0 y[0:5]@10 y[5:10]@15")
}

func TestCommitSegmentNamedTwice(t *testing.T) {
	y := storyOfTen(t)
	o := newObject(0, "y", topicT, 6).ask(4)
	r := o.last()
	r.Segment, r.Rows = []int32{0, 0}, []int32{4, 2}
	y.expect(o.Command, "10 14")
	y.holds(topicT, 0, "[0 16) x[0:10]@0 y[0:6]@10")
}

// Below the floor nothing is known: that comes before everything. Then the result that was
// given, then whatever the state says now.
func TestOrderOfDecisions(t *testing.T) {
	y := storyOfTen(t)
	first := newObject(1, "y", topicT, 2).ask(2).ifNext(10)
	y.expect(first.Command, "10")
	y.expect(first.Command, "10") // deduplicated before the condition, which fails by now

	slot := y.state.Slot()
	if r := y.must(entryAfter(y.state, first.Command))[0]; r.Slot >= slot {
		t.Errorf("asked again: decided at slot %d", r.Slot)
	}
	y.expect(floor(2), "2")
	if !y.state.Live(first.commit.Object) {
		t.Fatal("the floor took a live object")
	}
	y.expect(first.Command, "ack_timeout") // although it is live
	y.holds(topicT, 0, "[0 12) x[0:10]@0 y[0:2]@10")

	late := newObject(1, "late", topicT, 2).ask(2)
	y.expect(late.Command, "ack_timeout") // whether it was applied or not is not known
	y.expect(late.Command, "ack_timeout")
	y.expect(newObject(2, "fresh", topicT, 2).ask(2).Command, "12")
}

func TestSameIDTwiceInAnEntry(t *testing.T) {
	y := storyOfTen(t)
	o := newObject(1, "y", topicT, 2).ask(2)
	got := y.entry(o.Command, noop(), o.Command)
	if got[0] != "10" || got[2] != "10" {
		t.Errorf("told %q", got)
	}
	y.holds(topicT, 0, "[0 12) x[0:10]@0 y[0:2]@10")
}

// A producer's duplicate is told before the condition is looked at, and a refused request
// consumes no sequence: the same sequence is accepted in the next object.
func TestRefusedConsumesNoSequence(t *testing.T) {
	y := storyOfTen(t)
	y.expect(newObject(0, "a", topicT, 1).ask(1).by("p", 0, 0).ifNext(7).Command,
		"offset_conflict next_offset=10")
	y.expect(newObject(0, "b", topicT, 1).ask(1).by("p", 0, 0).ifNext(10).Command, "10")
	y.expect(newObject(0, "c", topicT, 1).ask(1).by("p", 0, 0).ifNext(10).Command,
		"again s5 0:10-11")
	y.expect(newObject(0, "d", topicT, 1, 1, 1).ask(1, 1, 1).by("p", 0, 1).Command,
		"partition_not_found")
	y.expect(newObject(0, "e", topicT, 2, 2).ask(1, 2).by("p", 0, 1).Command, "11 0")
	y.expect(newObject(0, "f", topicT, 9, 9).ask(9, 9).by("p", 0, 1).Command,
		"again s8 0:11-12 1:0-2")
	y.holds(topicT, 0, "[0 12) x[0:10]@0 b[0:1]@10 e[0:1]@11")
}
