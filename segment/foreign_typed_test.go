package segment

// How: typed objects, and streams that are relayed out of their buffers, are read by arrow-go v18
// and by arrow v15; the text that they make of each cell is compared with what is spelled out.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	ipc15 "github.com/apache/arrow/go/v15/arrow/ipc"

	"github.com/fozlog/foz"
)

// cellTexts are columns as a library has them.
type cellTexts interface{ ValueStr(row int) string }

// checkCells compares the typed columns of a batch, whose rows are those from row on.
func checkCells(t *testing.T, who string, row, rows int, column func(i int) cellTexts) {
	t.Helper()
	for at, c := range typedSchema {
		for i := range rows {
			got, want := column(at).ValueStr(i), typedText(c.Name, row+i)
			if c.Type == foz.TypeTimestamp {
				got = strings.Replace(got, " ", "T", 1) // v15 writes a blank
			}
			if got != want {
				t.Fatalf("%s, row %d, %s: %s, want %s", who, row+i, c.Name, got, want)
			}
		}
	}
}

func TestForeignTyped(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "l1-v2-typed.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	object, _ := typedObject(t, 100)
	for n, object := range map[int][]byte{60: golden, 100: object} {
		file, err := ipc.NewFileReader(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		old, err := ipc15.NewFileReader(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		row := 0
		for i := range file.NumRecords() {
			batch, err := file.RecordBatchAt(i)
			if err != nil {
				t.Fatal(err)
			}
			if err := array.ValidateRecordFull(batch); err != nil {
				t.Error(err)
			}
			rows := int(batch.NumRows())
			checkCells(t, "v18", row, rows, func(i int) cellTexts { return batch.Column(5 + i) })
			record, err := old.Record(i)
			if err != nil {
				t.Fatal(err)
			}
			checkCells(t, "v15", row, rows, func(i int) cellTexts { return record.Column(5 + i) })
			row += rows
		}
		if row != n || old.NumRecords() != file.NumRecords() {
			t.Errorf("%d rows of %d", row, n)
		}
		for i, c := range typedSchema {
			got, old := file.Schema().Field(5+i), old.Schema().Field(5+i)
			want := typedTypes[c.Type]
			if got.Type.String() != want.String() || old.Type.String() != want.String() ||
				!got.Nullable || !old.Nullable || got.Name != c.Name || old.Name != c.Name {
				t.Errorf("fields %v and %v, want %s: %s", got, old, c.Name, want)
			}
		}
	}
}

// TestForeignRelayed: v15 reads what is relayed, and partitions beside it.
func TestForeignRelayed(t *testing.T) {
	object, batches := inspectTyped(t, 100)
	names := []string{columnPartition}
	for _, c := range typedSchema {
		names = append(names, c.Name)
	}
	stream := relayed(t, object, batches, names)
	r, err := ipc15.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	row := 0
	for r.Next() {
		record := r.Record()
		rows := int(record.NumRows())
		checkCells(t, "v15", row, rows, func(i int) cellTexts { return record.Column(1 + i) })
		for i := range rows {
			if got := record.Column(0).ValueStr(i); got != "7" {
				t.Fatalf("row %d is of partition %s", row+i, got)
			}
		}
		row += rows
	}
	if r.Err() != nil || row != 100 {
		t.Errorf("%d rows, %v", row, r.Err())
	}
}

// TestMessageIsStored: all columns, taken by themselves, are the batch byte for byte.
func TestMessageIsStored(t *testing.T) {
	object, batches := inspectTyped(t, 100)
	for i := range batches {
		b := &batches[i]
		var names []string
		for _, c := range b.Columns() {
			names = append(names, c.Name)
		}
		p, ok := NewProjection(b, names, typedSchema)
		if !ok || len(p.Ranges(b)) != 1 {
			t.Fatal(fmt.Sprint(names, " are not all columns"))
		}
		msg, err := p.Message(b, 0, projectedOf(object, nil))
		if err != nil || !bytes.Equal(msg, object[b.ByteStart:b.ByteEnd]) {
			t.Errorf("batch %d is not as it is stored, %v", i, err)
		}
	}
}
