package segment

// How: typed runs of all sizes go through a stream and are read back by arrow-go; its text of
// each column is compared with cells that are spelled out.

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/fozlog/foz"
)

var typedSchema = []foz.SchemaColumn{
	{Name: "b", Type: foz.TypeBool}, {Name: "i", Type: foz.TypeInt64},
	{Name: "f", Type: foz.TypeFloat64}, {Name: "s", Type: foz.TypeUTF8},
	{Name: "raw", Type: foz.TypeBinary}, {Name: "at", Type: foz.TypeTimestamp},
	{Name: "day", Type: foz.TypeDate32},
}

// typedVectors are n cells of each column; every third is null.
func typedVectors(n int) (columns []foz.Vector) {
	for _, c := range typedSchema {
		v := foz.Vector{Type: c.Type, Nulls: make([]bool, n)}
		for i := range n {
			null := i%3 == 2
			v.Nulls[i] = null
			switch {
			case c.Type == foz.TypeFloat64:
				v.Float64s = append(v.Float64s, float64(i)/2)
			case c.Type == foz.TypeUTF8 || c.Type == foz.TypeBinary:
				v.Cells.Append([]byte(strings.Repeat("x", i%5)))
			case c.Type == foz.TypeBool:
				v.Int64s = append(v.Int64s, int64(i%2))
			default:
				v.Int64s = append(v.Int64s, int64(i))
			}
		}
		columns = append(columns, v)
	}
	return columns
}

func TestStreamTyped(t *testing.T) {
	const n = 100
	all := typedVectors(n)
	for _, c := range []struct {
		columns []string
		runs    [][2]int // of rows
		bytes   int
	}{
		{nil, [][2]int{{0, n}}, 0},
		{nil, [][2]int{{0, 1}, {1, 2}, {2, 50}, {50, 50}, {50, n}}, 0},
		{nil, [][2]int{{0, 40}, {40, n}}, 300},
		{[]string{"s", "offset", "b"}, [][2]int{{0, 3}, {3, n}}, 200},
		{[]string{"day"}, [][2]int{{0, 30}, {30, n}}, 100},
		{[]string{"at", "timestamp", "raw", "value", "f"}, [][2]int{{0, n}}, 1 << 20},
	} {
		rows := &foz.Rows{}
		for i := range n {
			rows.Append(int64(1000+i), nil, []byte("v"), nil)
		}
		o := StreamOptions{Columns: c.columns, Schema: typedSchema, BatchBytesMax: c.bytes}
		var out bytes.Buffer
		w, err := NewStreamWriter(&out, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range c.runs {
			run := foz.Run{Base: int64(r[0]), Rows: rows, From: r[0], To: r[1]}
			if len(c.columns) > 0 && !strings.Contains(strings.Join(c.columns, " "), "timestamp") {
				run.Rows = &foz.Rows{} // who does not ask for a column gets none
			}
			for _, name := range o.names() {
				for i, typed := range typedSchema {
					if typed.Name != name {
						continue
					}
					v := foz.Vector{Type: typed.Type}
					v.AppendCells(&all[i], r[0], r[1])
					run.Columns = append(run.Columns, v)
				}
			}
			if err := w.Write(0, run); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		checkTyped(t, out.Bytes(), o.names(), n)
	}
}

// checkTyped reads a stream of typedVectors.
func checkTyped(t *testing.T, stream []byte, names []string, n int) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	row := 0
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			for at, name := range names {
				if got, want := b.Column(at).ValueStr(i), typedText(name, row); got != want {
					t.Fatalf("row %d, column %s: %s, want %s", row, name, got, want)
				}
			}
			row++
		}
	}
	if r.Err() != nil || row != n {
		t.Fatalf("%d rows of %d, %v", row, n, r.Err())
	}
}

// readText is a stream's cells, as arrow-go writes them.
func readText(t *testing.T, stream []byte) (rows [][]string) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			var row []string
			for _, c := range b.Columns() {
				row = append(row, c.ValueStr(i))
			}
			rows = append(rows, row)
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return rows
}

// typedText is what arrow-go says of a cell.
func typedText(name string, i int) string {
	switch {
	case name == columnOffset:
		return fmt.Sprint(i)
	case name == columnTimestamp:
		return textOf(1000 + i)
	case name == columnValue:
		return "dg=="
	case name == columnKey || name == columnHeaders || i%3 == 2:
		return "(null)"
	}
	switch name {
	case "b":
		return fmt.Sprint(i%2 == 1)
	case "f":
		return fmt.Sprint(float64(i) / 2)
	case "s":
		return strings.Repeat("x", i%5)
	case "raw":
		return map[int]string{0: "", 1: "eA==", 2: "eHg=", 3: "eHh4", 4: "eHh4eA=="}[i%5]
	case "at":
		return textOf(i)
	case "day":
		return time.UnixMilli(int64(i) * 24 * 60 * 60 * 1000).UTC().Format(time.DateOnly)
	}
	return fmt.Sprint(i)
}

// textOf is a time as arrow-go writes it.
func textOf(ms int) string { return time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339Nano) }

// TestStreamTypedLacks: a run without what is written breaks the stream, and nothing else.
func TestStreamTypedLacks(t *testing.T) {
	rows := makeRows(record{1, nil, []byte("v"), nil})
	for name, run := range map[string]foz.Run{
		"no vector":       {Rows: rows, To: 1},
		"another type":    {Rows: rows, To: 1, Columns: []foz.Vector{{Type: foz.TypeUTF8}}},
		"too few cells":   {Rows: rows, To: 1, Columns: []foz.Vector{{Type: foz.TypeInt64}}},
		"no such records": {Rows: &foz.Rows{}, To: 1, Columns: typedVectors(1)[1:2]},
	} {
		w, err := NewStreamWriter(&bytes.Buffer{}, StreamOptions{
			Columns: []string{"value", "i"}, Schema: typedSchema,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(0, run); err == nil || !strings.Contains(err.Error(), "lacks columns") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStreamTypedEmpty: a run without records needs no columns, and writes nothing.
func TestStreamTypedEmpty(t *testing.T) {
	var out bytes.Buffer
	o := StreamOptions{Columns: []string{"value", "i"}, Schema: typedSchema}
	w, err := NewStreamWriter(&out, o)
	if err != nil {
		t.Fatal(err)
	}
	empty := foz.Run{Base: 5, Rows: &foz.Rows{}, End: 9}
	if err := w.Write(0, empty); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	checkTyped(t, out.Bytes(), nil, 0)
	if err := w.Write(0, empty); err == nil {
		t.Error("a closed stream takes a run")
	}
}

// TestStreamTypedUnknown: a column of a type that is not known is there, and null.
func TestStreamTypedUnknown(t *testing.T) {
	later := []foz.SchemaColumn{{Name: "d", Type: "decimal"}, {Name: "i", Type: foz.TypeInt64}}
	var out bytes.Buffer
	w, err := NewStreamWriter(&out, StreamOptions{Columns: []string{"d", "i"}, Schema: later})
	if err != nil {
		t.Fatal(err)
	}
	vectors := []foz.Vector{{Type: "decimal", Int64s: make([]int64, 2), Nulls: []bool{true, true}},
		{Type: foz.TypeInt64, Int64s: []int64{3, 4}}}
	run := foz.Run{Rows: &foz.Rows{}, To: 2, Columns: vectors}
	for range 2 { // one waits for the other
		if err := w.Write(0, run); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(readText(t, out.Bytes()))
	if want := "[[(null) 3] [(null) 4] [(null) 3] [(null) 4]]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
