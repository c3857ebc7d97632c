package segment

// How: an object is encoded from rows that a table or rapid made up, then read back in every
// way that a reader has: whole by Inspect, by its tail, and each segment from its bytes alone.
// Records are compared cell by cell, so that null and empty differ.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

var topicA, topicB = foz.TopicID{1, 2, 3}, foz.TopicID{1, 2, 4}

// record is a row as tests write it.
type record struct {
	timestamp           int64
	key, value, headers []byte
}

func makeRows(records ...record) *foz.Rows {
	rows := &foz.Rows{}
	for _, r := range records {
		rows.Append(r.timestamp, r.key, r.value, r.headers)
	}
	return rows
}

func listRows(rows *foz.Rows) []record {
	var records []record
	for i := range rows.Len() {
		records = append(records, record{rows.Timestamps[i], rows.Keys.Cell(i),
			rows.Values.Cell(i), rows.Headers.Cell(i)})
	}
	return records
}

func sameRows(t rapid.TB, got, want *foz.Rows) {
	t.Helper()
	diff := cmp.Diff(listRows(want), listRows(got), cmp.AllowUnexported(record{}))
	if diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func headerCell(pairs ...string) []byte {
	var list []foz.Header
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, foz.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return foz.AppendHeaders(nil, list)
}

// sampleParts are what the golden file holds: never change them.
func sampleParts() ([]Part, []foz.CommitRequest) {
	parts := []Part{
		{foz.Partition{Topic: topicA, Number: 0}, makeRows(
			record{1000, []byte("k"), []byte("value"), headerCell("a", "1", "a", "2")},
			record{999, nil, []byte{}, nil},
			record{-5, []byte{}, nil, headerCell("", "")},
		)},
		{foz.Partition{Topic: topicA, Number: 7}, makeRows(record{math.MinInt64, nil, nil, nil})},
		{foz.Partition{Topic: topicB, Number: 0}, makeRows(
			record{math.MaxInt64, []byte("\x00\xff"), []byte(strings.Repeat("x", 100)), nil},
			record{0, []byte("key"), []byte("y"), nil},
		)},
	}
	next := int64(42)
	requests := []foz.CommitRequest{
		{Topic: topicA, Producer: &foz.Producer{ID: "p\"\\\n\u00e9", Epoch: 3, Seq: 9},
			Batches: []foz.CommitBatch{{Segment: 0, Rows: 2}, {Segment: 1, Rows: 1}}},
		{Topic: topicA, IfNextOffset: &next, Batches: []foz.CommitBatch{{Segment: 0, Rows: 1}}},
		{Topic: topicB, Producer: &foz.Producer{ID: "\xff\x00"},
			Batches: []foz.CommitBatch{{Segment: 2, Rows: 2}}},
	}
	return parts, requests
}

func checkObject(t rapid.TB, object []byte, parts []Part, segments []foz.Segment,
	requests []foz.CommitRequest,
) {
	t.Helper()
	f, err := Inspect(object)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(segments, f.Segments); diff != "" || f.Version != 1 {
		t.Errorf("version %d, segments differ (-want +got):\n%s", f.Version, diff)
	}
	if diff := cmp.Diff(requests, f.Requests); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	for i, s := range segments {
		lowest, highest := bounds(parts[i].Rows.Timestamps)
		if s.Partition != parts[i].Partition || int(s.Rows) != parts[i].Rows.Len() ||
			s.MinTimestamp != lowest || s.MaxTimestamp != highest {
			t.Errorf("segment %d is %+v", i, s)
		}
		rows, err := Decode(object[s.ByteStart:s.ByteEnd], s)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, parts[i].Rows)
	}
}

func TestEncode(t *testing.T) {
	parts, requests := sampleParts()
	for _, codec := range []Codec{Uncompressed, LZ4} {
		e := &Encoder{Codec: codec}
		for range 2 { // the second reuses buffers
			object, segments, err := e.Encode(nil, parts, requests)
			if err != nil {
				t.Fatal(err)
			}
			checkObject(t, object, parts, segments, requests)
		}
	}
}

