package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/fozlog/foz"
)

// Ack says where a request's records are.
type Ack struct {
	Partitions []AckRange // one per partition that got records, in order
	Count      int64      // records in all
	Duplicate  bool       // the request had been appended before; these are its first offsets
	Slot       uint64     // a read with this MinSlot sees the records, at any node
}

// AckRange is a run of offsets [StartOffset, EndOffset).
type AckRange struct {
	Partition   int32 `json:"partition"`
	StartOffset int64 `json:"start_offset"`
	EndOffset   int64 `json:"end_offset"`
	Timestamp   int64 `json:"timestamp"` // append time, milliseconds
}

// ProduceOptions are conditions of one produce request. The zero value sets none.
type ProduceOptions struct {
	Partition    *int32        // all records go there; nil: each where its own Partition says
	IfNextOffset *int64        // refuse (code offset_conflict) unless this is Partition's next offset
	Producer     *foz.Producer // makes sending it again safe; [Producer] counts for you
}

// Body is a produce body as the contract knows them: already encoded.
type Body struct {
	ContentType string // application/x-ndjson, application/json, ...
	Encoding    string // "", gzip or zstd: how Data is compressed
	Envelope    bool   // each NDJSON line is a record object, not a value
	Data        []byte
}

// Produce appends records to a topic: all of them, or none. Without a Producer it is sent
// again only while nothing can have happened, and an error that is [ErrUnknown] means that
// the records may be there.
func (c *Client) Produce(ctx context.Context, topic string, records []Record, o ProduceOptions) (
	Ack, error,
) {
	body, err := encodeRecords(records)
	if err != nil {
		return Ack{}, err
	}
	return c.ProduceBody(ctx, topic, body, o)
}

func encodeRecords(records []Record) (Body, error) {
	var data bytes.Buffer
	for _, r := range records {
		line, err := marshalProduced(r)
		if err != nil {
			return Body{}, err
		}
		data.Write(line)
	}
	return Body{ContentType: mediaNDJSON, Envelope: true, Data: data.Bytes()}, nil
}

// ProduceBody is Produce for a body that is encoded already.
func (c *Client) ProduceBody(ctx context.Context, topic string, b Body, o ProduceOptions) (
	Ack, error,
) {
	l := produceCall(topic, b, o)
	var wire struct {
		AckRange              // of a request to one partition
		Partitions []AckRange `json:"partitions"`
		Count      int64      `json:"count"`
		Duplicate  bool       `json:"duplicate"`
	}
	a, err := c.do(ctx, l, &wire)
	if err != nil {
		return Ack{}, err
	}
	ack := Ack{Partitions: wire.Partitions, Count: wire.Count, Duplicate: wire.Duplicate}
	if o.Partition != nil {
		ack.Partitions = []AckRange{wire.AckRange}
		ack.Count = wire.EndOffset - wire.StartOffset
	}
	ack.Slot, _ = strconv.ParseUint(a.header.Get("Foz-Slot"), 10, 64)
	return ack, nil
}

func produceCall(topic string, b Body, o ProduceOptions) call {
	l := call{method: http.MethodPost, path: []string{"topics", topic, "records"}, body: b.Data}
	l.query = url.Values{}
	if o.Partition != nil {
		l.path = []string{"topics", topic, "partitions", itoa(*o.Partition), "records"}
	}
	if o.IfNextOffset != nil {
		l.query.Set("if_next_offset", itoa(*o.IfNextOffset))
	}
	if b.Envelope {
		l.query.Set("envelope", "record")
	}
	l.header = http.Header{"Accept": {mediaJSON}, "Content-Type": {b.ContentType}}
	if b.Encoding != "" {
		l.header.Set("Content-Encoding", b.Encoding)
	}
	if p := o.Producer; p != nil {
		l.safe = true
		l.header.Set("Producer-Id", p.ID)
		l.header.Set("Producer-Epoch", itoa(p.Epoch))
		l.header.Set("Producer-Seq", itoa(p.Seq))
	}
	return l
}
