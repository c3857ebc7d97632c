package segment

// How: bodies that producers may not send are built message by message, each wrong in one
// place, and must be refused by name. What they may send is in stream_test.go and, as the Arrow
// libraries write it, in foreign_test.go.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

// streamOf builds a stream of one schema and the batches given.
func streamOf(fields []field, batches ...[]byte) []byte {
	stream := schemaMessage(fields)
	for _, b := range batches {
		stream = append(stream, b...)
	}
	return append(stream, endOfStream...)
}

// batchOf builds a record batch from nodes (cells, nulls) and buffers.
func batchOf(rows int, nodes [][2]int, buffers ...[]byte) []byte {
	s := newShape(len(nodes), len(buffers), Uncompressed)
	w := beginBatch(nil, s, nil)
	for _, n := range nodes {
		w.putNode(n[0], n[1])
	}
	for _, b := range buffers {
		from := len(w.dst)
		w.dst = append(w.dst, b...)
		w.closeBuffer(from)
	}
	return w.end(rows)
}

func le32(numbers ...int32) (b []byte) {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func le64(numbers ...int64) (b []byte) {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return b
}

var (
	valueField   = field{name: "value", typ: typeBinary, nullable: true}
	headersField = field{name: "headers", typ: typeList, nullable: true, children: []field{
		{name: "item", typ: typeStruct, children: []field{
			{name: "key", typ: typeUtf8}, {name: "value", typ: typeBinary},
		}},
	}}
	seconds = field{name: "timestamp", typ: typeTimestamp, build: buildTimestamp(0, "")}
)

func buildInt(bits int32, signed bool) func(*flatbuffers.Builder) flatbuffers.UOffsetT {
	return func(b *flatbuffers.Builder) flatbuffers.UOffsetT {
		b.StartObject(2)
		b.PrependInt32Slot(0, bits, 0)
		b.PrependBoolSlot(1, signed, false)
		return b.EndObject()
	}
}

func TestReadStreamRefusesSchema(t *testing.T) {
	with := func(fields ...field) []field { return append([]field{valueField}, fields...) }
	list := func(children ...field) field {
		return field{name: "headers", typ: typeList, children: []field{
			{name: "item", typ: typeStruct, children: children}}}
	}
	text := func(name string) field { return field{name: name, typ: typeUtf8} }
	deep := field{name: "headers", typ: typeList}
	for range 9 {
		deep = field{name: "x", typ: typeList, children: []field{deep}}
	}
	for _, c := range []struct {
		fields []field
		code   foz.Code
		want   string
	}{
		{[]field{text("key")}, foz.CodeInvalidRecord, `"value" is missing`},
		{with(text("delay")), foz.CodeInvalidRecord, `column "delay" is none of`},
		{with(text("a/b~\xff")), foz.CodeInvalidRecord, `none of`},
		{with(valueField), foz.CodeInvalidRecord, "twice"},
		{[]field{{name: "value", typ: typeNull}}, foz.CodeInvalidRecord, "cannot be null"},
		{[]field{{name: "value", typ: 24}}, foz.CodeInvalidRecord, "cannot be string_view"},
		{[]field{{name: "value", typ: 200}}, foz.CodeBadRequest, "type 200 is unknown"},
		{with(field{name: "key", typ: typeInt, build: buildInt(64, true)}),
			foz.CodeInvalidRecord, "cannot be int64"},
		{with(field{name: "timestamp", typ: typeInt, build: buildInt(64, false)}),
			foz.CodeInvalidRecord, "cannot be uint64"},
		{with(field{name: "timestamp", typ: typeInt, build: buildInt(32, true)}),
			foz.CodeInvalidRecord, "int32"},
		{with(field{name: "headers", typ: typeBinary}), foz.CodeInvalidRecord, "cannot be binary"},
		{with(field{name: "headers", typ: typeList}), foz.CodeBadRequest, "0 children, not 1"},
		{with(list(text("key"))), foz.CodeInvalidRecord, "cannot be list<item: struct<key: utf8"},
		{with(list(text("key"), text("v"))), foz.CodeInvalidRecord, "cannot be list"},
		{with(list(text("key"), field{name: "value", typ: typeNull})), foz.CodeInvalidRecord, "null"},
		{with(deep), foz.CodeBadRequest, "levels"},
		{make([]field, 65), foz.CodeBadRequest, "over 64 fields"},
		{with(field{name: "timestamp", typ: typeTimestamp, build: buildTimestamp(9, "")}),
			foz.CodeBadRequest, "unit 9"},
	} {
		_, err := ReadStream(bytes.NewReader(streamOf(c.fields)), StreamLimits{})
		checkStreamError(t, schemaNames(c.fields), err, c.code, c.want)
	}
}

func schemaNames(fields []field) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, " ")
}

