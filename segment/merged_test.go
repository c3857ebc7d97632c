package segment

// How: runs of rows are merged into objects and read back cell by cell: a table of situations,
// and any rows at all (rapid). What Inspect tells is compared with what Finish did.

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

// offsetRecord is a row with its offset.
type offsetRecord struct {
	offset int64
	record
}

func listMerged(offsets []int64, rows *foz.Rows) []offsetRecord {
	var records []offsetRecord
	for i, r := range listRows(rows) {
		records = append(records, offsetRecord{offsets[i], r})
	}
	return records
}

func listRun(run foz.Run) []offsetRecord {
	var records []offsetRecord
	for i := range run.Len() {
		r := listRows(run.Rows)[run.From+i]
		records = append(records, offsetRecord{run.Offset(i), r})
	}
	return records
}

// part is what a merged object is made of; cut ends its segment.
type part struct {
	partition foz.Partition
	run       foz.Run
	cut       bool
}

func wholeRun(base int64, rows *foz.Rows, offsets ...int64) foz.Run {
	return foz.Run{Base: base, Rows: rows, To: rows.Len(), Offsets: offsets}
}

// sampleOwn and sampleShared are what the golden files hold: never change them.
func sampleOwn() []part {
	parts, _ := sampleParts()
	p := parts[0].Partition
	long := makeRows(record{7, []byte("key"), []byte(strings.Repeat("value ", 100)), nil})
	return []part{
		{p, wholeRun(10, parts[0].Rows), false},
		{p, wholeRun(0, parts[2].Rows, 20, 1<<40), false},
		{p, wholeRun(1<<40+1, long), false},
		{p, foz.Run{Base: 1<<40 + 5, Rows: parts[0].Rows, From: 1, To: 3}, false},
	}
}

func sampleShared() []part {
	parts, _ := sampleParts()
	return []part{
		{parts[0].Partition, wholeRun(0, parts[0].Rows, 3, 5, 9), true},
		{parts[0].Partition, wholeRun(10, parts[1].Rows), false},
		{parts[1].Partition, foz.Run{}, false}, // key compaction left nothing
		{parts[2].Partition, wholeRun(math.MaxInt64-2, parts[2].Rows), false},
	}
}

func sampleInputs() []foz.SwapInput {
	return []foz.SwapInput{
		{Object: "data/00000000000000000001/A.arrow", Range: foz.Range{Base: 3, Next: 7}},
		{Object: "data/00000000000000000002/B\".arrow", Range: foz.Range{Base: 7, Next: 10}},
		{Object: "data/00000000000000000001/A.arrow", Range: foz.Range{Base: 10, Next: 11}},
	}
}

func mergeParts(t rapid.TB, m *Merged, parts []part) ([]byte, []foz.Segment) {
	t.Helper()
	for _, p := range parts {
		if err := m.Append(p.partition, p.run); err != nil {
			t.Fatal(err)
		}
		if p.cut {
			m.Cut()
		}
	}
	object, segments, err := m.Finish(sampleInputs())
	if err != nil {
		t.Fatal(err)
	}
	return object, segments
}

// readMerged reads the segments of an object as a reader does.
func readMerged(object []byte, segments []foz.Segment) (read []offsetRecord, err error) {
	for _, s := range segments {
		if s.Batches == 1 {
			offsets, rows, err := DecodeMerged(object[s.ByteStart:s.ByteEnd], s)
			if err != nil {
				return nil, err
			}
			read = append(read, listMerged(offsets, rows)...)
			continue
		}
		batches, err := InspectMerged(object[s.ByteEnd:], s)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			offsets, rows, err := DecodeMergedBatch(object[b.ByteStart:b.ByteEnd], b)
			if err != nil {
				return nil, err
			}
			read = append(read, listMerged(offsets, rows)...)
		}
	}
	return read, nil
}

