package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"unicode/utf8"

	"github.com/fozlog/foz"
)

// MergedBatch is a record batch of an L1 object, as its footer tells of it.
type MergedBatch struct {
	Partition    foz.Partition
	Rows         int32
	First        int64 // offset of the first row; 0 where there is none
	Last         int64 // offset of the last row; -1 where there is none
	MinTimestamp int64
	MaxTimestamp int64
	ByteStart    int64 // inside the object
	ByteEnd      int64
	CRC32C       uint32 // Castagnoli, of the message

	// Of what follows there is none where each batch is a segment. In version 1 there are only
	// the buffers' checksums.
	Buffers []Buffer
	Nodes   []Node
	Stats   []foz.ColumnStats // of keys, then of each typed column
	// Mismatches are, by typed column, values without a cell that should have one; those of a run
	// are told of the batch that it begins in.
	Mismatches []int

	layout *layout // nil: without typed columns
}

// Buffer is where a buffer of a record batch lies, as it is stored.
type Buffer struct {
	Offset int64 // from ByteStart; -1: not known
	Length int64
	CRC32C uint32
}

// Node is what Arrow's metadata says of a column, or of what it is made of.
type Node struct{ Cells, Nulls int64 }

// Typed are the typed columns that the batch has.
func (b *MergedBatch) Typed() []foz.SchemaColumn { return b.form().typed }

func (b *MergedBatch) form() *layout {
	if b.layout == nil {
		return plainLayout
	}
	return b.layout
}

// DecodeMerged reads an L1 segment of one batch from exactly its byte range, as [Decode] does
// one of L0; offsets, one for each row, ascend. The rest is as with Decode. It fails with
// ErrDamaged only, which says what is.
func DecodeMerged(msg []byte, s foz.Segment) (offsets []int64, rows *foz.Rows, err error) {
	if s.Level != 1 || s.Batches != 1 {
		err = fmt.Errorf("level %d, %d batches", s.Level, s.Batches)
	} else {
		offsets, rows, _, err = plainLayout.decode(msg, s.ByteEnd-s.ByteStart, s.CRC32C, s.Rows)
	}
	if err != nil {
		return nil, nil, damaged("merged segment %s in bytes [%d,%d): %w",
			s.Partition, s.ByteStart, s.ByteEnd, err)
	}
	return offsets, rows, nil
}

// DecodeMergedBatch is [DecodeMerged] for one batch of [InspectMerged].
func DecodeMergedBatch(msg []byte, b MergedBatch) (offsets []int64, rows *foz.Rows, err error) {
	offsets, rows, _, err = DecodeTypedBatch(msg, b)
	return offsets, rows, err
}

// DecodeTypedBatch is [DecodeMergedBatch] that gives the batch's typed columns, too.
func DecodeTypedBatch(msg []byte, b MergedBatch) (
	offsets []int64, rows *foz.Rows, typed []foz.Vector, err error,
) {
	offsets, rows, typed, err = b.form().decode(msg, b.ByteEnd-b.ByteStart, b.CRC32C, b.Rows)
	if n := len(offsets); err == nil && n > 0 && (offsets[0] != b.First || offsets[n-1] != b.Last) {
		err = fmt.Errorf("offsets %d to %d, not %d to %d", offsets[0], offsets[n-1], b.First, b.Last)
	}
	if err != nil {
		return nil, nil, nil, damaged("batch of merged segment %s in bytes [%d,%d): %w",
			b.Partition, b.ByteStart, b.ByteEnd, err)
	}
	return offsets, rows, typed, nil
}

func (l *layout) decode(msg []byte, size int64, crc uint32, n int32) (
	offsets []int64, rows *foz.Rows, typed []foz.Vector, err error,
) {
	if int64(len(msg)) != size {
		return nil, nil, nil, fmt.Errorf("%d bytes", len(msg))
	}
	if sum := crc32.Checksum(msg, castagnoli); sum != crc {
		return nil, nil, nil, fmt.Errorf("crc32c %08x, not %08x", sum, crc)
	}
	if !l.shape.begins(msg) {
		return nil, nil, nil, errNotWritten
	}
	b, err := l.shape.open(msg, ZSTD)
	if err != nil {
		return nil, nil, nil, err
	}
	if b.rows != int(n) {
		return nil, nil, nil, fmt.Errorf("%d rows, not %d", b.rows, n)
	}
	b.unpack.left = mergedBytesMax
	defer b.unpack.close()
	if offsets, rows, err = b.merged(); err != nil {
		return nil, nil, nil, err
	}
	b.rows = int(n) // reading headers has counted them
	for _, c := range l.typed {
		v, err := b.vector(c.Type)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		typed = append(typed, v)
	}
	return offsets, rows, typed, nil
}

