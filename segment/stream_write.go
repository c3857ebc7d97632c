package segment

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/fozlog/foz"
)

// StreamOptions choose what a stream holds.
type StreamOptions struct {
	// Columns are the columns to write, in this order, of those that an L1 object has:
	// offset, timestamp, key, value, headers; and partition where Partition is set; and those
	// of Schema. Empty: all of them.
	Columns []string

	// Schema are typed columns that there are. A run has a vector for each that is written, in
	// the order of Columns (of Schema, where Columns is empty).
	Schema []foz.SchemaColumn

	// Partition puts an int32 column "partition" first, unless Columns has it elsewhere.
	Partition bool

	// Stored says that runs which are Stored have just these columns, in this order. Without it
	// they have to be all those of an untyped topic.
	Stored bool

	// BatchBytesMax bounds a record batch (a longer record is a batch of its own).
	// 0: BatchBytesMax. A stream buffers about this much.
	BatchBytesMax int
}

// BatchBytesMax is how large a record batch of a stream becomes unless its options say
// otherwise.
const BatchBytesMax = 1 << 20

// StreamWriter writes reads as an Arrow IPC stream. Small runs are gathered into record
// batches; large ones are written from where they lie. It is for one goroutine at a time.
type StreamWriter struct {
	out      *bufio.Writer // gathers what surrounds columns, which pass through it
	arrow    *ipc.Writer
	schema   *arrow.Schema
	columns  []column
	wanted   map[string]bool
	bytesMax int

	// Rows that wait for a batch: only columns that are wanted.
	pending    stretch
	offsets    []int64
	partitions []int32

	whole   bool    // what is stored has the stream's columns
	begun   bool    // the schema has been written
	zeros   []int32 // all 0
	times   []int64 // all 0
	batch   columnarBatch
	headers headers // reused
	err     error   // sticky: a stream that broke stays broken
}

// column is a column of a stream and how it is built for rows [from, to), the first of which is
// the first of s.offsets.
type column struct {
	arrow.Field
	build func(s *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error)
}

var headersType = arrow.ListOfNonNullable(arrow.StructOf(
	arrow.Field{Name: "key", Type: arrow.BinaryTypes.String},
	arrow.Field{Name: "value", Type: arrow.BinaryTypes.Binary}))

// streamColumns are the columns of a stream, which are those of an L1 object, and the partition
// last.
var streamColumns = []column{
	{arrow.Field{Name: columnOffset, Type: arrow.PrimitiveTypes.Int64},
		func(s *StreamWriter, _ stretch, _, _ int) (arrow.ArrayData, error) {
			return int64s(arrow.PrimitiveTypes.Int64, s.offsets), nil
		}},
	{arrow.Field{Name: columnTimestamp, Type: arrow.FixedWidthTypes.Timestamp_ms},
		func(_ *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error) {
			return int64s(arrow.FixedWidthTypes.Timestamp_ms, b.rows.Timestamps[from:to]), nil
		}},
	{arrow.Field{Name: columnKey, Type: arrow.BinaryTypes.Binary, Nullable: true},
		func(s *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error) {
			return s.batch.cells(arrow.BinaryTypes.Binary, &b.rows.Keys, from, to), nil
		}},
	{arrow.Field{Name: columnValue, Type: arrow.BinaryTypes.Binary, Nullable: true},
		func(s *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error) {
			return s.batch.cells(arrow.BinaryTypes.Binary, &b.rows.Values, from, to), nil
		}},
	{arrow.Field{Name: columnHeaders, Type: headersType, Nullable: true},
		func(s *StreamWriter, b stretch, from, to int) (arrow.ArrayData, error) {
			return s.buildHeaders(&b.rows.Headers, from, to)
		}},
	{arrow.Field{Name: columnPartition, Type: arrow.PrimitiveTypes.Int32},
		func(s *StreamWriter, _ stretch, _, _ int) (arrow.ArrayData, error) {
			values := memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(s.partitions))
			return array.NewData(arrow.PrimitiveTypes.Int32, len(s.partitions),
				[]*memory.Buffer{nil, values}, nil, 0, 0), nil
		}},
}

