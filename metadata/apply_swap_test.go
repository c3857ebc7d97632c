package metadata

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: stories of swaps. A partition holds x, y and z, five rows each; a row is one merged
// object against it, what each of its outputs is told, and what the partition holds after.

// merged is a swap being written, of an object whose segments lie one after the other.
type merged struct {
	foz.Swap
	birth  uint64
	unique string
	topic  foz.TopicID
}

func merge(birth uint64, unique string) *merged {
	return &merged{foz.Swap{Object: foz.ObjectKey(birth, unique)}, birth, unique, topicT}
}

// from adds an output: rows of a partition, made of inputs, "x 0-5, y 5-10" (born at 0).
func (m *merged) from(number, rows int32, inputs string) *merged {
	start := int64(8 + 1000*len(m.Outputs))
	o := foz.SwapOutput{Segment: foz.Segment{
		Partition: foz.Partition{Topic: m.topic, Number: number}, Rows: rows,
		ByteStart: start, ByteEnd: start + 100, MinTimestamp: -5, MaxTimestamp: 5, CRC32C: 7,
		Level: 1, Batches: 2,
	}}
	for text := range strings.SplitSeq(inputs, ", ") {
		var name string
		var in foz.SwapInput
		if _, err := fmt.Sscanf(text, "%s %d-%d", &name, &in.Range.Base, &in.Range.Next); err != nil {
			panic(err)
		}
		in.Object = foz.ObjectKey(0, name)
		o.Inputs = append(o.Inputs, in)
	}
	o.Range = foz.Range{Base: o.Inputs[0].Range.Base, Next: o.Inputs[len(o.Inputs)-1].Range.Next}
	m.Outputs = append(m.Outputs, o)
	return m
}

// but changes the last output.
func (m *merged) but(change func(*foz.SwapOutput)) *merged {
	change(&m.Outputs[len(m.Outputs)-1])
	return m
}

func (m *merged) command() *logpb.Command {
	return born(m.birth, m.unique, command(swapToWire(m.Swap)))
}

// storyOfThree: topic t has two partitions; the first holds x, y and z, appended at 1, 2 and
// 3 seconds.
func storyOfThree(t testing.TB, policy string) *story {
	y := newStory(t)
	y.expect(command(&logpb.CreateTopic{Topic: &logpb.Topic{Id: topicT[:], Name: "t",
		Partitions: 2, Config: &logpb.TopicConfig{CleanupPolicy: policy}}}), "t 2 r2")
	for i, name := range []string{"x", "y", "z"} {
		o := newObject(0, name, topicT, 5).ask(5)
		o.commit.AppendedMs = int64(1000 * (i + 1))
		y.expect(o.Command, fmt.Sprint(5*i))
	}
	return y
}

const untouched = "[0 15) x[0:5]@0 y[0:5]@5 z[0:5]@10"

type swapStory struct {
	name   string
	start  int64 // the partition is trimmed to here first
	policy string
	swap   *merged
	told   string
	holds  string
}

