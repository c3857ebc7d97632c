package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

const (
	blockBytes   = 24             // offset, length of the metadata, padding, length of the body
	trailerBytes = 4 + len(magic) // length of the footer, magic
)

// footerBytes is about what footer and end of stream take, so that dst grows once.
func footerBytes(segments int, requests []foz.CommitRequest) int {
	size := 2048 + segments*(blockBytes+64)
	for _, r := range requests {
		size += 64 + 16*len(r.Batches)
		if r.Producer != nil {
			size += 64 + 2*len(r.Producer.ID)
		}
	}
	return size
}

// appendFooter ends the file.
func (m *manifest) appendFooter(
	dst []byte, codec Codec, segments []foz.Segment, requests []foz.CommitRequest,
) []byte {
	m.write(segments, requests)
	if m.builder == nil {
		m.builder = flatbuffers.NewBuilder(footerBytes(len(segments), requests))
	}
	m.builder.Reset()
	body := int64(len(storedShapes[codec].metadata))
	return appendFooterOf(m.builder, dst, storedFields, blocksOf(segments, body), []metadataEntry{
		{keyVersion, []byte(strconv.Itoa(Version))},
		{keySegments, m.segments},
		{keyRequests, m.requests},
		{keyCRC32C, []byte(m.crc())},
	})
}

type metadataEntry struct {
	key   string
	value []byte
}

// appendFooterOf writes a footer with these blocks and this metadata.
func appendFooterOf(
	b *flatbuffers.Builder, dst []byte, fields []field, blocks []block, entries []metadataEntry,
) []byte {
	schema := buildSchema(b, fields)
	metadata := buildMetadata(b, entries)
	b.StartVector(blockBytes, 0, 8)
	dictionaries := b.EndVector(0)
	blockVector := buildBlocks(b, blocks)
	b.StartObject(5)
	b.PrependInt16Slot(0, metadataV5, 0)
	b.PrependUOffsetTSlot(1, schema, 0)
	b.PrependUOffsetTSlot(2, dictionaries, 0)
	b.PrependUOffsetTSlot(3, blockVector, 0)
	b.PrependUOffsetTSlot(4, metadata, 0)
	b.Finish(b.EndObject())

	footer := b.FinishedBytes()
	dst = append(dst, footer...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(footer)))
	return append(dst, magic...)
}

func buildMetadata(b *flatbuffers.Builder, entries []metadataEntry) flatbuffers.UOffsetT {
	tables := make([]flatbuffers.UOffsetT, len(entries))
	for i, e := range entries {
		key, value := b.CreateString(e.key), b.CreateByteString(e.value)
		b.StartObject(2)
		b.PrependUOffsetTSlot(0, key, 0)
		b.PrependUOffsetTSlot(1, value, 0)
		tables[i] = b.EndObject()
	}
	return b.CreateVectorOfTables(tables)
}

// block is where a record batch lies in its file: metadata, then body.
type block struct{ start, body, end int64 }

// blocksOf are those of batches with so much metadata each.
func blocksOf(batches []foz.Segment, metadata int64) []block {
	blocks := make([]block, len(batches))
	for i, s := range batches {
		blocks[i] = block{s.ByteStart, s.ByteStart + metadata, s.ByteEnd}
	}
	return blocks
}

func buildBlocks(b *flatbuffers.Builder, blocks []block) flatbuffers.UOffsetT {
	b.StartVector(blockBytes, len(blocks), 8)
	for _, at := range slices.Backward(blocks) {
		b.PrependInt64(at.end - at.body)
		b.Pad(4)
		b.PrependInt32(int32(at.body - at.start))
		b.PrependInt64(at.start)
	}
	return b.EndVector(len(blocks))
}

// File is what an object says of itself.
type File struct {
	Level    int    // 0: as ingest wrote it; 1: merged
	Version  int    // of the format of that level
	Schema   string // of that version, for people: "timestamp: timestamp[ms, UTC] not null, ..."
	Codec    Codec  // of the buffers
	Segments []foz.Segment
	Requests []foz.CommitRequest // of level 0
	Batches  []MergedBatch       // of level 1, in order of the segments
	Inputs   []foz.SwapInput     // of level 1: what was merged, in order of the segments
}

// ShortTailError says that the end of an object that was given does not hold its footer.
type ShortTailError struct {
	Need int64 // bytes from the end of the object that do
}

func (e *ShortTailError) Error() string {
	return fmt.Sprintf("the footer takes the last %d bytes", e.Need)
}

// Inspect reads the footer of a whole object. It does not look at the segments' bytes. It
// fails with ErrDamaged, which names what is, or ErrVersion.
func Inspect(object []byte) (File, error) {
	if len(object) < len(magicPadded) || string(object[:len(magicPadded)]) != magicPadded {
		return File{}, damaged("object of %d bytes does not begin as an Arrow file", len(object))
	}
	return InspectTail(object, int64(len(object)))
}

