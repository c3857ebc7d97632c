package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// form is how a request's records travel. Each form has records that it alone can carry.
type form int

const (
	formJSON     form = iota // many partitions, named; keys, headers, timestamps
	formEnvelope             // many partitions, named; some records are not UTF-8
	formKeyed                // many partitions, by the hash of keys
	formLines                // one partition, values only
	formArrow                // one partition
	formOctets               // one record
	forms
)

// many says whether a request of the form may go to several partitions.
func (f form) many() bool { return f <= formKeyed }

// outcome is what a writer knows of a request.
type outcome int

const (
	unknown outcome = iota
	acked
	refused
)

// part is a request's records in one partition.
type part struct {
	partition, rows int32
	base            int64 // of its first record, as acknowledged
}

// request is one request as its writer knows it. Its records follow from it, so that the
// ledger need not hold them.
type request struct {
	writer, number int32
	form           form
	size           int // bytes of a value, about
	partitions     int32
	parts          []part // by partition

	once     bool  // carries a producer's sequence
	sent     int64 // when the first attempt began, on the ledger's clock
	settled  int64 // when the outcome was known
	outcome  outcome
	attempts int
}

func (r *request) String() string {
	return fmt.Sprintf("writer %d request %d", r.writer, r.number)
}

// mark names a record by where it comes from: the first words of its value.
type mark struct{ writer, request, partition, index int32 }

func (m mark) text() string {
	return fmt.Sprintf("%d.%d.%d.%d ", m.writer, m.request, m.partition, m.index)
}

func parseMark(value []byte) (m mark, ok bool) {
	text, _, ok := strings.Cut(string(value[:min(len(value), 60)]), " ")
	if !ok {
		return m, false
	}
	for _, field := range []*int32{&m.writer, &m.request, &m.partition, &m.index} {
		word, rest, _ := strings.Cut(text, ".")
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return m, false
		}
		*field, text = int32(n), rest
	}
	return m, text == ""
}

// record is what the request sends at a place in one of its parts. Its timestamp is 0 where
// the service sets it.
func (r *request) record(p part, index int32) foz.Record {
	m := mark{r.writer, r.number, p.partition, index}
	value := []byte(m.text())
	for fill := int32(r.size) - int32(len(value)) - index%16; fill > 0; fill -= 16 {
		value = append(value, `<filler> "\`+"\u00e9 &16"...)
	}
	rec := foz.Record{Value: value}
	switch r.form {
	case formJSON, formArrow:
		rec.Timestamp = 1_600_000_000_000 + int64(r.number)
		if index%2 == 0 {
			rec.Key = fmt.Appendf(nil, "k%d", r.writer)
		}
		if index%3 == 0 {
			rec.Headers = []foz.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{}}}
		}
	case formEnvelope:
		if index%4 == 1 {
			rec.Value = append(rec.Value, 0xff, 0, '\n')
		}
	case formKeyed:
		rec.Key = keyFor(p.partition, r.partitions)
	case formOctets:
		rec.Key = []byte("octets &")
		rec.Headers = []foz.Header{{Key: "h", Value: []byte("v")}}
		rec.Value = append(rec.Value, 0xff, 0, '\n')
	}
	return rec
}

// keyFor is a key that belongs to the partition.
func keyFor(partition, partitions int32) []byte {
	for n := 0; ; n++ {
		if key := fmt.Appendf(nil, "key-%d", n); foz.PartitionOf(key, partitions) == partition {
			return key
		}
	}
}

// wireRecord is a record as a produce body has it.
type wireRecord struct {
	Partition *int32      `json:"partition,omitempty"`
	Timestamp *int64      `json:"timestamp,omitempty"`
	Key       *string     `json:"key,omitempty"`
	Value     string      `json:"value"`
	Headers   [][2]string `json:"headers,omitempty"`
	Encoding  string      `json:"encoding,omitempty"`
}

func toWire(rec foz.Record, partition *int32) wireRecord {
	text := func(b []byte) string { return string(b) }
	w := wireRecord{Partition: partition}
	if bytes.IndexByte(rec.Value, 0xff) >= 0 {
		text, w.Encoding = base64.StdEncoding.EncodeToString, "base64"
	}
	w.Value = text(rec.Value)
	if rec.Key != nil {
		key := text(rec.Key)
		w.Key = &key
	}
	if rec.Timestamp != 0 {
		w.Timestamp = &rec.Timestamp
	}
	for _, h := range rec.Headers {
		w.Headers = append(w.Headers, [2]string{h.Key, text(h.Value)})
	}
	return w
}

// wire is the request as it is sent: path below /v1/topics/{t}, header, body.
func (r *request) wire() (path string, header http.Header, body []byte, err error) {
	path, header = "/records", http.Header{}
	if !r.form.many() {
		path = fmt.Sprintf("/partitions/%d/records", r.parts[0].partition)
	}
	switch r.form {
	case formJSON, formKeyed:
		header.Set("Content-Type", "application/json")
		body, err = json.Marshal(map[string]any{"records": r.wireRecords()})
	case formEnvelope:
		header.Set("Content-Type", "application/x-ndjson")
		path += "?envelope=record"
		for _, w := range r.wireRecords() {
			line, err := json.Marshal(w)
			if err != nil {
				return "", nil, nil, err
			}
			body = append(append(body, line...), '\n')
		}
	case formLines:
		header.Set("Content-Type", "application/x-ndjson")
		for i := range r.parts[0].rows {
			body = append(append(body, r.record(r.parts[0], i).Value...), '\n')
		}
	case formArrow:
		header.Set("Content-Type", mediaArrow)
		body, err = r.arrow()
	case formOctets:
		rec := r.record(r.parts[0], 0)
		header.Set("Content-Type", "application/octet-stream")
		header.Set("Foz-Header-H", "v")
		path += "?key=" + url.QueryEscape(string(rec.Key))
		body = rec.Value
	}
	return path, header, body, err
}

// wireRecords interleaves the partitions' records: their order matters within each alone.
func (r *request) wireRecords() (out []wireRecord) {
	for i, more := int32(0), true; more; i++ {
		more = false
		for n := range r.parts {
			p := &r.parts[n]
			if i >= p.rows {
				continue
			}
			more = true
			partition := &p.partition
			if r.form == formKeyed {
				partition = nil
			}
			out = append(out, toWire(r.record(*p, i), partition))
		}
	}
	return out
}

func (r *request) arrow() ([]byte, error) {
	rows := &foz.Rows{}
	for i := range r.parts[0].rows {
		rec := r.record(r.parts[0], i)
		rows.Append(rec.Timestamp, rec.Key, rec.Value, foz.AppendHeaders(nil, rec.Headers))
	}
	var out bytes.Buffer
	w, err := segment.NewStreamWriter(&out, segment.StreamOptions{Columns: arrowColumns})
	if err != nil {
		return nil, err
	}
	if err := w.Write(0, foz.Run{Rows: rows, To: rows.Len()}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
