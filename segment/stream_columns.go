package segment

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/fozlog/foz"
)

// columnarBatch holds what arrow-go's columns need besides the bytes of the rows, which they
// alias. Nothing is released: memory is the garbage collector's, and reused by the next batch.
type columnarBatch struct {
	offsets []int32
	bitmaps []byte
}

func (b *columnarBatch) reset() { b.offsets, b.bitmaps = b.offsets[:0], b.bitmaps[:0] }

// int64s is a column without nulls.
func int64s(t arrow.DataType, values []int64) arrow.ArrayData {
	buffer := memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(values))
	return array.NewData(t, len(values), []*memory.Buffer{nil, buffer}, nil, 0, 0)
}

// cells is rows [from, to) of a column of bytes.
func (b *columnarBatch) cells(
	t arrow.DataType, c *foz.Column, from, to int,
) arrow.ArrayData {
	valid, nulls := b.validity(c.Nulls, from, to)
	offsets, first, last := b.rebase(c.Ends, from, to)
	return array.NewData(t, to-from, []*memory.Buffer{
		valid, offsets, memory.NewBufferBytes(c.Data[first:last]),
	}, nil, nulls, 0)
}

// rebase gives to-from+1 offsets that begin at 0, and the bytes they refer to.
func (b *columnarBatch) rebase(ends []int32, from, to int) (
	offsets *memory.Buffer, first, last int32,
) {
	if from > 0 {
		first = ends[from-1]
	}
	start := len(b.offsets)
	b.offsets = append(slices.Grow(b.offsets, to-from+1), 0)
	b.offsets = append(b.offsets, ends[from:to]...)
	if first != 0 {
		for i := range b.offsets[start+1:] {
			b.offsets[start+1+i] -= first
		}
	}
	last = first + b.offsets[len(b.offsets)-1]
	return memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(b.offsets[start:])), first, last
}

// validity gives a bitmap, or nil where nothing is null.
func (b *columnarBatch) validity(nulls []bool, from, to int) (bitmap *memory.Buffer, count int) {
	start := len(b.bitmaps)
	b.bitmaps, count = appendValidity(b.bitmaps, nulls, from, to)
	if count == 0 {
		return nil, 0
	}
	return memory.NewBufferBytes(b.bitmaps[start:]), count
}

// headers are the children of a list<struct<key, value>>.
type headers struct {
	nulls  []bool  // rows without a list; nil where nobody asks
	ends   []int32 // of each row's list
	keys   foz.Column
	values foz.Column
}

func (h *headers) reset() {
	h.nulls, h.ends = h.nulls[:0], h.ends[:0]
	h.keys = foz.Column{Ends: h.keys.Ends[:0], Data: h.keys.Data[:0]}
	h.values = foz.Column{Ends: h.values.Ends[:0], Data: h.values.Data[:0]}
}

// add adds a row's cell.
func (h *headers) add(cell []byte) error {
	err := foz.VisitHeaders(cell, func(key, value []byte) {
		if !utf8.Valid(key) { // Arrow's utf8 must be, and a read is no place to refuse a record
			key = bytes.ToValidUTF8(key, []byte("\uFFFD"))
		}
		h.keys.Append(key)
		h.values.Append(value)
	})
	h.ends = append(h.ends, int32(len(h.keys.Ends)))
	return err
}

func (s *StreamWriter) buildHeaders(cells *foz.Column, from, to int) (arrow.ArrayData, error) {
	h := &s.headers
	h.reset()
	for i := from; i < to; i++ {
		if err := h.add(cells.Cell(i)); err != nil {
			return nil, damaged("headers of offset %d: %w", s.offsets[i-from], err)
		}
	}
	n := len(h.keys.Ends)
	pairs := array.NewData(headersType.Elem(), n, []*memory.Buffer{nil}, []arrow.ArrayData{
		s.batch.cells(arrow.BinaryTypes.String, &h.keys, 0, n),
		s.batch.cells(arrow.BinaryTypes.Binary, &h.values, 0, n),
	}, 0, 0)
	valid, nulls := s.batch.validity(cells.Nulls, from, to)
	offsets, _, _ := s.batch.rebase(h.ends, 0, len(h.ends))
	return array.NewData(headersType, to-from, []*memory.Buffer{valid, offsets},
		[]arrow.ArrayData{pairs}, nulls, 0), nil
}