// What becomes of inputs that are there, or were.
var swapsOfInputs = []swapStory{
	{"all", 0, "", merge(1, "m").from(0, 15, "x 0-5, y 5-10, z 10-15"), "yes",
		"[0 15) m[0:15]@0"},
	{"the first", 0, "", merge(1, "m").from(0, 10, "x 0-5, y 5-10"), "yes",
		"[0 15) m[0:10]@0 z[0:5]@10"},
	{"the middle", 0, "", merge(1, "m").from(0, 5, "y 5-10"), "yes",
		"[0 15) x[0:5]@0 m[0:5]@5 z[0:5]@10"},
	{"the last", 0, "", merge(1, "m").from(0, 10, "y 5-10, z 10-15"), "yes",
		"[0 15) x[0:5]@0 m[0:10]@5"},
	{"two outputs", 0, "", merge(1, "m").from(0, 5, "x 0-5").from(0, 10, "y 5-10, z 10-15"),
		"yes yes", "[0 15) m[0:5]@0 m[0:10]@5"},
	{"the second refused", 0, "", merge(1, "m").from(0, 10, "x 0-5, y 5-10").
		from(0, 10, "y 5-10, z 10-15"), "yes no", "[0 15) m[0:10]@0 z[0:5]@10"},
	{"the first refused", 0, "", merge(1, "m").from(0, 5, "w 0-5").from(0, 5, "y 5-10"),
		"no yes", "[0 15) x[0:5]@0 m[0:5]@5 z[0:5]@10"},
	{"one output of the other", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		from(0, 10, "m 0-5, y 5-10").
		but(func(o *foz.SwapOutput) { o.Inputs[0].Object = foz.ObjectKey(1, "m") }),
		"yes yes", "[0 15) m[0:10]@0 z[0:5]@10"},
	{"no outputs", 0, "", merge(1, "m"), "", untouched},

	{"an input below the start", 5, "", merge(1, "m").from(0, 10, "x 0-5, y 5-10"), "yes",
		"[5 15) m[0:10]@0 z[0:5]@10"},
	{"and whatever it was", 5, "", merge(1, "m").from(0, 10, "w 0-2, v 2-5, y 5-10"), "yes",
		"[5 15) m[0:10]@0 z[0:5]@10"},
	{"an input across the start", 3, "", merge(1, "m").from(0, 10, "x 0-5, y 5-10"), "yes",
		"[3 15) m[0:10]@0 z[0:5]@10"},
	{"all inputs below the start", 10, "", merge(1, "m").from(0, 10, "x 0-5, y 5-10"), "no",
		"[10 15) z[0:5]@10"},
	{"records of below the start left out", 5, "", merge(1, "m").from(0, 7, "x 0-5, y 5-10"),
		"yes", "[5 15) m[0:7]@0-3 z[0:5]@10"},
	{"of above, too", 5, "", merge(1, "m").from(0, 4, "x 0-5, y 5-10"), "no",
		"[5 15) y[0:5]@5 z[0:5]@10"},

	{"keys compacted", 0, "compact", merge(1, "m").from(0, 4, "x 0-5, y 5-10"), "yes",
		"[0 15) m[0:4]@0-6 z[0:5]@10"},
	{"compacted and deleted", 0, "compact,delete", merge(1, "m").from(0, 1, "x 0-5"), "yes",
		"[0 15) m[0:1]@0-4 y[0:5]@5 z[0:5]@10"},
	{"keys not to be compacted", 0, "", merge(1, "m").from(0, 9, "x 0-5, y 5-10"), "no",
		untouched},
	{"to be deleted only", 0, "delete", merge(1, "m").from(0, 9, "x 0-5, y 5-10"), "no",
		untouched},
}

// What is refused wherever it is asked.
var swapsMalformed = []swapStory{
	{"an input that never was", 0, "", merge(1, "m").from(0, 10, "x 0-5, w 5-10"), "no",
		untouched},
	{"part of an input", 0, "", merge(1, "m").from(0, 8, "x 0-5, y 5-8"), "no", untouched},
	{"the end of an input", 0, "", merge(1, "m").from(0, 8, "x 2-5, y 5-10"), "no", untouched},
	{"more than an input", 0, "", merge(1, "m").from(0, 5, "y 4-10"), "no", untouched},
	{"two inputs as one", 0, "", merge(1, "m").from(0, 10, "x 0-10"), "no", untouched},
	{"one input as two", 0, "", merge(1, "m").from(0, 5, "x 0-2, x 2-5"), "no", untouched},
	{"past the end", 0, "", merge(1, "m").from(0, 10, "z 10-15, w 15-20"), "no", untouched},
	{"far past the end", 0, "", merge(1, "m").from(0, 5, "w 20-25"), "no", untouched},
	{"below zero", 0, "", merge(1, "m").from(0, 10, "w -5-0, x 0-5"), "no", untouched},
	{"a hole", 0, "", merge(1, "m").from(0, 10, "x 0-5, z 10-15"), "no", untouched},
	{"out of order", 0, "", merge(1, "m").from(0, 10, "y 5-10, x 0-5"), "no", untouched},
	{"an input twice", 0, "", merge(1, "m").from(0, 10, "x 0-5, x 0-5"), "no", untouched},
	{"an empty input", 0, "", merge(1, "m").from(0, 5, "w 0-0, x 0-5"), "no", untouched},
	{"no inputs", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Inputs = nil }), "no", untouched},
	{"a longer range", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Range.Next = 10 }), "no", untouched},
	{"a range from elsewhere", 0, "", merge(1, "m").from(0, 5, "y 5-10").
		but(func(o *foz.SwapOutput) { o.Range.Base = 0 }), "no", untouched},
	{"more records than offsets", 0, "compact", merge(1, "m").from(0, 6, "x 0-5"), "no",
		untouched},
	{"no records", 0, "compact", merge(1, "m").from(0, 0, "x 0-5"), "no", untouched},
	{"level 0", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.Level = 0 }), "no", untouched},
	{"level 2", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.Level = 2 }), "no", untouched},
	{"no batches", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.Batches = 0 }), "no", untouched},
	{"no bytes", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.ByteEnd = o.Segment.ByteStart }), "no",
		untouched},
	{"time runs back", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.MaxTimestamp = -6 }), "no", untouched},
	{"no such topic", 0, "", merge(1, "m").from(0, 5, "x 0-5").
		but(func(o *foz.SwapOutput) { o.Segment.Partition.Topic = id("u") }), "no", untouched},
	{"no such partition", 0, "", merge(1, "m").from(2, 5, "x 0-5"), "no", untouched},
	{"below the first partition", 0, "", merge(1, "m").from(-1, 5, "x 0-5"), "no", untouched},
	{"the other partition", 0, "", merge(1, "m").from(1, 5, "x 0-5"), "no", untouched},
}

