package segment

import (
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// vetSchema gives arrow-go a schema of what lies in memory in place of the one that came.
func (m *messages) vetSchema(header table) (*ipc.Message, error) {
	if header.int16(0, 0) != 0 {
		return nil, errBigEndian
	}
	left := schemaBudget{fields: fieldsMax, bytes: metadataBytesMax}
	fields, err := left.read(header.tables(1), fieldDepthMax)
	if err != nil {
		return nil, err
	}
	schema := arrow.NewSchema(fields, nil)
	if err := m.accept(schema); err != nil {
		return nil, err
	}
	m.schema = schema
	columns := schema.Fields()
	var nodes, buffers int
	for i, f := range columns {
		columns[i] = arrow.Field{Name: f.Name, Type: laidOut(f.Type), Nullable: true}
		n, b := countLayout(columns[i].Type)
		nodes, buffers = nodes+n, buffers+b
	}
	m.shape = newShape(nodes, buffers, Uncompressed)
	payload := ipc.GetSchemaPayload(arrow.NewSchema(columns, nil), memory.DefaultAllocator)
	return ipc.NewMessage(payload.Meta(), memory.NewBufferBytes(nil)), nil
}

// Limits of a schema that is read.
const (
	fieldsMax     = 64
	fieldDepthMax = 4
)

var (
	errFields    = fmt.Errorf("schema has over %d fields or %d levels", fieldsMax, fieldDepthMax)
	errNames     = errors.New("schema repeats its names")
	errBigEndian = errors.New("schema is big-endian")
)

// schemaBudget is what a schema may still have. A flatbuffer may refer to one table or string
// from many places, so that a few bytes can stand for a tree without end.
type schemaBudget struct{ fields, bytes int }

// read gives the fields of one level and what lies below them. Metadata of schema and fields
// is not looked at: extension types are what they are stored as.
func (left *schemaBudget) read(level tableVector, depth int) ([]arrow.Field, error) {
	if left.fields -= level.len(); left.fields < 0 || depth == 0 && level.len() > 0 {
		return nil, errFields
	}
	fields := make([]arrow.Field, level.len())
	for i := range fields {
		f := level.at(i)
		name := f.vector(0, 1)
		if left.bytes -= len(name); left.bytes < 0 {
			return nil, errNames
		}
		children, err := left.read(f.tables(5), depth-1)
		if err != nil {
			return nil, err
		}
		typ, err := typeOf(f, children)
		if err != nil {
			return nil, fmt.Errorf("field %.128q: %w", name, err)
		}
		fields[i] = arrow.Field{Name: string(name), Type: typ, Nullable: true}
	}
	return fields, nil
}

// typeOf is the type of a field. Of types that no column is accepted with it knows the name.
func typeOf(f table, children []arrow.Field) (arrow.DataType, error) {
	if _, ok := f.table(4); ok {
		return otherType{arrow.Null, "dictionary"}, nil
	}
	kind := f.byte(2)
	of, ok := f.table(3)
	if !ok {
		return nil, errors.New("has no type")
	}
	if t, ok := plainTypes[kind]; ok {
		return t, nil
	}
	switch kind {
	case typeInt:
		return intType(of), nil
	case typeTimestamp:
		unit := of.int16(0, 0)
		if unit < 0 || int(unit) > int(arrow.Nanosecond) {
			return nil, fmt.Errorf("timestamp has unit %d", unit)
		}
		return &arrow.TimestampType{Unit: arrow.TimeUnit(unit)}, nil
	case typeStruct:
		return arrow.StructOf(children...), nil
	case typeList, typeLargeList, typeMap:
		if len(children) != 1 {
			return nil, fmt.Errorf("list has %d children, not 1", len(children))
		}
	default:
		name, ok := otherTypes[kind]
		if !ok {
			return nil, fmt.Errorf("type %d is unknown", kind)
		}
		return otherType{arrow.Null, name}, nil
	}
	if kind == typeLargeList {
		return arrow.LargeListOfField(children[0]), nil
	}
	pairs, ok := children[0].Type.(*arrow.StructType)
	switch {
	case kind == typeList:
		return arrow.ListOfField(children[0]), nil
	case !ok || pairs.NumFields() != 2:
		return nil, errors.New("map is not of keys and values")
	}
	return arrow.MapOf(pairs.Field(0).Type, pairs.Field(1).Type), nil
}

// Type ids of Arrow's format, Schema.fbs, that are only read.
const (
	typeNull      = 1
	typeMap       = 17
	typeLargeUtf8 = 20
	typeLargeList = 21
)

var plainTypes = map[byte]arrow.DataType{
	typeNull: arrow.Null, typeBinary: arrow.BinaryTypes.Binary, typeUtf8: arrow.BinaryTypes.String,
	19: arrow.BinaryTypes.LargeBinary, typeLargeUtf8: arrow.BinaryTypes.LargeString,
}

var otherTypes = map[byte]string{
	3: "float", 6: "bool", 7: "decimal", 8: "date", 9: "time", 11: "interval", 14: "union",
	15: "fixed_size_binary", 16: "fixed_size_list", 18: "duration", 22: "run_end_encoded",
	23: "binary_view", 24: "string_view", 25: "list_view", 26: "large_list_view",
}

// otherType is one that no column is accepted with.
type otherType struct {
	arrow.DataType
	name string
}

func (otherType) ID() arrow.Type   { return arrow.EXTENSION }
func (t otherType) String() string { return t.name }

func intType(of table) arrow.DataType {
	bits, signed := of.int32(0, 0), of.byte(1) != 0
	switch {
	case bits == 32 && signed:
		return arrow.PrimitiveTypes.Int32
	case bits == 64 && signed:
		return arrow.PrimitiveTypes.Int64
	case signed:
		return otherType{arrow.Null, fmt.Sprintf("int%d", bits)}
	}
	return otherType{arrow.Null, fmt.Sprintf("uint%d", bits)}
}

// laidOut is an accepted type as it lies in memory: text is bytes, times are numbers, and a
// map is a list.
func laidOut(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.TimestampType:
		return arrow.PrimitiveTypes.Int64
	case *arrow.StringType:
		return arrow.BinaryTypes.Binary
	case *arrow.LargeStringType:
		return arrow.BinaryTypes.LargeBinary
	case *arrow.StructType:
		fields := t.Fields()
		for i, f := range fields {
			fields[i] = arrow.Field{Name: f.Name, Type: laidOut(f.Type), Nullable: true}
		}
		return arrow.StructOf(fields...)
	case *arrow.LargeListType:
		return arrow.LargeListOf(laidOut(t.Elem()))
	case arrow.ListLikeType: // a list or a map
		return arrow.ListOf(laidOut(t.Elem()))
	}
	return t
}

// countLayout is how many nodes and buffers a column of a type has in a batch.
func countLayout(t arrow.DataType) (nodes, buffers int) {
	nodes = 1
	if t.ID() != arrow.NULL {
		buffers = len(t.Layout().Buffers)
	}
	if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			n, b := countLayout(f.Type)
			nodes, buffers = nodes+n, buffers+b
		}
	}
	return nodes, buffers
}
