package segment

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/fozlog/foz"
)

// streamBatch is a record batch of a stream. Its rows alias memory that nothing else uses.
type streamBatch struct {
	partitions []int32 // nil where there is no such column
	offsets    []int64 // nil where there is no such column
	rows       foz.Rows
	bytes      int // of that memory
}

// streamDecoder makes rows of a stream's record batches.
type streamDecoder struct {
	messages
	arrow *ipc.Reader // nil before the first batch
	now   int64       // the timestamp of rows that have none
	seen  int         // rows of the batches before
	count int         // batches before
}

// next gives a batch, or io.EOF at the end of the stream.
func (d *streamDecoder) next() (*streamBatch, error) {
	if d.arrow == nil {
		r, err := ipc.NewReaderFromMessageReader(&d.messages)
		if err != nil {
			return nil, d.cause(err)
		}
		d.arrow = r
	}
	rec, err := d.arrow.Read()
	if err == io.EOF {
		return nil, err
	}
	var b *streamBatch
	if err == nil {
		b, err = d.decode(rec)
	}
	if err != nil {
		return nil, fmt.Errorf("record batch %d: %w", d.count, d.cause(err))
	}
	d.count++
	d.seen += b.rows.Len()
	return b, nil
}

// cause is what went wrong first.
func (d *streamDecoder) cause(err error) error {
	if d.err != nil {
		return d.err
	}
	return err
}

