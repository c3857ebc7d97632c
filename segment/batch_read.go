package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/fozlog/foz"
)

// batchReader takes the columns of a stored record batch one after the other, in the order of
// its schema. Every number it meets may be a lie: nothing is allocated before the bytes that
// it counts have been seen.
type batchReader struct {
	rows    int
	codec   Codec
	nodes   []byte // not yet taken: pairs of cells, nulls
	buffers []byte // not yet taken: pairs of offset, length
	body    []byte
	unpack  unpacker
}

var (
	errValidity = errors.New("validity bitmap is short or counts other nulls")
	errOffsets  = errors.New("offsets are not in order within the data")
)

func pair(b []byte) (first, second int64) {
	return int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
}

// parseNode reads a column's number of cells and how many of them are null.
func parseNode(node []byte) (cells, nulls int, err error) {
	n, null := pair(node)
	if n < 0 || n > math.MaxInt32 || null < 0 || null > n {
		return 0, 0, fmt.Errorf("%d nulls in %d cells", null, n)
	}
	return int(n), int(null), nil
}

// cutBuffer gives the bytes of a body that a buffer refers to.
func cutBuffer(body, buffer []byte) ([]byte, error) {
	offset, length := pair(buffer)
	size := int64(len(body))
	if offset < 0 || length < 0 || offset > size || length > size-offset {
		return nil, fmt.Errorf("buffer at %d of %d bytes in a body of %d", offset, length, size)
	}
	return body[offset : offset+length : offset+length], nil
}

// node takes a column's node: a cell for each row.
func (b *batchReader) node() (nulls int, err error) {
	cells, nulls, err := parseNode(b.nodes)
	b.nodes = b.nodes[pairBytes:]
	if err == nil && cells != b.rows {
		err = fmt.Errorf("%d cells for %d rows", cells, b.rows)
	}
	return nulls, err
}

func (b *batchReader) buffer() ([]byte, error) {
	packed, err := cutBuffer(b.body, b.buffers)
	b.buffers = b.buffers[pairBytes:]
	if err != nil {
		return nil, err
	}
	return b.unpack.unpack(b.codec, packed)
}

// noNulls takes the node and the validity of what has no nulls.
func (b *batchReader) noNulls() error {
	nulls, err := b.node()
	if err == nil && nulls > 0 {
		err = fmt.Errorf("%d nulls", nulls)
	}
	if err != nil {
		return err
	}
	_, err = b.buffer()
	return err
}

// int64s takes a column of numbers without nulls.
func (b *batchReader) int64s() ([]int64, error) {
	if err := b.noNulls(); err != nil {
		return nil, err
	}
	buffer, err := b.buffer()
	if err != nil {
		return nil, err
	}
	if len(buffer)/8 < b.rows {
		return nil, fmt.Errorf("%d bytes for %d numbers", len(buffer), b.rows)
	}
	return asInt64s(buffer[:8*b.rows]), nil
}

// cells takes a column of bytes. It aliases the body where that is not compressed.
func (b *batchReader) cells() (c foz.Column, err error) {
	nulls, err := b.node()
	if err != nil {
		return c, err
	}
	null, err := b.validity(nulls)
	if err != nil {
		return c, err
	}
	offsets, err := b.offsets()
	if err != nil {
		return c, err
	}
	data, err := b.buffer()
	if err != nil {
		return c, err
	}
	if int(offsets[b.rows]) > len(data) {
		return c, errOffsets
	}
	return cellsOf(null, offsets, data), nil
}

// cellsOf is the column of cells whose offsets, one more than there are cells, ascend within
// data. It aliases both where it can; to append to it writes into neither.
func cellsOf(nulls []bool, offsets []int32, data []byte) foz.Column {
	first, last := offsets[0], offsets[len(offsets)-1]
	c := foz.Column{Nulls: nulls, Data: data[first:last:last], Ends: slices.Clip(offsets[1:])}
	if first != 0 {
		c.Ends = make([]int32, len(offsets)-1)
		for i, end := range offsets[1:] {
			c.Ends[i] = end - first
		}
	}
	return c
}

// validity takes a bitmap; nil says that no cell is null.
func (b *batchReader) validity(nulls int) ([]bool, error) {
	bitmap, err := b.buffer()
	if err != nil || nulls == 0 {
		return nil, err
	}
	n := b.rows
	if len(bitmap) < (n+7)/8 {
		return nil, errValidity
	}
	valid := 0
	for _, c := range bitmap[:n/8] {
		valid += bits.OnesCount8(c)
	}
	if n%8 != 0 {
		valid += bits.OnesCount8(bitmap[n/8] & (1<<(n%8) - 1))
	}
	if n-valid != nulls {
		return nil, errValidity
	}
	null := make([]bool, n)
	for i := range null {
		null[i] = bitmap[i/8]>>(i%8)&1 == 0
	}
	return null, nil
}

// offsets takes the offsets of the cells of a column, one more than there are. They ascend.
func (b *batchReader) offsets() ([]int32, error) {
	buffer, err := b.buffer()
	if err != nil {
		return nil, err
	}
	if len(buffer)/4 <= b.rows {
		return nil, fmt.Errorf("%d bytes for %d offsets", len(buffer), b.rows+1)
	}
	offsets := asInt32s(buffer[:4*(b.rows+1)])
	if !ascending(0, offsets) {
		return nil, errOffsets
	}
	return offsets, nil
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// asInt32s reads b, whose length is a multiple of 4, as numbers: in place where the machine
// can.
func asInt32s(b []byte) []int32 {
	p := unsafe.SliceData(b)
	if littleEndian && uintptr(unsafe.Pointer(p))%4 == 0 {
		return unsafe.Slice((*int32)(unsafe.Pointer(p)), len(b)/4)
	}
	numbers := make([]int32, len(b)/4)
	for i := range numbers {
		numbers[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return numbers
}

// asInt64s reads b, whose length is a multiple of 8, as numbers: in place where the machine
// can.
func asInt64s(b []byte) []int64 {
	p := unsafe.SliceData(b)
	if littleEndian && uintptr(unsafe.Pointer(p))%8 == 0 {
		return unsafe.Slice((*int64)(unsafe.Pointer(p)), len(b)/8)
	}
	numbers := make([]int64, len(b)/8)
	for i := range numbers {
		numbers[i] = int64(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return numbers
}
