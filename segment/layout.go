package segment

import (
	"fmt"
	"slices"
	"strings"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

// layout is how the record batches of a merged object lie: the columns of every record, and then
// typed ones.
type layout struct {
	typed   []foz.SchemaColumn
	fields  []field
	schema  []byte // the framed message
	shape   *shape
	nodes   int
	buffers int
	columns []projected // all of them
	byName  map[string]int
}

var plainLayout = must(newLayout(nil))

func must(l *layout, err error) *layout {
	if err != nil {
		panic(err)
	}
	return l
}

// typedFields are how typed columns are in a merged object: typedTypes, by hand.
var typedFields = map[foz.ColumnType]field{
	foz.TypeBool:      {typ: typeBool},
	foz.TypeInt64:     {typ: typeInt, build: buildInt64},
	foz.TypeFloat64:   {typ: typeFloat, build: buildFloat64},
	foz.TypeUTF8:      {typ: typeUtf8},
	foz.TypeBinary:    {typ: typeBinary},
	foz.TypeTimestamp: {typ: typeTimestamp, build: buildTimestamp(unitMilli, "UTC")},
	foz.TypeDate32:    {typ: typeDate, build: buildDate32},
}

// KnownColumns are the first of a schema's columns, up to one that this program does not know how
// to store: a later version's log may have it.
func KnownColumns(columns []foz.SchemaColumn) []foz.SchemaColumn {
	for i, c := range columns {
		if _, known := typedFields[c.Type]; !known || i == schemaColumnsMax {
			return columns[:i]
		}
	}
	return columns
}

// newLayout lays out objects with these typed columns. Their types must be known, their names
// and pointers UTF-8, each name there once and none that every record has.
func newLayout(typed []foz.SchemaColumn) (*layout, error) {
	l := &layout{
		typed: slices.Clone(typed), fields: slices.Clone(mergedFields), byName: map[string]int{},
	}
	for _, c := range plainColumns {
		l.place(c)
	}
	for _, c := range typed {
		f, ok := typedFields[c.Type]
		_, seen := l.byName[c.Name]
		switch {
		case !ok:
			return nil, fmt.Errorf("column %.64q is of type %.64q", c.Name, c.Type)
		case seen || c.Name == columnPartition:
			return nil, fmt.Errorf("column %.64q is there twice", c.Name)
		}
		f.name, f.nullable = c.Name, true
		l.fields = append(l.fields, f)
		buffers := l.buffers + vectorBuffers(c.Type)
		l.place(projected{c.Name, c.Type, l.nodes, 1, l.buffers, buffers})
	}
	l.schema, l.shape = schemaMessage(l.fields), newShape(l.nodes, l.buffers, ZSTD)
	return l, nil
}

// place puts a column behind the others.
func (l *layout) place(c projected) {
	l.byName[c.name] = len(l.columns)
	l.columns = append(l.columns, c)
	l.nodes, l.buffers = c.node+c.nodes, c.buffer
}

// vectorBuffers is how many buffers a typed column has.
func vectorBuffers(t foz.ColumnType) int {
	if t == foz.TypeUTF8 || t == foz.TypeBinary {
		return 3
	}
	return 2
}

// String is the schema for people.
func (l *layout) String() string {
	var b strings.Builder
	b.WriteString(mergedSchema)
	for _, c := range l.typed {
		fmt.Fprintf(&b, ", %s: %s", c.Name, c.Type)
	}
	return b.String()
}

func buildFloat64(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependInt16Slot(0, 2, 0) // double
	return b.EndObject()
}

func buildDate32(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	b.StartObject(1)
	b.PrependInt16Slot(0, 0, 1) // days; milliseconds are the default
	return b.EndObject()
}
