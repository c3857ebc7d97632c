package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fozlog/foz"
)

// Projection is some columns of a merged object's record batches, which are had by the bytes of
// their buffers alone. It does not change, and is for many goroutines.
type Projection struct {
	columns   []projected
	shape     *shape
	partition int // where the partition's column is; -1: nowhere
}

// projected is a wanted column as it lies: nodes [node, node+nodes) and so on of its batch.
type projected struct {
	name          string
	of            foz.ColumnType // of a typed one; else ""
	node, nodes   int
	first, buffer int // buffers [first, buffer)
}

// Bytes is a range of an object's bytes, [Start, End).
type Bytes struct{ Start, End int64 }

// plainColumns are where the columns of every record lie.
var plainColumns = []projected{
	{columnOffset, "", 0, 1, 0, 2}, {columnTimestamp, "", 1, 1, 2, 4}, {columnKey, "", 2, 1, 4, 7},
	{columnValue, "", 3, 1, 7, 10}, {columnHeaders, "", 4, 4, 10, mergedBuffers},
}

// NewProjection chooses columns of a batch by name, of those of every record, partition, and
// typed ones that it has just so. false: not all are there, or nobody knows where they lie.
func NewProjection(b *MergedBatch, names []string, typed []foz.SchemaColumn) (*Projection, bool) {
	if len(b.Nodes) == 0 {
		return nil, false
	}
	p := &Projection{partition: -1}
	nodes, buffers := 0, 0
	for _, name := range names {
		c, ok := b.form().find(name, typed)
		if name == columnPartition {
			c, ok = projected{name: name, nodes: 1, buffer: 2}, true
			p.partition = len(p.columns)
		}
		if !ok {
			return nil, false
		}
		p.columns = append(p.columns, c)
		nodes += c.nodes
		buffers += c.buffer - c.first
	}
	p.shape = newShape(nodes, buffers, ZSTD)
	return p, true
}

// Whole says that the projection is the batch, as it is stored.
func (p *Projection) Whole(b *MergedBatch) bool {
	return p.partition < 0 && slices.Equal(p.columns, b.form().columns)
}

// find is where a column lies.
func (l *layout) find(name string, typed []foz.SchemaColumn) (c projected, ok bool) {
	i, ok := l.byName[name]
	if !ok {
		return c, false
	}
	at := i - len(plainColumns)
	return l.columns[i], at < 0 || slices.Contains(typed, l.typed[at])
}

// BatchColumn is what a footer tells of a column of a record batch.
type BatchColumn struct {
	foz.SchemaColumn       // of a column of every record, its name only
	Bytes            int64 // as they are stored
	Stats            foz.ColumnStats
	Mismatches       int
}

// Columns are all that the batch has, in order; none where its footer does not tell of them.
func (b *MergedBatch) Columns() (columns []BatchColumn) {
	if len(b.Nodes) == 0 {
		return nil
	}
	for i, c := range b.form().columns {
		column := BatchColumn{SchemaColumn: foz.SchemaColumn{Name: c.name}}
		for _, buffer := range b.Buffers[c.first:c.buffer] {
			column.Bytes += buffer.Length
		}
		column.Stats.Nulls = int(b.Nodes[c.node].Nulls)
		if c.name == columnKey {
			column.Stats = b.Stats[0]
		}
		if at := i - len(plainColumns); at >= 0 {
			column.SchemaColumn, column.Stats = b.form().typed[at], b.Stats[1+at]
			column.Mismatches = b.Mismatches[at]
		}
		columns = append(columns, column)
	}
	return columns
}

