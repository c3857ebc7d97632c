package segment

import (
	flatbuffers "github.com/google/flatbuffers/go"
)

// Type ids of Arrow's format, Schema.fbs.
const (
	typeInt       = 2
	typeFloat     = 3
	typeBinary    = 4
	typeUtf8      = 5
	typeBool      = 6
	typeDate      = 8
	typeTimestamp = 10
	typeList      = 12
	typeStruct    = 13
)

const unitMilli = 1 // of a timestamp

// Names of the columns that records have.
const (
	columnPartition = "partition"
	columnOffset    = "offset"
	columnTimestamp = "timestamp"
	columnKey       = "key"
	columnValue     = "value"
	columnHeaders   = "headers"
)

// field is a column of a schema as it is written here, or a child of one.
type field struct {
	name     string
	typ      byte
	nullable bool
	build    func(*flatbuffers.Builder) flatbuffers.UOffsetT // the type's table; nil: an empty one
	children []field
}

// storedFields are the columns of an L0 object, and storedSchema is the same for people.
var storedFields = []field{
	{name: columnTimestamp, typ: typeTimestamp, build: buildTimestamp(unitMilli, "UTC")},
	{name: columnKey, typ: typeBinary, nullable: true},
	{name: columnValue, typ: typeBinary, nullable: true},
	{name: columnHeaders, typ: typeBinary, nullable: true},
}

const storedSchema = "timestamp: timestamp[ms, UTC] not null, " +
	"key: binary, value: binary, headers: binary"

// mergedFields are the columns of an L1 object, those that a read has, and mergedSchema is the
// same for people.
var mergedFields = []field{
	{name: columnOffset, typ: typeInt, build: buildInt64},
	{name: columnTimestamp, typ: typeTimestamp, build: buildTimestamp(unitMilli, "UTC")},
	{name: columnKey, typ: typeBinary, nullable: true},
	{name: columnValue, typ: typeBinary, nullable: true},
	{name: columnHeaders, typ: typeList, nullable: true, children: []field{
		{name: "item", typ: typeStruct, children: []field{
			{name: "key", typ: typeUtf8}, {name: "value", typ: typeBinary},
		}},
	}},
}

const mergedSchema = "offset: int64 not null, timestamp: timestamp[ms, UTC] not null, " +
	"key: binary, value: binary, headers: list<struct<key: utf8, value: binary>>"

// buildSchema writes a Schema table. That of an object is in its footer, too, which arrow-go
// does not write; and both are the bytes of format version 1.
func buildSchema(b *flatbuffers.Builder, fields []field) flatbuffers.UOffsetT {
	vector := buildFields(b, fields)
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, vector, 0)
	return b.EndObject()
}

func buildFields(b *flatbuffers.Builder, fields []field) flatbuffers.UOffsetT {
	tables := make([]flatbuffers.UOffsetT, len(fields))
	for i, f := range fields {
		name := b.CreateString(f.name)
		build := f.build
		if build == nil {
			build = buildPlain
		}
		typ := build(b)
		children := buildFields(b, f.children)
		b.StartObject(7)
		b.PrependUOffsetTSlot(0, name, 0)
		b.PrependBoolSlot(1, f.nullable, false)
		b.PrependByteSlot(2, f.typ, 0)
		b.PrependUOffsetTSlot(3, typ, 0)
		b.PrependUOffsetTSlot(5, children, 0)
		tables[i] = b.EndObject()
	}
	return b.CreateVectorOfTables(tables)
}

func buildPlain(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	b.StartObject(0)
	return b.EndObject()
}

func buildInt64(b *flatbuffers.Builder) flatbuffers.UOffsetT {
	b.StartObject(2)
	b.PrependInt32Slot(0, 64, 0)
	b.PrependBoolSlot(1, true, false) // signed
	return b.EndObject()
}

func buildTimestamp(unit int16, zone string) func(*flatbuffers.Builder) flatbuffers.UOffsetT {
	return func(b *flatbuffers.Builder) flatbuffers.UOffsetT {
		text := b.CreateString(zone)
		b.StartObject(2)
		b.PrependInt16Slot(0, unit, 0)
		b.PrependUOffsetTSlot(1, text, 0)
		return b.EndObject()
	}
}
