package segment

import (
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/fozlog/foz"
)

// StreamReader decodes what StreamWriter wrote, any subset of its columns, a record batch at a
// time. It is for one goroutine at a time.
type StreamReader struct{ decoder streamDecoder }

// readBatchBytesMax bounds a record batch of a read: it is one record where that is long.
const readBatchBytesMax = 256 << 20

// NewStreamReader makes a reader of one stream. Nothing is read before the first Next.
func NewStreamReader(r io.Reader) (*StreamReader, error) {
	if r == nil {
		return nil, errors.New("read arrow stream: no reader")
	}
	return &StreamReader{streamDecoder{messages: messages{
		r: r, bytesMax: readBatchBytesMax, accept: acceptRead,
		admit: func(int) error { return nil },
	}}}, nil
}

// Next gives the next record batch. Partitions and offsets are nil where there is no such
// column; rows' columns that are not there are null, and 0 for timestamps. What it gives is
// the caller's to keep. Memory is taken for the one batch, as it comes. The error is io.EOF
// after the end-of-stream marker, and wraps io.ErrUnexpectedEOF where the stream ends without
// it, ErrDamaged for what is no such stream, or what the underlying reader said.
func (r *StreamReader) Next() (
	partitions []int32, offsets []int64, rows *foz.Rows, err error,
) {
	b, err := r.decoder.next()
	if err == nil {
		return b.partitions, b.offsets, &b.rows, nil
	}
	var broken readError
	switch {
	case err == io.EOF:
	case errors.Is(err, errTruncated):
		err = fmt.Errorf("read arrow stream: %w", io.ErrUnexpectedEOF)
	case errors.As(err, &broken):
		err = fmt.Errorf("read arrow stream: %w", broken.error)
	default:
		err = damaged("arrow stream: %w", err)
	}
	return nil, nil, nil, err
}

// acceptRead takes the columns that reads have. Invariant: there is one and none is of type
// null, so that bytes that have come vouch for the number of rows.
func acceptRead(schema *arrow.Schema) error {
	if schema.NumFields() == 0 {
		return errors.New("no columns")
	}
	for _, f := range schema.Fields() {
		accept, ok := accepted[f.Name]
		switch f.Name {
		case columnPartition:
			ok = f.Type.ID() == arrow.INT32
		case columnOffset:
			ok = f.Type.ID() == arrow.INT64
		default:
			ok = ok && f.Type.ID() != arrow.NULL && accept(f.Type)
		}
		if !ok || len(schema.FieldIndices(f.Name)) > 1 {
			return fmt.Errorf("column %.128q cannot be here as %.512s", f.Name, f.Type)
		}
	}
	return nil
}