// InspectTail reads the footer of an object of size bytes from the last bytes of it. It fails
// with a *ShortTailError where they are too few, with ErrDamaged, or ErrVersion.
func InspectTail(tail []byte, size int64) (File, error) {
	footer, err := cutFooter(tail, size)
	if err != nil {
		return File{}, err
	}
	end := tail[len(tail)-trailerBytes-len(footer):]
	f, err := parseFooter(end, size)
	switch {
	case errors.Is(err, ErrVersion):
		return File{}, err
	case err != nil:
		return File{}, damaged("footer: %w", err)
	}
	return f, nil
}

func cutFooter(tail []byte, size int64) ([]byte, error) {
	least := int64(len(magicPadded) + trailerBytes)
	switch {
	case int64(len(tail)) > size || size < least:
		return nil, damaged("object of %d bytes is too short", size)
	case len(tail) < trailerBytes:
		return nil, &ShortTailError{Need: int64(trailerBytes)}
	case string(tail[len(tail)-len(magic):]) != magic:
		return nil, damaged("object does not end as an Arrow file")
	}
	end := len(tail) - trailerBytes
	length := int64(int32(binary.LittleEndian.Uint32(tail[end:])))
	switch {
	case length < 4 || length > size-least:
		return nil, damaged("footer of %d bytes in an object of %d", length, size)
	case length > int64(end):
		return nil, &ShortTailError{Need: length + int64(trailerBytes)}
	}
	return tail[int64(end)-length : end], nil
}

// parseFooter reads the end of an object of size bytes, from its footer on.
func parseFooter(end []byte, size int64) (f File, err error) {
	defer guard(&err)
	start := size - int64(len(end))
	t := rootTable(end[:len(end)-trailerBytes])
	texts, err := parseMetadata(t.tables(4))
	if err != nil {
		return f, err
	}
	if f.Version, err = strconv.Atoi(string(texts[keyVersion])); err != nil {
		return f, fmt.Errorf("%s: %w", keyVersion, err)
	}
	blocks := t.vector(3, blockBytes)
	if texts[keyLevel] != nil {
		return parseMergedFooter(texts, blocks, end, start)
	}
	segments, requests := texts[keySegments], texts[keyRequests]
	if string(texts[keyCRC32C]) != checksumText(f.Version, segments, requests) {
		return f, fmt.Errorf("%s does not match", keyCRC32C)
	}
	if f.Version != Version {
		return f, fmt.Errorf("%w: %d", ErrVersion, f.Version)
	}
	f.Schema, f.Codec = storedSchema, storedCodec(blocks)
	if f.Segments, err = parseSegments(segments); err != nil {
		return f, fmt.Errorf("%s: %w", keySegments, err)
	}
	if err = checkBlocks(blocks, f.Segments, start); err != nil {
		return f, err
	}
	if f.Requests, err = parseRequests(requests, f.Segments); err != nil {
		return f, fmt.Errorf("%s: %w", keyRequests, err)
	}
	return f, nil
}

// parseMetadata gives foz's own entries; the values alias the footer.
func parseMetadata(entries tableVector) (map[string][]byte, error) {
	texts := map[string][]byte{}
	for i := range entries.len() {
		e := entries.at(i)
		name := e.vector(0, 1)
		known := func(k string) bool { return k == string(name) }
		for _, keys := range [][]string{storedKeys, mergedKeys, {keyColumns}} {
			if k := slices.IndexFunc(keys, known); k >= 0 {
				texts[keys[k]] = e.vector(1, 1)
			}
		}
	}
	required := storedKeys
	if texts[keyLevel] != nil {
		required = mergedKeys
		if string(texts[keyVersion]) == strconv.Itoa(VersionOwn) {
			required = append(slices.Clip(required), keyColumns)
		}
	}
	for _, key := range required {
		if texts[key] == nil {
			return nil, fmt.Errorf("no %s: not an object of foz", key)
		}
	}
	return texts, nil
}

// storedCodec tells it by the metadata that its batches have.
func storedCodec(blocks []byte) Codec {
	if len(blocks) >= blockBytes &&
		int(binary.LittleEndian.Uint32(blocks[8:])) == len(storedShapes[LZ4].metadata) {
		return LZ4
	}
	return Uncompressed
}

// checkBlocks compares the segments with where Arrow's own footer says the batches are.
func checkBlocks(blocks []byte, segments []foz.Segment, footerStart int64) error {
	if len(blocks) != blockBytes*len(segments) {
		return fmt.Errorf("%d segments in %d blocks", len(segments), len(blocks)/blockBytes)
	}
	for i, s := range segments {
		b := blocks[blockBytes*i:]
		offset := int64(binary.LittleEndian.Uint64(b))
		metadata := int64(int32(binary.LittleEndian.Uint32(b[8:])))
		body := int64(binary.LittleEndian.Uint64(b[16:]))
		if offset != s.ByteStart || metadata+body != s.ByteEnd-s.ByteStart {
			return fmt.Errorf("segment %d is at %d, its block at %d", i, s.ByteStart, offset)
		}
		if s.ByteStart < int64(len(magicPadded)) || s.ByteEnd > footerStart {
			return fmt.Errorf("segment %d ends at %d, past the footer", i, s.ByteEnd)
		}
	}
	return nil
}
