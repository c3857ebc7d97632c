package filter

import (
	"fmt"
	"slices"
	"testing"

	"github.com/fozlog/foz"
)

// How: a run of small records of a topic with many columns is cut so that no part has too many
// cells; the parts tile the run, and have its records, with or without holes and a filter.
func TestPicksTile(t *testing.T) {
	const rows, columns, skipped = 2500, 1000, 3
	run := foz.Run{Base: 7, Rows: &foz.Rows{}, From: skipped, To: skipped + rows}
	var holes []int64
	for i := range skipped + rows {
		run.Rows.Append(0, nil, []byte(fmt.Sprintf(`{"c0":%d}`, i-skipped)), nil)
		if i >= skipped {
			holes = append(holes, 10+2*int64(i))
		}
	}
	q := Query{}
	for i := range columns {
		name := fmt.Sprint("c", i)
		q.Schema = append(q.Schema, foz.SchemaColumn{
			Name: name, Type: foz.TypeInt64, Pointer: "/" + name, Nullable: true,
		})
		q.Columns = append(q.Columns, name)
	}
	for _, offsets := range [][]int64{nil, holes} {
		for _, text := range []string{"", "c0 >= 2000"} {
			run.Offsets, run.End = offsets, 99_999
			var want []int64
			for i := range run.Len() {
				if text == "" || i >= 2000 {
					want = append(want, run.Offset(i))
				}
			}
			q.Filter = nil
			if text != "" {
				parsed, err := Parse(text, q.Schema)
				if err != nil {
					t.Fatal(err)
				}
				q.Filter = parsed
			}
			checkTiles(t, q, run, want)
		}
	}
}

func checkTiles(t *testing.T, q Query, run foz.Run, want []int64) {
	t.Helper()
	var got []int64
	at := run.Base
	for part := range NewPicker(q).Picks(0, run) {
		if part.Base != at || part.Len()*len(q.Schema) > cellsMax {
			t.Fatalf("a part begins at %d with %d records, want %d", part.Base, part.Len(), at)
		}
		at = part.Next()
		for i := range part.Len() {
			got = append(got, part.Offset(i))
			if cell := part.Columns[0].Int64s[i]; run.Offset(int(cell)) != part.Offset(i) {
				t.Fatalf("the record at offset %d has cell %d", part.Offset(i), cell)
			}
		}
	}
	if at != run.End || !slices.Equal(got, want) {
		t.Errorf("%d records up to %d, want %d up to %d", len(got), at, len(want), run.End)
	}
}