func TestReadStreamPointers(t *testing.T) {
	stream := streamOf([]field{{name: "a/b~\xff", typ: typeUtf8}})
	_, err := ReadStream(bytes.NewReader(stream), StreamLimits{})
	var e *foz.Error
	if !errors.As(err, &e) || len(e.Invalid) != 1 || e.Invalid[0].Pointer != "/a~1b~0\uFFFD" {
		t.Errorf("error %+v", e)
	}
	one := batchOf(1, [][2]int{{1, 0}, {1, 0}}, nil, le64(1), nil, le32(0, 0), nil)
	far := batchOf(1, [][2]int{{1, 0}, {1, 0}}, nil, le64(1<<62), nil, le32(0, 0), nil)
	stream = streamOf([]field{seconds, valueField}, one, far)
	_, err = ReadStream(bytes.NewReader(stream), StreamLimits{})
	if !errors.As(err, &e) || len(e.Invalid) != 1 || e.Invalid[0].Pointer != "/1/timestamp" {
		t.Errorf("error %+v", e)
	}
}

// TestReadStreamRefusesBatch: batches that lie, each in one number.
func TestReadStreamRefusesBatch(t *testing.T) {
	value := []field{valueField}
	headed := []field{valueField, headersField}
	good := [][]byte{nil, le32(0, 1), []byte("v")}
	header := func(nodes [][2]int, buffers ...[]byte) []byte {
		return batchOf(1, append([][2]int{{1, 0}}, nodes...), append(good[:3:3], buffers...)...)
	}
	lists := [][2]int{{1, 0}, {1, 0}, {1, 0}, {1, 0}}
	for _, c := range []struct {
		name   string
		fields []field
		batch  []byte
		code   foz.Code
		want   string
	}{
		{"fewer cells than rows", value, batchOf(2, [][2]int{{1, 0}}, good...),
			foz.CodeBadRequest, "got=1, want=2"},
		{"no column", value, batchOf(1, nil), foz.CodeBadRequest, "fewer columns"},
		{"no buffer", value, batchOf(1, [][2]int{{1, 0}}), foz.CodeBadRequest, "fewer columns"},
		{"more columns", value, batchOf(1, [][2]int{{1, 0}, {1, 0}}, good...),
			foz.CodeBadRequest, "more columns"},
		{"offsets back", value, batchOf(2, [][2]int{{2, 0}}, nil, le32(0, 3, 1), []byte("vvv")),
			foz.CodeBadRequest, "offsets"},
		{"offset negative", value, batchOf(1, [][2]int{{1, 0}}, nil, le32(-1, 1), []byte("v")),
			foz.CodeBadRequest, "offset at index 0 is negative"},
		{"offset far", value, batchOf(1, [][2]int{{1, 0}}, nil, le32(0, 9), []byte("v")),
			foz.CodeBadRequest, "offsets"},
		{"few offsets", value, batchOf(5, [][2]int{{5, 0}}, nil, le32(0, 1), []byte("v")),
			foz.CodeBadRequest, "at least 6 values"},
		{"wide offset far", []field{{name: "value", typ: typeLargeUtf8}},
			batchOf(1, [][2]int{{1, 0}}, nil, le64(0, 1<<40), []byte("v")),
			foz.CodeBadRequest, "offsets"},
		{"nulls without bitmap", value, batchOf(1, [][2]int{{1, 1}}, good...),
			foz.CodeBadRequest, "bitmap buffer 0 is too small"},
		{"nulls miscounted", value, batchOf(1, [][2]int{{1, 1}}, []byte{1}, good[1], good[2]),
			foz.CodeBadRequest, "null count"},
		{"more nulls than cells", value, batchOf(1, [][2]int{{1, 2}}, good...),
			foz.CodeBadRequest, "2 nulls in 1 cells"},
		{"negative rows", value, batchOf(-1, [][2]int{{-1, 0}}, good...),
			foz.CodeBadRequest, "-1 rows"},
		{"rows without end", value, batchOf(1<<40, [][2]int{{1 << 40, 0}}, good...),
			foz.CodeBadRequest, "rows"},
		{"more rows than bytes allow", value, batchOf(1<<30, [][2]int{{1 << 30, 0}}, good...),
			foz.CodeBatchTooLarge, "bytes"},
		{"few timestamps", []field{seconds, valueField},
			batchOf(1, [][2]int{{1, 0}, {1, 0}}, nil, nil, nil, le32(0, 0), nil),
			foz.CodeBadRequest, "slice bounds"},
		{"header list far", headed,
			header(lists, nil, le32(0, 2), nil, nil, le32(0, 1), []byte("k"), nil, le32(0, 0), nil),
			foz.CodeBadRequest, `column "headers": arrow/array: list offset at index 1 out of bounds`},
		{"header null", headed, header([][2]int{{1, 0}, {1, 1}, {1, 0}, {1, 0}},
			nil, le32(0, 1), []byte{0}, nil, le32(0, 1), []byte("k"), nil, le32(0, 0), nil),
			foz.CodeBadRequest, "a header is null"},
		{"header key null", headed, header([][2]int{{1, 0}, {1, 0}, {1, 1}, {1, 0}},
			nil, le32(0, 1), nil, []byte{0}, le32(0, 0), nil, nil, le32(0, 0), nil),
			foz.CodeInvalidRecord, "null or not UTF-8"},
		{"header key not UTF-8", headed,
			header(lists, nil, le32(0, 1), nil, nil, le32(0, 1), []byte{0xff}, nil, le32(0, 0), nil),
			foz.CodeInvalidRecord, "null or not UTF-8"},
		{"header children differ", headed, header([][2]int{{1, 0}, {1, 0}, {2, 0}, {1, 0}},
			nil, le32(0, 1), nil, nil, le32(0, 0, 0), nil, nil, le32(0, 0), nil),
			foz.CodeBadRequest, "2 cells for 1 headers"},
	} {
		_, err := ReadStream(bytes.NewReader(streamOf(c.fields, c.batch)), StreamLimits{})
		checkStreamError(t, c.name, err, c.code, c.want)
	}
}

