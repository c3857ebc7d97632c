package segment

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/fozlog/foz"
)

// typedTypes are how typed columns are in a stream, and in a merged object.
var typedTypes = map[foz.ColumnType]arrow.DataType{
	foz.TypeBool:      arrow.FixedWidthTypes.Boolean,
	foz.TypeInt64:     arrow.PrimitiveTypes.Int64,
	foz.TypeFloat64:   arrow.PrimitiveTypes.Float64,
	foz.TypeUTF8:      arrow.BinaryTypes.String,
	foz.TypeBinary:    arrow.BinaryTypes.Binary,
	foz.TypeTimestamp: arrow.FixedWidthTypes.Timestamp_ms,
	foz.TypeDate32:    arrow.FixedWidthTypes.Date32,
}

// typedColumn is the n-th typed column that a stream has: nulls, if a later version's log has it
// of a type that is not known here.
func typedColumn(c foz.SchemaColumn, n int) column {
	t, known := typedTypes[c.Type]
	if !known {
		return column{arrow.Field{Name: c.Name, Type: arrow.Null, Nullable: true},
			func(_ *StreamWriter, _ stretch, from, to int) (arrow.ArrayData, error) {
				rows := to - from
				return array.NewData(arrow.Null, rows, []*memory.Buffer{nil}, nil, rows, 0), nil
			}}
	}
	return column{arrow.Field{Name: c.Name, Type: t, Nullable: true},
		func(s *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error) {
			return s.batch.vector(t, &b.typed[n], from-b.first, to-b.first), nil
		}}
}

// stretch is rows on their way into a record batch: cell i-first of each typed column is of row i.
type stretch struct {
	rows  *foz.Rows
	typed []foz.Vector
	first int
}

// append copies rows [from, to) of another.
func (b *stretch) append(o stretch, from, to int) {
	b.rows.AppendRows(o.rows, from, to)
	for i := range b.typed {
		b.typed[i].AppendCells(&o.typed[i], from-o.first, to-o.first)
	}
}

func (b *stretch) reset() {
	b.rows.Reset()
	for i := range b.typed {
		b.typed[i].Reset()
	}
}

// bytes is about what rows [from, to) take in a batch.
func (b *stretch) bytes(from, to int) int {
	size := dataBytes(b.rows, from, to)
	for i := range b.typed {
		size += vectorBytes(&b.typed[i], from-b.first, to-b.first)
	}
	return size
}

// vectorBytes is about what cells [from, to) take in a batch.
func vectorBytes(v *foz.Vector, from, to int) int {
	switch {
	case from == to:
		return 0
	case v.Type != foz.TypeUTF8 && v.Type != foz.TypeBinary:
		return 9 * (to - from)
	}
	size := 5*(to-from) + int(v.Cells.Ends[to-1])
	if from > 0 {
		size -= int(v.Cells.Ends[from-1])
	}
	return size
}

// vector is cells [from, to) of a typed column.
func (b *columnarBatch) vector(t arrow.DataType, v *foz.Vector, from, to int) arrow.ArrayData {
	if v.Type == foz.TypeUTF8 || v.Type == foz.TypeBinary {
		cells := foz.Column{Ends: v.Cells.Ends, Data: v.Cells.Data, Nulls: v.Nulls}
		return b.cells(t, &cells, from, to)
	}
	var cells []byte
	switch v.Type {
	case foz.TypeFloat64:
		cells = arrow.Float64Traits.CastToBytes(v.Float64s[from:to])
	case foz.TypeBool:
		cells = make([]byte, bitutil.BytesForBits(int64(to-from)))
		for i, bit := range v.Int64s[from:to] {
			if bit != 0 {
				bitutil.SetBit(cells, i)
			}
		}
	case foz.TypeDate32:
		days := make([]int32, to-from)
		for i, day := range v.Int64s[from:to] {
			days[i] = int32(day)
		}
		cells = arrow.Int32Traits.CastToBytes(days)
	default:
		cells = arrow.Int64Traits.CastToBytes(v.Int64s[from:to])
	}
	valid, nulls := b.validity(v.Nulls, from, to)
	return array.NewData(t, to-from, []*memory.Buffer{valid, memory.NewBufferBytes(cells)}, nil,
		nulls, 0)
}
