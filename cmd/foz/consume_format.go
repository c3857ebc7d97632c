package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/fozlog/foz/client"
)

// recordWriter prints records, which it gets as lines of JSON, in the format asked for.
type recordWriter struct {
	w         *bufio.Writer
	s         *consumeSettings
	mark      bool  // records do not say their partition: say it for them
	partition int32 // of the records to come, if mark
	count     int64
}

// full says that the limit is reached.
func (o *recordWriter) full() bool { return o.s.limit > 0 && o.count >= o.s.limit }

// scan prints the records of one read.
func (o *recordWriter) scan(ctx context.Context, c *client.Client, r client.Read) error {
	if o.s.limit > 0 && !r.All() {
		r.Limit = o.s.limit - o.count
	}
	for line, err := range c.ScanLines(ctx, r) {
		if err != nil {
			return err
		}
		if err := o.record(line); err != nil || o.full() {
			return err
		}
	}
	return nil
}

// end closes what record opened. An answer that broke stays open, so that nobody takes it for
// a whole one; one that was refused is nothing at all.
func (o *recordWriter) end() error {
	if o.s.format == "json" {
		if o.count > 0 {
			o.w.WriteString("\n]}\n")
		} else {
			o.w.WriteString(openingJSON + "]}\n")
		}
	}
	return o.w.Flush()
}

const openingJSON = `{"records":[`

// record prints one.
func (o *recordWriter) record(line []byte) error {
	o.count++
	if o.s.format == "raw" {
		return o.raw(line)
	}
	if o.s.format == "json" {
		before := ",\n"
		if o.count == 1 {
			before = openingJSON + "\n"
		}
		o.w.WriteString(before)
	}
	if rest, ok := bytes.CutPrefix(line, []byte("{")); ok && o.mark {
		o.w.WriteString(`{"partition":` + itoa(o.partition))
		if !bytes.HasPrefix(rest, []byte("}")) {
			o.w.WriteByte(',')
		}
		line = rest
	}
	o.w.Write(line)
	if o.s.format == "json" {
		return nil
	}
	return o.w.WriteByte('\n')
}

// raw prints a value's bytes and a newline; a tombstone has none.
func (o *recordWriter) raw(line []byte) (err error) {
	var record struct{ Value, Encoding string }
	if err := json.Unmarshal(line, &record); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	value := []byte(record.Value)
	if record.Encoding == "base64" {
		if value, err = base64.StdEncoding.DecodeString(record.Value); err != nil {
			return fmt.Errorf("decode record: %w", err)
		}
	}
	o.w.Write(value)
	return o.w.WriteByte('\n')
}