// packed builds a batch of one value column whose buffers claim to be compressed.
func packed(codec byte, offsets, data []byte) []byte {
	b := flatbuffers.NewBuilder(0)
	buffers := [][2]int64{{0, 0}, {0, int64(len(offsets))},
		{int64(len(offsets)), int64(len(data))}}
	b.StartVector(16, len(buffers), 8)
	for i := len(buffers) - 1; i >= 0; i-- {
		b.PrependInt64(buffers[i][1])
		b.PrependInt64(buffers[i][0])
	}
	bufferVector := b.EndVector(len(buffers))
	b.StartVector(16, 1, 8)
	b.PrependInt64(0)
	b.PrependInt64(1)
	nodes := b.EndVector(1)
	b.StartObject(2)
	b.PrependByteSlot(0, codec, 0)
	compression := b.EndObject()
	b.StartObject(5)
	b.PrependInt64Slot(0, 1, 0)
	b.PrependUOffsetTSlot(1, nodes, 0)
	b.PrependUOffsetTSlot(2, bufferVector, 0)
	b.PrependUOffsetTSlot(3, compression, 0)
	finishMessage(b, headerRecordBatch, b.EndObject(), int64(len(offsets)+len(data)))
	message := appendMessage(nil, b.FinishedBytes())
	return append(append(message, offsets...), data...)
}