// checkMerged compares an object with what it was made of.
func checkMerged(t rapid.TB, object []byte, segments []foz.Segment, parts []part) {
	t.Helper()
	var want []offsetRecord
	for _, p := range parts {
		want = append(want, listRun(p.run)...)
	}
	got, err := readMerged(object, segments)
	if err != nil {
		t.Fatal(err)
	}
	unexported := cmp.AllowUnexported(offsetRecord{}, record{})
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	f, err := Verify(object)
	if err != nil {
		t.Fatal(err)
	}
	if known := f.Version == Version || f.Version == VersionOwn && f.own(); f.Level != 1 || !known {
		t.Errorf("level %d, version %d", f.Level, f.Version)
	}
	if diff := cmp.Diff(segments, f.Segments); diff != "" {
		t.Errorf("segments differ (-Finish +Inspect):\n%s", diff)
	}
	if diff := cmp.Diff(sampleInputs(), f.Inputs); diff != "" {
		t.Errorf("inputs differ (-want +got):\n%s", diff)
	}
}

func TestMerged(t *testing.T) {
	m := NewMerged(MergedOptions{BatchBytes: 300})
	for name, parts := range map[string][]part{"own": sampleOwn(), "shared": sampleShared()} {
		object, segments := mergeParts(t, m, parts)
		checkMerged(t, object, segments, parts)
		if own := name == "own"; own != (len(segments) == 1) {
			t.Errorf("%s: %d segments", name, len(segments))
		}
		if s := segments[0]; name == "own" && (s.MinTimestamp != -5 || s.MaxTimestamp != math.MaxInt64) {
			t.Errorf("times %d to %d", s.MinTimestamp, s.MaxTimestamp)
		}
	}
}

// drawnHeaders are cells that ingest writes, and the one of no headers that is not null.
var drawnHeaders = rapid.OneOf(
	rapid.Just[[]byte](nil), rapid.Just([]byte{0}),
	rapid.Map(rapid.SliceOfN(rapid.String(), 0, 6), func(texts []string) []byte {
		return headerCell(texts[:len(texts)&^1]...)
	}))

// drawPart draws a run of p with an offset of next or more.
func drawPart(t *rapid.T, p foz.Partition, next int64) part {
	rows := drawRows(t)
	rows.Headers = foz.Column{}
	for range rows.Len() {
		rows.Headers.Append(drawnHeaders.Draw(t, "headers"))
	}
	run := foz.Run{Rows: rows, Base: next + rapid.Int64Range(0, 5).Draw(t, "gap")}
	run.From = rapid.IntRange(0, rows.Len()).Draw(t, "from")
	run.To = rapid.IntRange(run.From, rows.Len()).Draw(t, "to")
	if rapid.Bool().Draw(t, "holes") {
		for range run.Len() {
			run.Offsets = append(run.Offsets, next+rapid.Int64Range(0, 1<<40).Draw(t, "hole"))
			next = run.Offsets[len(run.Offsets)-1] + 1
		}
	}
	return part{p, run, false}
}

// TestMergedDrawn: whatever is merged is read back, by foz and by the libraries.
func TestMergedDrawn(t *testing.T) {
	m := NewMerged(MergedOptions{BatchBytes: 400}) // one for all objects
	wide := NewMerged(MergedOptions{})
	rapid.Check(t, func(t *rapid.T) {
		var parts []part
		p := foz.Partition{Topic: topicA}
		next := int64(0)
		shared := rapid.Bool().Draw(t, "shared")
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			drawn := drawPart(t, p, next)
			next = max(next, drawn.run.Next())
			if shared {
				drawn.cut = true
				p.Number += int32(rapid.IntRange(0, 1).Draw(t, "further"))
			}
			parts = append(parts, drawn)
		}
		builder := m
		if shared {
			builder = wide
		}
		object, segments := mergeParts(t, builder, parts)
		checkMerged(t, object, segments, parts)
		checkForeignMerged(t, object, parts)
	})
}

// TestMergedBatches: a batch ends before the limit, unless it is of one record.
func TestMergedBatches(t *testing.T) {
	const limit = 1000
	rows := &foz.Rows{}
	for i := range 200 {
		rows.Append(int64(i), nil, make([]byte, i*i%1300), nil)
	}
	m := NewMerged(MergedOptions{BatchBytes: limit})
	for base := range int64(2) {
		run := wholeRun(base*200, rows)
		if err := m.Append(foz.Partition{}, run); err != nil {
			t.Fatal(err)
		}
	}
	before := m.Size()
	object, segments, err := m.Finish(nil)
	if err != nil || before == 0 || before > len(object) {
		t.Fatal(before, err)
	}
	batches, err := InspectMerged(object[segments[0].ByteEnd:], segments[0])
	if err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for i, b := range batches {
		from, to := int(b.First%200), int(b.Last%200)+1
		size := dataBytes(rows, from, to)
		if b.First/200 != b.Last/200 {
			size = dataBytes(rows, from, 200) + dataBytes(rows, 0, to)
		}
		if size > limit && b.Rows > 1 {
			t.Errorf("batch %d has %d bytes in %d rows", i, size, b.Rows)
		}
		if b.First != last+1 {
			t.Errorf("batch %d begins at %d, the one before ends at %d", i, b.First, last)
		}
		last = b.Last
	}
	if mean := DecodedBytes(wholeRun(0, rows)) * 2 / len(batches); mean < limit/2 {
		t.Errorf("batches have %d bytes on average", mean)
	}
}

