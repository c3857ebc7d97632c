package foz

import (
	"fmt"
	"strings"
)

// Schema is what a typed topic's values hold besides being bytes: columns that reads offer by
// name, beside those of every record. The zero value: the topic is not typed. A schema grows
// at its end, and otherwise stays as it is: the first n columns are a version of it.
type Schema struct {
	Columns    []SchemaColumn
	OnMismatch string // MismatchNull (also "") or MismatchReject
}

// Grow says why next may not follow s as a topic's schema; nil if it may: it has all columns that
// s has, unchanged and first. The error is topic_exists, and names the first that it has not.
func (s Schema) Grow(next Schema) *Error {
	for i, c := range s.Columns {
		if i >= len(next.Columns) {
			return Errorf(CodeTopicExists, "schema: column %s cannot be taken away", c.Name)
		}
		if n := next.Columns[i]; n != c {
			return Errorf(CodeTopicExists, "schema: column %d is %s, and cannot become %s: "+
				"a schema grows at its end and else stays as it is", i, c, n)
		}
	}
	return nil
}

// SchemaBytesMax bounds the [Schema.Bytes] of a topic's schema. It is a rule of the log: it never
// changes.
const SchemaBytesMax = 64 << 10

// Bytes is what the texts in a schema take.
func (s Schema) Bytes() int {
	n := len(s.OnMismatch)
	for _, c := range s.Columns {
		n += len(c.Name) + len(c.Type) + len(c.Pointer)
	}
	return n
}

// String is the column in a few words.
func (c SchemaColumn) String() string {
	text := fmt.Sprintf("%s %s at %q", c.Name, c.Type, c.Pointer)
	if !c.Nullable {
		text += " not null"
	}
	return text
}

// What becomes of a value in which a column has no cell of its type.
const (
	MismatchNull   = "null"   // the cell is null, and counted
	MismatchReject = "reject" // the request is refused: invalid_record
)

// SchemaColumn is one typed column.
type SchemaColumn struct {
	Name     string
	Type     ColumnType
	Pointer  string // into the JSON value, RFC 6901
	Nullable bool   // false: a value that lacks it, or has null there, mismatches
}

// PointerTo is the pointer (RFC 6901) to the member of a name.
func PointerTo(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// ColumnType is the type of a typed column, as the contract spells it.
type ColumnType string

// The types, and where a [Vector] keeps their cells.
const (
	TypeBool      ColumnType = "bool"         // Int64s: 0 or 1
	TypeInt64     ColumnType = "int64"        // Int64s
	TypeFloat64   ColumnType = "float64"      // Float64s
	TypeUTF8      ColumnType = "utf8"         // Cells
	TypeBinary    ColumnType = "binary"       // Cells
	TypeTimestamp ColumnType = "timestamp_ms" // Int64s: milliseconds since 1970, UTC
	TypeDate32    ColumnType = "date32"       // Int64s: days since 1970
)

// Names of the columns that every record has.
const (
	ColumnPartition = "partition"
	ColumnOffset    = "offset"
	ColumnTimestamp = "timestamp"
	ColumnKey       = "key"
	ColumnValue     = "value"
	ColumnHeaders   = "headers"
)

// Vector is the cells of one typed column, for a run of rows. One of Int64s, Float64s and Cells
// is in use, as its type says; a cell that is null is 0 or empty there.
type Vector struct {
	Type     ColumnType
	Int64s   []int64
	Float64s []float64
	Cells    Column
	Nulls    []bool // nil while no cell is null; else one per cell. Cells.Nulls is not used
}

// Len is the number of cells.
func (v *Vector) Len() int {
	switch v.Type {
	case TypeFloat64:
		return len(v.Float64s)
	case TypeUTF8, TypeBinary:
		return v.Cells.Len()
	}
	return len(v.Int64s)
}

// Null says whether cell i is null.
func (v *Vector) Null(i int) bool { return v.Nulls != nil && v.Nulls[i] }

// AppendCells adds cells [from, to) of another of the same type.
func (v *Vector) AppendCells(o *Vector, from, to int) {
	if from == to {
		return
	}
	if o.Nulls != nil && v.Nulls == nil {
		v.Nulls = make([]bool, v.Len(), v.Len()+to-from)
	}
	switch {
	case o.Nulls != nil:
		v.Nulls = append(v.Nulls, o.Nulls[from:to]...)
	case v.Nulls != nil:
		v.Nulls = append(v.Nulls, make([]bool, to-from)...)
	}
	switch v.Type {
	case TypeFloat64:
		v.Float64s = append(v.Float64s, o.Float64s[from:to]...)
	case TypeUTF8, TypeBinary:
		v.Cells.AppendCells(&o.Cells, from, to)
	default:
		v.Int64s = append(v.Int64s, o.Int64s[from:to]...)
	}
}

// Reset empties the vector and keeps its buffers.
func (v *Vector) Reset() {
	v.Int64s, v.Float64s, v.Nulls = v.Int64s[:0], v.Float64s[:0], nil
	v.Cells.reset()
}

// ColumnStats bound the cells of one column in a run of rows, so that the run need not be read
// by who looks for others.
type ColumnStats struct {
	// Min and Max bound the cells that are not null; nil: nothing is known of them, or all are
	// null. Of bytes, they may be shorter than the cells they bound.
	Min, Max *Scalar
	Nulls    int
}

// Scalar is one cell. The field in use is as in a [Vector].
type Scalar struct {
	Int64   int64
	Float64 float64
	Bytes   []byte
}
