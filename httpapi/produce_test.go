package httpapi

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/klauspost/compress/zstd"
)

// How: each row posts one body to a partition of an empty log and compares what the log then
// holds, null and empty told apart, and the answer.
func TestProduceBodies(t *testing.T) {
	const json, ndjson = "Content-Type: application/json", "Content-Type: application/x-ndjson"
	for _, c := range []struct {
		name, query, body string
		header            []string
		want              []string // key value headers
	}{
		{"json value kinds", "", `{"records":[{"value":"a"},{"value":null},{"value":""},
			{"value":1e400},{"value":12345678901234567890.50},{"value":{"b":1, "b" :[ true ]}}]}`,
			[]string{json}, []string{`null "a"`, `null null`, `null ""`, `null "1e400"`,
				`null "12345678901234567890.50"`, `null "{\"b\":1, \"b\" :[ true ]}"`}},
		{"json members", "", `{"records":[{"key":"k","value":"v","headers":[["a","1"],["a",""]],
			"timestamp":5,"partition":1,"offset":77}]}`,
			[]string{json}, []string{`"k" "v" a="1" a=""`}},
		{"json nulls", "", `{"records":[{"key":null,"value":"v","headers":null,"timestamp":null,
			"partition":null,"encoding":null}]}`, []string{json}, []string{`null "v"`}},
		{"json empty key", "", `{"records":[{"key":"","value":"v","headers":[]}]}`,
			[]string{json}, []string{`"" "v"`}},
		{"json escapes", "", `{"records":[{"\u006bey":"\ud83d\ude00\"\\\/\b\f\n\r\t\u0000",
			"value":"é"}]}`,
			[]string{json}, []string{`"😀\"\\/\b\f\n\r\t\x00" "é"`}},
		{"json base64", "", `{"records":[{"key":"/w==","value":"AAE=","headers":[["h","\u002fg=="]],
			"encoding":"base64"}]}`, []string{json}, []string{`"\xff" "\x00\x01" h="\xfe"`}},
		{"json answer of all partitions sent back", "", `{"records":[{"partition":1,"offset":3,
			"timestamp":1,"key":null,"value":"v","headers":[]}],"positions":[{"partition":1,
			"next_offset":4,"high_watermark":9}]}`, []string{json}, []string{`null "v"`}},
		{"json answer sent back", "", `{"records":[{"offset":3,"timestamp":1,"key":null,"value":"v",
			"headers":[]}],"next_offset":4,"high_watermark":9}`, []string{json}, []string{`null "v"`}},
		{"json charset", "", `{"records":[{"value":1}]}`,
			[]string{"Content-Type: application/json; charset=utf-8"}, []string{`null "1"`}},
		{"ndjson", "", "a\n\n{\"k\":\nb\r\n \n\xff\x00\n", []string{ndjson},
			[]string{`null "a"`, `null "{\"k\":"`, `null "b\r"`, `null " "`, `null "\xff\x00"`}},
		{"ndjson without the last newline", "", "a\nb", []string{"Content-Type: application/jsonl"},
			[]string{`null "a"`, `null "b"`}},
		{"ndjson, another name", "", "a\n", []string{"Content-Type: application/ndjson"},
			[]string{`null "a"`}},
		{"envelope", "?envelope=record", "{\"value\":1,\"key\":\"k\"}\n\n \r\n" +
			`{"partition":1,"offset":0,"timestamp":1,"key":null,"value":"x","headers":[["h","v"]]}`,
			[]string{ndjson}, []string{`"k" "1"`, `null "x" h="v"`}},
		{"octets", "?key=k", "a\nb\x00\xff", []string{"Content-Type: application/octet-stream",
			"Foz-Header-Zone: z", "Foz-Header-App: 1", "Foz-Header-App: 2"},
			[]string{`"k" "a\nb\x00\xff" app="1" app="2" zone="z"`}},
		{"octets, empty", "?key=", "", []string{"Content-Type: application/octet-stream"},
			[]string{`"" ""`}},
		{"text", "", "hello", []string{"Content-Type: text/plain; charset=utf-8"},
			[]string{`null "hello"`}},
		{"gzip", "", gzipped("a\nb\n"), []string{ndjson, "Content-Encoding: gzip"},
			[]string{`null "a"`, `null "b"`}},
		{"zstd", "", zstandard("a\nb\n"), []string{ndjson, "Content-Encoding: zstd"},
			[]string{`null "a"`, `null "b"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse()
			topic := h.topic("t", 2, foz.TopicConfig{})
			got := do(h.api(Config{}).Handler(), "POST",
				"/v1/topics/t/partitions/1/records"+c.query, c.body, c.header...)
			wantEqual(t, "records", h.records(foz.Partition{Topic: topic.ID, Number: 1}), c.want)
			wantEqual(t, "answer", got.body, fmt.Sprintf(`{"partition":1,"start_offset":0,`+
				`"end_offset":%d,"next_offset":%[1]d,"timestamp":1700000000999}`+"\n", len(c.want)))
			wantEqual(t, "slot", got.header.Get("Foz-Slot"), "2")
			if api := got.header.Get("Content-Type"); got.status != 200 || api != "application/json" {
				t.Errorf("status %d, type %s", got.status, api)
			}
		})
	}
}

// How: values longer than any buffer of the decoder, at every distance from its edges that
// matters, come back byte for byte; used rows are used again in between.
func TestProduceLargeLines(t *testing.T) {
	h := newHouse()
	topic := h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	var want []string
	for _, size := range []int{1, bufferSmall - 1, bufferSmall, bufferSmall + 1, 100_000, 1 << 20} {
		value := strings.Repeat("x", size)
		body := strings.Repeat(value+"\n", 3)
		for _, body := range []string{body, gzipped(body), zstandard(body)} {
			header := []string{"Content-Type: application/x-ndjson"}
			switch {
			case strings.HasPrefix(body, "\x1f\x8b"):
				header = append(header, "Content-Encoding: gzip")
			case body[0] != 'x':
				header = append(header, "Content-Encoding: zstd")
			}
			if got := do(a.Handler(), "POST", "/v1/topics/t/records", body, header...); got.status != 200 {
				t.Fatalf("%d bytes: %d %s", size, got.status, got.body)
			}
			want = append(want, value, value, value)
		}
	}
	rows := h.logs[foz.Partition{Topic: topic.ID}]
	for i, value := range want {
		if string(rows.Values.Cell(i)) != value || rows.Keys.Cell(i) != nil ||
			rows.Headers.Cell(i) != nil {
			t.Fatalf("record %d: %d bytes, want %d", i, len(rows.Values.Cell(i)), len(value))
		}
	}
	wantEqual(t, "memory held after all", a.decoding.used.Load(), 0)
}

// How: keyed records go where Kafka's partitioner sends them, keyless ones of one request to
// one partition, of the next request to the next; named partitions win.
func TestProducePartitions(t *testing.T) {
	h := newHouse()
	topic := h.topic("t", 4, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	post := func(body string) answer {
		return do(api, "POST", "/v1/topics/t/records", body, "Content-Type: application/json")
	}
	got := post(`{"records":[{"value":"a"},{"value":"b"},{"key":"d","value":"c"},
		{"value":"d","partition":3}]}`)
	key := foz.PartitionOf([]byte("d"), 4)
	p := foz.Partition{Topic: topic.ID, Number: key}
	wantEqual(t, "key's partition", h.records(p)[0], `"d" "c"`)
	wantEqual(t, "first", got.body, `{"partitions":[`+
		`{"partition":0,"start_offset":0,"end_offset":2,"timestamp":1700000000999},`+
		`{"partition":1,"start_offset":0,"end_offset":1,"timestamp":1700000000999},`+
		`{"partition":3,"start_offset":0,"end_offset":1,"timestamp":1700000000999}],"count":4}`+"\n")
	var turns []string
	for range 5 {
		body := post(`{"records":[{"value":1},{"value":2}]}`).body
		turns = append(turns, body[strings.Index(body, `"partition":`)+12:][:1])
	}
	wantEqual(t, "turns", turns, []string{"1", "2", "3", "0", "1"})
}

// How: the same triple twice gives the first answer and says so.
func TestProduceIdempotent(t *testing.T) {
	h := newHouse()
	h.topic("t", 2, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	var answers []string
	for range 2 {
		answers = append(answers, do(api, "POST", "/v1/topics/t/records", "a\n",
			"Content-Type: application/x-ndjson", "Producer-Id: p", "Producer-Epoch: 3",
			"Producer-Seq: 0").body)
	}
	wantEqual(t, "second", answers[1],
		strings.Replace(answers[0], `"count":1}`, `"count":1,"duplicate":true}`, 1))
	wantEqual(t, "records", h.total(), 1)
	wantEqual(t, "producer", *h.requests[0].Producer, foz.Producer{ID: "p", Epoch: 3})
}

// How: a request is appended, the topic altered so that it would be refused, and the request sent
// again: it is told its first answer, and one that was never appended is refused.
func TestProduceIdempotentAfterAlter(t *testing.T) {
	reject := foz.Schema{OnMismatch: foz.MismatchReject, Columns: []foz.SchemaColumn{
		{Name: "n", Type: "int64", Pointer: "/n"}}}
	for name, alter := range map[string]func(*foz.Topic){
		"413": func(t *foz.Topic) { t.Config.MaxMessageBytes = 5 },
		"422": func(t *foz.Topic) { t.Schema = reject },
	} {
		h := newHouse()
		topic := h.topic("t", 1, foz.TopicConfig{})
		api := h.api(Config{}).Handler()
		post := func(seq string) answer {
			return do(api, "POST", "/v1/topics/t/records", `{"n":"no number"}`,
				"Content-Type: application/x-ndjson", "Producer-Id: p", "Producer-Epoch: 3",
				"Producer-Seq: "+seq)
		}
		first := post("0").body
		alter(&topic)
		h.topics["t"] = topic
		wantEqual(t, name+" again", post("0").body,
			strings.Replace(first, `"count":1}`, `"count":1,"duplicate":true}`, 1))
		wantEqual(t, name+" the next", fmt.Sprint(post("1").status), name)
		wantEqual(t, name+" records", h.total(), 1)
	}
}

// How: if_next_offset that holds lets the request through; one that does not is 412 with the
// number as member and header.
func TestProduceIfNextOffset(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	post := func(n int) answer {
		return do(api, "POST", fmt.Sprintf("/v1/topics/t/partitions/0/records?if_next_offset=%d", n),
			"a\n", "Content-Type: application/x-ndjson")
	}
	wantEqual(t, "first", post(0).status, 200)
	got := post(0)
	wantEqual(t, "second", got.status, 412)
	wantEqual(t, "header", got.header.Get("Foz-Next-Offset"), "1")
	if !strings.Contains(got.body, `"next_offset":1`) {
		t.Errorf("no member in %s", got.body)
	}
}

// How: a node that has not seen a topic grow is made to look again when a partition is named
// that it does not know, in the path and in a record.
func TestProduceToGrownTopic(t *testing.T) {
	for _, target := range []string{"/v1/topics/t/partitions/5/records", "/v1/topics/t/records"} {
		h := newHouse()
		old := h.topic("t", 1, foz.TopicConfig{})
		now := old
		now.Partitions = 6
		h.topics["t"], h.stale["t"] = now, old
		got := do(h.api(Config{}).Handler(), "POST", target,
			`{"records":[{"value":1,"partition":5}]}`, "Content-Type: application/json")
		if got.status != 200 || len(h.records(foz.Partition{Topic: now.ID, Number: 5})) != 1 {
			t.Errorf("%s: %d %s", target, got.status, got.body)
		}
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zstandard(s string) string {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

// How: rows that were used once hold nothing of it when used again: a request with keys,
// headers and nulls, then one without, through the same API.
func TestProduceReusesRows(t *testing.T) {
	h := newHouse()
	topic := h.topic("t", 1, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	for range 20 {
		do(api, "POST", "/v1/topics/t/records",
			`{"records":[{"key":"k","value":null,"headers":[["h","v"]]},{"value":"w"}]}`,
			"Content-Type: application/json")
		do(api, "POST", "/v1/topics/t/records", "x\ny\n", "Content-Type: application/x-ndjson")
	}
	want := []string{`"k" null h="v"`, `null "w"`, `null "x"`, `null "y"`}
	got := h.records(foz.Partition{Topic: topic.ID})
	for chunk := range slices.Chunk(got, 4) {
		if !slices.Equal(chunk, want) {
			t.Fatalf("got %v", chunk)
		}
	}
}
