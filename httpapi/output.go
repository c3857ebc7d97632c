package httpapi

import (
	"iter"
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// output gathers an answer and sends it in chunks. Each chunk has a time in which the client
// must take it.
type output struct {
	a   *API
	w   *response
	buf []byte
}

const outputChunk = 64 << 10

func (a *API) newOutput(w *response) *output {
	return &output{a: a, w: w, buf: a.buffers.get(2 * outputChunk)}
}

// sendFull sends when a chunk is full.
func (o *output) sendFull() error {
	if len(o.buf) < outputChunk {
		return nil
	}
	return o.send()
}

func (o *output) send() error {
	_, err := o.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// Write sends bytes past the buffer.
func (o *output) Write(b []byte) (written int, err error) {
	for len(b) > 0 && err == nil {
		if err = o.w.writeDeadline(o.a.config.WriteTimeout); err != nil {
			return written, err
		}
		var n int
		n, err = o.w.Write(b[:min(len(b), 4*outputChunk)])
		written, b = written+n, b[n:]
	}
	o.a.metrics.bytes.WithLabelValues("out").Add(float64(written))
	return written, err
}

// close lifts the deadline and gives the buffer back.
func (o *output) close() {
	_ = o.w.writeDeadline(0) // a connection that is gone needs none
	o.a.buffers.put(o.buf)
	o.buf = nil
}

// sink takes the records of a read, in order.
type sink interface {
	write(partition int32, run foz.Run) error
	// end completes the answer: without it the answer is visibly cut. last is what JSON has
	// after its records.
	end(last []byte) error
}

func writeRuns(s sink, partition int32, runs iter.Seq2[foz.Run, error]) error {
	for run, err := range runs {
		if err == nil {
			err = s.write(partition, run)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// newSink begins nothing: what is wrong with the style is said before the first byte.
func (o *output) newSink(media string, s style) (sink, error) {
	switch {
	case media == mediaArrow:
		stream, err := segment.NewStreamWriter(o, segment.StreamOptions{
			Columns: s.columns, Schema: s.query.Schema, Partition: s.partition,
			BatchBytesMax: arrowBatchBytes, Stored: true,
		})
		return &arrowSink{stream: stream, output: o}, err
	case isNDJSON(media):
		return &textSink{output: o, style: s, after: "\n"}, nil
	}
	o.buf = append(o.buf, `{"records":[`...)
	return &textSink{output: o, style: s, between: ",", object: true}, nil
}

// arrowBatchBytes is large enough for columns to pay and small enough to keep one per client.
const arrowBatchBytes = 2 << 20

type arrowSink struct {
	stream *segment.StreamWriter
	output *output
}

func (s *arrowSink) write(partition int32, run foz.Run) error {
	s.output.a.metrics.records.WithLabelValues("out").Add(float64(run.Len()))
	return s.stream.Write(partition, run)
}

func (s *arrowSink) end([]byte) error { return s.stream.Close() }

// textSink writes NDJSON, or an object with an array.
type textSink struct {
	*output
	style          style
	between, after string
	object         bool
	begun          bool
}

func (s *textSink) write(partition int32, run foz.Run) (err error) {
	s.a.metrics.records.WithLabelValues("out").Add(float64(run.Len()))
	for i := range run.Len() {
		if s.begun {
			s.buf = append(s.buf, s.between...)
		}
		s.begun = true
		if s.buf, err = s.style.appendRecord(s.buf, partition, &run, i); err != nil {
			return foz.Errorf(foz.CodeStorage, "record at offset %d: %w", run.Offset(i), err)
		}
		s.buf = append(s.buf, s.after...)
		if err = s.sendFull(); err != nil {
			return err
		}
	}
	return nil
}

func (s *textSink) end(last []byte) error {
	if s.object {
		s.buf = append(append(append(s.buf, ']'), last...), "}\n"...)
	}
	return s.send()
}

// setBounds says in headers what a partition holds.
func (w *response) setBounds(b foz.Bounds) {
	w.Header().Set(headerHighWatermark, strconv.FormatInt(b.Next, 10))
	w.Header().Set(headerEarliestOffset, strconv.FormatInt(b.Earliest, 10))
}
