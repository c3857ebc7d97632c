package segment

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

// Keys of the footer's custom metadata.
const (
	keyVersion  = "foz.version"
	keySegments = "foz.segments"
	keyRequests = "foz.requests"
	keyCRC32C   = "foz.crc32c"

	keyLevel   = "foz.level" // not there at level 0
	keyBatches = "foz.batches"
	keyInputs  = "foz.inputs"
	keyColumns = "foz.columns" // from version 2 on
)

var (
	storedKeys = []string{keyVersion, keySegments, keyRequests, keyCRC32C}
	mergedKeys = []string{keyVersion, keyLevel, keyBatches, keyInputs, keyCRC32C}
)

// manifest is what an object says of itself, as text: Arrow's metadata is UTF-8. It is written
// for every object, thus without reflection, and rarely read.
type manifest struct {
	segments []byte
	requests []byte
	builder  *flatbuffers.Builder // of footers; nil before the first
}

// segmentTable is the value of foz.segments: a column per property, an element per segment,
// in the order of the object. Segments lie end to end from Start.
type segmentTable struct {
	Topics    []string `json:"topics"`    // in order, each once
	Counts    []int    `json:"counts"`    // how many segments each topic has
	Partition []int32  `json:"partition"` //
	Rows      []int32  `json:"rows"`
	Start     int64    `json:"start"`   // ByteStart of the first
	Bytes     []int64  `json:"bytes"`   // ByteEnd - ByteStart
	BaseMS    int64    `json:"base_ms"` // lowest timestamp
	MinMS     []int64  `json:"min_ms"`  // after base_ms
	MaxMS     []int64  `json:"max_ms"`  // after min_ms
	CRC32C    []uint32 `json:"crc32c"`
}

// requestEntry is an element of foz.requests. Its topic is that of its segments.
type requestEntry struct {
	Producer     *producerEntry `json:"producer"`
	IfNextOffset *int64         `json:"if_next_offset"`
	Batches      []int32        `json:"batches"` // segment, rows, segment, rows, ...
}

type producerEntry struct {
	ID       string `json:"id"`
	IDBase64 string `json:"id_base64"` // where the id is not UTF-8
	Epoch    int64  `json:"epoch"`
	Seq      int64  `json:"seq"`
}

func (m *manifest) write(segments []foz.Segment, requests []foz.CommitRequest) {
	m.segments = appendSegments(m.segments[:0], segments)
	m.requests = appendRequests(m.requests[:0], requests)
}

func (m *manifest) crc() string {
	return checksumText(Version, m.segments, m.requests)
}

func checksumText(version int, texts ...[]byte) string {
	sum := crc32.Checksum(strconv.AppendInt(nil, int64(version), 10), castagnoli)
	for _, text := range texts {
		sum = crc32.Update(sum, castagnoli, text)
	}
	return fmt.Sprintf("%08x", sum)
}

func appendSegments(b []byte, segments []foz.Segment) []byte {
	return append(appendSegmentTable(b, segments), '}')
}

// appendSegmentTable leaves the object open.
func appendSegmentTable(b []byte, segments []foz.Segment) []byte {
	b = append(b, `{"topics":[`...)
	var counts []int
	for i, s := range segments {
		if i > 0 && s.Partition.Topic == segments[i-1].Partition.Topic {
			counts[len(counts)-1]++
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, s.Partition.Topic.String()...)
		b = append(b, '"')
		counts = append(counts, 1)
	}
	b = append(b, ']')
	b = appendNumbers(b, "counts", counts, func(n int) int64 { return int64(n) })

	number := func(name string, of func(foz.Segment) int64) {
		b = appendNumbers(b, name, segments, of)
	}
	var start int64
	base := int64(math.MaxInt64)
	for i, s := range segments {
		if i == 0 {
			start = s.ByteStart
		}
		base = min(base, s.MinTimestamp)
	}
	number("partition", func(s foz.Segment) int64 { return int64(s.Partition.Number) })
	number("rows", func(s foz.Segment) int64 { return int64(s.Rows) })
	b = appendNumber(b, "start", start)
	number("bytes", func(s foz.Segment) int64 { return s.ByteEnd - s.ByteStart })
	b = appendNumber(b, "base_ms", base)
	number("min_ms", func(s foz.Segment) int64 { return s.MinTimestamp - base })
	number("max_ms", func(s foz.Segment) int64 { return s.MaxTimestamp - s.MinTimestamp })
	number("crc32c", func(s foz.Segment) int64 { return int64(s.CRC32C) })
	return b
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, n, 10)
}

