package main

// What is not a request, over the wire.
//
// How: a table of malformed, oversized and lying requests is sent to a real node, one after
// the other. Each gets the contract's problem; afterwards nothing has been stored, and the
// process has not needed memory for what bodies claimed.

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

const (
	asJSON   = "application/json"
	asLines  = "application/x-ndjson"
	asArrow  = "application/vnd.apache.arrow.stream"
	asText   = "text/plain"
	asOctets = "application/octet-stream"
)

// hostile is one request that must be refused. Its method is POST unless the path begins with
// another.
type hostile struct {
	name   string
	path   string // below /v1
	media  string
	header map[string]string
	body   func() io.Reader
	want   string // code; "": it may also be valid, a lie about what does not matter
}

// The codes that a bad request gets.
const (
	unparsable  = "bad_request"
	noRecord    = "invalid_record"
	largeRecord = "record_too_large"
	largeBody   = "batch_too_large"
	noMedia     = "unsupported_media_type"
	noTopic     = "topic_not_found"
	noPartition = "partition_not_found"
	noGroup     = "group_not_found"
	nothing     = "not_found"
	otherTopic  = "topic_exists"
	noProducer  = "unknown_producer"
	outOfRange  = "offset_out_of_range"
	conflict    = "offset_conflict"
)

// statusOf is the contract's table.
var statusOf = map[string]int{
	unparsable: 400, noRecord: 422, largeRecord: 413, largeBody: 413, noMedia: 415, noTopic: 404,
	noPartition: 404, noGroup: 404, nothing: 404, otherTopic: 409, noProducer: 409,
	outOfRange: 416, conflict: 412,
}

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

// gzipBomb is 10 GiB of zeros in 10 MB.
func gzipBomb() io.Reader { return bytes.NewReader(bomb()) }

var bomb = sync.OnceValue(func() []byte {
	var member bytes.Buffer
	w := gzip.NewWriter(&member)
	_, _ = io.Copy(w, io.LimitReader(&endless{line: strings.Repeat("\x00", 4096)}, 100<<20))
	_ = w.Close()
	return bytes.Repeat(member.Bytes(), 102)
})

// zstdBomb claims a window and a content of 2 GiB, and holds blocks of repeated zeros.
func zstdBomb() io.Reader {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0} // single segment, content size in 4 bytes
	b = binary.LittleEndian.AppendUint32(b, 2<<30)
	for range 1 << 14 { // RLE blocks of 128 KiB
		b = append(b, byte(1<<1|0x20000<<3&0xff), byte(0x20000<<3>>8&0xff), byte(0x20000<<3>>16), 0)
	}
	return bytes.NewReader(b)
}

