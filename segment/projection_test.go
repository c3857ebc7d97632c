package segment

// How: columns of a typed object are had by the bytes of their buffers alone, and compared with
// those of the whole batch; what is relayed is read by arrow-go. Damage of each byte is seen.

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// projectedOf counts the bytes that a projection asks for.
func projectedOf(object []byte, asked *int64) func(Bytes) ([]byte, bool) {
	return func(r Bytes) ([]byte, bool) {
		if asked != nil {
			*asked += r.End - r.Start
		}
		if r.End > int64(len(object)) {
			return nil, false
		}
		return object[r.Start:r.End], true
	}
}

var projections = [][]string{
	{"i"}, {"s", "b"}, {"offset"}, {"timestamp", "day"}, {"key", "offset", "f"}, {"headers", "raw"},
	{"value"}, {"at", "headers", "offset", "key", "timestamp", "value", "day", "b"},
}

func TestProjection(t *testing.T) {
	object, batches := inspectTyped(t, 100)
	for _, names := range projections {
		for _, b := range batches {
			p, ok := NewProjection(&b, names, typedSchema)
			if !ok {
				t.Fatalf("%v cannot be had", names)
			}
			var asked int64
			run, err := p.Decode(&b, projectedOf(object, &asked))
			if err != nil {
				t.Fatalf("%v: %v", names, err)
			}
			total := int64(0)
			for i, r := range p.Ranges(&b) {
				total += r.End - r.Start
				if r.Start < b.ByteStart || r.End > b.ByteEnd || r.Start >= r.End ||
					i > 0 && r.Start < p.Ranges(&b)[i-1].End {
					t.Errorf("%v: ranges %v", names, p.Ranges(&b))
				}
			}
			if padding := total - asked; padding < 0 || padding > int64(8*len(b.Buffers)) {
				t.Errorf("%v: %d bytes asked for of %d", names, asked, total)
			}
			checkProjected(t, names, run, object, b)
		}
	}
}

// checkProjected compares a run with the batch it is of.
func checkProjected(t *testing.T, names []string, run foz.Run, object []byte, b MergedBatch) {
	t.Helper()
	offsets, rows, typed, err := DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
	if err != nil {
		t.Fatal(err)
	}
	want, at := &foz.Rows{}, 0
	for _, name := range names {
		switch name {
		case "offset":
			if !slices.Equal(run.Offsets, offsets) {
				t.Errorf("%v: other offsets", names)
			}
		case "timestamp":
			want.Timestamps = rows.Timestamps
		case "key":
			want.Keys = rows.Keys
		case "value":
			want.Values = rows.Values
		case "headers":
			want.Headers = rows.Headers
		default:
			i := slices.IndexFunc(typedSchema, func(c foz.SchemaColumn) bool { return c.Name == name })
			checkVector(t, name, &run.Columns[at], &typed[i])
			at++
		}
	}
	if !reflect.DeepEqual(run.Rows, want) || run.Len() != int(b.Rows) || at != len(run.Columns) {
		t.Errorf("%v: other rows", names)
	}
}

func TestProjectionRelayed(t *testing.T) {
	object, batches := inspectTyped(t, 100)
	for _, names := range append(projections, []string{"partition", "i"}, []string{"s", "partition"}) {
		checkProjectedStream(t, relayed(t, object, batches, names), names)
	}
}

// inspectTyped is a typed object of n rows, and what its footer tells.
func inspectTyped(t testing.TB, n int) ([]byte, []MergedBatch) {
	t.Helper()
	object, s := typedObject(t, n)
	batches, err := InspectMerged(object[s.ByteEnd:], s)
	if err != nil {
		t.Fatal(err)
	}
	return object, batches
}

// relayed is a stream of a typed object's columns, of partition 7.
func relayed(t *testing.T, object []byte, batches []MergedBatch, names []string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewStreamWriter(&out, StreamOptions{Columns: names, Schema: typedSchema,
		Partition: slices.Contains(names, columnPartition), Stored: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		p, ok := NewProjection(&b, names, typedSchema)
		if !ok {
			t.Fatalf("%v cannot be had", names)
		}
		msg, err := p.Message(&b, 7, projectedOf(object, nil))
		if err == nil {
			err = w.Write(7, foz.Run{To: int(b.Rows), Stored: msg})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestProjectionDamaged(t *testing.T) {
	object, batches := inspectTyped(t, 40)
	b := &batches[0]
	names := []string{"s", "offset", "i"}
	p, _ := NewProjection(b, names, typedSchema)
	ranges, seen := p.Ranges(b), 0
	for i := b.ByteStart; i < b.ByteEnd; i++ {
		object[i] ^= 0x80
		inside := slices.ContainsFunc(ranges, func(r Bytes) bool { return r.Start <= i && i < r.End })
		_, err := p.Decode(b, projectedOf(object, nil))
		if err != nil {
			seen++
			checkRefused(t, fmt.Sprint("byte ", i), err, "crc32c")
		}
		if err != nil && !inside {
			t.Fatalf("byte %d: read: %v, damaged: %v", i, inside, err)
		}
		object[i] ^= 0x80
	}
	if seen == 0 {
		t.Error("no damage is seen")
	}
	_, err := p.Decode(b, projectedOf(object[:b.ByteStart+100], nil))
	checkRefused(t, "cut", err, "the object ends before")
}

func TestProjectionMissing(t *testing.T) {
	_, batches := inspectTyped(t, 40)
	other := slices.Clone(typedSchema)
	other[1].Pointer = "/elsewhere"
	for _, c := range []struct {
		names []string
		typed []foz.SchemaColumn
		ok    bool
	}{
		{[]string{"i"}, typedSchema, true}, {[]string{"i"}, other, false},
		{[]string{"i"}, nil, false}, {[]string{"nothing"}, typedSchema, false},
		{[]string{"key"}, nil, true},
	} {
		if _, ok := NewProjection(&batches[0], c.names, c.typed); ok != c.ok {
			t.Errorf("%v: %v", c.names, ok)
		}
	}
	old := batches[0]
	old.Nodes = nil // as version 1 has it
	if _, ok := NewProjection(&old, []string{"key"}, nil); ok {
		t.Error("nobody knows where columns of version 1 lie")
	}
}

// checkProjectedStream reads typedVectors and what is beside them.
func checkProjectedStream(t *testing.T, stream []byte, names []string) {
	t.Helper()
	rows := readText(t, stream)
	if len(rows) != 100 {
		t.Fatalf("%v: %d rows", names, len(rows))
	}
	for i, row := range rows {
		for at, name := range names {
			want := typedText(name, i)
			switch {
			case name == "partition":
				want = "7"
			case name == "key" || name == "headers":
				continue // compared by TestProjection
			}
			if row[at] != want {
				t.Fatalf("%s: row %d, column %s: %s, want %s", strings.Join(names, " "), i, name,
					row[at], want)
			}
		}
	}
}
