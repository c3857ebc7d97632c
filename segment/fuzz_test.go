package segment

// How: the fuzzer gives bytes to each reader. None may panic, none may allocate more than a
// multiple of its input (or of the limit that decompression has), and whatever is read must be
// readable cell by cell. Allocation is measured, not argued.

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

// checkAllocated runs f, which must not allocate over limit bytes. The runtime counts what the
// fuzzer's own goroutines allocate, too, so that an excess must show again and again.
func checkAllocated(t *testing.T, limit int, f func()) {
	t.Helper()
	least := math.MaxInt
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, int(after.TotalAlloc-before.TotalAlloc))
		if least <= limit {
			return
		}
	}
	t.Errorf("%d bytes allocated, want at most %d", least, limit)
}

// slackBytes is what errors and first steps of a buffer take, and decoderBytes what the decoders
// of LZ4 and zstd do before they have seen anything: blocks of 4 MiB and a window of 8.
const (
	slackBytes   = 1 << 20
	decoderBytes = 64 << 20
)

func FuzzDecode(f *testing.F) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		object, segments := encodeSample(f, codec)
		for _, s := range segments {
			f.Add(object[s.ByteStart:s.ByteEnd], s.Rows, codec == LZ4)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte, rows int32, packed bool) {
		shape := storedShapes[Uncompressed]
		if packed {
			shape = storedShapes[LZ4]
		}
		msg = withNumbers(shape, msg)
		s := foz.Segment{Rows: rows, ByteEnd: int64(len(msg)),
			CRC32C: crc32.Checksum(msg, castagnoli)}
		var decoded *foz.Rows
		var err error
		// An LZ4 frame grows by at most 255; a buffer grows in steps of 2.
		checkAllocated(t, 2*255*len(msg)+decoderBytes+slackBytes, func() {
			decoded, err = Decode(msg, s)
		})
		if err != nil {
			return
		}
		if decoded.Len() != int(rows) {
			t.Errorf("%d rows, want %d", decoded.Len(), rows)
		}
		batch, err := libraryBatch(msg)
		if err != nil {
			t.Fatalf("arrow-go does not read what Decode does: %v", err)
		}
		sameRows(t, rowsOf18(batch), decoded)
	})
}

// withNumbers is metadata of the shape with the numbers of msg, and the body of msg: else the
// fuzzer would seldom get past the metadata.
func withNumbers(s *shape, msg []byte) []byte {
	if len(msg) < len(s.metadata) {
		return msg
	}
	healed := append(slices.Clone(s.metadata), msg[len(s.metadata):]...)
	for _, n := range []span{s.nodes, s.buffers, {s.rows, s.rows + 8}} {
		copy(healed[n.from:n.to], msg[n.from:])
	}
	binary.LittleEndian.PutUint64(healed[s.body:], uint64(len(msg)-len(s.metadata)))
	return healed
}

// FuzzStreamReader: a hostile server, too, is read without panic or waste.
func FuzzStreamReader(f *testing.F) {
	for _, o := range []StreamOptions{{}, {Partition: true}, {Columns: []string{"key"}}} {
		f.Add(sampleStream(f, o))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		checkAllocated(t, 64*len(stream)+256*255*len(stream)+decoderBytes, func() {
			r, err := NewStreamReader(bytes.NewReader(stream))
			for err == nil {
				var rows *foz.Rows
				if _, _, rows, err = r.Next(); err == nil {
					touch(rows)
				}
			}
		})
	})
}

func FuzzInspect(f *testing.F) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		object, _ := encodeSample(f, codec)
		f.Add(object)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		var file File
		var err error
		// The JSON "[{},{}": 3 bytes become an entry of 48 and a request of 64, in steps of 2.
		checkAllocated(t, 128*len(object)+slackBytes, func() { file, err = Inspect(object) })
		if err != nil {
			return
		}
		for _, s := range file.Segments {
			if s.ByteStart < 0 || s.ByteEnd > int64(len(object)) || s.ByteEnd <= s.ByteStart {
				t.Fatalf("segment %+v of %d bytes", s, len(object))
			}
			if rows, err := Decode(object[s.ByteStart:s.ByteEnd], s); err == nil {
				touch(rows)
			}
		}
	})
}

func FuzzReadStream(f *testing.F) {
	const bytesMax = 1 << 20
	parts, _ := sampleParts()
	var stream bytes.Buffer
	w, err := NewStreamWriter(&stream, StreamOptions{Columns: produced})
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range parts {
		if err := w.Write(0, foz.Run{Rows: p.Rows, To: p.Rows.Len()}); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(stream.Bytes())
	pack := newPacker().replace(bytes.Repeat([]byte("v"), 1000), 0)
	offsets := append(le64(notPacked), le32(0, 1000)...)
	f.Add(streamOf([]field{valueField}, packed(0, offsets, pack)))
	f.Add(streamOf([]field{{name: "value", typ: typeLargeUtf8}, seconds},
		batchOf(1, [][2]int{{1, 0}, {1, 0}}, nil, le64(0, 1), []byte("v"), nil, le64(1))))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var rows *foz.Rows
		var err error
		checkAllocated(t, 64*len(stream)+16*bytesMax+decoderBytes, func() {
			rows, err = ReadStream(bytes.NewReader(stream), StreamLimits{BytesMax: bytesMax})
		})
		if err != nil {
			return
		}
		if rows.Bytes() > bytesMax {
			t.Errorf("%d bytes of rows", rows.Bytes())
		}
		touch(rows)
	})
}