func TestMergedRefuses(t *testing.T) {
	p := foz.Partition{Topic: topicA, Number: 3}
	one := makeRows(record{1, []byte("k"), []byte("v"), nil})
	two := makeRows(record{1, nil, nil, nil}, record{2, nil, nil, headerCell("\xff", "x")})
	for _, c := range []struct {
		name      string
		partition foz.Partition
		run       foz.Run
		want      string
	}{
		{"partition before", foz.Partition{Topic: topicA, Number: 2}, wholeRun(99, one), "follows"},
		{"offset before", p, wholeRun(6, one), "offset 6, where 7 is the least"},
		{"negative", foz.Partition{Topic: topicB}, wholeRun(-1, one), "offset -1"},
		{"no next", p, wholeRun(math.MaxInt64, one), "is the least"},
		{"not ascending", p, wholeRun(0, two, 9, 9), "offset 9, where 10"},
		{"not UTF-8", p, wholeRun(9, two), "headers of offset 10"},
		{"headers", p, wholeRun(9, makeRows(record{headers: []byte{9}})), "malformed"},
	} {
		for _, cut := range []bool{false, true} {
			m := NewMerged(MergedOptions{BatchBytes: 1})
			want := []part{{p, wholeRun(6, one), cut}, {p, wholeRun(7, one), false}}
			if err := m.Append(p, want[0].run); err != nil {
				t.Fatal(err)
			}
			if cut {
				m.Cut()
			}
			err := m.Append(c.partition, c.run)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.want)
			}
			// Nothing was added: the object goes on as if it had not been asked.
			object, segments := mergeParts(t, m, want[1:])
			checkMerged(t, object, segments, want)
		}
	}
}

// TestMergedLimits: a segment counts its rows in 32 bits, and a row is no larger than a body.
func TestMergedLimits(t *testing.T) {
	const bytes = mergedRowBytesMax + 1
	long := wholeRun(0, &foz.Rows{Timestamps: []int64{0}, Keys: foz.Column{Ends: []int32{0}},
		Values: foz.Column{Ends: []int32{bytes}}, Headers: foz.Column{Ends: []int32{0}}})
	if err := new(mergedSegment).check(long); !errors.Is(err, ErrDamaged) {
		t.Errorf("a row of %d bytes: error %v", bytes, err)
	}
	run := wholeRun(0, makeRows(record{}))
	for rows, want := range map[int64]bool{math.MaxInt32 - 1: true, math.MaxInt32: false} {
		if err := (&mergedSegment{rows: rows}).check(run); (err == nil) != want {
			t.Errorf("after %d rows: error %v", rows, err)
		}
	}
}

func TestMergedFinishRefuses(t *testing.T) {
	m := NewMerged(MergedOptions{BatchBytes: 1})
	if _, _, err := m.Finish(nil); err == nil {
		t.Error("an object of nothing")
	}
	rows := makeRows(record{}, record{})
	for n := range int32(2) {
		if err := m.Append(foz.Partition{Number: n}, wholeRun(0, rows)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := m.Finish(nil)
	if want := "2 segments of 4 record batches"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	for _, in := range []foz.SwapInput{
		{Object: "\xff"}, {Object: "a", Range: foz.Range{Base: -1}},
		{Object: "a", Range: foz.Range{Base: 2, Next: 1}},
	} {
		m = NewMerged(MergedOptions{})
		if err := m.Append(foz.Partition{}, foz.Run{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Finish([]foz.SwapInput{in}); err == nil {
			t.Errorf("input %+v", in)
		}
	}
}
