package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// decoded runs one decoder on a body and gives the records it made, in partition 0.
func decoded(a *API, decode func(*batches) error) (*foz.Rows, error) {
	b := a.newBatches(foz.Topic{Partitions: 4}, 0, 1)
	defer b.lease.release()
	err := decode(b)
	var known *foz.Error
	if err != nil && !errors.As(err, &known) {
		panic("an error of no kind: " + err.Error())
	}
	if err == nil && b.rows[0] == nil {
		return &foz.Rows{}, nil
	}
	return b.rows[0], err
}

// How: whatever is taken as NDJSON comes out as its non-empty lines, wherever reads cut it.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{
		"a\nb\n", "\n\n", "", "x", "a\r\n\n\x00\xff\n", strings.Repeat("y", 5000),
	} {
		f.Add([]byte(seed))
	}
	a := newHouse().api(Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := decoded(a, func(b *batches) error {
			return b.decodeLines(iotest.HalfReader(bytes.NewReader(body)))
		})
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if len(line) == 0 {
				continue
			}
			if !bytes.Equal(rows.Values.Cell(i), line) || rows.Keys.Cell(i) != nil {
				t.Fatalf("line %d: %q, want %q", i, rows.Values.Cell(i), line)
			}
			i++
		}
		if rows.Len() != i {
			t.Fatalf("%d records of %d lines", rows.Len(), i)
		}
	})
}

var jsonSeeds = []string{
	`{"records":[{"value":1},{"key":"k","value":"v","headers":[["a","b"]],"timestamp":5}]}`,
	`{"records":[{"value":"\ud83d\ude00\\","partition":0,"encoding":null}],"next_offset":1}`,
	`{"records":[{"value":"AA==","encoding":"base64"},{"value":null},{"value":[{},[]," "]}]}`,
	`{"records":[{"value":-0.0e-10}]}`, `{"records":[{"value":tru}]}`, `[`, `{"records":[{"v`,
	`{"records":[{"value":"\ud800"}]}`, `{"a~/":[],"records":[]}`, "\xff", ``, `{"records":[1,2]}`,
}

// How: encoding/json judges: what it refuses is refused, and what is taken has the values
// that it finds; strict JSON is refused only for being no record.
func FuzzJSON(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
	}
	a := newHouse().api(Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := decoded(a, func(b *batches) error { return b.decodeJSON(body) })
		valid := json.Valid(body) && utf8.Valid(body)
		if isCode(err, foz.CodeBadRequest) && valid && !strings.Contains(err.Error(), "nesting") {
			t.Fatalf("valid JSON: %v", err)
		}
		if err != nil {
			return
		}
		if !valid {
			t.Fatal("taken, but not JSON")
		}
		var doc struct {
			Records []struct{ Value json.RawMessage }
		}
		if json.Unmarshal(body, &doc) != nil || len(doc.Records) != rows.Len() {
			t.Fatalf("%d records, want %d", rows.Len(), len(doc.Records))
		}
		for i, record := range doc.Records {
			got := rows.Values.Cell(i)
			if c := record.Value[0]; c != '"' && c != 'n' && !bytes.Equal(got, record.Value) {
				t.Fatalf("record %d: %q, want %q", i, got, record.Value)
			}
		}
	})
}

// How: what one line makes as an envelope, it makes as an element of records; and what is
// taken is written by a read as what makes the same record again.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range jsonSeeds {
		inner := strings.TrimSuffix(strings.TrimPrefix(seed, `{"records":[`), `]}`)
		f.Add([]byte(inner))
	}
	f.Add([]byte(`{"key":"/w==","value":"AA==","headers":[["h","/w=="]],"encoding":"base64"}`))
	a := newHouse().api(Config{})
	f.Fuzz(func(t *testing.T, line []byte) {
		line = bytes.ReplaceAll(line, []byte("\n"), []byte(" "))
		rows, err := decoded(a, func(b *batches) error { return b.decodeEnvelope(line) })
		if err != nil || rows.Len() == 0 {
			return
		}
		body := append(append([]byte(`{"records":[`), line...), "]}"...)
		same, err := decoded(a, func(b *batches) error { return b.decodeJSON(body) })
		if err != nil || describe(same) != describe(rows) {
			t.Fatalf("as JSON: %v", err)
		}
		text, err := asRecord(t, query{}, foz.Run{Base: 7, Rows: rows, To: 1})
		if err != nil || !json.Valid(text) || bytes.IndexByte(text, '\n') >= 0 {
			t.Fatalf("written as %q, %v", text, err)
		}
		again, err := decoded(a, func(b *batches) error { return b.decodeEnvelope(text) })
		if err != nil || describe(again) != describe(rows) {
			t.Fatalf("read back from %q: %v", text, err)
		}
	})
}

// asRecord writes the first record of a run.
func asRecord(t *testing.T, q query, run foz.Run) ([]byte, error) {
	s, err := styleOf(q)
	if err == nil {
		err = s.resolve(foz.Topic{}, mediaJSON, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s.appendRecord(nil, 0, &run, 0)
}

func describe(rows *foz.Rows) string {
	r, err := rows.Record(0, 0)
	if err != nil {
		panic(err)
	}
	line := quoted(r.Key) + quoted(r.Value)
	for _, h := range r.Headers {
		line += quoted([]byte(h.Key)) + quoted(h.Value)
	}
	return line
}

// How: with value=json any bytes are written as one line of valid JSON, which makes the same
// record again, but for line ends in what is embedded and white space around it.
func FuzzEmbedded(f *testing.F) {
	for _, seed := range append(jsonSeeds, " {\n} ", "nul", `"a`, "1 2", "\"\u2028\"", "null",
		`"x"`, "[1,\n2]", "{}\r", "\t1", "true", "") {
		f.Add([]byte(seed))
	}
	a := newHouse().api(Config{})
	f.Fuzz(func(t *testing.T, value []byte) {
		rows := &foz.Rows{}
		rows.Append(1, nil, value, nil)
		embedded := query{map[string][]string{"value": {"json"}}}
		text, err := asRecord(t, embedded, foz.Run{Rows: rows, To: 1})
		if err != nil || !json.Valid(text) || bytes.ContainsAny(text, "\n\r") {
			t.Fatalf("%q written as %q, %v", value, text, err)
		}
		back, err := decoded(a, func(b *batches) error { return b.decodeEnvelope(text) })
		want := value
		if embeddable(value) {
			line := strings.NewReplacer("\n", " ", "\r", " ").Replace(string(value))
			want = []byte(strings.Trim(line, " \t"))
		}
		if !deep(value) && (err != nil || !bytes.Equal(back.Values.Cell(0), want)) {
			t.Fatalf("%q written as %q comes back otherwise, %v", value, text, err)
		}
		if jsonscan.Whole(value) != (json.Valid(value) && utf8.Valid(value)) && !deep(value) {
			t.Fatalf("%q: whole JSON is %v", value, jsonscan.Whole(value))
		}
	})
}

func deep(b []byte) bool {
	return bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > jsonscan.DepthMax
}
