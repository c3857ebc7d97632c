package client

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// Plan says where a partition's records lie in the bucket, by one look at the index for each
// thousand segments.
type Plan struct {
	Segments []PlannedSegment `json:"segments"` // in order of offset
	// Expires is until when the bucket has what the plan names, by the service's clock.
	Expires time.Time `json:"expires"`
}

// PlannedSegment is bytes [ByteStart, ByteEnd) of an object: a record batch of Arrow, or, where
// Batches is above 1, an Arrow stream.
type PlannedSegment struct {
	Object      string `json:"object"`
	Level       int    `json:"level"`
	Codec       string `json:"codec"`
	ByteStart   int64  `json:"byte_start"`
	ByteEnd     int64  `json:"byte_end"`
	Rows        int32  `json:"rows"`
	RowStart    int32  `json:"row_start"`
	RowCount    int32  `json:"row_count"`
	StartOffset int64  `json:"start_offset"`
	EndOffset   int64  `json:"end_offset"` // exclusive
	MinTS       int64  `json:"min_ts"`
	MaxTS       int64  `json:"max_ts"`
	Batches     int32  `json:"batches"`
	CRC32C      uint32 `json:"crc32c"`
	URL         string `json:"url,omitempty"`

	partition foz.Partition
	expires   time.Time
}

// ErrPlanExpired: the bucket need not have what the plan names any more. Plan again.
var ErrPlanExpired = errors.New("the read plan has expired")

// PlanRange is what to plan: offsets from From, the earliest if nil, to before To, the head if
// nil; with presigned URLs, where the bucket has them and the object holds nothing that the
// caller may not read.
type PlanRange struct {
	From, To *int64
	Presign  bool
}

// Plan plans a read of one partition.
func (c *Client) Plan(ctx context.Context, topic string, partition int32, rg PlanRange) (
	p Plan, err error,
) {
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return p, err
	}
	of := foz.Partition{Number: partition}
	if of.Topic, err = foz.ParseTopicID(t.ID); err != nil {
		return p, err
	}
	query := url.Values{}
	if rg.From != nil {
		query.Set("from", itoa(*rg.From))
	}
	if rg.To != nil {
		query.Set("to", itoa(*rg.To))
	}
	if rg.Presign {
		query.Set("presign", "true")
	}
	for more := true; more; {
		var page struct {
			Plan
			NextOffset int64 `json:"next_offset"`
			HasMore    bool  `json:"has_more"`
		}
		l := get(query, "topics", topic, "partitions", itoa(partition), "segments")
		if _, err := c.do(ctx, l, &page); err != nil {
			return Plan{}, err
		}
		for i := range page.Segments {
			page.Segments[i].partition, page.Segments[i].expires = of, page.Expires
		}
		p.Segments = append(p.Segments, page.Segments...)
		if p.Expires.IsZero() {
			p.Expires = page.Expires // the first page's is the earliest
		}
		more = page.HasMore
		query.Set("from", itoa(page.NextOffset))
	}
	return p, nil
}

// Getter reads length bytes of an object from an offset on, or to its end if length < 0, as an
// objectstore.Store does.
type Getter func(ctx context.Context, s PlannedSegment, offset, length int64) ([]byte, error)

