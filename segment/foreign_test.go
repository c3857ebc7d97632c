package segment

// How: the Arrow libraries read what foz writes, and foz reads what they write, cell by cell.
// arrow-go v18 reads the file and the stream inside it; arrow v15 reads the file. Producers'
// streams are written by v18 in every type and codec that foz accepts.

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	arrow15 "github.com/apache/arrow/go/v15/arrow"
	array15 "github.com/apache/arrow/go/v15/arrow/array"
	ipc15 "github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

type foreignCells interface {
	IsNull(i int) bool
	Value(i int) []byte
}

func foreignCell(c foreignCells, i int) []byte {
	if c.IsNull(i) {
		return nil
	}
	return append([]byte{}, c.Value(i)...)
}

// foreignRows copies the columns of an L0 batch out of a library's arrays.
func foreignRows(n int, timestamp func(i int) int64, columns ...foreignCells) *foz.Rows {
	rows := &foz.Rows{}
	for i := range n {
		rows.Append(timestamp(i), foreignCell(columns[0], i), foreignCell(columns[1], i),
			foreignCell(columns[2], i))
	}
	return rows
}

func rowsOf18(r arrow.RecordBatch) *foz.Rows {
	times := r.Column(0).(*array.Timestamp)
	return foreignRows(int(r.NumRows()), func(i int) int64 { return int64(times.Value(i)) },
		r.Column(1).(*array.Binary), r.Column(2).(*array.Binary), r.Column(3).(*array.Binary))
}

// libraryBatch reads a segment with arrow-go, as carefully as it can be told to.
func libraryBatch(msg []byte) (arrow.RecordBatch, error) {
	return libraryBatchOf(schemaMessageV1, msg)
}

func libraryBatchOf(schema, msg []byte) (arrow.RecordBatch, error) {
	limits := []ipc.Option{ipc.WithMetadataSizeLimit(metadataBytesMax),
		ipc.WithBodySizeLimit(int64(len(msg)))}
	stream := io.MultiReader(bytes.NewReader(schema), bytes.NewReader(msg))
	r, err := ipc.NewReaderFromMessageReader(ipc.NewMessageReader(stream, limits...))
	if err != nil {
		return nil, err
	}
	batch, err := r.Read()
	if err != nil {
		return nil, err
	}
	return batch, array.ValidateRecordFull(batch)
}

func checkForeign(t testing.TB, object []byte, parts []Part) {
	t.Helper()
	file, err := ipc.NewFileReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := ipc.NewReader(bytes.NewReader(object[len(magicPadded):]))
	if err != nil {
		t.Fatal(err)
	}
	old, err := ipc15.NewFileReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	if file.NumRecords() != len(parts) || old.NumRecords() != len(parts) {
		t.Fatalf("%d and %d batches, want %d", file.NumRecords(), old.NumRecords(), len(parts))
	}
	want := arrow.NewSchema([]arrow.Field{
		{Name: "timestamp", Type: arrow.FixedWidthTypes.Timestamp_ms},
		{Name: "key", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "value", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "headers", Type: arrow.BinaryTypes.Binary, Nullable: true},
	}, nil)
	if !file.Schema().Equal(want) || !stream.Schema().Equal(want) {
		t.Errorf("schema %s, want %s", file.Schema(), want)
	}
	for i, p := range parts {
		batch, err := file.RecordBatchAt(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := array.ValidateRecordFull(batch); err != nil {
			t.Error(err)
		}
		sameRows(t, rowsOf18(batch), p.Rows)
		if !stream.Next() {
			t.Fatalf("stream ends before batch %d: %v", i, stream.Err())
		}
		sameRows(t, rowsOf18(stream.RecordBatch()), p.Rows)
		record, err := old.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		times := record.Column(0).(*array15.Timestamp)
		sameRows(t, foreignRows(int(record.NumRows()),
			func(i int) int64 { return int64(times.Value(i)) }, record.Column(1).(*array15.Binary),
			record.Column(2).(*array15.Binary), record.Column(3).(*array15.Binary)), p.Rows)
	}
	if stream.Next() || stream.Err() != nil {
		t.Errorf("the stream goes on, or breaks: %v", stream.Err())
	}
}

// checkForeignMerged reads an L1 object as a file, and the stream inside it, with v18 and v15.
func checkForeignMerged(t rapid.TB, object []byte, parts []part) {
	t.Helper()
	var want []map[string]any
	for _, p := range parts {
		for i := range p.run.Len() {
			r, err := p.run.Rows.Record(p.run.From+i, p.run.Offset(i))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, map[string]any{"offset": r.Offset, "timestamp": r.Timestamp,
				"key": r.Key, "value": r.Value, "headers": r.Headers})
		}
	}
	file, err := ipc.NewFileReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	fields := make([]arrow.Field, 0, 5)
	for _, c := range streamColumns[:5] {
		fields = append(fields, c.Field)
	}
	if want := arrow.NewSchema(fields, nil); !file.Schema().Equal(want) {
		t.Errorf("schema %s, want that of reads, %s", file.Schema(), want)
	}
	var got []map[string]any
	for i := range file.NumRecords() {
		batch, err := file.RecordBatchAt(i)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, batchMaps(t, batch)...)
	}
	sameMaps(t, "file", got, want)
	f, err := Inspect(object)
	if err != nil {
		t.Fatal(err)
	}
	stream := object[len(magicPadded):f.streamEnd()]
	sameMaps(t, "stream", foreignMaps(t, bytes.NewReader(stream)), want)
	old, err := ipc15.NewFileReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	got = nil
	for i := range old.NumRecords() {
		batch, err := old.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, batchMaps15(batch)...)
	}
	sameMaps(t, "file, read by v15", got, want)
}

