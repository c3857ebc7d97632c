package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/fozlog/foz"
)

// vector writes a typed column.
func (w *batchWriter) vector(v *foz.Vector) {
	if v.Type == foz.TypeUTF8 || v.Type == foz.TypeBinary {
		w.cells(&foz.Column{Ends: v.Cells.Ends, Data: v.Cells.Data, Nulls: v.Nulls})
		return
	}
	start, n := len(w.dst), v.Len()
	var nulls int
	w.dst, nulls = appendValidity(w.dst, v.Nulls, 0, n)
	w.putNode(n, nulls)
	w.closeBuffer(start)
	start = len(w.dst)
	switch v.Type {
	case foz.TypeBool:
		bits := make([]byte, (n+7)/8)
		for i, bit := range v.Int64s {
			bits[i/8] |= byte(bit&1) << (i % 8)
		}
		w.dst = append(w.dst, bits...)
	case foz.TypeFloat64:
		for _, f := range v.Float64s {
			w.dst = binary.LittleEndian.AppendUint64(w.dst, math.Float64bits(f))
		}
	case foz.TypeDate32:
		for _, day := range v.Int64s {
			w.dst = binary.LittleEndian.AppendUint32(w.dst, uint32(day))
		}
	default:
		for _, n := range v.Int64s {
			w.dst = binary.LittleEndian.AppendUint64(w.dst, uint64(n))
		}
	}
	w.closeBuffer(start)
}

// vector takes a typed column.
func (b *batchReader) vector(t foz.ColumnType) (v foz.Vector, err error) {
	v.Type = t
	if t == foz.TypeUTF8 || t == foz.TypeBinary {
		if v.Cells, err = b.cells(); err != nil {
			return v, err
		}
		v.Nulls, v.Cells.Nulls = v.Cells.Nulls, nil
		return v, checkText(&v)
	}
	nulls, err := b.node()
	if err != nil {
		return v, err
	}
	if v.Nulls, err = b.validity(nulls); err != nil {
		return v, err
	}
	data, err := b.buffer()
	if err != nil {
		return v, err
	}
	width := map[foz.ColumnType]int{foz.TypeBool: 1, foz.TypeDate32: 32}[t]
	if width == 0 {
		width = 64
	}
	if len(data) < (b.rows*width+7)/8 {
		return v, fmt.Errorf("%d bytes for %d cells", len(data), b.rows)
	}
	switch t {
	case foz.TypeBool:
		v.Int64s = make([]int64, b.rows)
		for i := range v.Int64s {
			v.Int64s[i] = int64(data[i/8] >> (i % 8) & 1)
		}
	case foz.TypeDate32:
		v.Int64s = make([]int64, b.rows)
		for i := range v.Int64s {
			v.Int64s[i] = int64(int32(binary.LittleEndian.Uint32(data[4*i:])))
		}
	case foz.TypeFloat64:
		v.Float64s = make([]float64, b.rows)
		for i := range v.Float64s {
			v.Float64s[i] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
		}
	default:
		v.Int64s = asInt64s(data[:8*b.rows])
	}
	return v, nil
}

// checkText makes sure that cells of utf8 are.
func checkText(v *foz.Vector) error {
	if v.Type != foz.TypeUTF8 || utf8.Valid(v.Cells.Data) && wholeRunes(&v.Cells) {
		return nil
	}
	return errors.New("a text is not UTF-8")
}

// wholeRunes says that no cell begins within a rune.
func wholeRunes(c *foz.Column) bool {
	for _, end := range c.Ends {
		if int(end) < len(c.Data) && !utf8.RuneStart(c.Data[end]) {
			return false
		}
	}
	return true
}

// boundBytesMax is how much of a cell of bytes its column's bounds have.
const boundBytesMax = 32

// statsOf bounds the cells of a typed column. NaN, which has no order, leaves it without bounds.
func statsOf(v *foz.Vector) (s foz.ColumnStats) {
	first := true
	for i := range v.Len() {
		if v.Null(i) {
			s.Nulls++
			continue
		}
		var cell foz.Scalar
		switch v.Type {
		case foz.TypeUTF8, foz.TypeBinary:
			cell.Bytes = v.Cells.Cell(i)
		case foz.TypeFloat64:
			if cell.Float64 = v.Float64s[i]; math.IsNaN(cell.Float64) {
				return foz.ColumnStats{Nulls: nullsIn(v)}
			}
		default:
			cell.Int64 = v.Int64s[i]
		}
		if first {
			s.Min, s.Max, first = &foz.Scalar{}, &foz.Scalar{}, false
			*s.Min, *s.Max = cell, cell
		}
		if less(cell, *s.Min, v.Type) {
			*s.Min = cell
		}
		if less(*s.Max, cell, v.Type) {
			*s.Max = cell
		}
	}
	if !first && (v.Type == foz.TypeUTF8 || v.Type == foz.TypeBinary) {
		shorten(&s)
	}
	return s
}

func nullsIn(v *foz.Vector) (n int) {
	for _, null := range v.Nulls {
		if null {
			n++
		}
	}
	return n
}

func less(a, b foz.Scalar, t foz.ColumnType) bool {
	switch t {
	case foz.TypeUTF8, foz.TypeBinary:
		return bytes.Compare(a.Bytes, b.Bytes) < 0
	case foz.TypeFloat64:
		return a.Float64 < b.Float64
	}
	return a.Int64 < b.Int64
}

// shorten cuts bounds of bytes: the lower one is a beginning, the upper one what follows all that
// begin so; where nothing does, there are none.
func shorten(s *foz.ColumnStats) {
	s.Min.Bytes = slices.Clone(s.Min.Bytes[:min(boundBytesMax, len(s.Min.Bytes))])
	if s.Max.Bytes = slices.Clone(s.Max.Bytes); len(s.Max.Bytes) <= boundBytesMax {
		return
	}
	s.Max.Bytes = s.Max.Bytes[:boundBytesMax]
	for i := boundBytesMax - 1; i >= 0; i-- {
		if s.Max.Bytes[i]++; s.Max.Bytes[i] != 0 {
			s.Max.Bytes = s.Max.Bytes[:i+1]
			return
		}
	}
	s.Min, s.Max = nil, nil
}