// GetURL is the Getter of presigned URLs.
func GetURL(ctx context.Context, s PlannedSegment, offset, length int64) ([]byte, error) {
	if s.URL == "" {
		return nil, fmt.Errorf("get %s: the plan has no URL of it", s.Object)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: its URL cannot be asked", s.Object) // it is a secret
	}
	last := ""
	if length >= 0 {
		last = itoa(offset + length - 1)
	}
	r.Header.Set("Range", "bytes="+itoa(offset)+"-"+last)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("get %s: %w", s.Object, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusPartialContent {
		return nil, fmt.Errorf("get %s: the bucket answers %s", s.Object, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// PlannedBatch is a record batch of a segment, whose checksum has been verified.
type PlannedBatch struct {
	Segment PlannedSegment
	Merged  *segment.MergedBatch // of a segment of many batches; else nil
	Data    []byte               // the message, as Arrow frames it
}

// Read gets all record batches, with so many requests at a time, and gives them to visit in order
// of offset. Checksums are verified: segment.ErrDamaged names the object, and nothing after it is
// visited. An error of a plan that is over is ErrPlanExpired. In memory are at most twice as many
// batches as requests. A segment of many batches costs one request for its footer, and one for each
// batch; another costs one.
func (p Plan) Read(
	ctx context.Context, get Getter, parallel int, visit func(PlannedBatch) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parallel = max(1, parallel)
	r := planReader{get: get, requests: make(chan struct{}, parallel),
		// Beside these, one is visited and one waits for room.
		ahead: make(chan chan fetched, 2*parallel-2)}
	go func() {
		defer close(r.ahead)
		for _, s := range p.Segments {
			r.segment(ctx, s)
		}
	}()
	for one := range r.ahead {
		f := <-one
		if f.err == nil {
			f.err = visit(f.batch)
		}
		if f.err != nil {
			return f.err
		}
	}
	return ctx.Err()
}

// planReader is a Read under way.
type planReader struct {
	get      Getter
	requests chan struct{}     // one for each that is under way
	ahead    chan chan fetched // in order
}

type fetched struct {
	batch PlannedBatch
	err   error
}

// segment begins to fetch a segment's batches, as there is room for them.
func (r *planReader) segment(ctx context.Context, s PlannedSegment) {
	if s.Batches <= 1 {
		r.batch(ctx, PlannedBatch{Segment: s}, s.ByteStart, s.ByteEnd, s.CRC32C)
		return
	}
	tail, err := r.bytes(ctx, s, s.ByteEnd, segment.FooterBytesMax)
	var batches []segment.MergedBatch
	if err == nil {
		if batches, err = segment.InspectMerged(tail, s.stored()); err != nil {
			err = fmt.Errorf("object %s: %w", s.Object, err)
		}
	}
	if err != nil {
		one := make(chan fetched, 1)
		one <- fetched{err: err}
		r.queue(ctx, one)
		return
	}
	for i := range batches {
		b := &batches[i]
		if !r.batch(ctx, PlannedBatch{Segment: s, Merged: b}, b.ByteStart, b.ByteEnd, b.CRC32C) {
			return
		}
	}
}

func (r *planReader) queue(ctx context.Context, one chan fetched) bool {
	select {
	case r.ahead <- one:
		return true
	case <-ctx.Done():
		return false
	}
}

// batch begins to fetch bytes [from, to) of an object; false: nobody waits any more.
func (r *planReader) batch(
	ctx context.Context, b PlannedBatch, from, to int64, crc uint32,
) bool {
	one := make(chan fetched, 1)
	go func() {
		data, err := r.bytes(ctx, b.Segment, from, to-from)
		if err == nil && int64(len(data)) != to-from {
			err = fmt.Errorf("object %s: %w: it ends at byte %d", b.Segment.Object,
				segment.ErrDamaged, from+int64(len(data)))
		}
		if sum := crc32.Checksum(data, castagnoli); err == nil && sum != crc {
			err = fmt.Errorf("object %s: %w: bytes [%d,%d) have crc32c %08x, not %08x",
				b.Segment.Object, segment.ErrDamaged, from, to, sum, crc)
		}
		b.Data = data
		one <- fetched{b, err}
	}()
	return r.queue(ctx, one)
}

// bytes makes a request when there is room for one.
func (r *planReader) bytes(ctx context.Context, s PlannedSegment, from, length int64) (
	data []byte, err error,
) {
	select {
	case r.requests <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.requests }()
	if data, err = r.get(ctx, s, from, length); err != nil && time.Now().After(s.expires) {
		err = fmt.Errorf("%w: %w", ErrPlanExpired, err)
	}
	return data, err
}

func (s PlannedSegment) stored() foz.Segment {
	whole := foz.Segment{
		Partition: s.partition, Rows: s.Rows, ByteStart: s.ByteStart, ByteEnd: s.ByteEnd,
		MinTimestamp: s.MinTS, MaxTimestamp: s.MaxTS, CRC32C: s.CRC32C, Level: uint8(s.Level),
	}
	if s.Level > 0 {
		whole.Batches = s.Batches
	}
	return whole
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Run decodes the batch, with the typed columns that are stored. Its records are what of the batch
// the plan names.
func (b PlannedBatch) Run() (run foz.Run, err error) {
	s := b.Segment
	run.Base = s.StartOffset
	switch {
	case b.Merged != nil:
		run.Offsets, run.Rows, run.Columns, err = segment.DecodeTypedBatch(b.Data, *b.Merged)
		run.Base, run.To, run.End = b.Merged.First, int(b.Merged.Rows), b.Merged.Last+1
	case s.Level > 0:
		run.Offsets, run.Rows, err = segment.DecodeMerged(b.Data, s.stored())
		run.To, run.End = int(s.Rows), s.EndOffset
	default:
		run.Rows, err = segment.Decode(b.Data, s.stored())
		run.From, run.To = int(s.RowStart), int(s.RowStart+s.RowCount)
		if err == nil && (run.From < 0 || run.To < run.From || run.To > run.Rows.Len()) {
			err = fmt.Errorf("%w: the plan names rows [%d,%d) of %d", segment.ErrDamaged, run.From,
				run.To, run.Rows.Len())
		}
	}
	if err != nil {
		return foz.Run{}, fmt.Errorf("object %s: %w", s.Object, err)
	}
	return run, nil
}
