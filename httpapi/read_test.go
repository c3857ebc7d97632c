package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// ten is a house with records 0 to 9 in partition 0 of topic t, at 100, 200 ... ms; below the
// log start are those under earliest.
func ten(earliest int64) (*house, foz.Partition) {
	h := newHouse()
	p := foz.Partition{Topic: h.topic("t", 2, foz.TopicConfig{}).ID}
	for i := range int64(10) {
		h.log(p).Append(100*(i+1), nil, []byte{'0' + byte(i)}, nil)
	}
	h.earliest[p] = earliest
	return h, p
}

const oneRead = "/v1/topics/t/partitions/0/records"

// How: each row reads from ten records of one byte, of which two are gone, and compares the
// values given and the three headers: next offset, high watermark, earliest offset.
func TestReadRanges(t *testing.T) {
	for _, c := range []struct{ query, values, next string }{
		{"", "23456789", "10"},
		{"?offset=2", "23456789", "10"},
		{"?offset=7", "789", "10"},
		{"?offset=10", "", "10"},
		{"?offset=7&end_offset=9", "78", "9"},
		{"?offset=7&end_offset=7", "", "7"},
		{"?offset=7&end_offset=99", "789", "10"},
		{"?end_offset=1", "", "2"},
		{"?timestamp=700", "6789", "10"},
		{"?timestamp=701", "789", "10"},
		{"?timestamp=0", "23456789", "10"},
		{"?timestamp=9999", "", "10"},
		{"?tail=3", "789", "10"},
		{"?tail=0", "", "10"},
		{"?tail=99", "23456789", "10"},
		{"?until=500", "23", "4"},
		{"?until=9999", "23456789", "10"},
		{"?timestamp=300&until=500", "23", "4"},
		{"?timestamp=800&until=300", "", "7"},
		{"?offset=3&limit=2", "34", "5"},
		{"?limit=0", "2", "3"},
		{"?limit=-7", "2", "3"},
		{"?limit=99999999999999999999999", "23456789", "10"},
		{"?limit=-99999999999999999999999", "2", "3"},
		{"?limit=00000000000000000000001", "2", "3"},
		{"?max_bytes=3", "234", "5"},
		{"?max_bytes=0", "2", "3"},
		{"?max_bytes=3&limit=2", "23", "4"},
		{"?offset=8&max_bytes=2", "89", "10"},
	} {
		for _, sparse := range []bool{false, true} {
			for _, runRows := range []int{0, 1, 3} {
				h, _ := ten(2)
				h.sparse, h.runRows = sparse, runRows
				query := c.query + "&columns=value"
				if c.query == "" {
					query = "?columns=value"
				}
				got := do(h.api(Config{}).Handler(), "GET", oneRead+query, "",
					"Accept: application/x-ndjson")
				values := strings.NewReplacer(`{"value":"`, "", `"}`, "", "\n", "").Replace(got.body)
				if got.status != 200 || values != c.values {
					t.Errorf("%s: %d, values %s, want %s", c.query, got.status, values, c.values)
				}
				if head := got.header.Get("Foz-Next-Offset") + " " + got.header.Get("Foz-High-Watermark") +
					" " + got.header.Get("Foz-Earliest-Offset"); head != c.next+" 10 2" {
					t.Errorf("%s: headers %s", c.query, head)
				}
			}
		}
	}
}