// arrowOf is an Arrow stream with the columns given.
func arrowOf(columns ...string) []byte {
	rows := &foz.Rows{}
	for i := range 100 {
		rows.Append(int64(i), []byte("k"), fmt.Appendf(nil, "value %d", i), nil)
	}
	var out bytes.Buffer
	w, err := segment.NewStreamWriter(&out, segment.StreamOptions{Columns: columns})
	if err == nil {
		err = w.Write(0, foz.Run{Rows: rows, To: 100})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
}

// raw is a body of bytes; the function may change its own copy.
func raw(b []byte, change func(b []byte) []byte) func() io.Reader {
	return func() io.Reader { return bytes.NewReader(change(bytes.Clone(b))) }
}

func hostileBodies() (all []hostile) {
	body := func(name, media, path, content, want string) {
		all = append(all, hostile{name, "/topics/t" + path, media, nil, text(content), want})
	}
	deep := strings.Repeat(`[`, 1<<20)
	for name, c := range map[string][2]string{
		"nothing":                 {"", unparsable},
		"half":                    {`{"records":[{"value":"a"`, unparsable},
		"trailing bytes":          {`{"records":[{"value":"a"}]} x`, unparsable},
		"not UTF-8":               {"{\"records\":[{\"value\":\"\xff\"}]}", unparsable},
		"a million brackets":      {deep, unparsable},
		"deep within":             {`{"records":[{"value":` + deep, unparsable},
		"an array":                {`[{"value":"a"}]`, noRecord},
		"no records":              {`{}`, noRecord},
		"empty records":           {`{"records":[]}`, noRecord},
		"records of another type": {`{"records":"a"}`, noRecord},
		"a string for a record":   {`{"records":["a"]}`, noRecord},
		"no value":                {`{"records":[{"value":"a"},{"key":"k"}]}`, noRecord},
		"a number for a key":      {`{"records":[{"value":"a","key":5}]}`, noRecord},
		"a text for a partition":  {`{"records":[{"value":"a","partition":"0"}]}`, noRecord},
		"a broken partition":      {`{"records":[{"value":"a","partition":0.5}]}`, noRecord},
		"no such partition":       {`{"records":[{"value":"a","partition":7}]}`, noPartition},
		"headers as an object":    {`{"records":[{"value":"a","headers":{"a":"b"}}]}`, noRecord},
		"a header of three":       {`{"records":[{"value":"a","headers":[["a","b","c"]]}]}`, noRecord},
		"a time in words":         {`{"records":[{"value":"a","timestamp":"now"}]}`, noRecord},
		"an unknown encoding":     {`{"records":[{"value":"a","encoding":"rot13"}]}`, noRecord},
		"no base64":               {`{"records":[{"value":"?","encoding":"base64"}]}`, noRecord},
	} {
		body("JSON: "+name, asJSON, "/records", c[0], c[1])
	}
	lines := "{\"value\":\"a\"}\n"
	body("lines: half an envelope", asLines, "/records?envelope=record", lines+`{"value":`, unparsable)
	body("lines: no record", asLines, "/records?envelope=record", lines+"5\n", noRecord)
	body("lines: none", asLines, "/records", "\n\n\n", noRecord)
	body("lines: an unknown envelope", asLines, "/records?envelope=x", lines, unparsable)
	body("no media type", "", "/records", "a", noMedia)
	body("HTML", "text/html", "/records", "a", noMedia)
	body("a record too large", asText, "/records", strings.Repeat("x", 1<<20+1), largeRecord)
	body("a line too large", asLines, "/records", "a\n"+strings.Repeat("x", 1<<20+1), largeRecord)
	body("a record too large for its topic", asText, "/../small/records", strings.Repeat("x", 101),
		largeRecord)
	body("a key too large", asJSON, "/records", `{"records":[{"value":"a","key":"`+
		strings.Repeat("k", 1<<20)+`"}]}`, largeRecord)
	return all
}

func hostileStreams() (all []hostile) {
	add := func(name string, body func() io.Reader, want string) {
		all = append(all, hostile{"Arrow: " + name, "/topics/t/records", asArrow, nil, body, want})
	}
	good := arrowOf("key", "value", "headers", "timestamp")
	add("nothing", text(""), unparsable)
	add("garbage", text(strings.Repeat("garbage ", 100)), unparsable)
	add("an Arrow file", text("ARROW1\x00\x00"+string(good)), unparsable)
	for n := range 16 {
		add(fmt.Sprintf("cut at %d/16", n), raw(good[:len(good)*n/16], slices.Clone), unparsable)
	}
	add("no end-of-stream marker", raw(good[:len(good)-8], slices.Clone), unparsable)
	add("more after the end", raw(append(slices.Clone(good), good...), slices.Clone), unparsable)
	add("another column", raw(arrowOf("value", "offset"), slices.Clone), noRecord)
	add("no value", raw(arrowOf("key"), slices.Clone), noRecord)
	claim := func(at int) func(b []byte) []byte {
		return func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[at:], 0x7ffffff8)
			return b
		}
	}
	add("a schema of 2 GiB", raw(good, claim(4)), unparsable)
	second := 8 + int(binary.LittleEndian.Uint32(good[4:])) // the record batch message
	add("a batch's metadata of 2 GiB", raw(good, claim(second+4)), unparsable)
	meta := good[second+8 : second+8+int(binary.LittleEndian.Uint32(good[second+4:]))]
	for at := 0; at+8 <= len(meta); at += 8 { // lengths, counts and offsets, each once
		word := binary.LittleEndian.Uint64(meta[at:])
		if word == 0 || word > 1<<20 {
			continue
		}
		for _, lie := range []uint64{1 << 30, 1<<63 - 1, ^uint64(0)} {
			add(fmt.Sprintf("%d at %d of the batch says %d", word, at, lie),
				raw(good, func(b []byte) []byte {
					binary.LittleEndian.PutUint64(b[second+8+at:], lie)
					return b
				}), "")
		}
	}
	return all
}