func TestSwap(t *testing.T) {
	for _, c := range slices.Concat(swapsOfInputs, swapsMalformed) {
		t.Run(c.name, func(t *testing.T) {
			y := storyOfThree(t, c.policy)
			y.do(trim(topicT, 0, c.start))
			before := y.state
			was := contents(before, topicT, 0)
			y.expect(c.swap.command(), c.told)
			y.holds(topicT, 0, c.holds)
			y.holds(topicT, 1, "[0 0)")
			y.expect(c.swap.command(), c.told) // asked again: the answer it was given
			y.holds(topicT, 0, c.holds)
			if got := contents(before, topicT, 0); got != was {
				t.Errorf("the state before holds %s", got)
			}
			y.expect(newObject(0, "after", topicT, 1).ask(1).Command, "15")
		})
	}
}

func TestSwapMalformed(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*logpb.Swap)
		told  string
	}{
		{"not spoilt", func(*logpb.Swap) {}, "yes"},
		{"another object than its id", func(w *logpb.Swap) { w.Object = foz.ObjectKey(1, "n") },
			"bad_request"},
		{"no object", func(w *logpb.Swap) { w.Object = "" }, "bad_request"},
		{"no segments", func(w *logpb.Swap) { w.Segments = nil }, "bad_request"},
		{"no bases", func(w *logpb.Swap) { w.Base = nil }, "bad_request"},
		{"no ends", func(w *logpb.Swap) { w.Next = nil }, "bad_request"},
		{"no counts", func(w *logpb.Swap) { w.Inputs = nil }, "bad_request"},
		{"fewer inputs than counted", func(w *logpb.Swap) { w.Inputs[0] = 3 }, "bad_request"},
		{"more inputs than counted", func(w *logpb.Swap) { w.Inputs[0] = 1 }, "bad_request"},
		{"very many inputs", func(w *logpb.Swap) { w.Inputs[0] = 1<<32 - 1 }, "bad_request"},
		{"no objects", func(w *logpb.Swap) { w.Objects = nil }, "bad_request"},
		{"an object far from any list", func(w *logpb.Swap) { w.InputObject[0] = 1<<32 - 1 },
			"bad_request"},
		{"no bases of inputs", func(w *logpb.Swap) { w.InputBase = nil }, "bad_request"},
		{"no ends of inputs", func(w *logpb.Swap) { w.InputNext = nil }, "bad_request"},
		{"a level past any", func(w *logpb.Swap) { w.Segments.Level[0] = 257 }, "bad_request"},
		{"two levels of a segment", func(w *logpb.Swap) { w.Segments.Level = []uint32{1, 1} },
			"bad_request"},
		{"batches below zero", func(w *logpb.Swap) { w.Segments.Batches[0] = -1 }, "bad_request"},
		{"ranges as far as they go", func(w *logpb.Swap) {
			w.Next[0], w.InputNext[1] = 1<<63-1, 1<<63-1
		}, "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := storyOfThree(t, "")
			swap := merge(1, "m").from(0, 10, "x 0-5, y 5-10").command()
			c.spoil(swap.GetSwap())
			y.expect(swap, c.told)
			if c.told != "yes" {
				y.holds(topicT, 0, untouched)
			}
		})
	}
}