// How: the bytes of every kind of record in JSON and NDJSON, with and without value=json and
// columns, are those written here.
func TestReadText(t *testing.T) {
	h := newHouse()
	p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
	header := func(k, v string) []byte {
		return foz.AppendHeaders(nil, []foz.Header{{Key: k, Value: []byte(v)}})
	}
	h.log(p).Append(1, []byte("k"), []byte("a\"\\\n\x01é"), header("h", "v"))
	h.log(p).Append(2, nil, nil, nil)
	h.log(p).Append(3, []byte{}, []byte(" {\"x\" :\n1} "), nil)
	h.log(p).Append(4, nil, []byte("\xff"), header("\xfe", "v"))
	h.log(p).Append(5, nil, []byte("1"), header("h", "\xff"))
	lines := []string{
		`{"offset":0,"timestamp":1,"key":"k","value":"a\"\\\n\u0001é","headers":[["h","v"]]}`,
		`{"offset":1,"timestamp":2,"key":null,"value":null,"headers":[]}`,
		`{"offset":2,"timestamp":3,"key":"","value":" {\"x\" :\n1} ","headers":[]}`,
		`{"offset":3,"timestamp":4,"key":null,"value":"/w==","headers":[["�","dg=="]],` +
			`"encoding":"base64"}`,
		`{"offset":4,"timestamp":5,"key":null,"value":"MQ==","headers":[["h","/w=="]],` +
			`"encoding":"base64"}`,
	}
	api := h.api(Config{}).Handler()
	got := do(api, "GET", oneRead, "")
	wantEqual(t, "json", got.body,
		`{"records":[`+strings.Join(lines, ",")+`],"next_offset":5,"high_watermark":5}`+"\n")
	wantEqual(t, "type", got.header.Get("Content-Type"), "application/json")
	ndjson := do(api, "GET", oneRead, "", "Accept: application/jsonl")
	wantEqual(t, "ndjson", ndjson.body, strings.Join(lines, "\n")+"\n")
	wantEqual(t, "type", ndjson.header.Get("Content-Type"), "application/jsonl")
	embedded := do(api, "GET", oneRead+"?value=json&columns=value,offset", "",
		"Accept: application/x-ndjson")
	wantEqual(t, "value=json", embedded.body, `{"offset":0,"value":"a\"\\\n\u0001é"}
{"offset":1,"value":null}
{"offset":2,"value": {"x" : 1} }
{"offset":3,"value":"/w==","encoding":"base64"}
{"offset":4,"value":1}
`)
	empty := do(api, "GET", oneRead+"?offset=5", "")
	wantEqual(t, "empty", empty.body, `{"records":[],"next_offset":5,"high_watermark":5}`+"\n")

	back := newHouse()
	q := foz.Partition{Topic: back.topic("t", 1, foz.TopicConfig{}).ID}
	sent := do(back.api(Config{}).Handler(), "POST", oneRead+"?envelope=record", ndjson.body,
		"Content-Type: application/x-ndjson")
	wantEqual(t, "sent back", sent.status, 200)
	got2, want2 := back.records(q), h.records(p)
	got2[3], want2[3] = "", "" // its header's name was no text and cannot come back
	wantEqual(t, "records sent back", got2, want2)
}

// How: what clients and browsers send as Accept, and the media type they get.
func TestAccept(t *testing.T) {
	for given, want := range map[string]string{
		"": mediaJSON, "*/*": mediaJSON, "application/*": mediaJSON, "text/*": mediaSSE,
		"text/html,application/xhtml+xml,*/*;q=0.8":         mediaJSON,
		"application/x-ndjson, application/json":            mediaNDJSON,
		"application/json;q=0.5, application/ndjson":        "application/ndjson",
		"*/*, application/vnd.apache.arrow.stream":          mediaArrow,
		"application/vnd.apache.arrow.stream;q=0, */*;q=.1": mediaJSON,
		"TEXT/EVENT-STREAM":                                 mediaSSE,
		"application/json; charset=utf-8":                   mediaJSON,
		"junk, application/json":                            mediaJSON,
		"application/json;q=0, */*":                         mediaNDJSON,
		"*/*, application/json;q=0.5":                       mediaNDJSON,
		"application/*;q=0, */*;q=0.1":                      mediaSSE,
		"text/event-stream;q=0, text/*, */*;q=0.1":          mediaJSON,
		"application/ndjson;q=0, application/*":             mediaJSON,
		"application/x-ndjson;q=.5, application/json;q=.5":  mediaNDJSON,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", given)
		got, err := accept(r)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
	}
}

// How: a settled range has a tag and is 304 to who has it; the tag differs by all that the
// bytes depend on; an open range has none.
func TestETag(t *testing.T) {
	h, _ := ten(0)
	api := h.api(Config{}).Handler()
	seen := map[string]string{}
	for _, c := range []struct{ query, media string }{
		{"?end_offset=5", mediaJSON}, {"?end_offset=5", mediaNDJSON}, {"?end_offset=6", mediaJSON},
		{"?offset=1&end_offset=5", mediaJSON}, {"?end_offset=5&value=json", mediaJSON},
		{"?end_offset=5&columns=key", mediaJSON}, {"?end_offset=5&limit=2", mediaJSON},
		{"?until=500", mediaArrow}, {"?limit=3", mediaJSON}, {"?offset=1&limit=2", mediaJSON},
		{"?offset=8&limit=2", mediaJSON}, {"?tail=3&limit=1&max_bytes=1", mediaNDJSON},
	} {
		got := do(api, "GET", oneRead+c.query, "", "Accept: "+c.media)
		tag := got.header.Get("Etag")
		if tag == "" || seen[tag] != "" || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%v: tag %q (also of %q), %s", c, tag, seen[tag], got.header.Get("Cache-Control"))
		}
		seen[tag] = c.query
		for _, match := range []string{tag, `"x", ` + tag, "*", strings.TrimPrefix(tag, "W/")} {
			again := do(api, "GET", oneRead+c.query, "", "Accept: "+c.media, "If-None-Match: "+match)
			if again.status != 304 || again.body != "" || again.header.Get("Etag") != tag {
				t.Errorf("%v with %s: %d %q", c, match, again.status, again.body)
			}
		}
	}
	for _, query := range []string{"", "?offset=3", "?end_offset=11", "?limit=11", "?until=9999",
		"?limit=2&where=offset+%3E+2", "?max_bytes=1"} {
		got := do(api, "GET", oneRead+query, "", "If-None-Match: *")
		cached := got.header.Get("Etag") != "" || got.header.Get("Cache-Control") != "no-store"
		if got.status != 200 || cached {
			t.Errorf("%s: %d, tag %q", query, got.status, got.header.Get("Etag"))
		}
	}
}