func hostileEncodings() []hostile {
	encoded := func(name, encoding, media string, body func() io.Reader, want string) hostile {
		return hostile{name, "/topics/t/records", media, map[string]string{"Content-Encoding": encoding},
			body, want}
	}
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	_, _ = w.Write(bytes.Repeat([]byte("a line\n"), 1000))
	_ = w.Close()
	return []hostile{
		encoded("an unknown encoding", "br", asText, text("a"), noMedia),
		encoded("no gzip", "gzip", asText, text("a"), unparsable),
		encoded("half a gzip", "gzip", asLines, raw(small.Bytes()[:small.Len()/2], slices.Clone),
			unparsable),
		encoded("no zstd", "zstd", asText, text("a"), unparsable),
		encoded("a gzip bomb of a text", "gzip", asText, gzipBomb, largeRecord),
		encoded("a gzip bomb of lines", "gzip", asLines, gzipBomb, largeRecord),
		encoded("a gzip bomb of JSON", "gzip", asJSON, gzipBomb, largeBody),
		encoded("a gzip bomb of Arrow", "gzip", asArrow, gzipBomb, unparsable),
		encoded("a zstd bomb", "zstd", asJSON, zstdBomb, largeBody),
		{"a body too large", "/topics/t/records", asLines, nil, func() io.Reader {
			return io.LimitReader(&endless{line: strings.Repeat("x", 999) + "\n"}, 64<<20+1)
		}, largeBody},
	}
}

// endless repeats a line.
type endless struct {
	line string
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], e.line[e.at:])
		n += c
		e.at = (e.at + c) % len(e.line)
	}
	return n, nil
}

