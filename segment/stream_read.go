package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/fozlog/foz"
)

// StreamLimits bound what ReadStream takes.
type StreamLimits struct {
	BytesMax int   // of the rows' contents, decompressed, and of one message; 0: foz.BodyBytesMax
	RowsMax  int   // 0: as many as BytesMax allows
	Now      int64 // timestamp of records that have none, milliseconds

	// Memory is where the rows lie: they are good until its Release. nil: it is the caller's.
	Memory *StreamMemory
}

// ReadStream decodes an Arrow IPC stream from a producer into rows. Columns, in any order:
//
//	value      binary, utf8, or their large forms; null is a tombstone
//	key        the same, or null; may be left out
//	headers    list, large_list or map of key (utf8 or binary, valid UTF-8) and value (same
//	           types; null is empty); may be null or left out
//	timestamp  timestamp of any unit, or int64 milliseconds; null, or left out: Now
//
// Buffers may be compressed. It takes memory for what it has read, up to a few times BytesMax,
// and never for what the stream merely claims. Errors are *foz.Error: bad_request for what
// cannot be parsed or ends early, invalid_record for other columns, types or values,
// batch_too_large over the limits; except that an error of r is wrapped and passed on.
func ReadStream(r io.Reader, l StreamLimits) (*foz.Rows, error) {
	l.BytesMax = min(cmp.Or(l.BytesMax, foz.BodyBytesMax), math.MaxInt32/2)
	l.RowsMax = cmp.Or(l.RowsMax, math.MaxInt32)
	p := &bodyReader{limits: l}
	p.streamDecoder = streamDecoder{now: l.Now, messages: messages{
		r: r, bytesMax: l.BytesMax, accept: acceptProduced, admit: p.admit, memory: l.Memory,
	}}
	defer p.unpack.close()
	defer func() { giveBody(p.body) }()
	rows, err := p.read()
	if err != nil {
		l.Memory.Release()
		return nil, p.explain(err)
	}
	return rows, nil
}

// bodyReader reads the body of a produce request.
type bodyReader struct {
	streamDecoder
	limits StreamLimits

	batches []*foz.Rows // not yet joined: they alias the messages that they came in
	held    int         // bytes of those messages
	bytes   int         // of all rows
}

func (r *bodyReader) read() (*foz.Rows, error) {
	for {
		b, err := r.next()
		switch {
		case err == io.EOF:
			return r.join(), nil
		case err != nil:
			return nil, err
		}
		if r.bytes += b.rows.Bytes(); r.bytes > r.limits.BytesMax {
			return nil, r.tooLarge()
		}
		r.batches = append(r.batches, &b.rows)
		if r.held += b.bytes; r.held > r.limits.BytesMax { // messages may hold more than rows
			r.batches, r.held = []*foz.Rows{r.join()}, 0
		}
	}
}

// join gives the batches as one run of rows, in memory that is taken once.
func (r *bodyReader) join() *foz.Rows {
	if len(r.batches) == 1 && r.held <= r.limits.BytesMax {
		return r.batches[0]
	}
	rows := &foz.Rows{Timestamps: make([]int64, 0, r.seen)}
	for i, c := range cellColumns(rows) {
		size := 0
		for _, b := range r.batches {
			size += len(cellColumns(b)[i].Data)
		}
		c.Ends, c.Data = make([]int32, 0, r.seen), make([]byte, 0, size)
	}
	for i, b := range r.batches {
		rows.AppendRows(b, 0, b.Len())
		r.batches[i] = nil
	}
	r.memory.Release()
	return rows
}

// admit refuses a batch by its number of rows before memory is taken for any.
func (r *bodyReader) admit(rows int) error {
	if rows > r.limits.RowsMax-r.seen {
		return foz.Errorf(foz.CodeBatchTooLarge, "over %d records", r.limits.RowsMax)
	}
	const rowBytesMin = 8 + 3*4 // a timestamp and the ends of three cells
	if rows > (r.limits.BytesMax-r.bytes)/rowBytesMin {
		return r.tooLarge()
	}
	return nil
}

func (r *bodyReader) tooLarge() error {
	return foz.Errorf(foz.CodeBatchTooLarge, "records of over %d bytes", r.limits.BytesMax)
}

// explain says to a producer what is wrong.
func (r *bodyReader) explain(err error) error {
	var known *foz.Error
	var broken readError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &broken):
		return fmt.Errorf("read arrow stream: %w", broken.error)
	case errors.Is(err, errBytesLimit):
		return foz.Errorf(foz.CodeBatchTooLarge, "arrow stream: %w", err)
	}
	return foz.Errorf(foz.CodeBadRequest, "arrow stream: %w", err)
}

func acceptProduced(schema *arrow.Schema) error {
	for _, f := range schema.Fields() {
		accept, known := accepted[f.Name]
		at := columnPointer(f.Name)
		switch {
		case !known:
			return invalid(at, "column %.128q is none of key, value, headers, timestamp", f.Name)
		case len(schema.FieldIndices(f.Name)) > 1:
			return invalid(at, "column %q is there twice", f.Name)
		case !accept(f.Type):
			return invalid(at, "column %q cannot be %.512s", f.Name, f.Type)
		}
	}
	if !schema.HasField(columnValue) {
		return invalid(columnPointer(columnValue), "column %q is missing", columnValue)
	}
	return nil
}

// invalid is an invalid_record that points to a column, or to a cell: "/headers", "/3/headers".
func invalid(pointer, format string, args ...any) *foz.Error {
	e := foz.Errorf(foz.CodeInvalidRecord, format, args...)
	e.Invalid = []foz.InvalidRecord{{Pointer: pointer, Detail: e.Detail}}
	return e
}

func columnPointer(name string) string {
	return foz.PointerTo(strings.ToValidUTF8(name, "\uFFFD"))
}

func cellPointer(row int, name string) string {
	return fmt.Sprintf("/%d/%s", row, name)
}

// accepted are the columns of a stream and their types. A value is never of type null: its
// offsets are what vouches for the number of rows.
var accepted = map[string]func(arrow.DataType) bool{
	columnValue: isBytes,
	columnKey:   func(t arrow.DataType) bool { return t.ID() == arrow.NULL || isBytes(t) },
	columnTimestamp: func(t arrow.DataType) bool {
		return t.ID() == arrow.NULL || t.ID() == arrow.TIMESTAMP || t.ID() == arrow.INT64
	},
	columnHeaders: func(t arrow.DataType) bool {
		_, ok := headerKey(t)
		return t.ID() == arrow.NULL || ok
	},
}

func isBytes(t arrow.DataType) bool {
	return arrow.IsBinaryLike(t.ID()) || arrow.IsLargeBinaryLike(t.ID())
}

// headerKey tells which of the two columns of a list of headers is the key: by name, or for a
// map the first.
func headerKey(t arrow.DataType) (key int, ok bool) {
	switch t.ID() {
	default:
		return 0, false
	case arrow.LIST, arrow.LARGE_LIST, arrow.MAP:
	}
	pairs, ok := t.(arrow.ListLikeType).Elem().(*arrow.StructType)
	if !ok || pairs.NumFields() != 2 ||
		!isBytes(pairs.Field(0).Type) || !isBytes(pairs.Field(1).Type) {
		return 0, false
	}
	first, second := pairs.Field(0).Name, pairs.Field(1).Name
	switch {
	case t.ID() == arrow.MAP, first == "key" && second == "value":
		return 0, true
	case first == "value" && second == "key":
		return 1, true
	}
	return 0, false
}