// How: a HEAD has the headers of a GET and no body, for every media type.
func TestHead(t *testing.T) {
	h, _ := ten(0)
	server := httptest.NewServer(h.api(Config{}).Handler())
	defer server.Close()
	for _, media := range []string{mediaJSON, mediaNDJSON, mediaArrow, mediaSSE} {
		for _, path := range []string{oneRead, "/v1/topics/t/records"} {
			r, _ := http.NewRequest("HEAD", server.URL+path, nil)
			r.Header.Set("Accept", media)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || len(body) > 0 || resp.Header.Get("Content-Type") != media ||
				resp.Header.Get("Foz-High-Watermark") == "" {
				t.Errorf("%s %s: %d %v", media, path, resp.StatusCode, resp.Header)
			}
		}
	}
}

// How: out of range below and above is 416 with both numbers, after a catch-up.
func TestOutOfRange(t *testing.T) {
	for _, offset := range []string{"1", "11", "9223372036854775807"} {
		h, _ := ten(2)
		got := do(h.api(Config{}).Handler(), "GET", oneRead+"?offset="+offset, "")
		checkProblem(t, offset, got, foz.CodeOffsetOutOfRange)
		if !strings.Contains(got.body, `"earliest_offset":2,"next_offset":10`) ||
			got.header.Get("Foz-Earliest-Offset") != "2" || got.header.Get("Foz-Next-Offset") != "10" {
			t.Errorf("%s: %s %v", offset, got.body, got.header)
		}
		wantEqual(t, "catch-ups", h.catchUps, 1)
	}
}

// How: Arrow answers are, byte for byte, what segment writes for the same records with the
// columns asked for; that those bytes are Arrow is that package's test. An answer with a
// producer's columns can be sent back.
func TestReadArrow(t *testing.T) {
	h, p := ten(0)
	h.log(p).Append(1100, []byte("k"), nil, foz.AppendHeaders(nil, []foz.Header{{Key: "h"}}))
	api := h.api(Config{}).Handler()
	all := foz.Run{Rows: h.log(p), From: 0, To: 11}
	for _, c := range []struct {
		target  string
		options segment.StreamOptions
		run     foz.Run
	}{
		{oneRead, segment.StreamOptions{}, all},
		{oneRead + "?offset=8", segment.StreamOptions{},
			foz.Run{Base: 8, Rows: all.Rows, From: 8, To: 11}},
		{oneRead + "?columns=value,offset",
			segment.StreamOptions{Columns: []string{"value", "offset"}}, all},
		{oneRead + "?tail=0", segment.StreamOptions{}, foz.Run{Rows: all.Rows}},
		{oneRead + "?columns=value,partition",
			segment.StreamOptions{Columns: []string{"value", "partition"}, Partition: true}, all},
		{"/v1/topics/t/records", segment.StreamOptions{Partition: true}, all},
		{"/v1/topics/t/records?columns=key", segment.StreamOptions{Columns: []string{"key"}}, all},
		{"/v1/topics/t/records?columns=key,partition",
			segment.StreamOptions{Columns: []string{"key", "partition"}, Partition: true}, all},
	} {
		got := do(api, "GET", c.target, "", "Accept: "+mediaArrow)
		if got.status != 200 || got.body != arrowStream(t, c.options, c.run) {
			t.Errorf("%s: %d, %d bytes", c.target, got.status, len(got.body))
		}
		wantEqual(t, c.target, got.header.Get("Content-Type"), mediaArrow)
	}
	got := do(api, "GET", oneRead+"?columns=timestamp,key,value,headers", "", "Accept: "+mediaArrow)
	sent := do(api, "POST", "/v1/topics/t/partitions/1/records", got.body, "Content-Type: "+mediaArrow)
	wantEqual(t, "sent back", sent.status, 200)
	wantEqual(t, "records", h.records(foz.Partition{Topic: p.Topic, Number: 1}), h.records(p))
	cut := do(api, "POST", oneRead, got.body[:len(got.body)-8], "Content-Type: "+mediaArrow)
	checkProblem(t, "without its end", cut, foz.CodeBadRequest)
	strange := do(api, "GET", oneRead, "", "Accept: "+mediaArrow)
	checkProblem(t, "other columns", do(api, "POST", oneRead, strange.body,
		"Content-Type: "+mediaArrow), foz.CodeInvalidRecord)
}

