package foz_test

// How: rows are built twice, record by record and by copying stretches of other rows, and must
// be the same cell by cell; the stretches are drawn by rapid. Null and empty differ.

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

var cellValues = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 6))

// drawRows gives rows and the cells that were appended to them: key, value, headers.
func drawRows(t *rapid.T, most int) (*foz.Rows, [][3][]byte) {
	rows := &foz.Rows{}
	var cells [][3][]byte
	for i := range rapid.IntRange(0, most).Draw(t, "rows") {
		c := [3][]byte{cellValues.Draw(t, "key"), cellValues.Draw(t, "value"),
			cellValues.Draw(t, "headers")}
		rows.Append(int64(i), c[0], c[1], c[2])
		cells = append(cells, c)
	}
	return rows, cells
}

func sameCells(t rapid.TB, rows *foz.Rows, timestamps []int64, cells [][3][]byte) {
	t.Helper()
	if rows.Len() != len(cells) || rows.Keys.Len() != len(cells) {
		t.Fatalf("%d rows, %d keys, want %d", rows.Len(), rows.Keys.Len(), len(cells))
	}
	for i, c := range cells {
		if rows.Timestamps[i] != timestamps[i] {
			t.Errorf("row %d: timestamp %d, want %d", i, rows.Timestamps[i], timestamps[i])
		}
		for j, column := range []*foz.Column{&rows.Keys, &rows.Values, &rows.Headers} {
			got := column.Cell(i)
			if !bytes.Equal(got, c[j]) || (got == nil) != (c[j] == nil) {
				t.Errorf("row %d, column %d: %#v, want %#v", i, j, got, c[j])
			}
		}
	}
}

func TestAppendRowsIsAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := &foz.Rows{}
		var timestamps []int64
		var cells [][3][]byte
		for range rapid.IntRange(1, 5).Draw(t, "stretches") {
			if rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
				rows.Reset()
				timestamps, cells = nil, nil
			}
			source, sourceCells := drawRows(t, 8)
			from := rapid.IntRange(0, source.Len()).Draw(t, "from")
			to := rapid.IntRange(from, source.Len()).Draw(t, "to")
			rows.AppendRows(source, from, to)
			timestamps = append(timestamps, source.Timestamps[from:to]...)
			cells = append(cells, sourceCells[from:to]...)
			sameCells(t, rows, timestamps, cells)
		}
	})
}

func TestAppendAfterAppendRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cells := drawRows(t, 4)
		other, otherCells := drawRows(t, 4)
		rows.AppendRows(other, 0, other.Len())
		rows.Append(9, nil, []byte{}, []byte("h"))
		timestamps := append([]int64(nil), rows.Timestamps...)
		cells = append(append(cells, otherCells...), [3][]byte{nil, {}, []byte("h")})
		sameCells(t, rows, timestamps, cells)
	})
}

func TestCellsDoNotGrowIntoEachOther(t *testing.T) {
	rows := &foz.Rows{}
	rows.Append(1, []byte("ab"), nil, nil)
	rows.Append(2, []byte("cd"), nil, nil)
	_ = append(rows.Keys.Cell(0), 'X')
	if got := string(rows.Keys.Cell(1)); got != "cd" {
		t.Errorf("appending to a cell changed the next to %q", got)
	}
}

// TestEmptyIsNotNull: a column whose cells are all empty has no data, and no nulls either.
func TestEmptyIsNotNull(t *testing.T) {
	var column foz.Column
	column.Append([]byte{})
	if column.Cell(0) == nil {
		t.Error("an empty cell is nil")
	}
	column.Append(nil)
	if column.Cell(0) == nil || column.Cell(1) != nil {
		t.Errorf("cells %#v, %#v, want empty and null", column.Cell(0), column.Cell(1))
	}
}

func TestRowsBytes(t *testing.T) {
	rows := &foz.Rows{}
	rows.Append(1, []byte("key"), []byte("value"), nil)
	// 8 of timestamp, 3 ends of 4, 8 of data, 1 null
	if got := rows.Bytes(); got != 8+12+8+1 {
		t.Errorf("%d bytes", got)
	}
	rows.Reset()
	if rows.Len() != 0 || rows.Bytes() != 0 {
		t.Errorf("after Reset: %d rows, %d bytes", rows.Len(), rows.Bytes())
	}
}

func TestRowsRecord(t *testing.T) {
	rows := &foz.Rows{}
	rows.Append(7, []byte("k"), nil, foz.AppendHeaders(nil, []foz.Header{{Key: "a"}}))
	rows.Append(8, nil, []byte{}, []byte{0xff})
	r, err := rows.Record(0, 100)
	if err != nil || r.Offset != 100 || r.Timestamp != 7 || string(r.Key) != "k" ||
		r.Value != nil || len(r.Headers) != 1 || r.Headers[0].Key != "a" {
		t.Errorf("record %+v, error %v", r, err)
	}
	if _, err := rows.Record(1, 101); !errors.Is(err, foz.ErrHeaders) {
		t.Errorf("broken headers: error %v", err)
	}
}
