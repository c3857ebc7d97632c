package flight

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields, in the messages of Flight that are taken or given.
// Source: https://github.com/apache/arrow/blob/main/format/Flight.proto.
const (
	fieldOnly = 1 // of Ticket, Criteria, SchemaResult and PutResult

	fieldDescriptorType = 1
	fieldDescriptorCmd  = 2
	fieldDescriptorPath = 3

	fieldDataDescriptor = 1
	fieldDataHeader     = 2
	fieldDataBody       = 1000

	fieldInfoSchema     = 1
	fieldInfoDescriptor = 2
	fieldInfoEndpoint   = 3
	fieldInfoRecords    = 4
	fieldInfoBytes      = 5
	fieldInfoOrdered    = 6

	fieldEndpointTicket = 1
)

// Types of descriptors.
const (
	descriptorPath = 1
	descriptorCmd  = 2
)

// visitFields gives the fields of a message that are bytes or varints, in order.
func visitFields(message []byte, visit func(field protowire.Number, b []byte, n uint64)) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return notProtobuf(protowire.ParseError(n))
		}
		value := message[n:]
		size := protowire.ConsumeFieldValue(field, kind, value)
		if size < 0 {
			return notProtobuf(protowire.ParseError(size))
		}
		switch kind {
		case protowire.BytesType:
			b, _ := protowire.ConsumeBytes(value)
			visit(field, b, 0)
		case protowire.VarintType:
			number, _ := protowire.ConsumeVarint(value)
			visit(field, nil, number)
		}
		message = value[size:]
	}
	return nil
}

func notProtobuf(err error) error { return statusf(invalidArgument, "message: %v", err) }

// only is the one field of a message that has one.
func only(message []byte) (value []byte, err error) {
	err = visitFields(message, func(field protowire.Number, b []byte, _ uint64) {
		if field == fieldOnly {
			value = b
		}
	})
	return value, err
}

// descriptor says what a client means.
type descriptor struct {
	kind uint64
	cmd  []byte
	path []string
	raw  []byte // as it came
}

func parseDescriptor(message []byte) (descriptor, error) {
	d := descriptor{raw: message}
	err := visitFields(message, func(field protowire.Number, b []byte, n uint64) {
		switch field {
		case fieldDescriptorType:
			d.kind = n
		case fieldDescriptorCmd:
			d.cmd = b
		case fieldDescriptorPath:
			d.path = append(d.path, string(b))
		}
	})
	return d, err
}

// pathDescriptor is the descriptor of a topic.
func pathDescriptor(topic string) []byte {
	b := protowire.AppendTag(nil, fieldDescriptorType, protowire.VarintType)
	b = protowire.AppendVarint(b, descriptorPath)
	return appendBytes(b, fieldDescriptorPath, []byte(topic))
}

// ticket is what the descriptor means.
func (d descriptor) ticket() (ticket, error) {
	if d.kind == descriptorCmd {
		return parseTicket(d.cmd)
	}
	t := ticket{partition: allPartitions}
	ok := d.kind == descriptorPath && len(d.path) > 0 && len(d.path) < 3 && validName(d.path[0])
	if ok {
		t.topic = d.path[0]
	}
	if ok && len(d.path) == 2 {
		t.partition, ok = parsePartition(d.path[1])
	}
	if !ok {
		return t, statusf(invalidArgument,
			"a descriptor is a path, of a topic or of a topic and a partition, or a command")
	}
	return t, nil
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), value)
}

func appendNumber(b []byte, field protowire.Number, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(n))
}

// info is a FlightInfo.
type info struct {
	schema     []byte // framed, as a stream begins; nil: not known
	descriptor []byte
	tickets    []ticket
	records    int64 // behind all tickets; unknownCount
	ordered    bool
}

const unknownCount = -1

func (i info) encode() []byte {
	b := appendBytes(nil, fieldInfoSchema, i.schema)
	b = appendBytes(b, fieldInfoDescriptor, i.descriptor)
	for _, t := range i.tickets {
		wrapped := appendBytes(nil, fieldOnly, []byte(t.target()))
		b = appendBytes(b, fieldInfoEndpoint, appendBytes(nil, fieldEndpointTicket, wrapped))
	}
	b = appendNumber(b, fieldInfoRecords, i.records)
	b = appendNumber(b, fieldInfoBytes, unknownCount)
	if i.ordered {
		b = appendNumber(b, fieldInfoOrdered, 1)
	}
	return b
}

// beginData is a FlightData up to its body of so many bytes, and the size of the whole.
func beginData(dst, header []byte, body int64) (message []byte, size int64) {
	from := len(dst)
	dst = appendBytes(dst, fieldDataHeader, header)
	if body > 0 {
		dst = protowire.AppendTag(dst, fieldDataBody, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(body))
	}
	return dst, int64(len(dst)-from) + body
}