// TestSchemaBomb: a schema whose fields all refer to one list of fields stands for 2^n fields.
func TestSchemaBomb(t *testing.T) {
	metadata := bombSchema(1000)
	stream := append(appendMessage(nil, metadata), endOfStream...)
	var err error
	checkAllocated(t, slackBytes, func() {
		_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
	})
	checkStreamError(t, "bomb", err, foz.CodeBadRequest, "over 64 fields")
}

// TestRepeatedMetadata: many entries of a schema's metadata may refer to one long string. They
// are not looked at.
func TestRepeatedMetadata(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	long := b.CreateString(strings.Repeat("x", 20<<10))
	b.StartObject(2)
	b.PrependUOffsetTSlot(0, long, 0)
	b.PrependUOffsetTSlot(1, long, 0)
	entry := b.EndObject()
	entries := b.CreateVectorOfTables(slices.Repeat([]flatbuffers.UOffsetT{entry}, 5000))
	fields := buildFields(b, []field{valueField})
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, fields, 0)
	b.PrependUOffsetTSlot(2, entries, 0)
	finishMessage(b, headerSchema, b.EndObject(), 0)
	stream := append(appendMessage(nil, b.FinishedBytes()), endOfStream...)
	var err error
	checkAllocated(t, slackBytes, func() {
		_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRepeatedName: the names of many fields may be one long string.
func TestRepeatedName(t *testing.T) {
	b := flatbuffers.NewBuilder(0)
	long := b.CreateString(strings.Repeat("x", 20<<10))
	typ := buildPlain(b)
	b.StartObject(7)
	b.PrependUOffsetTSlot(0, long, 0)
	b.PrependByteSlot(2, typeBinary, 0)
	b.PrependUOffsetTSlot(3, typ, 0)
	f := b.EndObject()
	fields := b.CreateVectorOfTables(slices.Repeat([]flatbuffers.UOffsetT{f}, fieldsMax))
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, fields, 0)
	finishMessage(b, headerSchema, b.EndObject(), 0)
	stream := append(appendMessage(nil, b.FinishedBytes()), endOfStream...)
	var err error
	checkAllocated(t, slackBytes, func() {
		_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
	})
	checkStreamError(t, "names", err, foz.CodeBadRequest, "repeats its names")
}

// TestDeclaredWindow: the window that a frame of zstd declares is memory for who believes it.
func TestDeclaredWindow(t *testing.T) {
	const window = 19 << 3 // 2^(10+19) bytes: RFC 8878, 3.1.1.1.2
	frame := []byte{0x28, 0xB5, 0x2F, 0xFD, 0, window}
	frame = append(frame, 8<<3|1, 0, 0) // a last block of 8 bytes as they are
	frame = append(frame, le32(0, 1)...)
	offsets := append(le64(8), frame...)
	offsets = append(offsets, make([]byte, -len(offsets)&7)...)
	value := append(le64(notPacked), "v       "...)
	stream := streamOf([]field{valueField}, packed(1, offsets, value))
	var err error
	checkAllocated(t, 2*slackBytes, func() {
		_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
	})
	checkStreamError(t, "window", err, foz.CodeBadRequest, "window size exceeded")
}

// bombSchema builds levels of two fields, both of which have the next level as children.
func bombSchema(levels int) []byte {
	b := flatbuffers.NewBuilder(0)
	name := b.CreateString("value")
	children := b.CreateVectorOfTables(nil)
	for range levels {
		b.StartObject(0)
		typ := b.EndObject()
		b.StartObject(7)
		b.PrependUOffsetTSlot(0, name, 0)
		b.PrependByteSlot(2, typeStruct, 0)
		b.PrependUOffsetTSlot(3, typ, 0)
		b.PrependUOffsetTSlot(5, children, 0)
		f := b.EndObject()
		children = b.CreateVectorOfTables([]flatbuffers.UOffsetT{f, f})
	}
	b.StartObject(4)
	b.PrependUOffsetTSlot(1, children, 0)
	finishMessage(b, headerSchema, b.EndObject(), 0)
	return b.FinishedBytes()
}

// TestLyingLengths: what a stream claims in a few bytes is not allocated.
func TestLyingLengths(t *testing.T) {
	long := batchOf(1, [][2]int{{1, 0}}, nil, le32(0, 1), []byte("v"))
	message := rootTable(long[prefixBytes:])
	copy(long[prefixBytes+message.field(3):], le64(60<<20)) // the body is 60 MiB
	for name, stream := range map[string][]byte{
		"body":     streamOf([]field{valueField}, long),
		"metadata": append(le32(-1, 60<<10), 0),
	} {
		var err error
		checkAllocated(t, slackBytes, func() {
			_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
		})
		checkStreamError(t, name, err, foz.CodeBadRequest, "ends before")
	}
}
