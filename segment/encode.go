package segment

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/fozlog/foz"
)

// Part is what one object holds of one partition.
type Part struct {
	Partition foz.Partition
	Rows      *foz.Rows
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	magic        = "ARROW1"
	magicPadded  = magic + "\x00\x00"
	storedNodes  = 4
	storedBuffer = 2 + 3*3 // timestamps, three columns of bytes
)

var (
	schemaMessageV1 = schemaMessage(storedFields)
	storedShapes    = [...]*shape{
		Uncompressed: newShape(storedNodes, storedBuffer, Uncompressed),
		LZ4:          newShape(storedNodes, storedBuffer, LZ4),
	}
)

// Encoder encodes objects. The zero value is ready; it reuses its buffers, so that it is for
// one goroutine at a time.
type Encoder struct {
	Codec Codec // Uncompressed or LZ4

	pack     *packer
	manifest manifest
}

// Encode appends one L0 object to dst: one record batch per part. Parts are in ascending
// order of partition, none of them empty. The requests are the commit's, kept in the footer so
// that the bucket alone can rebuild an index; they name segments by their place in parts.
// Byte ranges of the segments count from where the object begins, which is len(dst) as it
// was given. Rows are copied, not kept.
func (e *Encoder) Encode(
	dst []byte, parts []Part, requests []foz.CommitRequest,
) (object []byte, segments []foz.Segment, err error) {
	if err := e.check(parts, requests); err != nil {
		return nil, nil, fmt.Errorf("encode object: %w", err)
	}
	start := len(dst)
	dst = slices.Grow(dst, objectBytes(parts, requests))
	dst = append(dst, magicPadded...)
	dst = append(dst, schemaMessageV1...)
	segments = make([]foz.Segment, 0, len(parts))
	for _, p := range parts {
		from := len(dst)
		dst = e.appendBatch(dst, p.Rows)
		lowest, highest := bounds(p.Rows.Timestamps)
		segments = append(segments, foz.Segment{
			Partition:    p.Partition,
			Rows:         int32(p.Rows.Len()),
			ByteStart:    int64(from - start),
			ByteEnd:      int64(len(dst) - start),
			MinTimestamp: lowest,
			MaxTimestamp: highest,
			CRC32C:       crc32.Checksum(dst[from:], castagnoli),
		})
	}
	dst = append(dst, endOfStream...)
	return e.manifest.appendFooter(dst, e.Codec, segments, requests), segments, nil
}

// Encode is [Encoder.Encode] with nothing to reuse and without compression.
func Encode(
	dst []byte, parts []Part, requests []foz.CommitRequest,
) (object []byte, segments []foz.Segment, err error) {
	return new(Encoder).Encode(dst, parts, requests)
}

func (e *Encoder) appendBatch(dst []byte, rows *foz.Rows) []byte {
	w := beginBatch(dst, storedShapes[e.Codec], e.pack)
	w.int64s(rows.Timestamps)
	for _, c := range cellColumns(rows) {
		w.cells(c.Column)
	}
	return w.end(rows.Len())
}

// objectBytes is what the object takes at most when it is not compressed.
func objectBytes(parts []Part, requests []foz.CommitRequest) int {
	const perPart = 8 * storedBuffer // padding
	size := len(magicPadded) + len(schemaMessageV1) + footerBytes(len(parts), requests)
	for _, p := range parts {
		n := p.Rows.Len()
		size += len(storedShapes[Uncompressed].metadata) + perPart + 8*n
		for _, c := range cellColumns(p.Rows) {
			size += len(c.Data) + 4*(n+1) + (n+7)/8
		}
	}
	return size
}

func bounds(timestamps []int64) (lowest, highest int64) {
	lowest, highest = math.MaxInt64, math.MinInt64
	for _, ms := range timestamps {
		lowest, highest = min(lowest, ms), max(highest, ms)
	}
	return lowest, highest
}

func (e *Encoder) check(parts []Part, requests []foz.CommitRequest) error {
	switch {
	case e.Codec == LZ4 && e.pack == nil:
		e.pack = newPacker()
	case e.Codec == Uncompressed:
		e.pack = nil
	case e.Codec != LZ4:
		return fmt.Errorf("objects are not written with %s", e.Codec)
	}
	for i, p := range parts {
		if i > 0 && parts[i-1].Partition.Compare(p.Partition) >= 0 {
			return fmt.Errorf("part %s follows %s", p.Partition, parts[i-1].Partition)
		}
		if err := checkRows(p.Rows); err != nil {
			return fmt.Errorf("part %s: %w", p.Partition, err)
		}
	}
	return checkRequests(parts, requests)
}

// checkRows asks whether rows hang together: what would be stored could not be read otherwise.
func checkRows(rows *foz.Rows) error {
	n := rows.Len()
	if n == 0 || n > math.MaxInt32 {
		return fmt.Errorf("%d rows", n)
	}
	for _, c := range cellColumns(rows) {
		if len(c.Ends) != n || c.Nulls != nil && len(c.Nulls) != n {
			return fmt.Errorf("column %s has not as many cells as there are rows", c.name)
		}
		if !ascending(0, c.Ends) || int(c.Ends[n-1]) > len(c.Data) {
			return fmt.Errorf("cells of column %s are not in order within its data", c.name)
		}
	}
	return nil
}

// namedColumn is a column of bytes, as all schemas name it.
type namedColumn struct {
	name string
	*foz.Column
}

func cellColumns(rows *foz.Rows) [3]namedColumn {
	return [...]namedColumn{
		{columnKey, &rows.Keys}, {columnValue, &rows.Values}, {columnHeaders, &rows.Headers},
	}
}

func ascending(last int32, ends []int32) bool {
	ordered := true
	for _, end := range ends {
		ordered = ordered && end >= last
		last = end
	}
	return ordered
}

func checkRequests(parts []Part, requests []foz.CommitRequest) error {
	left := make([]int, len(parts))
	for i, p := range parts {
		left[i] = p.Rows.Len()
	}
	for i, r := range requests {
		if len(r.Batches) == 0 {
			return fmt.Errorf("request %d has no rows", i)
		}
		for _, b := range r.Batches {
			if b.Segment < 0 || int(b.Segment) >= len(parts) || b.Rows <= 0 {
				return fmt.Errorf("request %d has %d rows of segment %d", i, b.Rows, b.Segment)
			}
			if parts[b.Segment].Partition.Topic != r.Topic {
				return fmt.Errorf("request %d to %s has rows of %s", i, r.Topic,
					parts[b.Segment].Partition)
			}
			if left[b.Segment] -= int(b.Rows); left[b.Segment] < 0 {
				return fmt.Errorf("requests have more rows than segment %d", b.Segment)
			}
		}
	}
	return nil
}