func (d *streamDecoder) decode(rec arrow.RecordBatch) (b *streamBatch, err error) {
	defer guard(&err)
	b = &streamBatch{bytes: d.taken}
	n := int(rec.NumRows())
	for i, f := range d.schema.Fields() {
		column := rec.Column(i)
		if column.Len() != n {
			return nil, fmt.Errorf("column %q: %d cells for %d rows", f.Name, column.Len(), n)
		}
		if f.Type.ID() != arrow.NULL { // arrow-go holds its own arrays of nulls to be invalid
			if err := array.ValidateFull(column); err != nil {
				return nil, fmt.Errorf("column %q: %w", f.Name, err)
			}
		}
		switch f.Name {
		case columnPartition:
			b.partitions = slices.Clip(column.(*array.Int32).Int32Values())
		case columnOffset:
			b.offsets = slices.Clip(column.(*array.Int64).Int64Values())
		case columnTimestamp:
			b.rows.Timestamps, err = d.timestamps(f.Type, column)
		case columnHeaders:
			b.rows.Headers, err = d.headers(f.Type, column)
		case columnKey:
			b.rows.Keys = bytesOf(column)
		case columnValue:
			b.rows.Values = bytesOf(column)
		}
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	d.fill(&b.rows, n)
	return b, nil
}

// fill makes up the n cells of columns that are not there.
func (d *streamDecoder) fill(rows *foz.Rows, n int) {
	if rows.Timestamps == nil {
		rows.Timestamps = make([]int64, n)
		for i := range rows.Timestamps {
			rows.Timestamps[i] = d.now
		}
	}
	for _, c := range cellColumns(rows) {
		if c.Ends == nil {
			*c.Column = nullCells(n)
		}
	}
}

func nullCells(n int) foz.Column {
	c := foz.Column{Ends: make([]int32, n), Nulls: make([]bool, n)}
	for i := range c.Nulls {
		c.Nulls[i] = true
	}
	return c
}

// bytesOf is a column of bytes; the zero one where it is of type null.
func bytesOf(a arrow.Array) foz.Column {
	if a.DataType().ID() == arrow.NULL || a.Len() == 0 {
		return foz.Column{}
	}
	return cellsOf(nullsOf(a), offsetsOf(a), a.Data().Buffers()[2].Bytes())
}

// nullsOf is nil where no cell is null.
func nullsOf(a arrow.Array) []bool {
	if a.NullN() == 0 {
		return nil
	}
	nulls := make([]bool, a.Len())
	for i := range nulls {
		nulls[i] = a.IsNull(i)
	}
	return nulls
}

// offsetsOf are the offsets of a valid array that is not empty, one more than it has cells.
// Invariant: they lie within buffers in memory that messages has limited, so that 64 bits
// hold no more than 32 do.
func offsetsOf(a arrow.Array) []int32 {
	buffer, n := a.Data().Buffers()[1].Bytes(), a.Len()+1
	if a.DataType().Layout().Buffers[1].ByteWidth == arrow.Int32SizeBytes {
		return arrow.Int32Traits.CastFromBytes(buffer)[:n]
	}
	offsets := make([]int32, n)
	for i, o := range arrow.Int64Traits.CastFromBytes(buffer)[:n] {
		offsets[i] = int32(o)
	}
	return offsets
}

// timestamps are a column of times as milliseconds, rounded towards the past; nil where it is
// of type null.
func (d *streamDecoder) timestamps(t arrow.DataType, column arrow.Array) ([]int64, error) {
	if t.ID() == arrow.NULL {
		return nil, nil
	}
	unit := arrow.Millisecond
	if t, ok := t.(*arrow.TimestampType); ok {
		unit = t.Unit
	}
	times := column.(*array.Int64).Int64Values()
	if column.NullN() == 0 && unit == arrow.Millisecond {
		return slices.Clip(times), nil // whoever appends must not write on
	}
	ms := make([]int64, len(times))
	for i, t := range times {
		switch {
		case column.IsNull(i):
			ms[i] = d.now
		case unit == arrow.Millisecond:
			ms[i] = t
		case unit == arrow.Second && (t > math.MaxInt64/1000 || t < math.MinInt64/1000):
			return nil, invalid(cellPointer(d.seen+i, columnTimestamp),
				"timestamp %d s does not fit milliseconds", t)
		default:
			ms[i] = arrow.Timestamp(t).ToTime(unit).UnixMilli()
		}
	}
	return ms, nil
}

// headers are a column of lists of headers as cells; the zero one where it is of type null.
func (d *streamDecoder) headers(t arrow.DataType, column arrow.Array) (foz.Column, error) {
	var cells foz.Column
	if t.ID() == arrow.NULL || column.Len() == 0 {
		return cells, nil
	}
	keys, values, err := headerCells(t, column.(array.ListLike).ListValues())
	if err != nil {
		return cells, err
	}
	offsets := offsetsOf(column)
	cells.Ends = make([]int32, 0, column.Len())
	var list []foz.Header
	var cell []byte
	for i := range column.Len() {
		list = list[:0]
		for j := int(offsets[i]); j < int(offsets[i+1]) && column.IsValid(i); j++ {
			key := keys.Cell(j)
			if key == nil || !utf8.Valid(key) {
				return cells, invalid(cellPointer(d.seen+i, columnHeaders),
					"the key of a header is null or not UTF-8")
			}
			list = append(list, foz.Header{Key: string(key), Value: values.Cell(j)})
		}
		if cell = foz.AppendHeaders(cell[:0], list); len(list) == 0 {
			cells.Append(nil)
			continue
		}
		if len(cells.Data)+len(cell) > d.bytesMax {
			return cells, fmt.Errorf("%w: headers of over %d bytes", errBytesLimit, d.bytesMax)
		}
		cells.Append(cell)
	}
	return cells, nil
}

// headerCells are the two columns of a list of headers.
func headerCells(t arrow.DataType, pairs arrow.Array) (keys, values foz.Column, err error) {
	if pairs.NullN() > 0 {
		return keys, values, errors.New("a header is null")
	}
	var columns [2]foz.Column
	for i, c := range pairs.Data().Children() {
		if c.Len() != pairs.Len() {
			return keys, values, fmt.Errorf("%d cells for %d headers", c.Len(), pairs.Len())
		}
		columns[i] = bytesOf(pairs.(*array.Struct).Field(i))
	}
	key, _ := headerKey(t)
	return columns[key], columns[1-key], nil
}
