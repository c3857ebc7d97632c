package segment

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// messages is the ipc.MessageReader through which arrow-go reads a hostile stream. Invariant:
// no metadata that was not written here reaches arrow-go, and no number in it that was not
// compared with the bytes there are. arrow-go v18 believes what metadata says: it allocates the
// body, the buffers, the vectors and the window of zstd that are claimed, a schema of 960 bytes
// whose fields refer to each other took 16 GiB, and one that claims a long vector 10.
type messages struct {
	r        io.Reader
	bytesMax int                       // of a body, and of its buffers decompressed
	accept   func(*arrow.Schema) error // asked once
	admit    func(rows int) error

	schema *arrow.Schema // nil before there is one
	shape  *shape        // of record batches as arrow-go sees them
	unpack unpacker
	meta   []byte // reused, as body is, unless a batch lies in it
	body   []byte
	memory *StreamMemory // where bodies with batches come from and go
	taken  int           // bytes that the message takes which arrow-go has
	err    error         // the first: arrow-go would wrap it
}

// readError is an error of the reader that a stream comes from, other than its end.
type readError struct{ error }

var (
	errTruncated = errors.New("ends before its end-of-stream marker")
	errTrailing  = errors.New("goes on after its end-of-stream marker")
	errFile      = errors.New("is an Arrow file: send the Arrow IPC stream format")
	errFewer     = errors.New("fewer columns than the schema has")
	errMore      = errors.New("more columns than the schema has")
)

// Retain is nothing: memory is the garbage collector's.
func (m *messages) Retain() {}

// Release is nothing, as Retain is.
func (m *messages) Release() {}

// Message gives the schema first, then record batches, then io.EOF, once the stream has ended
// as it should.
func (m *messages) Message() (*ipc.Message, error) {
	msg, err := m.vet()
	if err != nil && err != io.EOF {
		m.err = err
	}
	return msg, err
}

func (m *messages) vet() (msg *ipc.Message, err error) {
	defer guard(&err)
	kind := byte(headerRecordBatch)
	if m.schema == nil {
		kind = headerSchema
	}
	header, body, err := m.next(kind)
	switch {
	case err != nil:
		return nil, err
	case header == nil && m.schema == nil:
		return nil, errors.New("has no schema")
	case header == nil:
		return nil, m.end()
	case m.schema == nil:
		return m.vetSchema(*header)
	}
	return m.vetBatch(*header, body)
}

// next reads a message of one kind; nil at the end-of-stream marker. Both are valid until
// the next call.
func (m *messages) next(kind byte) (header *table, body []byte, err error) {
	prefix, err := m.take(m.meta, prefixBytes)
	if err != nil {
		return nil, nil, err
	}
	length, err := ParsePrefix(prefix)
	if err != nil || length == 0 {
		return nil, nil, err
	}
	if m.meta, err = m.take(m.meta, length); err != nil {
		return nil, nil, err
	}
	msg, err := parseMessage(m.meta)
	if err != nil {
		return nil, nil, err
	}
	if msg.kind != kind {
		return nil, nil, fmt.Errorf("has message header %d, not %d", msg.kind, kind)
	}
	if msg.bodyBytes > int64(m.bytesMax) {
		return nil, nil, fmt.Errorf("%w: a message claims %d bytes, the limit is %d",
			errBytesLimit, msg.bodyBytes, m.bytesMax)
	}
	if m.body == nil {
		m.body = m.memory.get()
	}
	m.body, err = m.take(m.body, int(msg.bodyBytes))
	return &msg.header, m.body, err
}

// take reads n bytes into buf.
func (m *messages) take(buf []byte, n int) ([]byte, error) {
	buf, err := readN(m.r, buf, n)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return buf, errTruncated
	case err != nil:
		return buf, readError{err}
	}
	return buf, nil
}

// end is io.EOF if nothing follows the end-of-stream marker.
func (m *messages) end() error {
	var more [1]byte
	switch n, err := io.ReadFull(m.r, more[:]); {
	case n > 0:
		return errTrailing
	case err != io.EOF:
		return readError{err}
	}
	return io.EOF
}

// vetBatch gives a batch metadata of its own, and a body: every buffer decompressed and aligned.
// That is the body it came with, if its buffers are so, else a copy.
func (m *messages) vetBatch(header table, body []byte) (*ipc.Message, error) {
	rows := header.int64(0, 0)
	if rows < 0 || rows > math.MaxInt32 {
		return nil, fmt.Errorf("%d rows", rows)
	}
	if err := m.admit(int(rows)); err != nil {
		return nil, err
	}
	codec, err := parseCodec(header)
	if err != nil {
		return nil, err
	}
	nodes, buffers := header.vector(1, pairBytes), header.vector(2, pairBytes)
	inPlace := codec == Uncompressed && worthKeeping(body) && aligned(buffers)
	size := len(m.shape.metadata)
	if !inPlace {
		size += len(body)
	}
	w := beginBatch(make([]byte, 0, size), m.shape, nil)
	if err := m.shape.fits(nodes, buffers); err != nil {
		return nil, err
	}
	for node := range slices.Chunk(nodes, pairBytes) {
		cells, nulls, err := parseNode(node)
		if err != nil {
			return nil, err
		}
		w.putNode(cells, nulls)
	}
	m.unpack.left = int64(m.bytesMax)
	for buffer := range slices.Chunk(buffers, pairBytes) {
		b, err := cutBuffer(body, buffer)
		if err == nil {
			b, err = m.unpack.unpack(codec, b)
		}
		if err != nil {
			return nil, err
		}
		if inPlace {
			offset, length := pair(buffer)
			w.putBuffer(offset, length)
			continue
		}
		from := len(w.dst)
		w.dst = append(w.dst, b...)
		w.closeBuffer(from)
	}
	msg, head := w.end(int(rows)), len(m.shape.metadata)
	m.taken = len(msg)
	if inPlace {
		m.taken += cap(body)
		w.putBodyLength(len(body))
		m.memory.keep(body)
		m.body = nil
	} else {
		body = msg[head:]
	}
	return ipc.NewMessage(memory.NewBufferBytes(msg[prefixBytes:head:head]),
		memory.NewBufferBytes(slices.Clip(body))), nil
}

// aligned says whether buffers can be read where they lie in a body.
func aligned(buffers []byte) bool {
	for buffer := range slices.Chunk(buffers, pairBytes) {
		if offset, _ := pair(buffer); offset&7 != 0 {
			return false
		}
	}
	return true
}

// fits asks whether so many nodes and buffers are there as metadata of the shape has.
func (s *shape) fits(nodes, buffers []byte) error {
	more := len(nodes) - (s.nodes.to - s.nodes.from)
	moreBuffers := len(buffers) - (s.buffers.to - s.buffers.from)
	switch {
	case more < 0 || moreBuffers < 0:
		return errFewer
	case more > 0 || moreBuffers > 0:
		return errMore
	}
	return nil
}

// parseCodec reads how the buffers of a RecordBatch table are compressed.
func parseCodec(header table) (Codec, error) {
	compression, ok := header.table(3)
	if !ok {
		return Uncompressed, nil
	}
	codec, method := compression.byte(0), compression.byte(1)
	if codec > 1 || method != 0 {
		return 0, fmt.Errorf("buffers are compressed with codec %d, method %d", codec, method)
	}
	return LZ4 + Codec(codec), nil
}
