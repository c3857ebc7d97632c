package segment

// How: as in merged_fuzz_test.go, for batches with columns of every type. What is read, arrow-go
// reads equally, and projections do.

import (
	"bytes"
	"hash/crc32"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/fozlog/foz"
)

// typedBatches are some, and their layout.
func typedBatches(t testing.TB) (messages [][]byte, batches []MergedBatch) {
	t.Helper()
	object, batches := inspectTyped(t, 40)
	for i := range batches {
		b := &batches[i]
		messages = append(messages, slices.Clone(object[b.ByteStart:b.ByteEnd]))
		b.ByteStart, b.ByteEnd = 0, b.ByteEnd-b.ByteStart
	}
	return messages, batches
}

// checkTypedCells compares columns with what arrow-go has.
func checkTypedCells(t *testing.T, msg []byte, l *layout, typed []foz.Vector) {
	t.Helper()
	batch, err := libraryBatchOf(l.schema, msg)
	if err != nil {
		t.Fatalf("arrow-go does not read what DecodeTypedBatch does: %v", err)
	}
	for i := range typed {
		column := batch.Column(len(plainColumns) + i)
		got := vectorOf(column, typed[i].Type)
		checkSameVector(t, l.typed[i].Name, &typed[i], &got)
	}
}

// vectorOf is an array of arrow-go as foz has it.
func vectorOf(column arrow.Array, typ foz.ColumnType) foz.Vector {
	v := foz.Vector{Type: typ, Nulls: make([]bool, column.Len())}
	for i := range column.Len() {
		v.Nulls[i] = column.IsNull(i)
		switch c := column.(type) {
		case *array.Boolean:
			n := int64(0)
			if c.Value(i) {
				n = 1
			}
			v.Int64s = append(v.Int64s, n)
		case *array.Int64:
			v.Int64s = append(v.Int64s, c.Value(i))
		case *array.Timestamp:
			v.Int64s = append(v.Int64s, int64(c.Value(i)))
		case *array.Date32:
			v.Int64s = append(v.Int64s, int64(c.Value(i)))
		case *array.Float64:
			v.Float64s = append(v.Float64s, c.Value(i))
		case *array.String:
			v.Cells.Append([]byte(c.Value(i)))
		case *array.Binary:
			v.Cells.Append(append([]byte{}, c.Value(i)...))
		}
	}
	return v
}

// checkSameVector compares two vectors bit by bit: NaN is NaN.
func checkSameVector(t *testing.T, name string, got, want *foz.Vector) {
	t.Helper()
	if got.Len() != want.Len() {
		t.Fatalf("%s: %d cells, want %d", name, got.Len(), want.Len())
	}
	for i := range want.Len() {
		same := got.Null(i) == want.Null(i)
		switch {
		case !same || want.Null(i):
		case want.Type == foz.TypeFloat64:
			same = math.Float64bits(got.Float64s[i]) == math.Float64bits(want.Float64s[i])
		case want.Type == foz.TypeUTF8 || want.Type == foz.TypeBinary:
			same = bytes.Equal(got.Cells.Cell(i), want.Cells.Cell(i))
		default:
			same = got.Int64s[i] == want.Int64s[i]
		}
		if !same {
			t.Fatalf("%s: cell %d differs", name, i)
		}
	}
}

// checkProjections reads each column by itself. Nothing is asked of batches whose buffers are not
// where footers can say that they are.
func checkProjections(t *testing.T, msg []byte, b MergedBatch, typed []foz.Vector) {
	t.Helper()
	var lengths, numbers []int64
	nodes, buffers := b.form().shape.places(msg)
	for _, buffer := range buffers {
		lengths = append(lengths, buffer.Length)
	}
	for _, n := range nodes {
		numbers = append(numbers, n.Cells, n.Nulls)
	}
	b.Buffers, b.Nodes = slices.Clone(buffers), nil
	if b.setPlaces(lengths, numbers) != nil || !slices.Equal(b.Buffers, buffers) {
		return
	}
	for i, c := range b.Typed() {
		p, ok := NewProjection(&b, []string{c.Name}, b.Typed())
		if !ok {
			t.Fatalf("%s cannot be had", c.Name)
		}
		run, err := p.Decode(&b, projectedOf(msg, nil))
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		checkSameVector(t, c.Name, &run.Columns[0], &typed[i])
	}
}

func FuzzDecodeTyped(f *testing.F) {
	messages, batches := typedBatches(f)
	for i, msg := range messages {
		f.Add(msg, batches[i].Rows, batches[i].First, batches[i].Last)
	}
	l := batches[0].form()
	f.Fuzz(func(t *testing.T, msg []byte, n int32, first, last int64) {
		msg = withNumbers(l.shape, msg)
		b := MergedBatch{Rows: n, First: first, Last: last, ByteEnd: int64(len(msg)),
			CRC32C: crc32.Checksum(msg, castagnoli), layout: l, Mismatches: make([]int, len(l.typed))}
		var typed []foz.Vector
		var err error
		limit := l.buffers * (2*zstdRatioUsual*len(msg) + readStepBytes)
		checkAllocated(t, limit+decoderBytes+slackBytes, func() {
			_, _, typed, err = DecodeTypedBatch(msg, b)
		})
		if err != nil {
			return
		}
		checkTypedCells(t, msg, l, typed)
		checkProjections(t, msg, b, typed)
	})
}

// TestTypedDamagedFits: where checksums fit, a batch is refused, or read as arrow-go reads it.
func TestTypedDamagedFits(t *testing.T) {
	messages, batches := typedBatches(t)
	msg, b := messages[0], batches[0]
	read := 0
	for i := range msg {
		for _, flip := range []byte{1, 0x80, 0xff} {
			msg[i] ^= flip
			b.CRC32C = crc32.Checksum(msg, castagnoli)
			if _, _, typed, err := DecodeTypedBatch(msg, b); err == nil {
				checkTypedCells(t, msg, b.form(), typed)
				checkProjections(t, msg, b, typed)
				read++
			}
			msg[i] ^= flip
		}
	}
	if read == 0 {
		t.Error("everything is refused")
	}
}
