package segment

// How: objects with columns of every type are merged, read back whole and by columns, and by
// arrow-go; what their footers tell of the columns is changed, piece by piece, and refused.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

// typedObject has n rows in batches of about 20, columns of every type, and headers.
func typedObject(t testing.TB, n int) ([]byte, foz.Segment) {
	t.Helper()
	m := NewMerged(MergedOptions{BatchBytes: 750})
	if err := m.Type(typedSchema); err != nil {
		t.Fatal(err)
	}
	rows := &foz.Rows{}
	for i := range n {
		var headers []byte
		if i%4 == 0 {
			headers = foz.AppendHeaders(nil, []foz.Header{{Key: "h", Value: []byte{byte(i)}}})
		}
		key := []byte(fmt.Sprintf("key-%03d", i))
		if i%5 == 0 {
			key = nil
		}
		rows.Append(int64(1000+i), key, []byte("v"), headers)
	}
	for from := 0; from < n; from += 30 {
		to := min(from+30, n)
		run := foz.Run{Base: int64(from), Rows: rows, From: from, To: to}
		for _, v := range typedVectors(n) {
			part := foz.Vector{Type: v.Type}
			part.AppendCells(&v, from, to)
			run.Columns = append(run.Columns, part)
		}
		m.Mismatched([]int{0, 1, 0, 0, 0, 0, 0})
		if err := m.Append(foz.Partition{}, run); err != nil {
			t.Fatal(err)
		}
	}
	object, segments, err := m.Finish([]foz.SwapInput{{Object: "a", Range: foz.Range{Next: int64(n)}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(segments) != 1 || segments[0].Batches < 3 {
		t.Fatalf("segments %+v", segments)
	}
	return object, segments[0]
}

func TestMergedTyped(t *testing.T) {
	const n = 100
	object, s := typedObject(t, n)
	batches, err := InspectMerged(object[s.ByteEnd:], s)
	if err != nil {
		t.Fatal(err)
	}
	all, row, misses := typedVectors(n), 0, 0
	for _, b := range batches {
		offsets, rows, typed, err := DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(b.Typed(), typedSchema) || len(typed) != len(typedSchema) {
			t.Fatalf("typed columns %v", b.Typed())
		}
		for i := range typed {
			want := foz.Vector{Type: typed[i].Type}
			want.AppendCells(&all[i], row, row+rows.Len())
			checkVector(t, typedSchema[i].Name, &typed[i], &want)
			checkStats(t, typedSchema[i].Name, b.Stats[1+i], &want)
		}
		if offsets[0] != int64(row) || b.Stats[0].Min == nil {
			t.Errorf("offsets from %d, stats of keys %+v", offsets[0], b.Stats[0])
		}
		row += rows.Len()
		misses += b.Mismatches[1]
	}
	if row != n || misses != 4 {
		t.Errorf("%d rows, %d mismatches", row, misses)
	}
	if _, err := Verify(object); err != nil {
		t.Error(err)
	}
	stream := object[s.ByteStart:s.ByteEnd]
	r, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for row = 0; r.Next(); {
		for i := range int(r.RecordBatch().NumRows()) {
			for at, c := range typedSchema {
				got := r.RecordBatch().Column(5 + at).ValueStr(i)
				if want := typedText(c.Name, row); got != want {
					t.Fatalf("arrow-go, row %d, %s: %s, want %s", row, c.Name, got, want)
				}
			}
			row++
		}
	}
	if r.Err() != nil || row != n {
		t.Errorf("arrow-go reads %d rows, %v", row, r.Err())
	}
}

// TestMergedTypedSmall: what fits one batch becomes two, to have columns; one row has none.
func TestMergedTypedSmall(t *testing.T) {
	for _, c := range []struct{ rows, batches, columns, misses int }{
		{1, 1, 0, 0}, {2, 2, 7, 3}, {51, 2, 7, 3},
	} {
		m := NewMerged(MergedOptions{})
		if err := m.Type(typedSchema); err != nil {
			t.Fatal(err)
		}
		rows := &foz.Rows{}
		for i := range c.rows {
			rows.Append(int64(1000+i), nil, []byte("v"), nil)
		}
		m.Mismatched([]int{0, 3, 0, 0, 0, 0, 0})
		run := foz.Run{Base: 5, Rows: rows, To: c.rows, Columns: typedVectors(c.rows)}
		object, _ := mergeRuns(t, m, []foz.Run{run})
		f, err := Verify(object)
		if err != nil {
			t.Fatal(err)
		}
		misses, row := 0, 0
		for _, b := range f.Batches {
			_, rows, typed, err := DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
			if err != nil || len(typed) != c.columns {
				t.Fatalf("%d rows: %d columns, %v", c.rows, len(typed), err)
			}
			for i := range typed {
				want := foz.Vector{Type: typed[i].Type}
				want.AppendCells(&run.Columns[i], row, row+rows.Len())
				checkVector(t, typedSchema[i].Name, &typed[i], &want)
				misses += b.Mismatches[i]
			}
			row += rows.Len()
		}
		if len(f.Batches) != c.batches || row != c.rows || misses != c.misses {
			t.Errorf("%d rows: %d of them in %d batches, %d mismatches", c.rows, row, len(f.Batches),
				misses)
		}
	}
}

// TestMergedTypedWide: the last batches of an object of a thousand columns have no bounds.
func TestMergedTypedWide(t *testing.T) {
	m := NewMerged(MergedOptions{BatchBytes: 1})
	var columns []foz.SchemaColumn
	for i := range schemaColumnsMax {
		columns = append(columns, foz.SchemaColumn{Name: fmt.Sprint("c", i), Type: foz.TypeInt64})
	}
	if err := m.Type(columns); err != nil {
		t.Fatal(err)
	}
	run := foz.Run{Rows: makeRows(record{1, nil, []byte("v"), nil}), To: 1}
	for range columns {
		run.Columns = append(run.Columns, foz.Vector{Type: foz.TypeInt64, Int64s: []int64{7}})
	}
	const n = boundsMax/2/schemaColumnsMax + 5
	var runs []foz.Run
	for i := range n {
		run.Base = int64(i)
		runs = append(runs, run)
	}
	for range 2 { // objects
		object, segments := mergeRuns(t, m, runs)
		batches, err := InspectMerged(object[segments[0].ByteEnd:], segments[0])
		if err != nil || len(batches) != n {
			t.Fatalf("%d batches, %v", len(batches), err)
		}
		first, last := batches[0].Stats[5], batches[n-1].Stats[5]
		if first.Min == nil || first.Min.Int64 != 7 || last.Min != nil || last.Max != nil {
			t.Errorf("bounds %+v, and %+v", first, last)
		}
	}
}

// TestMergedTypedSegments: typed objects are of one segment.
func TestMergedTypedSegments(t *testing.T) {
	m := NewMerged(MergedOptions{})
	if err := m.Type(typedSchema); err != nil {
		t.Fatal(err)
	}
	rows := makeRows(record{1, nil, []byte("v"), nil})
	for n := range int32(2) {
		run := foz.Run{Rows: rows, To: 1, Columns: typedVectors(1)}
		if err := m.Append(foz.Partition{Number: n}, run); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := m.Finish(nil)
	if err == nil || !strings.Contains(err.Error(), "2 segments of 2 record batches") {
		t.Errorf("error %v", err)
	}
}

func checkVector(t *testing.T, name string, got, want *foz.Vector) {
	t.Helper()
	if got.Type != want.Type || got.Len() != want.Len() {
		t.Fatalf("%s: %d cells of %s, want %d of %s", name, got.Len(), got.Type, want.Len(), want.Type)
	}
	for i := range want.Len() {
		same := got.Null(i) == want.Null(i)
		switch {
		case want.Null(i):
		case want.Type == foz.TypeFloat64:
			same = same && got.Float64s[i] == want.Float64s[i]
		case want.Type == foz.TypeUTF8 || want.Type == foz.TypeBinary:
			same = same && bytes.Equal(got.Cells.Cell(i), want.Cells.Cell(i))
		default:
			same = same && got.Int64s[i] == want.Int64s[i]
		}
		if !same {
			t.Fatalf("%s: cell %d differs", name, i)
		}
	}
}

// checkStats: no cell is out of its bounds.
func checkStats(t *testing.T, name string, s foz.ColumnStats, v *foz.Vector) {
	t.Helper()
	nulls := 0
	for i := range v.Len() {
		if v.Null(i) {
			nulls++
			continue
		}
		cell := foz.Scalar{}
		switch v.Type {
		case foz.TypeFloat64:
			cell.Float64 = v.Float64s[i]
		case foz.TypeUTF8, foz.TypeBinary:
			cell.Bytes = v.Cells.Cell(i)
		default:
			cell.Int64 = v.Int64s[i]
		}
		if s.Min == nil || less(cell, *s.Min, v.Type) || less(*s.Max, cell, v.Type) {
			t.Fatalf("%s: cell %d is not within %+v", name, i, s)
		}
	}
	if s.Nulls != nulls {
		t.Errorf("%s: %d nulls, want %d", name, s.Nulls, nulls)
	}
}

func TestBoundsOfBytes(t *testing.T) {
	long := strings.Repeat("a", 40)
	for _, c := range []struct{ cells, low, high string }{
		{"b a", "a", "b"},
		{long, long[:32], long[:31] + "b"},
		{"x " + strings.Repeat("\xff", 40), "", ""},
		{strings.Repeat("a", 31) + strings.Repeat("\xff", 9), strings.Repeat("a", 31) + "\xff",
			strings.Repeat("a", 30) + "b"},
	} {
		v := foz.Vector{Type: foz.TypeBinary}
		for _, cell := range strings.Fields(c.cells) {
			v.Cells.Append([]byte(cell))
		}
		s := statsOf(&v)
		if c.low == "" {
			if s.Min != nil {
				t.Errorf("%q is bounded by %q", c.cells, s.Max.Bytes)
			}
		} else if string(s.Min.Bytes) != c.low || string(s.Max.Bytes) != c.high {
			t.Errorf("%q: from %q to %q, want %q to %q", c.cells, s.Min.Bytes, s.Max.Bytes, c.low, c.high)
		}
	}
}

// TestGoldenTyped: version 2, with columns of every type.
func TestGoldenTyped(t *testing.T) {
	name := filepath.Join("testdata", "l1-v2-typed.arrow")
	object, _ := typedObject(t, 60)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		writeGolden(t, name, object)
	}
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Verify(golden)
	if err != nil {
		t.Fatal(err)
	}
	all, row := typedVectors(60), 0
	for _, b := range f.Batches {
		_, rows, typed, err := DecodeTypedBatch(golden[b.ByteStart:b.ByteEnd], b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range typed {
			want := foz.Vector{Type: typed[i].Type}
			want.AppendCells(&all[i], row, row+rows.Len())
			checkVector(t, typedSchema[i].Name, &typed[i], &want)
		}
		row += rows.Len()
	}
	from := f.Batches[0].ByteStart
	if row != 60 || f.Version != VersionOwn ||
		!f.Batches[0].form().shape.begins(golden[from:]) {
		t.Errorf("%d rows of version %d", row, f.Version)
	}
}

// TestMergedTypedDamaged: every byte of a typed object is damaged: then it is an error, or what
// was merged.
func TestMergedTypedDamaged(t *testing.T) {
	t.Parallel()
	object, s := typedObject(t, 40)
	for i := range object {
		object[i] ^= 0x80
		batches, err := InspectMerged(object[s.ByteEnd:], s)
		inFooter := int64(i) >= s.ByteEnd
		if inFooter != (err != nil) {
			t.Fatalf("byte %d: footer: %v", i, err)
		}
		damaged := false
		for _, b := range batches {
			_, _, _, err := DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
			damaged = damaged || err != nil
		}
		first := batches != nil && int64(i) >= batches[0].ByteStart && int64(i) < s.ByteEnd-8
		if first != damaged && !inFooter {
			t.Fatalf("byte %d: damaged: %v", i, damaged)
		}
		if _, err := Verify(object); err == nil {
			t.Fatalf("byte %d: nobody sees it", i)
		}
		object[i] ^= 0x80
	}
}

// columnsFooter is the end of the object with other texts of its columns.
func columnsFooter(t testing.TB, f *File, columns []byte) []byte {
	t.Helper()
	entries, err := f.mergedManifest()
	if err != nil {
		t.Fatal(err)
	}
	entries[4].value = columns
	sum := checksumText(f.Version, entries[1].value, entries[2].value, entries[3].value, columns)
	entries[5].value = []byte(sum)
	l := f.Batches[0].form()
	blocks := blocksOf(batchSegments(f.Batches), int64(len(l.shape.metadata)))
	return appendFooterOf(flatbuffers.NewBuilder(0), nil, l.fields, blocks, entries)
}

func TestInspectColumnsLies(t *testing.T) {
	object, s := typedObject(t, 60)
	f, err := Inspect(object)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := formatColumns(f.Batches)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want   string
		change func(*columnTable)
	}{
		{"", func(*columnTable) {}},
		{"of type", func(c *columnTable) { c.Columns[0].Type = "decimal" }},
		{"there twice", func(c *columnTable) { c.Columns[0].Name = "i" }},
		{"there twice", func(c *columnTable) { c.Columns[0].Name = "key" }},
		{"checksums of", func(c *columnTable) { c.Columns = c.Columns[1:] }},
		{"checksums of", func(c *columnTable) { c.Columns[0].Type = "utf8" }},
		{"differ in length", func(c *columnTable) { c.Lengths = c.Lengths[1:] }},
		{"differ in length", func(c *columnTable) { c.Min = nil }},
		{"buffers", func(c *columnTable) { c.Lengths[0] = c.Lengths[0][1:] }},
		{"nodes", func(c *columnTable) { c.Nodes[0] = append(c.Nodes[0], 1) }},
		{"buffers, ", func(c *columnTable) { c.Mismatches[0] = nil }},
		{"buffers end at", func(c *columnTable) { c.Lengths[0][1] += 8 }},
		{"a buffer of", func(c *columnTable) { c.Lengths[0][1] = -1 }},
		{"a buffer of", func(c *columnTable) { c.Lengths[0][1] = 1 << 60 }},
		{"nulls in", func(c *columnTable) { c.Nodes[0][0] = -1 }},
		{"nulls in", func(c *columnTable) { c.Nodes[0][1] = c.Nodes[0][0] + 1 }},
		{"cells in a column", func(c *columnTable) { c.Nodes[0][0]++ }},
		{"cells in a column", func(c *columnTable) { c.Nodes[0][2*mergedNodes]++ }},
		{"bounds of column 2", func(c *columnTable) { *c.Min[0][2] = "x" }},
		{"bound nothing", func(c *columnTable) { c.Min[0][2] = nil }},
		{"bound nothing", func(c *columnTable) { *c.Min[0][2] = "99999" }},
		{"NaN", func(c *columnTable) { *c.Min[0][3] = "NaN" }},
		{"bounds of 7", func(c *columnTable) { c.Min[0] = c.Min[0][1:] }},
	} {
		var table columnTable
		if err := json.Unmarshal(whole, &table); err != nil {
			t.Fatal(err)
		}
		c.change(&table)
		text, err := json.Marshal(table)
		if err != nil {
			t.Fatal(err)
		}
		tail := columnsFooter(t, &f, text)
		lying := s
		lying.CRC32C = crc32.Checksum(tail, castagnoli)
		_, err = InspectMerged(tail, lying)
		checkRefused(t, c.want, err, c.want)
	}
}

// FuzzInspectColumns: whatever a footer tells of columns, it is refused or can be used.
func FuzzInspectColumns(f *testing.F) {
	object, s := typedObject(f, 60)
	file, err := Inspect(object)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := formatColumns(file.Batches)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, columns []byte) {
		tail := columnsFooter(t, &file, columns)
		lying := s
		lying.CRC32C = crc32.Checksum(tail, castagnoli)
		batches, err := InspectMerged(tail, lying)
		if err != nil {
			return
		}
		for _, b := range batches {
			for _, buffer := range b.Buffers {
				if buffer.Offset < 0 || buffer.Offset+buffer.Length > b.ByteEnd-b.ByteStart {
					t.Fatalf("buffer %+v of batch %+v", buffer, b)
				}
			}
			if len(b.Stats) != 1+len(b.Typed()) || len(b.Mismatches) != len(b.Typed()) {
				t.Fatalf("batch %+v", b)
			}
			_, _, _, _ = DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
		}
	})
}
