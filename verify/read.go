package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// arrowColumns are what an Arrow stream must have to be taken as a produce body, too.
var arrowColumns = []string{"timestamp", "key", "value", "headers"}

// formats are the ways to read, each a function from an answer to records.
var formats = []format{
	{mediaJSON, "", readPage},
	{mediaNDJSON, "", readLines},
	{mediaArrow, "&columns=timestamp,key,value,headers", readArrow},
}

type format struct {
	media, query string
	read         func(answer) ([]foz.Record, error)
}

type answer struct {
	*http.Response
	from, next int64 // [from, next) is what it says it holds
}

// read reads what a partition holds of [from, to) in one format: one answer. It may end
// early, and says where.
func (s *Service) read(ctx context.Context, partition int32, rg foz.Range, f format) (
	records []foz.Record, next int64, err error,
) {
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	path := fmt.Sprintf("/partitions/%d/records?offset=%d&end_offset=%d%s", partition, rg.Base,
		rg.Next, f.query)
	r, err := s.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept", f.media)
	resp, err := s.send(r)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != f.media {
		return nil, 0, fmt.Errorf("asked for %s, got %s", f.media, got)
	}
	next, err = strconv.ParseInt(resp.Header.Get("Foz-Next-Offset"), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("header Foz-Next-Offset: %w", err)
	}
	records, err = f.read(answer{resp, rg.Base, next})
	return records, next, err
}

// readRecord is a record as reads give it.
type readRecord struct {
	Partition *int32      `json:"partition"`
	Offset    *int64      `json:"offset"`
	Timestamp *int64      `json:"timestamp"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Headers   [][2]string `json:"headers"`
	Encoding  string      `json:"encoding"`
}

func (w readRecord) record() (rec foz.Record, err error) {
	if w.Offset == nil || w.Timestamp == nil {
		return rec, fmt.Errorf("a record without its offset or timestamp: %+v", w)
	}
	rec.Offset, rec.Timestamp = *w.Offset, *w.Timestamp
	decode := func(s string) []byte { return append([]byte{}, s...) }
	if w.Encoding == "base64" {
		decode = func(s string) []byte {
			b, failed := base64.StdEncoding.AppendDecode([]byte{}, []byte(s))
			if failed != nil {
				err = fmt.Errorf("record %d: %w", rec.Offset, failed)
			}
			return b
		}
	}
	if w.Key != nil {
		rec.Key = decode(*w.Key)
	}
	if w.Value != nil {
		rec.Value = decode(*w.Value)
	}
	for _, h := range w.Headers {
		rec.Headers = append(rec.Headers, foz.Header{Key: h[0], Value: decode(h[1])})
	}
	return rec, err
}

func readPage(a answer) ([]foz.Record, error) {
	var page struct {
		Records       []readRecord
		NextOffset    int64 `json:"next_offset"`
		HighWatermark int64 `json:"high_watermark"`
	}
	if err := json.NewDecoder(a.Body).Decode(&page); err != nil {
		return nil, fmt.Errorf("read a page: %w", err)
	}
	if page.NextOffset != a.next || page.HighWatermark < page.NextOffset {
		return nil, fmt.Errorf("a page says next_offset %d, high_watermark %d; its header says %d",
			page.NextOffset, page.HighWatermark, a.next)
	}
	records := make([]foz.Record, len(page.Records))
	for i, w := range page.Records {
		var err error
		if records[i], err = w.record(); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func readLines(a answer) (records []foz.Record, err error) {
	lines := bufio.NewReader(a.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read lines: %w", err)
		}
		var w readRecord
		if err := json.Unmarshal(line, &w); err != nil {
			return nil, fmt.Errorf("read line %.200q: %w", line, err)
		}
		rec, err := w.record()
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
}

// readArrow numbers the rows itself: the answer's bounds say how many there are to be.
func readArrow(a answer) ([]foz.Record, error) {
	rows, err := segment.ReadStream(a.Body, segment.StreamLimits{Now: -1})
	if err != nil {
		return nil, err
	}
	records := make([]foz.Record, rows.Len())
	for i := range records {
		if records[i], err = rows.Record(i, a.from+int64(i)); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// same compares two records; timestamps only where both have one.
func same(a, b foz.Record) bool {
	if !sameCell(a.Key, b.Key) || !sameCell(a.Value, b.Value) || len(a.Headers) != len(b.Headers) ||
		a.Timestamp != b.Timestamp && a.Timestamp != 0 && b.Timestamp != 0 {
		return false
	}
	for i, h := range a.Headers {
		if h.Key != b.Headers[i].Key || !bytes.Equal(h.Value, b.Headers[i].Value) {
			return false
		}
	}
	return true
}

func sameCell(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