func hostilePaths() (all []hostile) {
	add := func(path, body, want string) {
		all = append(all, hostile{path, path, asJSON, nil, text(body), want})
	}
	one := `{"records":[{"value":"a"}]}`
	long := strings.Repeat("n", 250)
	add("/topics/none/records", one, noTopic)
	add("/topics/none/partitions/0/records", one, noTopic)
	add("/topics/t/partitions/2/records", one, noPartition)
	add("/topics/t/partitions/2147483647/records", one, noPartition)
	add("/topics/t/partitions/-1/records", one, unparsable)
	add("/topics/t/partitions/x/records", one, unparsable)
	add("/topics/t/records?if_next_offset=0", one, unparsable)
	add("/topics/t/partitions/0/records?if_next_offset=x", one, unparsable)
	add("/topics/t/partitions/0/records?if_next_offset=-1", one, unparsable)
	add("/topics/t/partitions/0/records?if_next_offset=9", one, conflict)
	for _, name := range []string{long, "a%20b", "a%2Fb", "%C3%A9", "a:b"} {
		add("PUT /topics/"+name, "{}", unparsable)
	}
	add("PUT /topics/new", `{"partitions":0}`, noRecord)
	add("PUT /topics/new", `{"partitions":-1}`, noRecord)
	add("PUT /topics/new", `{"partitions":1000000000}`, noRecord)
	add("PUT /topics/new", `{"partitions":"two"}`, noRecord)
	add("PUT /topics/new", `{"config":{"cleanup_policy":"burn"}}`, noRecord)
	add("PUT /topics/new", `{"config":{"max_message_bytes":1000000000}}`, noRecord)
	add("PUT /topics/new", `{"config":`, unparsable)
	add("PUT /topics/t", `{"partitions":3}`, otherTopic)
	add("DELETE /topics/none", "", noTopic)
	add("GET /topics/none", "", noTopic)
	records := "GET /topics/t/partitions/0/records?"
	for _, query := range []string{"offset=-1", "offset=x", "offset=9223372036854775808", "tail=-1",
		"offset=0&tail=1", "offset=5&end_offset=4", "timestamp=now", "limit=x", "wait=x", "max_bytes=a",
		"columns=nope", "value=xml"} {
		add(records+query, "", unparsable)
	}
	add(records+"offset=3", "", outOfRange)
	add(records+"offset=9223372036854775807", "", outOfRange)
	add("GET /topics/t/partitions/0/offsets?at=noon", "", unparsable)
	add("GET /topics/t/records?from=noon", "", unparsable)
	add("GET /groups/none", "", noGroup)
	add("PUT /groups/g/offsets", `{"offsets":[{"topic":"none","partition":0,"offset":1}]}`, noTopic)
	add("PUT /groups/g/offsets", `{"offsets":[{"topic":"t","partition":9,"offset":1}]}`, noPartition)
	add("PUT /groups/g/offsets", `{"offsets":[{"topic":"t","partition":0,"offset":-1}]}`, noRecord)
	add("PUT /groups/g/offsets", `{"offsets":[]}`, noRecord)
	add("PUT /groups/g/offsets", `{`, unparsable)
	add("GET /nothing", "", nothing)
	for _, h := range []map[string]string{
		{"Producer-Id": "p"}, {"Producer-Epoch": "0", "Producer-Seq": "0"},
		{"Producer-Id": "p", "Producer-Epoch": "x", "Producer-Seq": "0"},
		{"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "-1"},
		{"Producer-Id": "p q", "Producer-Epoch": "0", "Producer-Seq": "0"},
	} {
		all = append(all, hostile{fmt.Sprint(h), "/topics/t/records", asJSON, h, text(one), unparsable})
	}
	return append(all, hostile{"a sequence from nowhere", "/topics/t/records", asJSON,
		map[string]string{"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "3"}, text(one),
		noProducer})
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	p := startDev(t, dir)
	call(t, "PUT", p.URL+"/v1/topics/t", nil, strings.NewReader(`{"partitions":2}`))
	call(t, "PUT", p.URL+"/v1/topics/small", nil,
		strings.NewReader(`{"config":{"max_message_bytes":100}}`))
	for _, value := range []string{"a", "b"} {
		produceText(t, p.URL, value)
	}
	before := peakMemory(t, p)
	groups := [][]hostile{hostileBodies(), hostileStreams(), hostilePaths(), hostileEncodings()}
	stored := 2
	for _, h := range slices.Concat(groups...) {
		stored += refuses(t, p, h)
	}
	holdsCount(t, p, "t", stored)
	holdsCount(t, p, "small", 0)
	one := peakMemory(t, p)
	if testing.Short() { // with the race detector memory says nothing
		return
	}
	bombsAtOnce(t, p, 12)
	all := peakMemory(t, p)
	t.Logf("the process's peak: %d MiB, after all of these %d, after 12 bombs at once %d",
		before>>20, one>>20, all>>20)
	// A body may have 64 MiB decoded, all at once 256; they grow into that by doubling, and the
	// garbage collector lets as much again lie about.
	if one-before > 512<<20 || all-before > 1536<<20 {
		t.Error("that is more than the limits of bodies explain")
	}
	holdsCount(t, p, "t", stored)
}

// bombsAtOnce sends bombs at once: each is too large, or there is no memory for it now.
func bombsAtOnce(t *testing.T, p *process, count int) {
	var all sync.WaitGroup
	for range count {
		all.Go(func() {
			resp, text := call(t, "POST", p.URL+"/v1/topics/t/records", map[string]string{
				"Content-Type": asJSON, "Content-Encoding": "gzip"}, gzipBomb())
			problem := problemOf(t, resp, text)
			if problem.Code != "batch_too_large" && problem.Code != "overloaded" ||
				problem.SideEffects != "none" {
				t.Errorf("a bomb among others: %d %s", resp.StatusCode, text)
			}
		})
	}
	all.Wait()
}

// refuses sends a request, checks its problem, and gives how many records were stored.
func refuses(t *testing.T, p *process, h hostile) int {
	t.Helper()
	method, path, ok := strings.Cut(h.path, " ")
	if !ok {
		method, path = "POST", h.path
	}
	header := map[string]string{}
	for name, value := range h.header {
		header[name] = value
	}
	if h.media != "" {
		header["Content-Type"] = h.media
	}
	if method == "PATCH" {
		header["Content-Type"] = "application/merge-patch+json"
	}
	url := p.URL + "/v1" + strings.Replace(path, "/t/../", "/", 1)
	resp, text := call(t, method, url, header, h.body())
	if h.want == "" && resp.StatusCode == 200 {
		var ack struct{ Count int }
		if err := json.Unmarshal([]byte(text), &ack); err != nil {
			t.Error(err)
		}
		return ack.Count
	}
	problem := problemOf(t, resp, text)
	wanted := problem.Code == h.want
	if h.want == "" {
		wanted = slices.Contains([]string{unparsable, noRecord, largeBody}, problem.Code)
	}
	if !wanted || resp.StatusCode != statusOf[problem.Code] || problem.Detail == "" ||
		problem.Code == noRecord && len(problem.Errors) == 0 {
		t.Errorf("%s: %d, want %s: %.300s", h.name, resp.StatusCode, h.want, text)
	}
	return 0
}

// holdsCount asks how many records there are.
func holdsCount(t *testing.T, p *process, topic string, want int) {
	t.Helper()
	_, text := call(t, "GET", p.URL+"/v1/topics/"+topic, nil, nil)
	var answer struct {
		Bounds []struct {
			Next int `json:"next_offset"`
		} `json:"partition_bounds"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, b := range answer.Bounds {
		got += b.Next
	}
	if got != want || len(answer.Bounds) == 0 {
		t.Errorf("topic %s holds %d records, want %d: %s", topic, got, want, text)
	}
}

// peakMemory is the most that a process has had in memory, in bytes; 0 where nobody tells.
func peakMemory(t *testing.T, p *process) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Log("no peak of memory here: ", err)
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