// NewStreamWriter makes a writer of one stream to w, which it does not close. Nothing is
// written before the first batch is full, or Flush or Close. An unknown or repeated column is
// a *foz.Error, bad_request.
func NewStreamWriter(w io.Writer, o StreamOptions) (*StreamWriter, error) {
	columns, typed, err := project(o)
	if err != nil {
		return nil, err
	}
	s := &StreamWriter{
		out: bufio.NewWriterSize(w, streamGatherBytes), columns: columns,
		wanted: map[string]bool{}, bytesMax: BatchBytesMax,
		whole:   o.Stored || len(o.Columns) == 0 && !o.Partition && len(o.Schema) == 0,
		pending: stretch{rows: &foz.Rows{}, typed: typed},
	}
	if o.BatchBytesMax > 0 {
		s.bytesMax = min(o.BatchBytesMax, math.MaxInt32/2)
	}
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = c.Field
		s.wanted[c.Name] = true
	}
	s.schema = arrow.NewSchema(fields, nil)
	s.arrow = ipc.NewWriter(s.out, ipc.WithSchema(s.schema))
	return s, nil
}

// streamGatherBytes gathers metadata and small columns; what is longer is not copied.
const streamGatherBytes = 8 << 10

// project gives the columns that the options ask for, and an empty vector for each typed one.
func project(o StreamOptions) (columns []column, typed []foz.Vector, err error) {
	names := o.names()
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, nil, foz.Errorf(foz.CodeBadRequest, "column %q is asked for twice", name)
		}
		at := slices.IndexFunc(streamColumns, func(c column) bool { return c.Name == name })
		if at >= 0 && (o.Partition || name != columnPartition) {
			columns = append(columns, streamColumns[at])
			continue
		}
		at = slices.IndexFunc(o.Schema, func(c foz.SchemaColumn) bool { return c.Name == name })
		if at < 0 {
			o.Columns = nil
			return nil, nil, foz.Errorf(foz.CodeBadRequest, "no column %.64q, there are: %.1000s",
				name, strings.Join(o.names(), ", "))
		}
		columns = append(columns, typedColumn(o.Schema[at], len(typed)))
		typed = append(typed, foz.Vector{Type: o.Schema[at].Type})
	}
	return columns, typed, nil
}

// names are those of the columns to write.
func (o StreamOptions) names() (names []string) {
	names = slices.Clone(o.Columns)
	if len(names) == 0 {
		for _, c := range streamColumns[:len(streamColumns)-1] {
			names = append(names, c.Name)
		}
		for _, c := range o.Schema {
			names = append(names, c.Name)
		}
	}
	if o.Partition && !slices.Contains(names, columnPartition) {
		names = append([]string{columnPartition}, names...)
	}
	return names
}

// Write adds the run's records, of one partition. The run is copied or written before it
// returns. After an error the stream is broken: every later call gives the same error.
// A run that is Stored becomes a record batch as it is, where the stream has all columns and
// no partition: anything else is a mistake of the caller's.
func (s *StreamWriter) Write(partition int32, run foz.Run) error {
	if run.Stored != nil {
		return s.relay(run.Stored)
	}
	if run.Len() == 0 { // it tells of offsets without records, and has no columns
		return s.err
	}
	b, err := s.view(run)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("write arrow stream: %w", err)
	}
	for from := run.From; from < run.To && s.err == nil; {
		to := s.fit(b, from, run.To)
		for i := range to - from {
			s.offsets = append(s.offsets, run.Offset(from-run.From+i))
			s.partitions = append(s.partitions, partition)
		}
		if s.pending.rows.Len() == 0 && (to < run.To || b.bytes(from, to) > s.bytesMax/8) {
			s.emit(b, from, to) // from where it lies
		} else {
			s.pending.append(b, from, to)
			if to < run.To {
				s.flushPending()
			}
		}
		from = to
	}
	return s.err
}