// Ranges are the bytes of the object that a batch's columns take, ascending; buffers that lie
// beside each other are one.
func (p *Projection) Ranges(b *MergedBatch) (ranges []Bytes) {
	for i, c := range p.columns {
		if i == p.partition {
			continue
		}
		for _, buffer := range b.Buffers[c.first:c.buffer] {
			if buffer.Length > 0 {
				from := b.ByteStart + buffer.Offset
				ranges = append(ranges, Bytes{from, from + buffer.Length})
			}
		}
	}
	slices.SortFunc(ranges, func(a, b Bytes) int { return int(a.Start - b.Start) })
	joined := ranges[:0]
	for _, r := range ranges {
		if n := len(joined); n > 0 && r.Start-joined[n-1].End < 8 { // padding
			joined[n-1].End = r.End
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// Message makes a record batch of the columns, as they are stored, of bytes that get gives for
// parts of Ranges. Their checksums are verified: ErrDamaged where they do not fit.
func (p *Projection) Message(
	b *MergedBatch, partition int32, get func(Bytes) ([]byte, bool),
) (message []byte, err error) {
	size := len(p.shape.metadata)
	if p.partition >= 0 {
		size += 4 * int(b.Rows)
	}
	for _, r := range p.Ranges(b) {
		size += int(r.End-r.Start) + 16
	}
	w := beginBatch(make([]byte, 0, size+8*len(p.columns)), p.shape, nil)
	for i, c := range p.columns {
		if i == p.partition {
			w.partition(partition, int(b.Rows))
			continue
		}
		for _, n := range b.Nodes[c.node : c.node+c.nodes] {
			w.putNode(int(n.Cells), int(n.Nulls))
		}
		for _, buffer := range b.Buffers[c.first:c.buffer] {
			from := b.ByteStart + buffer.Offset
			data, ok := []byte(nil), true
			if buffer.Length > 0 {
				data, ok = get(Bytes{from, from + buffer.Length})
			}
			if !ok {
				return nil, damaged("the object ends before byte %d", from+buffer.Length)
			}
			if sum := crc32.Checksum(data, castagnoli); sum != buffer.CRC32C {
				return nil, damaged("column %s in bytes [%d,%d): crc32c %08x, not %08x", c.name,
					from, from+buffer.Length, sum, buffer.CRC32C)
			}
			start := len(w.dst)
			w.dst = append(w.dst, data...)
			w.closeBuffer(start)
		}
	}
	return w.end(int(b.Rows)), nil
}

// partition writes a column of one number.
func (w *batchWriter) partition(number int32, rows int) {
	w.putNode(rows, 0)
	w.noBuffer()
	start := len(w.dst)
	for range rows {
		w.dst = binary.LittleEndian.AppendUint32(w.dst, uint32(number))
	}
	w.pack = &packer{zstd: sharedEncoder()} // 4 bytes for each row would be most of the message
	w.closeBuffer(start)
	w.pack = nil
}

// sharedEncoder is for many goroutines.
var sharedEncoder = sync.OnceValue(func() *zstd.Encoder { return newZSTDPacker().zstd })

// Decode reads a batch's columns: as the run of Rows that has those of every record, nothing of
// the others; Offsets where they are wanted; and Columns, in the order of their names.
func (p *Projection) Decode(
	b *MergedBatch, get func(Bytes) ([]byte, bool),
) (run foz.Run, err error) {
	if p.partition >= 0 {
		return run, errors.New("a partition is not read")
	}
	msg, err := p.Message(b, 0, get)
	if err != nil {
		return run, err
	}
	r, err := p.shape.open(msg, ZSTD)
	if err != nil {
		return run, damaged("columns of a batch: %w", err)
	}
	r.unpack.left = mergedBytesMax
	defer r.unpack.close()
	run = foz.Run{Rows: &foz.Rows{}, To: int(b.Rows)}
	for _, c := range p.columns {
		r.rows = int(b.Rows)
		if err := r.project(c, &run); err != nil {
			return run, damaged("column %s of the batch in bytes [%d,%d): %w", c.name,
				b.ByteStart, b.ByteEnd, err)
		}
	}
	return run, nil
}

// project takes a column into a run.
func (b *batchReader) project(c projected, run *foz.Run) (err error) {
	switch {
	case c.of != "":
		var v foz.Vector
		v, err = b.vector(c.of)
		run.Columns = append(run.Columns, v)
	case c.name == columnOffset:
		if run.Offsets, err = b.int64s(); err == nil {
			err = checkAscending(run.Offsets)
		}
	case c.name == columnTimestamp:
		run.Rows.Timestamps, err = b.int64s()
	case c.name == columnKey:
		run.Rows.Keys, err = b.cells()
	case c.name == columnValue:
		run.Rows.Values, err = b.cells()
	default:
		run.Rows.Headers, err = b.lists()
	}
	return err
}

func checkAscending(offsets []int64) error {
	for i, offset := range offsets {
		if offset < 0 || i > 0 && offset <= offsets[i-1] {
			return fmt.Errorf("offset %d of row %d does not ascend", offset, i)
		}
	}
	return nil
}
