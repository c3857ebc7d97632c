package segment

// How: sample runs are written by StreamWriter with every subset of columns that matters and
// read back batch by batch; then streams that are cut, broken, or of something else.

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/fozlog/foz"
)

// sampleStream has the sample parts, the first of them at offset 100, each batch by itself.
func sampleStream(t testing.TB, o StreamOptions) []byte {
	t.Helper()
	var stream bytes.Buffer
	w, err := NewStreamWriter(&stream, o)
	if err != nil {
		t.Fatal(err)
	}
	parts, _ := sampleParts()
	base := int64(100)
	for _, p := range parts {
		run := foz.Run{Base: base, Rows: p.Rows, To: p.Rows.Len()}
		if err := errors.Join(w.Write(p.Partition.Number, run), w.Flush()); err != nil {
			t.Fatal(err)
		}
		base += int64(p.Rows.Len())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

func TestStreamReader(t *testing.T) {
	parts, _ := sampleParts()
	for _, o := range []StreamOptions{
		{}, {Partition: true}, {Columns: []string{"offset"}}, {Columns: []string{"headers", "value"}},
		{Columns: []string{"timestamp", "partition"}, Partition: true},
	} {
		has := func(name string) bool {
			return len(o.Columns) == 0 || slices.Contains(o.Columns, name)
		}
		r, err := NewStreamReader(iotest.OneByteReader(bytes.NewReader(sampleStream(t, o))))
		if err != nil {
			t.Fatal(err)
		}
		next := int64(100)
		for _, p := range parts {
			partitions, offsets, rows, err := r.Next()
			if err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			n := p.Rows.Len()
			want := *p.Rows
			for _, c := range cellColumns(&want) {
				if !has(c.name) {
					*c.Column = nullCells(n)
				}
			}
			if !has(columnTimestamp) {
				want.Timestamps = make([]int64, n)
			}
			sameRows(t, rows, &want)
			var wantOffsets []int64
			var wantPartitions []int32
			for range n {
				if has(columnOffset) {
					wantOffsets = append(wantOffsets, next)
				}
				if o.Partition {
					wantPartitions = append(wantPartitions, p.Partition.Number)
				}
				next++
			}
			if !slices.Equal(offsets, wantOffsets) || !slices.Equal(partitions, wantPartitions) {
				t.Errorf("%+v: offsets %d, partitions %d, want %d, %d", o, offsets, partitions,
					wantOffsets, wantPartitions)
			}
		}
		for range 2 {
			if _, _, _, err := r.Next(); err != io.EOF {
				t.Errorf("%+v: error %v at the end", o, err)
			}
		}
	}
}

// TestStreamReaderKeeps: a batch stays as it was while the next is read, and appending to it
// writes into nothing else.
func TestStreamReaderKeeps(t *testing.T) {
	parts, _ := sampleParts()
	r, err := NewStreamReader(bytes.NewReader(sampleStream(t, StreamOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	var kept []*foz.Rows
	for range parts {
		_, offsets, rows, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		appended := *rows
		appended.Append(-1, []byte("x"), []byte("x"), []byte("x"))
		_ = append(offsets, -1)
		kept = append(kept, rows)
	}
	for i, rows := range kept {
		sameRows(t, rows, parts[i].Rows)
	}
}

func TestStreamReaderRefuses(t *testing.T) {
	stream := sampleStream(t, StreamOptions{})
	broken := errors.New("connection reset")
	object, _ := encodeSample(t, Uncompressed)
	null := field{name: columnKey, typ: typeNull}
	for _, c := range []struct {
		name   string
		stream io.Reader
		want   error
	}{
		{"cut", bytes.NewReader(stream[:len(stream)-1]), io.ErrUnexpectedEOF},
		{"without its marker", bytes.NewReader(stream[:len(stream)-8]), io.ErrUnexpectedEOF},
		{"nothing", bytes.NewReader(nil), io.ErrUnexpectedEOF},
		{"broken", io.MultiReader(bytes.NewReader(stream[:900]), iotest.ErrReader(broken)), broken},
		{"goes on", bytes.NewReader(append(slices.Clip(stream), 0)), ErrDamaged},
		{"a file", bytes.NewReader(object), ErrDamaged},
		{"stored columns", bytes.NewReader(object[len(magicPadded):]), ErrDamaged},
		{"no columns", bytes.NewReader(streamOf(nil, batchOf(1<<30, nil))), ErrDamaged},
		{"rows of null", bytes.NewReader(streamOf([]field{null}, batchOf(1<<30,
			[][2]int{{1 << 30, 1 << 30}}))), ErrDamaged},
		{"twice", bytes.NewReader(streamOf([]field{valueField, valueField})), ErrDamaged},
		{"offsets as text", bytes.NewReader(streamOf([]field{{name: columnOffset, typ: typeUtf8}})),
			ErrDamaged},
	} {
		r, err := NewStreamReader(c.stream)
		for err == nil {
			_, _, _, err = r.Next()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := NewStreamReader(nil); err == nil {
		t.Error("no reader was taken")
	}
}