// A commit is of level 0, whatever its columns may say.
func TestCommitOfMergedSegments(t *testing.T) {
	for name, spoil := range map[string]func(*logpb.Segments){
		"level":   func(c *logpb.Segments) { c.Level = []uint32{1} },
		"batches": func(c *logpb.Segments) { c.Batches = []int32{1} },
	} {
		y := storyOfThree(t, "")
		o := newObject(0, "w", topicT, 1).ask(1)
		spoil(o.commit.Segments)
		if got := y.do(o.Command); got != "bad_request" {
			t.Errorf("%s: told %q", name, got)
		}
	}
}

// The floor, then the result that was given, then the state: as for commits.
func TestSwapOrderOfDecisions(t *testing.T) {
	y := storyOfThree(t, "")
	first := merge(1, "m").from(0, 10, "x 0-5, y 5-10")
	y.expect(first.command(), "yes")
	slot := y.state.Slot()
	y.expect(first.command(), "yes") // although its inputs are gone
	if r := y.must(entryAfter(y.state, first.command()))[0]; r.Slot != slot {
		t.Errorf("asked again: decided at slot %d, not %d", r.Slot, slot)
	}
	y.expect(merge(1, "n").from(0, 10, "x 0-5, y 5-10").command(), "no") // who comes second
	y.expect(floor(2), "2")
	y.expect(first.command(), "ack_timeout") // although its object is live
	y.expect(merge(1, "late").from(0, 5, "z 10-15").command(), "ack_timeout")
	y.holds(topicT, 0, "[0 15) m[0:10]@0 z[0:5]@10")
	if !y.state.Live(first.Object) || y.state.Live(foz.ObjectKey(1, "late")) {
		t.Error("live is not what was accepted")
	}
}

// Merged segments are merged again; what is counted follows; an object dies with the last of
// its placements, in whatever way that goes.
func TestSwapCounts(t *testing.T) {
	y := storyOfThree(t, "compact")
	counts := func(want foz.Bounds, live string) {
		t.Helper()
		at := foz.Partition{Topic: topicT}
		placements, got, _ := y.state.Locate(at, 0, 9)
		if got != want {
			t.Errorf("bounds %+v, want %+v", got, want)
		}
		if all := y.state.Placements(at); len(all) != got.Segments ||
			len(placements) > 0 && all[len(all)-1] != placements[len(placements)-1] {
			t.Errorf("placements %v, want %v", all, placements)
		}
		var objects []string
		for object := range y.state.Objects {
			_, unique, _ := foz.ParseObjectKey(object)
			objects = append(objects, unique)
		}
		if strings.Join(objects, " ") != live {
			t.Errorf("live: %v, want %s", objects, live)
		}
	}
	counts(foz.Bounds{Next: 15, Records: 15, Bytes: 150, Segments: 3}, "x y z")
	y.expect(merge(1, "m").from(0, 10, "x 0-5, y 5-10").command(), "yes")
	counts(foz.Bounds{Next: 15, Records: 15, Bytes: 150, Segments: 2}, "z m")
	if y.state.ReleasedSlot() != y.state.Slot() {
		t.Errorf("released at %d", y.state.ReleasedSlot())
	}
	if p := y.state.Placements(foz.Partition{Topic: topicT})[0]; p.AppendedMS != 2000 {
		t.Errorf("appended at %d ms", p.AppendedMS)
	}
	second := merge(1, "n").from(0, 4, "m 0-10").but(func(o *foz.SwapOutput) {
		o.Inputs[0].Object = foz.ObjectKey(1, "m")
	})
	y.expect(second.command(), "yes")
	generation := y.state.Slot()
	counts(foz.Bounds{Next: 15, Records: 9, Bytes: 150, Segments: 2, Generation: generation}, "z n")
	y.do(trim(topicT, 0, 3)) // of n's 10 offsets, 6 have no record
	counts(foz.Bounds{Earliest: 3, Next: 15, Records: 9, Bytes: 150, Segments: 2,
		Generation: generation}, "z n")
	y.do(trim(topicT, 0, 9)) // one offset of n is left
	counts(foz.Bounds{Earliest: 9, Next: 15, Records: 6, Bytes: 150, Segments: 2,
		Generation: generation}, "z n")
	y.do(trim(topicT, 0, 10))
	counts(foz.Bounds{Earliest: 10, Next: 15, Records: 5, Bytes: 50, Segments: 1,
		Generation: generation}, "z")
	y.do(remove(topicT))
	if y.state.Placements(foz.Partition{Topic: topicT}) != nil || y.state.placements != 0 {
		t.Error("a deleted topic has placements")
	}
}

