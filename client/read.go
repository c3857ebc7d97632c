package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Position is where a read begins. The zero value is the earliest record.
type Position struct {
	kind string // "" or earliest, offset, timestamp, tail
	n    int64
}

// FromEarliest begins at the earliest record: the zero value, said aloud.
func FromEarliest() Position { return Position{"earliest", 0} }

// FromOffset begins at an offset.
func FromOffset(offset int64) Position { return Position{"offset", offset} }

// FromTime begins at the first record whose timestamp is at or after ms, in milliseconds.
func FromTime(ms int64) Position { return Position{"timestamp", ms} }

// FromTail begins n records before the end: FromTail(0) sees only what is yet to come.
func FromTail(n int64) Position { return Position{"tail", n} }

// Read says what to read. The zero value of each member but Topic sets nothing.
type Read struct {
	Topic     string
	Partition int32         // or AllPartitions, which takes From, Columns, Where, MinSlot
	From      Position      // AllPartitions: the zero value, FromTime or FromTail(0)
	EndOffset *int64        // exclusive
	Until     *int64        // milliseconds: end before the first record at or after it
	Limit     int64         // records
	MaxBytes  int64         // of the answer, about
	Wait      time.Duration // Fetch: how long to wait for a record at the head; whole seconds
	Columns   []string      // exactly these, typed ones among them
	Where     string        // a filter: only records for which it is true
	JSON      bool          // values that are JSON come embedded; for raw lines only
	MinSlot   uint64        // wait for this slot: an Ack's
}

// All says whether the read is of all partitions.
func (r Read) All() bool { return r.Partition == AllPartitions }

// call makes the request for r in a media type.
func (r Read) call(media string) call {
	l := call{method: http.MethodGet, safe: true, header: http.Header{"Accept": {media}}}
	l.path = []string{"topics", r.Topic, "partitions", itoa(r.Partition), "records"}
	l.query = url.Values{}
	if r.All() {
		l.path = []string{"topics", r.Topic, "records"}
		l.query.Set("from", r.From.ofAll())
	} else {
		r.bound(l.query)
	}
	if len(r.Columns) > 0 {
		l.query.Set("columns", strings.Join(r.Columns, ","))
	}
	if r.Where != "" {
		l.query.Set("where", r.Where)
	}
	if r.JSON {
		l.query.Set("value", "json")
	}
	if r.MinSlot > 0 {
		l.header.Set("Foz-Min-Slot", itoa(int64(r.MinSlot)))
	}
	return l
}

// bound sets what a read of one partition may be bounded by.
func (r Read) bound(query url.Values) {
	if r.From.kind != "" && r.From.kind != "earliest" {
		query.Set(r.From.kind, itoa(r.From.n))
	}
	if r.EndOffset != nil {
		query.Set("end_offset", itoa(*r.EndOffset))
	}
	if r.Until != nil {
		query.Set("until", itoa(*r.Until))
	}
	if r.Limit > 0 {
		query.Set("limit", itoa(r.Limit))
	}
	if r.MaxBytes > 0 {
		query.Set("max_bytes", itoa(r.MaxBytes))
	}
	if seconds := int64(r.Wait / time.Second); seconds > 0 {
		query.Set("wait", itoa(seconds))
	}
}

// ofAll is the position as a read of all partitions names it.
func (p Position) ofAll() string {
	switch p.kind {
	case "timestamp":
		return itoa(p.n)
	case "tail":
		return "now"
	}
	return "earliest"
}

// Page is what one fetch gave. An empty one at the head is no error.
type Page struct {
	Records       []Record `json:"records"`
	NextOffset    int64    `json:"next_offset"`    // where the next fetch begins
	HighWatermark int64    `json:"high_watermark"` // the partition's next offset
}

// Fetch reads one page of a partition's records. A range that lies outside what the
// partition holds is code offset_out_of_range, with the numbers earliest_offset and
// next_offset.
func (c *Client) Fetch(ctx context.Context, r Read) (page Page, err error) {
	_, err = c.do(ctx, r.call(mediaJSON), &page)
	for i := range page.Records {
		page.Records[i].Partition = r.Partition
	}
	return page, err
}

// Arrow opens a read as an Arrow IPC stream, which the caller closes. A stream without its
// end-of-stream marker is broken, and ends in io.ErrUnexpectedEOF. Some of its record batches
// may be compressed with zstd, as they are stored, unless Columns are named.
func (c *Client) Arrow(ctx context.Context, r Read) (io.ReadCloser, error) {
	resp, err := c.stream(ctx, r.call(mediaArrow))
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
