package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MessageHead is what the metadata of one message of an Arrow stream says about it.
type MessageHead struct {
	RecordBatch bool  // else a schema, or what no stream of foz has
	BodyBytes   int64 // how many bytes follow the metadata
	Rows        int64 // of a record batch
}

// InspectMessage reads the head of a message from its metadata, without the eight bytes before
// it. The metadata may be hostile; nothing is allocated, and no number in it is compared with
// anything. What it refuses is ErrDamaged.
func InspectMessage(metadata []byte) (h MessageHead, err error) {
	defer func() {
		if err != nil {
			h, err = MessageHead{}, damaged("arrow message: %w", err)
		}
	}()
	defer guard(&err)
	m, err := parseMessage(metadata)
	if err != nil {
		return h, err
	}
	h.BodyBytes = m.bodyBytes
	if m.kind != headerRecordBatch {
		return h, nil
	}
	h.RecordBatch, h.Rows = true, m.header.int64(0, 0)
	if h.Rows < 0 {
		return h, fmt.Errorf("%d rows", h.Rows)
	}
	return h, nil
}

// SchemaColumns gives the names of the columns in a schema message's metadata, which may be as
// hostile as InspectMessage's.
func SchemaColumns(metadata []byte) (names []string, err error) {
	defer func() {
		if err != nil {
			names, err = nil, damaged("arrow schema: %w", err)
		}
	}()
	defer guard(&err)
	m, err := parseMessage(metadata)
	if err != nil {
		return nil, err
	}
	if m.kind != headerSchema {
		return nil, fmt.Errorf("message header is %d", m.kind)
	}
	fields, left := m.header.tables(1), len(metadata)
	for i := range fields.len() {
		name := fields.at(i).vector(0, 1)
		if left -= len(name); left < 0 { // references to one name from many places
			return nil, errNames
		}
		names = append(names, string(name))
	}
	return names, nil
}

// MessagePrefixBytes is what stands before the metadata of each message in a stream.
const MessagePrefixBytes = prefixBytes

// MetadataBytesMax is how long the metadata of a message may be.
const MetadataBytesMax = metadataBytesMax

// AppendMessage appends metadata as a stream has it: behind a prefix, padded to eight bytes. The
// message's body comes next.
func AppendMessage(dst, metadata []byte) []byte { return appendMessage(dst, metadata) }

// ParsePrefix gives the length of the metadata behind a message's prefix; 0 is the end of the
// stream.
func ParsePrefix(prefix []byte) (length int, err error) {
	if string(prefix[:len(magic)]) == magic {
		return 0, errFile
	}
	if binary.LittleEndian.Uint32(prefix) != continuation {
		return 0, errors.New("has no message where one should begin")
	}
	n := int32(binary.LittleEndian.Uint32(prefix[4:]))
	if n < 0 || n > metadataBytesMax {
		return 0, fmt.Errorf("has a message with %d bytes of metadata", n)
	}
	return int(n), nil
}

// AppendEndOfStream appends the marker without which a stream is not whole.
func AppendEndOfStream(dst []byte) []byte { return append(dst, endOfStream...) }