// What key compaction left out does not come back.
func TestSwapBringsNothingBack(t *testing.T) {
	y := storyOfThree(t, "compact")
	y.expect(merge(0, "m").from(0, 3, "x 0-5, y 5-10").command(), "yes")
	y.expect(merge(1, "n").from(0, 9, "m 0-10, z 10-15").command(), "no")
	y.expect(merge(1, "o").from(0, 8, "m 0-10, z 10-15").command(), "yes")
	y.holds(topicT, 0, "[0 15) o[0:8]@0-7")
}

// An object of several partitions dies when the last of them has been merged.
func TestObjectDiesWithItsLastSwap(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	x := newObject(0, "x", topicT, 3, 4).ask(3, 4)
	y.expect(x.Command, "0 0")
	y.expect(merge(1, "m").from(0, 3, "x 0-3").command(), "yes")
	if !y.state.Live(x.commit.Object) {
		t.Error("x is dead, and partition 1 reads it")
	}
	y.expect(merge(1, "n").from(1, 4, "x 0-4").command(), "yes")
	if y.state.Live(x.commit.Object) || y.state.ReleasedSlot() != y.state.Slot() {
		t.Error("x is live, and nobody reads it")
	}
}

// A topic deleted and made again, with the same offsets under the same name, is not what a
// swap was decided on.
func TestSwapOfARecreatedTopic(t *testing.T) {
	y := storyOfThree(t, "")
	late := merge(1, "m").from(0, 10, "x 0-5, y 5-10")
	y.expect(remove(topicT), "ok")
	y.topicAgain("again")
	y.expect(late.command(), "no")
	y.holds(id("again"), 0, "[0 10) v[0:5]@0 w[0:5]@5")
}

func (y *story) topicAgain(name string) {
	again := id(name)
	y.do(create("t", again, 1))
	y.expect(newObject(0, "v", again, 5).ask(5).Command, "0")
	y.expect(newObject(0, "w", again, 5).ask(5).Command, "5")
}

// Each planted bug does what it is meant to: the simulator has something to find.
func TestSwapDefects(t *testing.T) {
	y := storyOfThree(t, "")
	y.expect(merge(1, "m").from(0, 10, "x 0-5, y 5-10").command(), "yes")
	stale := merge(1, "n").from(0, 5, "y 5-10").command()
	y.expect(floor(2), "2")
	for _, c := range []struct {
		name    string
		defects Defects
		told    []string // asked twice
	}{
		{"none", Defects{}, []string{"ack_timeout", "ack_timeout"}},
		{"outside the floor", Defects{SwapOutsideFloor: true}, []string{"no", "no"}},
		{"unchecked, outside the floor",
			Defects{SwapOutsideFloor: true, SwapUncheckedInputs: true}, []string{"yes", "yes"}},
	} {
		s := replay(t, NewState(testCluster), y.bodies)
		e := entryAfter(s, stale, stale)
		next, results, err := s.apply(e, encodeEntry(e), c.defects)
		if err != nil {
			t.Fatal(err)
		}
		told := []string{tell(stale, results[0]), tell(stale, results[1])}
		if !slices.Equal(told, c.told) {
			t.Errorf("%s: told %v, want %v", c.name, told, c.told)
		}
		if sound := len(invariants(next)) == 0; sound == c.defects.SwapUncheckedInputs {
			t.Errorf("%s: %s", c.name, contents(next, topicT, 0))
		}
	}
}
