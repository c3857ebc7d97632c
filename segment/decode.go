package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/fozlog/foz"
)

// unpackedBytesMax is the most that the buffers of one compressed segment may hold: Arrow
// readers refuse batches beyond it.
const unpackedBytesMax = 256 << 20

// Decode reads one segment from exactly its byte range. Its checksum is verified before
// anything else, then its structure and the number of its rows. The rows alias msg where the
// buffers are not compressed: neither may be changed while the other is in use. It fails with
// ErrDamaged only, which says what is.
func Decode(msg []byte, s foz.Segment) (*foz.Rows, error) {
	rows, err := decode(msg, s)
	if err != nil {
		return nil, damaged("segment %s in bytes [%d,%d): %w",
			s.Partition, s.ByteStart, s.ByteEnd, err)
	}
	return rows, nil
}

func decode(msg []byte, s foz.Segment) (*foz.Rows, error) {
	if int64(len(msg)) != s.ByteEnd-s.ByteStart {
		return nil, fmt.Errorf("%d bytes", len(msg))
	}
	if sum := crc32.Checksum(msg, castagnoli); sum != s.CRC32C {
		return nil, fmt.Errorf("crc32c %08x, not %08x", sum, s.CRC32C)
	}
	b, err := openBatch(msg)
	if err != nil {
		return nil, err
	}
	defer b.unpack.close()
	if b.rows != int(s.Rows) || b.rows == 0 {
		return nil, fmt.Errorf("%d rows, not %d", b.rows, s.Rows)
	}
	rows := &foz.Rows{}
	if rows.Timestamps, err = b.int64s(); err != nil {
		return nil, fmt.Errorf("column %s: %w", columnTimestamp, err)
	}
	for _, c := range cellColumns(rows) {
		if *c.Column, err = b.cells(); err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return rows, nil
}

// openBatch takes the metadata of a stored batch. It is the template that Encode patches, byte
// for byte, so that there are only numbers to distrust.
func openBatch(msg []byte) (b batchReader, err error) {
	for codec, s := range storedShapes {
		if !s.begins(msg) {
			continue
		}
		return s.open(msg, Codec(codec))
	}
	return b, errNotWritten
}

var errNotWritten = errors.New("not a record batch as foz writes it")

// open takes the numbers of a batch that begins with the shape.
func (s *shape) open(msg []byte, codec Codec) (b batchReader, err error) {
	rows := int64(binary.LittleEndian.Uint64(msg[s.rows:]))
	length := int64(binary.LittleEndian.Uint64(msg[s.body:]))
	body := msg[len(s.metadata):]
	if length != int64(len(body)) {
		return b, fmt.Errorf("body length %d, %d bytes there", length, len(body))
	}
	if rows < 0 || rows > math.MaxInt32 {
		return b, fmt.Errorf("%d rows", rows)
	}
	return batchReader{
		rows: int(rows), codec: codec, body: body,
		nodes:   msg[s.nodes.from:s.nodes.to],
		buffers: msg[s.buffers.from:s.buffers.to],
		unpack:  unpacker{left: unpackedBytesMax},
	}, nil
}