// merged takes all columns of an L1 batch.
func (b *batchReader) merged() (offsets []int64, rows *foz.Rows, err error) {
	if offsets, err = b.int64s(); err != nil {
		return nil, nil, fmt.Errorf("column %s: %w", columnOffset, err)
	}
	if err := checkAscending(offsets); err != nil {
		return nil, nil, err
	}
	rows = &foz.Rows{}
	if rows.Timestamps, err = b.int64s(); err != nil {
		return nil, nil, fmt.Errorf("column %s: %w", columnTimestamp, err)
	}
	if rows.Keys, err = b.cells(); err != nil {
		return nil, nil, fmt.Errorf("column %s: %w", columnKey, err)
	}
	if rows.Values, err = b.cells(); err != nil {
		return nil, nil, fmt.Errorf("column %s: %w", columnValue, err)
	}
	if rows.Headers, err = b.lists(); err != nil {
		return nil, nil, fmt.Errorf("column %s: %w", columnHeaders, err)
	}
	return offsets, rows, nil
}

// lists takes a column of headers.
func (b *batchReader) lists() (cells foz.Column, err error) {
	nulls, err := b.node()
	if err != nil {
		return cells, err
	}
	if cells.Nulls, err = b.validity(nulls); err != nil {
		return cells, err
	}
	ends, err := b.offsets()
	if err != nil {
		return cells, err
	}
	if b.rows = int(ends[b.rows]); ends[0] != 0 { // what follows is as long as all lists
		return cells, errOffsets
	}
	if err := b.noNulls(); err != nil {
		return cells, err
	}
	names, err := b.cells()
	if err != nil {
		return cells, err
	}
	values, err := b.cells()
	if err != nil {
		return cells, err
	}
	if names.Nulls != nil || values.Nulls != nil {
		return cells, errors.New("a header is null")
	}
	return cells, appendLists(&cells, ends, &names, &values)
}

// appendLists makes of lists what [foz.AppendHeaders] writes: a cell for each row.
func appendLists(cells *foz.Column, ends []int32, names, values *foz.Column) error {
	rows, pairs := len(ends)-1, names.Len()
	cells.Ends = make([]int32, rows)
	if pairs > 0 {
		cells.Data = make([]byte, 0, len(names.Data)+len(values.Data)+3*pairs)
	}
	for i := range rows {
		from, to := int(ends[i]), int(ends[i+1])
		null := cells.Nulls != nil && cells.Nulls[i]
		switch {
		case null && from < to:
			return fmt.Errorf("row %d is null and has %d", i, to-from)
		case !null:
			cells.Data = binary.AppendUvarint(cells.Data, uint64(to-from))
		}
		for j := from; j < to; j++ {
			name, value := names.Cell(j), values.Cell(j)
			if !utf8.Valid(name) {
				return fmt.Errorf("a name in row %d is not UTF-8", i)
			}
			cells.Data = append(binary.AppendUvarint(cells.Data, uint64(len(name))), name...)
			cells.Data = append(binary.AppendUvarint(cells.Data, uint64(len(value))), value...)
		}
		cells.Ends[i] = int32(len(cells.Data))
	}
	return nil
}

// FooterBytesMax bounds what follows an L1 segment of many batches in its object, so that a Get of
// as much ends where the object does. One of 256 MiB has a few hundred bytes for each batch, and
// for each placement it was made of; with the columns and bounds of a thousand, tens of MiB.
const FooterBytesMax = 64 << 20

// InspectMerged reads the footer of an L1 segment of many batches: tail is the object from
// s.ByteEnd to its end. The batches tile the segment, their offsets ascend. It fails with
// ErrDamaged, or ErrVersion.
func InspectMerged(tail []byte, s foz.Segment) ([]MergedBatch, error) {
	f, err := inspectMerged(tail, s)
	if err != nil {
		return nil, fmt.Errorf("merged segment %s in bytes [%d,%d): %w",
			s.Partition, s.ByteStart, s.ByteEnd, err)
	}
	return f.Batches, nil
}

func inspectMerged(tail []byte, s foz.Segment) (File, error) {
	if sum := crc32.Checksum(tail, castagnoli); sum != s.CRC32C {
		return File{}, damaged("crc32c of the footer %08x, not %08x", sum, s.CRC32C)
	}
	if s.ByteEnd < 0 || s.ByteEnd > 1<<62 {
		return File{}, damaged("it cannot lie there")
	}
	f, err := InspectTail(tail, s.ByteEnd+int64(len(tail)))
	var short *ShortTailError
	switch {
	case errors.As(err, &short):
		return f, damaged("%w", err)
	case err != nil:
		return f, err
	case len(f.Segments) != 1 || f.Segments[0] != s:
		return f, damaged("the footer tells of other segments")
	}
	return f, nil
}
