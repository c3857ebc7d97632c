package segment

import (
	"encoding/binary"
	"slices"

	"github.com/fozlog/foz"
)

// batchWriter appends one record batch message to dst: the metadata of its shape first, then
// every column's buffers, each patched into the metadata as it is written.
type batchWriter struct {
	dst    []byte
	start  int // of the message in dst
	body   int // of its body
	node   int // where the next field node is patched
	buffer int // where the next buffer is patched
	shape  *shape
	pack   *packer // nil: not compressed
}

func beginBatch(dst []byte, s *shape, pack *packer) batchWriter {
	start := len(dst)
	dst = append(dst, s.metadata...)
	return batchWriter{
		dst: dst, start: start, body: len(dst), shape: s, pack: pack,
		node: start + s.nodes.from, buffer: start + s.buffers.from,
	}
}

// end gives dst, with the message complete.
func (w *batchWriter) end(rows int) []byte {
	binary.LittleEndian.PutUint64(w.dst[w.start+w.shape.rows:], uint64(rows))
	w.putBodyLength(len(w.dst) - w.body)
	return w.dst
}

func (w *batchWriter) putBodyLength(n int) {
	binary.LittleEndian.PutUint64(w.dst[w.start+w.shape.body:], uint64(n))
}

func (w *batchWriter) putNode(rows, nulls int) {
	binary.LittleEndian.PutUint64(w.dst[w.node:], uint64(rows))
	binary.LittleEndian.PutUint64(w.dst[w.node+8:], uint64(nulls))
	w.node += 16
}

// closeBuffer ends the buffer that began at from.
func (w *batchWriter) closeBuffer(from int) {
	if w.pack != nil && len(w.dst) > from {
		w.dst = w.pack.replace(w.dst, from)
	}
	w.putBuffer(int64(from-w.body), int64(len(w.dst)-from))
	for (len(w.dst)-w.start)&7 != 0 {
		w.dst = append(w.dst, 0)
	}
}

func (w *batchWriter) putBuffer(offset, length int64) {
	binary.LittleEndian.PutUint64(w.dst[w.buffer:], uint64(offset))
	binary.LittleEndian.PutUint64(w.dst[w.buffer+8:], uint64(length))
	w.buffer += 16
}

// noBuffer writes the validity of what has no nulls.
func (w *batchWriter) noBuffer() { w.closeBuffer(len(w.dst)) }

// int64s writes a column without nulls.
func (w *batchWriter) int64s(values []int64) {
	w.putNode(len(values), 0)
	w.noBuffer()
	from := len(w.dst)
	w.dst = slices.Grow(w.dst, 8*len(values))[:from+8*len(values)]
	for i, v := range values {
		binary.LittleEndian.PutUint64(w.dst[from+8*i:], uint64(v))
	}
	w.closeBuffer(from)
}

// cells writes a column of bytes.
func (w *batchWriter) cells(c *foz.Column) {
	start := len(w.dst)
	var nulls int
	w.dst, nulls = appendValidity(w.dst, c.Nulls, 0, len(c.Ends))
	w.putNode(len(c.Ends), nulls)
	w.closeBuffer(start)
	w.offsets(c.Ends)
	start = len(w.dst)
	if n := len(c.Ends); n > 0 {
		w.dst = append(w.dst, c.Data[:c.Ends[n-1]]...)
	}
	w.closeBuffer(start)
}

// lists writes a column of headers, and what they are made of.
func (w *batchWriter) lists(h *headers) {
	start := len(w.dst)
	var nulls int
	w.dst, nulls = appendValidity(w.dst, h.nulls, 0, len(h.ends))
	w.putNode(len(h.ends), nulls)
	w.closeBuffer(start)
	w.offsets(h.ends)
	w.putNode(len(h.keys.Ends), 0)
	w.noBuffer()
	w.cells(&h.keys)
	w.cells(&h.values)
}

// appendValidity appends the bitmap of rows [from, to), unless none of them is null.
func appendValidity(dst []byte, nulls []bool, from, to int) (bitmap []byte, count int) {
	if nulls == nil {
		return dst, 0
	}
	for _, null := range nulls[from:to] {
		if null {
			count++
		}
	}
	if count == 0 {
		return dst, 0
	}
	for row := from; row < to; row += 8 {
		var bits byte
		for i, null := range nulls[row:min(row+8, to)] {
			if !null {
				bits |= 1 << i
			}
		}
		dst = append(dst, bits)
	}
	return dst, count
}

// offsets writes where cells begin, and where the last ends.
func (w *batchWriter) offsets(ends []int32) {
	start := len(w.dst)
	size := 4 * (len(ends) + 1)
	w.dst = slices.Grow(w.dst, size)[:start+size]
	out := w.dst[start:]
	binary.LittleEndian.PutUint32(out, 0)
	for i, end := range ends {
		binary.LittleEndian.PutUint32(out[4*i+4:], uint32(end))
	}
	w.closeBuffer(start)
}