func TestReadStreamCompressed(t *testing.T) {
	bare := func(b []byte) []byte { return append(le64(notPacked), b...) }
	pack := newPacker().replace(bytes.Repeat([]byte("v"), 1000), 0)
	offsets := bare(le32(0, 1000))
	claim := func(n int64) []byte { return append(le64(n), pack[8:]...) }
	limits := StreamLimits{BytesMax: 1 << 20}

	rows, err := ReadStream(bytes.NewReader(streamOf([]field{valueField}, packed(0, offsets, pack))),
		limits)
	if err != nil || len(rows.Values.Data) != 1000 {
		t.Fatalf("%v, %v", rows, err)
	}
	for _, c := range []struct {
		name  string
		batch []byte
		code  foz.Code
		want  string
	}{
		{"claims more", packed(0, offsets, claim(1001)), foz.CodeBadRequest, "length it claims"},
		{"claims less", packed(0, offsets, claim(999)), foz.CodeBadRequest, "length it claims"},
		{"claims 2 GiB", packed(0, offsets, claim(2<<30)), foz.CodeBatchTooLarge, "limit"},
		{"claims less than nothing", packed(0, offsets, claim(-2)), foz.CodeBatchTooLarge, "limit"},
		{"not lz4", packed(0, offsets, append(le64(9), "not lz4!"...)), foz.CodeBadRequest, "buffer"},
		{"not zstd", packed(1, offsets, pack), foz.CodeBadRequest, "buffer"},
		{"other codec", packed(2, offsets, pack), foz.CodeBadRequest, "codec 2"},
		{"no length", packed(0, offsets, []byte("v")), foz.CodeBadRequest, "length it claims"},
	} {
		_, err := ReadStream(bytes.NewReader(streamOf([]field{valueField}, c.batch)), limits)
		checkStreamError(t, c.name, err, c.code, c.want)
	}
}

func TestReadStreamLimits(t *testing.T) {
	batch := batchOf(2, [][2]int{{2, 0}}, nil, le32(0, 500, 1000), make([]byte, 1000))
	stream := streamOf([]field{valueField}, batch, batch)
	for _, c := range []struct {
		name   string
		limits StreamLimits
		want   string // "": accepted
	}{
		{"none", StreamLimits{}, ""},
		{"exact rows", StreamLimits{RowsMax: 4}, ""},
		{"a row less", StreamLimits{RowsMax: 3}, "over 3 records"},
		{"both batches", StreamLimits{BytesMax: 2*1000 + 4*(8+3*4+2)}, ""},
		{"a byte less", StreamLimits{BytesMax: 2*1000 + 4*(8+3*4+2) - 1}, "over"},
		{"one message", StreamLimits{BytesMax: 900}, "a message claims"},
	} {
		rows, err := ReadStream(bytes.NewReader(stream), c.limits)
		if c.want != "" {
			checkStreamError(t, c.name, err, foz.CodeBatchTooLarge, c.want)
		} else if err != nil || rows.Len() != 4 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestReadStreamCut: whatever is cut off, it is noticed; whatever is added, too.
func TestReadStreamCut(t *testing.T) {
	batch := batchOf(1, [][2]int{{1, 0}}, nil, le32(0, 1), []byte("v"))
	stream := streamOf([]field{valueField}, batch)
	for n := range len(stream) {
		_, err := ReadStream(bytes.NewReader(stream[:n]), StreamLimits{})
		checkStreamError(t, fmt.Sprintf("first %d bytes", n), err, foz.CodeBadRequest,
			"ends before its end-of-stream marker")
	}
	object, _ := encodeSample(t, Uncompressed)
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name, want string
		stream     []byte
	}{
		{"more", "goes on", append(stream, 0)},
		{"file", "is an Arrow file", object},
		{"json", "no message", []byte(`{"records":[]}`)},
		{"only the end", "no schema", endOfStream},
		{"schema twice", "header 1, not 3", append(schemaMessage([]field{valueField}), stream...)},
		{"batch first", "header 3, not 1", batch},
		{"long metadata", "bytes of metadata", append(le32(-1, 1<<30), stream...)},
		{"negative metadata", "bytes of metadata", append(le32(-1, -8), stream...)},
	} {
		_, err := ReadStream(bytes.NewReader(c.stream), StreamLimits{})
		checkStreamError(t, c.name, err, foz.CodeBadRequest, c.want)
	}
	r := io.MultiReader(bytes.NewReader(stream[:200]), iotest.ErrReader(broken))
	if _, err := ReadStream(r, StreamLimits{}); !errors.Is(err, broken) {
		t.Errorf("broken reader: error %v", err)
	}
	r = io.MultiReader(bytes.NewReader(stream), iotest.ErrReader(broken))
	if _, err := ReadStream(r, StreamLimits{}); !errors.Is(err, broken) {
		t.Errorf("reader broken after the end: error %v", err)
	}
}
