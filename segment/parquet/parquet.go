// Package parquet makes Parquet files of what a read gives. It knows Arrow's streams and Parquet's
// files, and refuses to know where either comes from or goes to. foz itself stores no Parquet.
package parquet

import (
	"fmt"
	"io"
	"reflect"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/parquet-go/parquet-go"
)

// groupRowsMax is how many rows a row group has: they are in memory until it is full.
const groupRowsMax = 128 << 10

// Convert writes an Arrow IPC stream of a read as a Parquet file, zstd, in row groups of 128 Ki
// rows, and gives the number of rows. A stream that ends without its end-of-stream marker is an
// error that wraps io.ErrUnexpectedEOF; then what was written is no file. The stream is believed
// to be a service's own: what it claims is allocated.
func Convert(w io.Writer, stream io.Reader) (rows int64, err error) {
	end := &tail{r: stream}
	r, err := ipc.NewReader(end)
	if err != nil {
		return 0, fmt.Errorf("read arrow stream: %w", err)
	}
	defer r.Release()
	columns, schema, err := columnsOf(r.Schema())
	if err != nil {
		return 0, err
	}
	file := parquet.NewGenericWriter[any](w, schema, parquet.Compression(&parquet.Zstd),
		parquet.MaxRowsPerRowGroup(groupRowsMax), parquet.CreatedBy("foz", "", ""))
	for r.Next() {
		batch := r.RecordBatch()
		if err := writeBatch(file, columns, batch); err != nil {
			return rows, fmt.Errorf("write parquet: %w", err)
		}
		rows += batch.NumRows()
	}
	if err := r.Err(); err != nil {
		return rows, fmt.Errorf("read arrow stream: %w", err)
	}
	if string(end.last[:]) != endOfStream {
		return rows, fmt.Errorf("read arrow stream: it has no end: %w", io.ErrUnexpectedEOF)
	}
	if err := file.Close(); err != nil {
		return rows, fmt.Errorf("write parquet: %w", err)
	}
	return rows, nil
}

const endOfStream = "\xff\xff\xff\xff\x00\x00\x00\x00"

// column is how a column of a read becomes one of a file: leaf is the first of its own there.
type column struct {
	leaf     int
	optional bool
	list     bool
}

type header struct {
	Key   string `parquet:"key"`
	Value []byte `parquet:"value"`
}

// kinds are the Go types that make the library's schema, and what it is told of them.
var kinds = map[arrow.Type]struct {
	of  reflect.Type
	tag string
}{
	arrow.INT64:     {reflect.TypeFor[int64](), ""},
	arrow.INT32:     {reflect.TypeFor[int32](), ""},
	arrow.TIMESTAMP: {reflect.TypeFor[int64](), ",timestamp(millisecond)"},
	arrow.DATE32:    {reflect.TypeFor[int32](), ",date"},
	arrow.FLOAT64:   {reflect.TypeFor[float64](), ""},
	arrow.BOOL:      {reflect.TypeFor[bool](), ""},
	arrow.STRING:    {reflect.TypeFor[string](), ""},
	arrow.BINARY:    {reflect.TypeFor[[]byte](), ""},
	arrow.LIST:      {reflect.TypeFor[[]header](), ",list"},
}

// columnsOf gives the file's schema: a struct, because its fields keep their order.
func columnsOf(s *arrow.Schema) (columns []column, schema *parquet.Schema, err error) {
	var fields []reflect.StructField
	leaf := 0
	for i, f := range s.Fields() {
		kind, ok := kinds[f.Type.ID()]
		if !ok {
			return nil, nil, fmt.Errorf("column %s is %s, which no read has", f.Name, f.Type)
		}
		tag := f.Name + kind.tag
		if f.Nullable {
			tag += ",optional"
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("C%d", i), Type: kind.of,
			Tag: reflect.StructTag(fmt.Sprintf("parquet:%q", tag)),
		})
		list := f.Type.ID() == arrow.LIST
		columns = append(columns, column{leaf, f.Nullable, list})
		if leaf++; list {
			leaf++ // key and value
		}
	}
	return columns, parquet.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface()), nil
}

// writeBatch writes a record batch, row by row: Parquet wants levels beside its values.
func writeBatch(
	file *parquet.GenericWriter[any], columns []column, batch arrow.RecordBatch,
) error {
	const chunk = 1024
	rows := make([]parquet.Row, 0, chunk)
	for i := range int(batch.NumRows()) {
		var row parquet.Row
		for c, column := range columns {
			row = column.append(row, batch.Column(c), i)
		}
		if rows = append(rows, row); len(rows) == chunk {
			if _, err := file.WriteRows(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	_, err := file.WriteRows(rows)
	return err
}

// append adds a cell: one value, or one for each element of a list in each of its leaves.
func (c column) append(row parquet.Row, a arrow.Array, i int) parquet.Row {
	level := 0
	if c.optional {
		level = 1
	}
	switch {
	case a.IsNull(i) && c.list:
		return append(row, parquet.NullValue().Level(0, 0, c.leaf),
			parquet.NullValue().Level(0, 0, c.leaf+1))
	case a.IsNull(i):
		return append(row, parquet.NullValue().Level(0, 0, c.leaf))
	case c.list:
		return c.appendList(row, a.(*array.List), i, level)
	}
	return append(row, valueOf(a, i).Level(0, level, c.leaf))
}

func (c column) appendList(row parquet.Row, a *array.List, i, level int) parquet.Row {
	from, to := a.ValueOffsets(i)
	if from == to {
		return append(row, parquet.NullValue().Level(0, level, c.leaf),
			parquet.NullValue().Level(0, level, c.leaf+1))
	}
	pairs := a.ListValues().(*array.Struct)
	for leaf := range 2 {
		for at := from; at < to; at++ {
			repeated := 0
			if at > from {
				repeated = 1
			}
			v := valueOf(pairs.Field(leaf), int(at))
			row = append(row, v.Level(repeated, level+1, c.leaf+leaf))
		}
	}
	return row
}

func valueOf(a arrow.Array, i int) parquet.Value {
	switch a := a.(type) {
	case *array.Int64:
		return parquet.Int64Value(a.Value(i))
	case *array.Int32:
		return parquet.Int32Value(a.Value(i))
	case *array.Timestamp:
		return parquet.Int64Value(int64(a.Value(i)))
	case *array.Date32:
		return parquet.Int32Value(int32(a.Value(i)))
	case *array.Float64:
		return parquet.DoubleValue(a.Value(i))
	case *array.Boolean:
		return parquet.BooleanValue(a.Value(i))
	case *array.String:
		return parquet.ByteArrayValue([]byte(a.Value(i)))
	case *array.Binary:
		return parquet.ByteArrayValue(a.Value(i))
	}
	panic(fmt.Sprintf("a column of %s", a.DataType())) // columnsOf refuses it
}

// tail keeps the last bytes that were read.
type tail struct {
	r    io.Reader
	last [8]byte
}

func (t *tail) Read(p []byte) (n int, err error) {
	n, err = t.r.Read(p)
	if n >= len(t.last) {
		copy(t.last[:], p[n-len(t.last):n])
	} else {
		copy(t.last[:], t.last[n:])
		copy(t.last[len(t.last)-n:], p[:n])
	}
	return n, err
}
