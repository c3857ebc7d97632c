package segment

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

const mergedLevel = "1"

// batchTable is the value of foz.batches: that of foz.segments, and what batches have besides.
type batchTable struct {
	segmentTable
	Own     bool     `json:"own"` // all are one segment; else each is one
	First   []int64  `json:"first"`
	Span    []int64  `json:"span"`    // last offset, after the first; -1 where there are no rows
	Buffers []string `json:"buffers"` // of each batch if own: base64, 4 bytes for each buffer
}

// inputTable is the value of foz.inputs.
type inputTable struct {
	Objects []string `json:"objects"` // each once
	Object  []int    `json:"object"`  // index
	Base    []int64  `json:"base"`
	Count   []int64  `json:"count"` // of offsets
}

// mergedManifest is what an L1 object says of itself, as text.
func (f *File) mergedManifest() (entries []metadataEntry, err error) {
	table := appendBatches(nil, f.Batches, f.Version)
	merged, err := appendInputs(nil, f.Inputs)
	if err != nil {
		return nil, err
	}
	texts := [][]byte{[]byte(mergedLevel), table, merged}
	entries = []metadataEntry{
		{keyVersion, []byte(strconv.Itoa(f.Version))},
		{keyLevel, texts[0]}, {keyBatches, table}, {keyInputs, merged},
	}
	if f.Version >= VersionOwn {
		columns, err := formatColumns(f.Batches)
		if err != nil {
			return nil, err
		}
		texts = append(texts, columns)
		entries = append(entries, metadataEntry{keyColumns, columns})
	}
	sum := checksumText(f.Version, texts...)
	return append(entries, metadataEntry{keyCRC32C, []byte(sum)}), nil
}

// appendMergedFooter ends a file of these batches and inputs, of its version.
func (f *File) appendMergedFooter(dst []byte) ([]byte, error) {
	entries, err := f.mergedManifest()
	if err != nil {
		return nil, err
	}
	l := f.Batches[0].form()
	blocks := blocksOf(batchSegments(f.Batches), int64(len(l.shape.metadata)))
	b := flatbuffers.NewBuilder(4096)
	return appendFooterOf(b, dst, l.fields, blocks, entries), nil
}

// batchSegments are the batches as segments of their own.
func batchSegments(batches []MergedBatch) []foz.Segment {
	segments := make([]foz.Segment, len(batches))
	for i, b := range batches {
		segments[i] = foz.Segment{
			Partition: b.Partition, Rows: b.Rows, ByteStart: b.ByteStart, ByteEnd: b.ByteEnd,
			MinTimestamp: b.MinTimestamp, MaxTimestamp: b.MaxTimestamp, CRC32C: b.CRC32C,
			Level: 1, Batches: 1,
		}
	}
	return segments
}

// mergedSegments are the segments of an object that ends with this footer.
func mergedSegments(batches []MergedBatch, own bool, footer []byte) ([]foz.Segment, error) {
	segments := batchSegments(batches)
	if !own {
		return segments, nil
	}
	whole := segments[0]
	rows := int64(0)
	for i, s := range segments {
		if s.Partition != whole.Partition || s.Rows == 0 ||
			i > 0 && batches[i].First <= batches[i-1].Last {
			return nil, fmt.Errorf("batch %d does not follow the one before", i)
		}
		whole.MinTimestamp = min(whole.MinTimestamp, s.MinTimestamp)
		whole.MaxTimestamp = max(whole.MaxTimestamp, s.MaxTimestamp)
		rows += int64(s.Rows)
	}
	if rows > math.MaxInt32 {
		return nil, fmt.Errorf("%d rows", rows)
	}
	whole.Rows, whole.Batches = int32(rows), int32(len(batches))
	whole.ByteStart = int64(len(magicPadded))
	whole.ByteEnd = segments[len(segments)-1].ByteEnd + int64(len(endOfStream))
	whole.CRC32C = crc32.Checksum(footer, castagnoli)
	return []foz.Segment{whole}, nil
}

// own: an object of version 1 says so itself, with its buffers.
func ownBatches(batches []MergedBatch, version int) bool {
	return version >= VersionOwn || len(batches) > 1 && batches[0].Buffers != nil &&
		batches[0].Buffers[0].Offset < 0
}

func appendBatches(b []byte, batches []MergedBatch, version int) []byte {
	own := ownBatches(batches, version)
	b = appendSegmentTable(b, batchSegments(batches))
	b = strconv.AppendBool(append(b, `,"own":`...), own)
	b = appendNumbers(b, "first", batches, func(b MergedBatch) int64 { return b.First })
	b = appendNumbers(b, "span", batches, func(b MergedBatch) int64 { return b.Last - b.First })
	b = append(b, `,"buffers":[`...)
	for i, batch := range batches {
		if !own {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		var sums []byte
		for _, buffer := range batch.Buffers {
			sums = binary.LittleEndian.AppendUint32(sums, buffer.CRC32C)
		}
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), sums), '"')
	}
	return append(b, `]}`...)
}

func appendInputs(b []byte, inputs []foz.SwapInput) ([]byte, error) {
	b = append(b, `{"objects":[`...)
	objects := map[string]int64{}
	for i, in := range inputs {
		if !utf8.ValidString(in.Object) || in.Range.Base < 0 || in.Range.Next < in.Range.Base {
			return nil, fmt.Errorf("input %q, [%d,%d)", in.Object, in.Range.Base, in.Range.Next)
		}
		if _, known := objects[in.Object]; known {
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, in.Object)
		objects[in.Object] = int64(len(objects))
	}
	b = append(b, ']')
	b = appendNumbers(b, "object", inputs, func(i foz.SwapInput) int64 { return objects[i.Object] })
	b = appendNumbers(b, "base", inputs, func(i foz.SwapInput) int64 { return i.Range.Base })
	b = appendNumbers(b, "count", inputs, func(i foz.SwapInput) int64 { return i.Range.Len() })
	return append(b, '}'), nil
}