func sameMaps(t rapid.TB, what string, got, want []map[string]any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// streamEnd is where the stream inside a file ends.
func (f *File) streamEnd() int64 {
	return f.Batches[len(f.Batches)-1].ByteEnd + int64(len(endOfStream))
}

func batchMaps15(batch arrow15.Record) (maps []map[string]any) {
	lists := batch.Column(4).(*array15.List)
	pairs := lists.ListValues().(*array15.Struct)
	for i := range int(batch.NumRows()) {
		var headers []foz.Header
		if lists.IsValid(i) {
			headers = []foz.Header{}
			from, to := lists.ValueOffsets(i)
			for j := int(from); j < int(to); j++ {
				headers = append(headers, foz.Header{Key: pairs.Field(0).(*array15.String).Value(j),
					Value: foreignCell(pairs.Field(1).(*array15.Binary), j)})
			}
		}
		maps = append(maps, map[string]any{
			"offset":    batch.Column(0).(*array15.Int64).Value(i),
			"timestamp": int64(batch.Column(1).(*array15.Timestamp).Value(i)),
			"key":       foreignCell(batch.Column(2).(*array15.Binary), i),
			"value":     foreignCell(batch.Column(3).(*array15.Binary), i),
			"headers":   headers,
		})
	}
	return maps
}

func TestForeignReaders(t *testing.T) {
	parts, _ := sampleParts()
	for _, codec := range []Codec{Uncompressed, LZ4} {
		checkForeign(t, readGolden(t, codec), parts)
	}
	object, _, err := Encode(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	checkForeign(t, object, nil)
}

func TestForeignReadersDrawn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := []Part{{foz.Partition{}, drawRows(rt)}, {foz.Partition{Number: 1}, drawRows(rt)}}
		e := &Encoder{Codec: rapid.SampledFrom([]Codec{Uncompressed, LZ4}).Draw(rt, "codec")}
		object, _, err := e.Encode(nil, parts, nil)
		if err != nil {
			rt.Fatal(err)
		}
		checkForeign(t, object, parts)
	})
}