func TestEncodeAppends(t *testing.T) {
	parts, requests := sampleParts()
	want, wantSegments, err := Encode(nil, parts, requests)
	if err != nil {
		t.Fatal(err)
	}
	got, segments, err := Encode([]byte("odd"), parts, requests)
	if err != nil || string(got) != "odd"+string(want) {
		t.Errorf("after 3 bytes: err %v, or other bytes than after none", err)
	}
	if diff := cmp.Diff(wantSegments, segments); diff != "" {
		t.Errorf("segments differ (-want +got):\n%s", diff)
	}
}

func TestEncodeRefuses(t *testing.T) {
	one := foz.Partition{Topic: topicA, Number: 1}
	two := foz.Partition{Topic: topicA, Number: 2}
	row := func() *foz.Rows { return makeRows(record{1, nil, []byte("v"), nil}) }
	torn := row()
	torn.Values.Ends[0] = 9
	short := row()
	short.Keys.Ends = nil
	part := []Part{{one, row()}}
	batch := func(segment, rows int32) []foz.CommitRequest {
		return []foz.CommitRequest{
			{Topic: topicA, Batches: []foz.CommitBatch{{Segment: segment, Rows: rows}}}}
	}
	for _, c := range []struct {
		name     string
		codec    Codec
		parts    []Part
		requests []foz.CommitRequest
		want     string
	}{
		{"no rows", 0, []Part{{one, &foz.Rows{}}}, nil, "0 rows"},
		{"unsorted", 0, []Part{{two, row()}, {one, row()}}, nil, "follows"},
		{"twice", 0, []Part{{one, row()}, {one, row()}}, nil, "follows"},
		{"torn", 0, []Part{{one, torn}}, nil, "column value"},
		{"short", 0, []Part{{one, short}}, nil, "column key"},
		{"zstd", ZSTD, part, nil, "zstd"},
		{"no batches", 0, part, []foz.CommitRequest{{Topic: topicA}}, "no rows"},
		{"no segment", 0, part, batch(1, 1), "segment 1"},
		{"negative segment", 0, part, batch(-1, 1), "segment -1"},
		{"empty batch", 0, part, batch(0, 0), "0 rows"},
		{"too many rows", 0, part, batch(0, 2), "more rows"},
		{"other topic", 0, []Part{{foz.Partition{Topic: topicB}, row()}}, batch(0, 1), "has rows of"},
	} {
		_, _, err := (&Encoder{Codec: c.codec}).Encode(nil, c.parts, c.requests)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestBlocks: Arrow readers want a block's two lengths exact, not only their sum.
func TestBlocks(t *testing.T) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		object, segments := encodeSample(t, codec)
		footer, err := cutFooter(object, int64(len(object)))
		if err != nil {
			t.Fatal(err)
		}
		blocks := rootTable(footer).vector(3, blockBytes)
		for i, s := range segments {
			// The prefix of a message has the length of its metadata.
			metadata := int64(prefixBytes + binary.LittleEndian.Uint32(object[s.ByteStart+4:]))
			want := le64(s.ByteStart, metadata, s.ByteEnd-s.ByteStart-metadata)
			if got := blocks[blockBytes*i:][:blockBytes]; string(got) != string(want) {
				t.Errorf("%s: block %d is %x, want %x", codec, i, got, want)
			}
		}
	}
}

func TestEncodeNothing(t *testing.T) {
	object, segments, err := Encode(nil, nil, nil)
	if err != nil || len(segments) != 0 {
		t.Fatal(segments, err)
	}
	if f, err := Inspect(object); err != nil || len(f.Segments) != 0 || len(f.Requests) != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}

var drawnCell = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 20))