// parseMergedFooter reads what an L1 object says of itself; its footer and what follows are end,
// from byte start on.
func parseMergedFooter(
	texts map[string][]byte, blocks, end []byte, start int64,
) (f File, err error) {
	if f.Version, err = strconv.Atoi(string(texts[keyVersion])); err != nil {
		return f, fmt.Errorf("%s: %w", keyVersion, err)
	}
	summed := [][]byte{texts[keyLevel], texts[keyBatches], texts[keyInputs]}
	if texts[keyColumns] != nil {
		summed = append(summed, texts[keyColumns])
	}
	if string(texts[keyCRC32C]) != checksumText(f.Version, summed...) {
		return f, fmt.Errorf("%s does not match", keyCRC32C)
	}
	if string(texts[keyLevel]) != mergedLevel || f.Version != Version && f.Version != VersionOwn {
		return f, fmt.Errorf("%w: %d of level %.20q", ErrVersion, f.Version, texts[keyLevel])
	}
	f.Level, f.Codec = 1, ZSTD
	own, l := false, plainLayout
	if f.Version == VersionOwn {
		if l, err = parseLayout(texts[keyColumns]); err != nil {
			return f, fmt.Errorf("%s: %w", keyColumns, err)
		}
	}
	f.Schema = l.String()
	if f.Batches, own, err = parseBatches(texts[keyBatches], l); err != nil {
		return f, fmt.Errorf("%s: %w", keyBatches, err)
	}
	if f.Version == VersionOwn {
		if err = parseColumns(texts[keyColumns], f.Batches, own); err != nil {
			return f, fmt.Errorf("%s: %w", keyColumns, err)
		}
	}
	if err = checkBlocks(blocks, batchSegments(f.Batches), start); err != nil {
		return f, err
	}
	streamEnd := f.Batches[len(f.Batches)-1].ByteEnd + int64(len(endOfStream))
	if streamEnd != start {
		return f, fmt.Errorf("the stream ends at %d, the footer begins at %d", streamEnd, start)
	}
	if f.Segments, err = mergedSegments(f.Batches, own, end); err != nil {
		return f, fmt.Errorf("%s: %w", keyBatches, err)
	}
	if f.Inputs, err = parseInputs(texts[keyInputs]); err != nil {
		return f, fmt.Errorf("%s: %w", keyInputs, err)
	}
	return f, nil
}

// parseBatches reads foz.batches. What it allocates is in proportion to the text.
func parseBatches(text []byte, l *layout) (batches []MergedBatch, own bool, err error) {
	var t batchTable
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, false, err
	}
	segments, err := t.segments(0)
	if err != nil {
		return nil, false, err
	}
	n := len(segments)
	if len(t.First) != n || len(t.Span) != n || t.Own && len(t.Buffers) != n {
		return nil, false, errors.New("columns differ in length")
	}
	if n == 0 || t.Own && n == 1 {
		return nil, false, fmt.Errorf("%d batches", n)
	}
	batches = make([]MergedBatch, n)
	for i, s := range segments {
		first, span := t.First[i], t.Span[i]
		if first < 0 || span < int64(s.Rows)-1 || span > math.MaxInt64-first ||
			s.Rows == 0 && (first != 0 || span != -1) {
			return nil, false, fmt.Errorf("batch %d has %d rows from %d on", i, s.Rows, first)
		}
		batches[i] = MergedBatch{
			Partition: s.Partition, Rows: s.Rows, First: first, Last: first + span,
			MinTimestamp: s.MinTimestamp, MaxTimestamp: s.MaxTimestamp,
			ByteStart: s.ByteStart, ByteEnd: s.ByteEnd, CRC32C: s.CRC32C, layout: l,
		}
		if t.Own {
			if batches[i].Buffers, err = parseChecksums(t.Buffers[i], l.buffers); err != nil {
				return nil, false, fmt.Errorf("batch %d: %w", i, err)
			}
		}
	}
	return batches, t.Own, nil
}

func parseChecksums(text string, buffers int) ([]Buffer, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(raw) != 4*buffers {
		return nil, fmt.Errorf("checksums of %d buffers", len(raw)/4)
	}
	sums := make([]Buffer, 0, buffers)
	for sum := range slices.Chunk(raw, 4) {
		sums = append(sums, Buffer{-1, -1, binary.LittleEndian.Uint32(sum)})
	}
	return sums, nil
}

// parseInputs reads foz.inputs. What it allocates is in proportion to the text.
func parseInputs(text []byte) ([]foz.SwapInput, error) {
	var t inputTable
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	if len(t.Base) != len(t.Object) || len(t.Count) != len(t.Object) {
		return nil, errors.New("columns differ in length")
	}
	inputs := make([]foz.SwapInput, len(t.Object))
	for i, o := range t.Object {
		base, count := t.Base[i], t.Count[i]
		if o < 0 || o >= len(t.Objects) || base < 0 || count < 0 || count > math.MaxInt64-base {
			return nil, fmt.Errorf("input %d is out of bounds", i)
		}
		inputs[i] = foz.SwapInput{
			Object: t.Objects[o], Range: foz.Range{Base: base, Next: base + count},
		}
	}
	return inputs, nil
}