// TestForeignReaderOfReads reads with arrow-go what StreamWriter writes.
func TestForeignReaderOfReads(t *testing.T) {
	parts, _ := sampleParts()
	for _, o := range []StreamOptions{
		{}, {Partition: true}, {Columns: []string{"headers", "offset"}}, {BatchBytesMax: 1},
		{Columns: []string{"value"}, Partition: true},
	} {
		var stream bytes.Buffer
		w, err := NewStreamWriter(&stream, o)
		if err != nil {
			t.Fatal(err)
		}
		var want []map[string]any
		for _, p := range parts {
			run := foz.Run{Base: 100, Rows: p.Rows, From: min(1, p.Rows.Len()-1), To: p.Rows.Len()}
			if run.Len() > 1 { // it has holes
				run.Offsets = []int64{100, 1 << 40}
			}
			if err := w.Write(p.Partition.Number, run); err != nil {
				t.Fatal(err)
			}
			want = append(want, runMaps(t, w, p.Partition.Number, run)...)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, foreignMaps(t, &stream)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", o, diff)
		}
	}
}

// runMaps are the cells of a run in the columns that w writes.
func runMaps(t testing.TB, w *StreamWriter, partition int32, run foz.Run) (maps []map[string]any) {
	for i := run.From; i < run.To; i++ {
		r, err := run.Rows.Record(i, run.Offset(i-run.From))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]any{"partition": partition, "offset": r.Offset, "timestamp": r.Timestamp,
			"key": r.Key, "value": r.Value, "headers": r.Headers}
		m := map[string]any{}
		for _, c := range w.columns {
			m[c.Name] = all[c.Name]
		}
		maps = append(maps, m)
	}
	return maps
}

func foreignMaps(t rapid.TB, stream io.Reader) (maps []map[string]any) {
	t.Helper()
	r, err := ipc.NewReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		maps = append(maps, batchMaps(t, r.RecordBatch())...)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return maps
}

// batchMaps are the cells of a record batch.
func batchMaps(t rapid.TB, batch arrow.RecordBatch) (maps []map[string]any) {
	t.Helper()
	if err := array.ValidateRecordFull(batch); err != nil {
		t.Error(err)
	}
	for i := range int(batch.NumRows()) {
		m := map[string]any{}
		for j, f := range batch.Schema().Fields() {
			switch c := batch.Column(j).(type) {
			case *array.Int32:
				m[f.Name] = c.Value(i)
			case *array.Int64:
				m[f.Name] = c.Value(i)
			case *array.Timestamp:
				m[f.Name] = int64(c.Value(i))
			case *array.Binary:
				m[f.Name] = foreignCell(c, i)
			case *array.List:
				m[f.Name] = foreignHeaders(c, i)
			}
		}
		maps = append(maps, m)
	}
	return maps
}

func foreignHeaders(c *array.List, i int) (headers []foz.Header) {
	if c.IsNull(i) {
		return nil
	}
	headers = []foz.Header{}
	pairs := c.ListValues().(*array.Struct)
	from, to := c.ValueOffsets(i)
	for j := int(from); j < int(to); j++ {
		headers = append(headers, foz.Header{Key: pairs.Field(0).(*array.String).Value(j),
			Value: foreignCell(pairs.Field(1).(*array.Binary), j)})
	}
	return headers
}