func drawRows(t *rapid.T) *foz.Rows {
	rows := &foz.Rows{}
	for range rapid.IntRange(1, 20).Draw(t, "rows") {
		rows.Append(rapid.Int64().Draw(t, "timestamp"), drawnCell.Draw(t, "key"),
			drawnCell.Draw(t, "value"), drawnCell.Draw(t, "headers"))
	}
	return rows
}

func TestEncodeDrawn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var parts []Part
		var requests []foz.CommitRequest
		for i := range rapid.IntRange(1, 5).Draw(rt, "parts") {
			p := Part{foz.Partition{Topic: topicA, Number: int32(i)}, drawRows(rt)}
			parts = append(parts, p)
			requests = append(requests, foz.CommitRequest{
				Topic: topicA,
				Producer: &foz.Producer{ID: string(rapid.SliceOf(rapid.Byte()).Draw(rt, "id")),
					Epoch: rapid.Int64().Draw(rt, "epoch"), Seq: rapid.Int64().Draw(rt, "seq")},
				Batches: []foz.CommitBatch{{Segment: int32(i), Rows: int32(p.Rows.Len())}},
			})
		}
		e := &Encoder{Codec: rapid.SampledFrom([]Codec{Uncompressed, LZ4}).Draw(rt, "codec")}
		object, segments, err := e.Encode(nil, parts, requests)
		if err != nil {
			rt.Fatal(err)
		}
		checkObject(rt, object, parts, segments, requests)
	})
}

func TestDecodeAliases(t *testing.T) {
	value := []byte("where is it")
	parts := []Part{{foz.Partition{}, makeRows(record{1, nil, value, nil})}}
	object, segments, err := Encode(nil, parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := segments[0]
	for shift := range 8 { // in memory, numbers may lie where they cannot be read in place
		msg := make([]byte, shift+int(s.ByteEnd-s.ByteStart))[shift:]
		copy(msg, object[s.ByteStart:])
		rows, err := Decode(msg, s)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, parts[0].Rows)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(rows.Values.Data)))
		from := uintptr(unsafe.Pointer(unsafe.SliceData(msg)))
		if at < from || at >= from+uintptr(len(msg)) {
			t.Errorf("shift %d: values do not alias the message", shift)
		}
	}
}

func TestInspectTail(t *testing.T) {
	parts, requests := sampleParts()
	object, _, err := Encode(nil, parts, requests)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Inspect(object)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(object) + 1 {
		got, err := InspectTail(object[len(object)-n:], int64(len(object)))
		var short *ShortTailError
		if errors.As(err, &short) {
			if short.Need <= int64(n) {
				t.Fatalf("%d bytes are too few, %d are enough", n, short.Need)
			}
			continue
		}
		if err != nil {
			t.Fatalf("last %d bytes: %v", n, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("last %d bytes (-want +got):\n%s", n, diff)
		}
	}
}

// TestManifestSize holds the promise that the index's part of a footer is small.
func TestManifestSize(t *testing.T) {
	var parts []Part
	for i := range 1000 {
		rows := &foz.Rows{}
		for j := range 8 {
			rows.Append(1_790_000_000_000+int64(i*8+j), nil, make([]byte, 1024), nil)
		}
		parts = append(parts, Part{foz.Partition{Topic: topicA, Number: int32(i)}, rows})
	}
	_, segments, err := Encode(nil, parts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if per := len(appendSegments(nil, segments)) / len(segments); per > 40 {
		t.Errorf("%d bytes of table per segment, want at most 40", per)
	}
}

func ExampleInspect() {
	rows := &foz.Rows{}
	rows.Append(1000, []byte("LAX"), []byte(`{"delay":7}`), nil)
	object, _, err := Encode(nil, []Part{{Rows: rows}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := Inspect(object)
	fmt.Println(err, f.Segments[0].Rows, f.Schema)
	// Output:
	// <nil> 1 timestamp: timestamp[ms, UTC] not null, key: binary, value: binary, headers: binary
}