// relay writes a record batch that is one already.
func (s *StreamWriter) relay(message []byte) error {
	if !s.whole {
		return errors.New("write arrow stream: its columns are not those of stored rows")
	}
	if s.Flush() == nil && !s.begun {
		s.emit(s.pending, 0, 0) // the library writes the schema with a batch only
	}
	if s.err == nil {
		_, err := s.out.Write(message)
		s.send(err)
	}
	return s.err
}

// view is a run's rows, in which columns that are not wanted have only empty cells.
func (s *StreamWriter) view(run foz.Run) (stretch, error) {
	v := *run.Rows
	if missing := run.To - len(s.zeros); missing > 0 {
		s.zeros = append(s.zeros, make([]int32, missing)...)
		s.times = append(s.times, make([]int64, missing)...)
	}
	if !s.wanted[columnTimestamp] {
		v.Timestamps = s.times[:run.To]
	}
	complete := len(v.Timestamps) >= run.To && len(run.Columns) == len(s.pending.typed)
	for _, c := range cellColumns(&v) {
		if !s.wanted[c.name] {
			*c.Column = foz.Column{Ends: s.zeros[:run.To]}
		}
		complete = complete && c.Len() >= run.To
	}
	for i := range run.Columns {
		complete = complete && run.Columns[i].Type == s.pending.typed[i].Type &&
			run.Columns[i].Len() >= run.Len()
	}
	if !complete {
		return stretch{}, errors.New("a run lacks columns that are written")
	}
	return stretch{rows: &v, typed: run.Columns, first: run.From}, nil
}

// fit is how far rows from from go into the batch. It is past from once nothing waits: a row
// that alone is too long is a batch of its own.
func (s *StreamWriter) fit(b stretch, from, end int) int {
	waiting := s.pending.rows.Len()
	room := s.bytesMax - s.pending.bytes(0, waiting)
	n := sort.Search(end-from, func(i int) bool { return b.bytes(from, from+i+1) > room })
	if n == 0 && waiting == 0 {
		n = 1
	}
	return from + n
}

// dataBytes is about what rows [from, to) take in a batch.
func dataBytes(rows *foz.Rows, from, to int) int {
	const fixed = 8 + 8 + 4 + 3*5 // numbers, offsets and validity
	if from == to {
		return 0
	}
	size := fixed * (to - from)
	for _, c := range cellColumns(rows) {
		size += int(c.Ends[to-1])
		if from > 0 {
			size -= int(c.Ends[from-1])
		}
	}
	return size
}

// Flush writes the rows that wait for a full batch.
func (s *StreamWriter) Flush() error {
	if s.pending.rows.Len() > 0 {
		s.flushPending()
	}
	return s.err
}

// Close writes the rows that wait and the end-of-stream marker. A stream that was not closed,
// or broke before, ends without the marker: a reader can tell.
func (s *StreamWriter) Close() error {
	// The library's Close writes the marker after an error, too: it must not be asked to.
	if s.Flush() == nil {
		s.send(s.arrow.Close())
	}
	if s.err != nil {
		return s.err
	}
	s.err = errClosed
	return nil
}

var errClosed = errors.New("arrow stream is closed")

func (s *StreamWriter) flushPending() {
	s.emit(s.pending, 0, s.pending.rows.Len())
	s.pending.reset()
}

// emit writes rows [from, to) as one record batch.
func (s *StreamWriter) emit(b stretch, from, to int) {
	if s.err != nil {
		return
	}
	s.batch.reset()
	arrays := make([]arrow.Array, len(s.columns))
	for i, c := range s.columns {
		data, err := c.build(s, b, from, to)
		if err != nil {
			s.err = err
			return
		}
		arrays[i] = array.MakeFromData(data)
	}
	s.begun = true
	s.send(s.arrow.Write(array.NewRecordBatch(s.schema, arrays, int64(to-from))))
	s.offsets, s.partitions = s.offsets[:0], s.partitions[:0]
}

// send flushes what the library has written, unless it failed.
func (s *StreamWriter) send(err error) {
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		s.err = fmt.Errorf("write arrow stream: %w", err)
	}
}
