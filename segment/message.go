package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"
)

// Message headers of Arrow's format, Message.fbs.
const (
	headerSchema      = 1
	headerRecordBatch = 3
)

const (
	metadataV4 = 3
	metadataV5 = 4

	continuation     = 0xFFFFFFFF
	prefixBytes      = 8 // continuation marker and length of the metadata
	metadataBytesMax = 64 << 10
)

var endOfStream = []byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}

// Codec is how the buffers of a record batch are compressed.
type Codec uint8

// The codecs: Encode writes the first two, Merged the last, ReadStream takes all.
const (
	Uncompressed Codec = iota
	LZ4                // LZ4 frames
	ZSTD
)

func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

var codecNames = [...]string{"none", "lz4", "zstd"}

// appendMessage frames a finished Message table.
func appendMessage(dst, metadata []byte) []byte {
	padding := -len(metadata) & 7
	dst = binary.LittleEndian.AppendUint32(dst, continuation)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(metadata)+padding))
	dst = append(dst, metadata...)
	return append(dst, make([]byte, padding)...)
}

// schemaMessage is the framed message that opens a stream.
func schemaMessage(fields []field) []byte {
	b := flatbuffers.NewBuilder(1024)
	header := buildSchema(b, fields)
	finishMessage(b, headerSchema, header, 0)
	return appendMessage(nil, b.FinishedBytes())
}

func finishMessage(b *flatbuffers.Builder, kind byte, header flatbuffers.UOffsetT, body int64) {
	b.StartObject(5)
	b.PrependInt16Slot(0, metadataV5, 0)
	b.PrependByteSlot(1, kind, 0)
	b.PrependUOffsetTSlot(2, header, 0)
	b.PrependInt64Slot(3, body, 0)
	b.Finish(b.EndObject())
}

// shape is the framed metadata of every record batch of one schema, but for the numbers in
// it, and where those are to be patched.
type shape struct {
	metadata []byte
	rows     int    // where the number of rows is
	body     int    // the length of the body
	nodes    span   // the field nodes: cells, nulls
	buffers  span   // the buffers: offset, length
	numbers  []span // all of these, in order
}

// span is a range of bytes.
type span struct{ from, to int }

// newShape lays out metadata for so many nodes and buffers.
func newShape(nodes, buffers int, codec Codec) *shape {
	b := flatbuffers.NewBuilder(1024)
	bufferVector := buildPairs(b, buffers)
	nodeVector := buildPairs(b, nodes)
	var compression flatbuffers.UOffsetT
	if codec != Uncompressed { // method 0; codec 0 is LZ4
		b.StartObject(2)
		b.PrependByteSlot(0, byte(codec-LZ4), 0)
		compression = b.EndObject()
	}
	b.StartObject(5)
	b.PrependInt64Slot(0, -1, 0) // not the default, so that it is there to be patched
	b.PrependUOffsetTSlot(1, nodeVector, 0)
	b.PrependUOffsetTSlot(2, bufferVector, 0)
	b.PrependUOffsetTSlot(3, compression, 0)
	finishMessage(b, headerRecordBatch, b.EndObject(), -1)

	message := rootTable(b.FinishedBytes())
	batch, _ := message.table(2)
	pairs := func(slot, n int) span {
		from := prefixBytes + batch.vectorStart(slot)
		return span{from, from + pairBytes*n}
	}
	s := &shape{
		metadata: appendMessage(nil, b.FinishedBytes()),
		rows:     prefixBytes + batch.field(0),
		body:     prefixBytes + message.field(3),
		nodes:    pairs(1, nodes),
		buffers:  pairs(2, buffers),
	}
	s.numbers = []span{{s.rows, s.rows + 8}, {s.body, s.body + 8}, s.nodes, s.buffers}
	slices.SortFunc(s.numbers, func(a, b span) int { return a.from - b.from })
	return s
}

// begins tells whether a message begins with this metadata, whatever its numbers are.
func (s *shape) begins(msg []byte) bool {
	if len(msg) < len(s.metadata) {
		return false
	}
	at := 0
	for _, n := range s.numbers {
		if !bytes.Equal(msg[at:n.from], s.metadata[at:n.from]) {
			return false
		}
		at = n.to
	}
	return bytes.Equal(msg[at:len(s.metadata)], s.metadata[at:])
}

// places are a message's nodes, and its buffers as they are stored, by offset in the message.
func (s *shape) places(msg []byte) (nodes []Node, buffers []Buffer) {
	for at := range slices.Chunk(msg[s.nodes.from:s.nodes.to], pairBytes) {
		cells, nulls := pair(at)
		nodes = append(nodes, Node{cells, nulls})
	}
	body := int64(len(s.metadata))
	for at := range slices.Chunk(msg[s.buffers.from:s.buffers.to], pairBytes) {
		from, length := pair(at)
		sum := crc32.Checksum(msg[body+from:body+from+length], castagnoli)
		buffers = append(buffers, Buffer{body + from, length, sum})
	}
	return nodes, buffers
}

// pairBytes is what a field node takes, and what a buffer does: two int64.
const pairBytes = 16

// buildPairs writes a vector of n structs of two int64.
func buildPairs(b *flatbuffers.Builder, n int) flatbuffers.UOffsetT {
	b.StartVector(pairBytes, n, 8)
	for range 2 * n {
		b.PrependInt64(0)
	}
	return b.EndVector(n)
}

// message is what the metadata of one message says.
type message struct {
	kind      byte
	header    table
	bodyBytes int64
}

// parseMessage reads a Message table.
func parseMessage(metadata []byte) (message, error) {
	t := rootTable(metadata)
	if v := t.int16(0, 0); v != metadataV4 && v != metadataV5 {
		return message{}, fmt.Errorf("metadata version V%d is not V4 or V5", int(v)+1)
	}
	header, ok := t.table(2)
	if !ok {
		return message{}, errors.New("message without a header")
	}
	m := message{kind: t.byte(1), header: header, bodyBytes: t.int64(3, 0)}
	if m.bodyBytes < 0 {
		return message{}, fmt.Errorf("body length %d", m.bodyBytes)
	}
	return m, nil
}