// How: Arrow rows go where their keys send them, in order; one that is too large refuses all.
func TestProduceArrow(t *testing.T) {
	h := newHouse()
	topic := h.topic("t", 4, foz.TopicConfig{MaxMessageBytes: 5})
	api := h.api(Config{}).Handler()
	rows := &foz.Rows{}
	for _, key := range []string{"a", "d", "a", "f"} { // of partitions 0, 1, 0, 3
		rows.Append(7, []byte(key), []byte{'0' + byte(rows.Len())}, nil)
	}
	rows.Append(8, nil, nil, nil)
	columns := segment.StreamOptions{Columns: []string{"value", "key", "timestamp"}}
	body := arrowStream(t, columns, foz.Run{Rows: rows, To: 5})
	got := do(api, "POST", "/v1/topics/t/records", body, "Content-Type: "+mediaArrow)
	wantEqual(t, "status", got.status, 200)
	for p, want := range [][]string{
		{`"a" "0"`, `"a" "2"`, `null null`}, {`"d" "1"`}, nil, {`"f" "3"`},
	} {
		wantEqual(t, "records", h.records(foz.Partition{Topic: topic.ID, Number: int32(p)}), want)
	}
	rows.Append(9, nil, []byte("123456"), nil)
	body = arrowStream(t, columns, foz.Run{Rows: rows, To: 6})
	got = do(api, "POST", "/v1/topics/t/records", body, "Content-Type: "+mediaArrow)
	p := checkProblem(t, "large row", got, foz.CodeRecordTooLarge)
	wantEqual(t, "pointer", p.Errors[0].Pointer, "/5")
	wantEqual(t, "records", h.total(), 5)
}

func arrowStream(t *testing.T, o segment.StreamOptions, run foz.Run) string {
	t.Helper()
	var b bytes.Buffer
	o.BatchBytesMax = arrowBatchBytes
	w, err := segment.NewStreamWriter(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(0, run), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// How: all partitions in order, JSON and NDJSON, each record with its partition, from each
// beginning.
func TestReadTopic(t *testing.T) {
	h, p := ten(8)
	p.Number = 1
	h.log(p).Append(950, nil, []byte("x"), nil)
	api := h.api(Config{}).Handler()
	get := func(query, accept string) answer {
		return do(api, "GET", "/v1/topics/t/records"+query, "", "Accept: "+accept)
	}
	got := get("?columns=partition,offset", mediaNDJSON)
	wantEqual(t, "ndjson", got.body,
		"{\"partition\":0,\"offset\":8}\n{\"partition\":0,\"offset\":9}\n"+
			"{\"partition\":1,\"offset\":0}\n")
	wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "0:10,1:1")
	wantEqual(t, "json", get("?from=901", mediaJSON).body, `{"records":[`+
		`{"partition":0,"offset":9,"timestamp":1000,"key":null,"value":"9","headers":[]},`+
		`{"partition":1,"offset":0,"timestamp":950,"key":null,"value":"x","headers":[]}],`+
		`"positions":[{"partition":0,"next_offset":10,"high_watermark":10},`+
		`{"partition":1,"next_offset":1,"high_watermark":1}]}`+"\n")
	wantEqual(t, "from=now", get("?from=now", mediaNDJSON).body, "")
}

// How: a scan fails before or after bytes went out. Before: a problem. After: the answer is
// cut, over a real connection, in every media type.
func TestBrokenReads(t *testing.T) {
	for _, media := range []string{mediaJSON, mediaNDJSON, mediaArrow} {
		for _, path := range []string{oneRead, "/v1/topics/t/records"} {
			for _, large := range []bool{false, true} {
				h := newHouse()
				p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
				size := 10
				if large {
					size = 3 << 20
				}
				for range 4 {
					h.log(p).Append(1, nil, bytes.Repeat([]byte("x"), size), nil)
				}
				h.runRows = 2
				h.scan = func(foz.Partition, foz.Range) error {
					return foz.Errorf(foz.CodeStorage, "object data/1 is damaged")
				}
				server := httptest.NewServer(h.api(Config{}).Handler())
				r, _ := http.NewRequest("GET", server.URL+path, nil)
				r.Header.Set("Accept", media)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				server.Close()
				held := media == mediaJSON && path == oneRead // a limited answer is gathered first
				if large && !held {
					if !errors.Is(err, io.ErrUnexpectedEOF) || resp.StatusCode != 200 {
						t.Errorf("%s %s: ended with %v after %d bytes", media, path, err, len(body))
					}
					continue
				}
				got := answer{resp.StatusCode, resp.Header, string(body)}
				checkProblem(t, media+path, got, foz.CodeStorage)
			}
		}
	}
}
