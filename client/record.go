package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/fozlog/foz"
)

// Record is a record and the partition it is in.
type Record struct {
	foz.Record
	Partition int32 // AnyPartition when producing: foz picks it
}

// AnyPartition lets foz pick the partition of a produced record: by its key's hash, or one
// that sticks for a while. AllPartitions reads them all.
const (
	AnyPartition  int32 = -1
	AllPartitions int32 = -1
)

// wireRecord is a record as JSON has it. Key, value and header values are base64 when
// Encoding says so: bytes that are not UTF-8.
type wireRecord struct {
	Partition *int32      `json:"partition,omitempty"`
	Offset    *int64      `json:"offset,omitempty"`
	Timestamp *int64      `json:"timestamp,omitempty"`
	Key       *string     `json:"key,omitempty"`
	Value     *string     `json:"value"`
	Headers   [][2]string `json:"headers,omitempty"`
	Encoding  string      `json:"encoding,omitempty"`
}

// UnmarshalJSON reads a record as reads give it (without ?value=json).
func (r *Record) UnmarshalJSON(data []byte) error {
	var w wireRecord
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	decode := func(s string) ([]byte, error) { return []byte(s), nil }
	if w.Encoding == "base64" {
		decode = base64.StdEncoding.DecodeString
	} else if w.Encoding != "" {
		return fmt.Errorf("decode record: encoding %q", w.Encoding)
	}
	*r = Record{}
	if w.Offset != nil {
		r.Offset = *w.Offset
	}
	if w.Partition != nil {
		r.Partition = *w.Partition
	}
	if w.Timestamp != nil {
		r.Timestamp = *w.Timestamp
	}
	if err := r.decodeBytes(w, decode); err != nil {
		return fmt.Errorf("decode record %d: %w", r.Offset, err)
	}
	return nil
}

func (r *Record) decodeBytes(w wireRecord, decode func(string) ([]byte, error)) (err error) {
	if w.Key != nil {
		if r.Key, err = decode(*w.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if w.Value != nil {
		if r.Value, err = decode(*w.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	for _, h := range w.Headers {
		value, err := decode(h[1])
		if err != nil {
			return fmt.Errorf("header %q: %w", h[0], err)
		}
		r.Headers = append(r.Headers, foz.Header{Key: h[0], Value: value})
	}
	return nil
}

// MarshalJSON writes a record as reads give it. It has no offset where Offset is negative,
// and no partition where that is AnyPartition.
func (r Record) MarshalJSON() ([]byte, error) {
	w := r.wire()
	w.Timestamp = &r.Timestamp
	return marshal(w)
}

// marshalProduced writes a record as a produce body has it: without an offset, with its
// timestamp unless that is 0.
func marshalProduced(r Record) ([]byte, error) {
	r.Offset = -1
	w := r.wire()
	if r.Timestamp != 0 {
		w.Timestamp = &r.Timestamp
	}
	return marshal(w)
}

func (r Record) wire() (w wireRecord) {
	encode := func(b []byte) string { return string(b) }
	if !isText(r.Record) {
		encode, w.Encoding = base64.StdEncoding.EncodeToString, "base64"
	}
	if r.Partition != AnyPartition {
		w.Partition = &r.Partition
	}
	if r.Offset >= 0 {
		w.Offset = &r.Offset
	}
	if r.Key != nil {
		w.Key = new(encode(r.Key))
	}
	if r.Value != nil {
		w.Value = new(encode(r.Value))
	}
	for _, h := range r.Headers {
		w.Headers = append(w.Headers, [2]string{h.Key, encode(h.Value)})
	}
	return w
}

// marshal is json.Marshal that leaves <, > and & alone, and ends in a newline.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return out.Bytes(), err
}

func isText(r foz.Record) bool {
	text := utf8.Valid(r.Key) && utf8.Valid(r.Value)
	for _, h := range r.Headers {
		text = text && utf8.Valid(h.Value)
	}
	return text
}