// TestForeignProducers reads what arrow-go writes, in every type and codec.
func TestForeignProducers(t *testing.T) {
	headers := arrow.ListOf(arrow.StructOf(
		arrow.Field{Name: "key", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.Binary, Nullable: true}))
	reversed := arrow.LargeListOf(arrow.StructOf(
		arrow.Field{Name: "value", Type: arrow.BinaryTypes.LargeString, Nullable: true},
		arrow.Field{Name: "key", Type: arrow.BinaryTypes.Binary}))
	const rows = `"value":"v","key":"k","headers":[{"key":"h","value":"eA=="}],"timestamp":7`
	for _, c := range []struct {
		name   string
		schema []arrow.Field
		json   string
		want   []record
	}{
		{"plain", []arrow.Field{
			{Name: "value", Type: arrow.BinaryTypes.String, Nullable: true},
			{Name: "key", Type: arrow.BinaryTypes.LargeString, Nullable: true},
			{Name: "headers", Type: headers, Nullable: true},
			{Name: "timestamp", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		}, `[{` + rows + `},{"value":null},{"value":""}]`, []record{
			{7, []byte("k"), []byte("v"), headerCell("h", "x")},
			{99, nil, nil, nil}, {99, nil, []byte{}, nil}}},
		{"reversed", []arrow.Field{
			{Name: "headers", Type: reversed, Nullable: true},
			{Name: "value", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
		}, `[{"value":"eA==","headers":[{"key":"aA==","value":"x"},{"key":"aA==","value":null}]}]`,
			[]record{{99, nil, []byte("x"), headerCell("h", "x", "h", "")}}},
		{"map", []arrow.Field{
			{Name: "headers", Nullable: true,
				Type: arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)},
			{Name: "value", Type: arrow.BinaryTypes.Binary, Nullable: true},
		}, `[{"value":"eA==","headers":[{"key":"h","value":"x"}]}, {"value":"eA==","headers":[]}]`,
			[]record{{99, nil, []byte("x"), headerCell("h", "x")}, {99, nil, []byte("x"), nil}}},
		{"nulls", []arrow.Field{
			{Name: "headers", Type: arrow.Null, Nullable: true},
			{Name: "value", Type: arrow.BinaryTypes.String, Nullable: true},
			{Name: "key", Type: arrow.Null, Nullable: true},
			{Name: "timestamp", Type: arrow.Null, Nullable: true},
		}, `[{"value":"a"},{"value":"b"}]`,
			[]record{{99, nil, []byte("a"), nil}, {99, nil, []byte("b"), nil}}},
		{"seconds", timed(arrow.FixedWidthTypes.Timestamp_s), `[{"value":"","timestamp":-2}]`,
			[]record{{-2000, nil, []byte{}, nil}}},
		{"micros", timed(arrow.FixedWidthTypes.Timestamp_us), `[{"value":"","timestamp":-1}]`,
			[]record{{-1, nil, []byte{}, nil}}},
		{"nanos", timed(arrow.FixedWidthTypes.Timestamp_ns), `[{"value":"","timestamp":1999999}]`,
			[]record{{1, nil, []byte{}, nil}}},
	} {
		for _, options := range [][]ipc.Option{nil, {ipc.WithLZ4()}, {ipc.WithZstd()}} {
			stream := foreignStream(t, c.schema, c.json, options...)
			got, err := ReadStream(bytes.NewReader(stream), StreamLimits{Now: 99})
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			sameRows(t, got, makeRows(c.want...))
		}
	}
}

func timed(t arrow.DataType) []arrow.Field {
	return []arrow.Field{{Name: "value", Type: arrow.BinaryTypes.String},
		{Name: "timestamp", Type: t}}
}

func foreignStream(t testing.TB, fields []arrow.Field, json string, o ...ipc.Option) []byte {
	t.Helper()
	schema := arrow.NewSchema(fields, nil)
	batch, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, append(o, ipc.WithSchema(schema))...)
	// The second batch is a slice of the first: its offsets do not begin at 0.
	for _, b := range []arrow.RecordBatch{
		batch.NewSlice(0, 0), batch.NewSlice(0, 1), batch.NewSlice(1, batch.NumRows()),
	} {
		if err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return stream.Bytes()
}

// TestForeignRefused: types that foz does not take, as a library writes them.
func TestForeignRefused(t *testing.T) {
	dictionary := &arrow.DictionaryType{
		IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	for _, c := range []struct {
		typ  arrow.DataType
		json string
		want string
	}{
		{dictionary, `[{"value":"x"}]`, `column "value" cannot be dictionary`},
		{arrow.BinaryTypes.StringView, `[{"value":"x"}]`, `column "value" cannot be string_view`},
		{arrow.PrimitiveTypes.Int64, `[{"value":1}]`, `column "value" cannot be int64`},
		{arrow.ListOf(arrow.BinaryTypes.String), `[{"value":["x"]}]`,
			`cannot be list<item: utf8, nullable>`},
	} {
		stream := foreignStream(t, []arrow.Field{{Name: "value", Type: c.typ, Nullable: true}}, c.json)
		_, err := ReadStream(bytes.NewReader(stream), StreamLimits{})
		checkStreamError(t, c.want, err, foz.CodeInvalidRecord, c.want)
	}
}