func appendNumbers[T any](b []byte, name string, elements []T, of func(T) int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":[`...)
	for i, e := range elements {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, of(e), 10)
	}
	return append(b, ']')
}

func appendRequests(b []byte, requests []foz.CommitRequest) []byte {
	b = append(b, '[')
	for i, r := range requests {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if r.Producer != nil {
			b = appendProducer(b, *r.Producer)
		}
		if r.IfNextOffset != nil {
			b = append(b, `"if_next_offset":`...)
			b = append(strconv.AppendInt(b, *r.IfNextOffset, 10), ',')
		}
		b = append(b, `"batches":[`...)
		for j, batch := range r.Batches {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(strconv.AppendInt(b, int64(batch.Segment), 10), ',')
			b = strconv.AppendInt(b, int64(batch.Rows), 10)
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

func appendProducer(b []byte, p foz.Producer) []byte {
	if utf8.ValidString(p.ID) {
		b = append(b, `"producer":{"id":`...)
		b = appendString(b, p.ID)
	} else {
		b = append(b, `"producer":{"id_base64":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, []byte(p.ID)), '"')
	}
	b = appendNumber(b, "epoch", p.Epoch)
	b = appendNumber(b, "seq", p.Seq)
	return append(b, `},`...)
}

// appendString quotes valid UTF-8 as JSON.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// parseSegments reads foz.segments. What it allocates is in proportion to the text.
func parseSegments(text []byte) ([]foz.Segment, error) {
	var t segmentTable
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	return t.segments(1)
}

// segments are those that the table tells of, each of rowsMin rows or more.
func (t *segmentTable) segments(rowsMin int32) ([]foz.Segment, error) {
	n := len(t.Partition)
	if len(t.Rows) != n || len(t.Bytes) != n || len(t.MinMS) != n || len(t.MaxMS) != n ||
		len(t.CRC32C) != n || len(t.Topics) != len(t.Counts) {
		return nil, errors.New("columns differ in length")
	}
	segments := make([]foz.Segment, 0, n)
	at := t.Start
	for topic, name := range t.Topics {
		id, err := foz.ParseTopicID(name)
		if err != nil {
			return nil, err
		}
		for range t.Counts[topic] {
			i := len(segments)
			if i == n || at < 0 || t.Bytes[i] <= 0 || t.Bytes[i] > math.MaxInt64-at ||
				t.Rows[i] < rowsMin {
				return nil, fmt.Errorf("segment %d is out of bounds", i)
			}
			lowest := t.BaseMS + t.MinMS[i]
			segments = append(segments, foz.Segment{
				Partition:    foz.Partition{Topic: id, Number: t.Partition[i]},
				Rows:         t.Rows[i],
				ByteStart:    at,
				ByteEnd:      at + t.Bytes[i],
				MinTimestamp: lowest,
				MaxTimestamp: lowest + t.MaxMS[i],
				CRC32C:       t.CRC32C[i],
			})
			at += t.Bytes[i]
		}
	}
	if len(segments) != n {
		return nil, errors.New("topics have fewer segments than there are")
	}
	return segments, nil
}

// parseRequests reads foz.requests. What it allocates is in proportion to the text.
func parseRequests(text []byte, segments []foz.Segment) ([]foz.CommitRequest, error) {
	var entries []requestEntry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	requests := make([]foz.CommitRequest, 0, len(entries))
	for i, e := range entries {
		r := foz.CommitRequest{IfNextOffset: e.IfNextOffset}
		if len(e.Batches) == 0 || len(e.Batches)%2 != 0 {
			return nil, fmt.Errorf("request %d has %d numbers", i, len(e.Batches))
		}
		for pair := range slices.Chunk(e.Batches, 2) {
			if pair[0] < 0 || int(pair[0]) >= len(segments) || pair[1] <= 0 {
				return nil, fmt.Errorf("request %d has %d rows of segment %d", i, pair[1], pair[0])
			}
			r.Topic = segments[pair[0]].Partition.Topic
			r.Batches = append(r.Batches, foz.CommitBatch{Segment: pair[0], Rows: pair[1]})
		}
		var err error
		if r.Producer, err = e.Producer.parse(); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		requests = append(requests, r)
	}
	return requests, nil
}

func (p *producerEntry) parse() (*foz.Producer, error) {
	if p == nil {
		return nil, nil
	}
	id := p.ID
	if p.IDBase64 != "" {
		raw, err := base64.StdEncoding.DecodeString(p.IDBase64)
		if err != nil {
			return nil, err
		}
		id = string(raw)
	}
	return &foz.Producer{ID: id, Epoch: p.Epoch, Seq: p.Seq}, nil
}
