package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/segment"
)

// readable makes topic r: partition 0 holds the JSON values 0 to 9, with timestamps from 1000.
func (w *walk) readable(t *testing.T) {
	if w.ask(t, "PUT /v1/topics/r", `{"partitions":2}`).StatusCode == 200 {
		return
	}
	var lines strings.Builder
	for i := range 10 {
		fmt.Fprintf(&lines, `{"key":"k%d","value":{"n":%d},"timestamp":%d}`+"\n", i, i, 1000+i)
	}
	w.ask(t, "POST /v1/topics/r/partitions/0/records?envelope=record", lines.String(),
		"Content-Type: application/x-ndjson").is(200)
}

func (w *walk) reads(t *testing.T) {
	w.readable(t)
	for query, want := range map[string]string{
		"":                        "[0 1 2 3 4 5 6 7 8 9] 10",
		"offset=8":                "[8 9] 10",
		"offset=10":               "[] 10",
		"offset=2&end_offset=5":   "[2 3 4] 5",
		"tail=3":                  "[7 8 9] 10",
		"tail=99":                 "[0 1 2 3 4 5 6 7 8 9] 10",
		"timestamp=1004":          "[4 5 6 7 8 9] 10",
		"timestamp=1004&limit=2":  "[4 5] 6",
		"timestamp=9999":          "[] 10",
		"offset=1&until=1003":     "[1 2] 3",
		"offset=3&limit=1":        "[3] 4",
		"offset=3&limit=99999999": "[3 4 5 6 7 8 9] 10",
		"offset=0&max_bytes=1":    "[0] 1",
	} {
		var page struct {
			Records []struct{ Offset, Timestamp int64 }
			Next    int64 `json:"next_offset"`
			High    int64 `json:"high_watermark"`
		}
		r := w.ask(t, "GET /v1/topics/r/partitions/0/records?"+query, "").is(200).
			has("Foz-High-Watermark", "10").has("Foz-Earliest-Offset", "0")
		r.json(&page)
		offsets := []int64{}
		for _, rec := range page.Records {
			offsets = append(offsets, rec.Offset)
			if rec.Timestamp != 1000+rec.Offset {
				t.Error(query, rec)
			}
		}
		if got := fmt.Sprint(offsets, " ", page.Next); got != want || page.High != 10 {
			t.Errorf("%s: %s, high watermark %d, want %s", query, got, page.High, want)
		}
		r.has("Foz-Next-Offset", fmt.Sprint(page.Next))
	}
	const records = "GET /v1/topics/r/partitions/0/records"
	w.ask(t, records+"?offset=0&limit=1&value=json", "").is(200, `"value":{"n":0}`)
	w.ask(t, records+"?offset=0&limit=1", "").is(200, `"value":"{\"n\":0}"`)
	w.ask(t, records+"?offset=11", "").is(416, `"code":"offset_out_of_range"`, `"earliest_offset":0`,
		`"next_offset":10`).has("Foz-Next-Offset", "10").has("Foz-Earliest-Offset", "0")
	one := w.ask(t, records+"?offset=0&limit=1&columns=value,offset", "").is(200, `"offset":0`)
	for _, column := range []string{"timestamp", "key", "headers"} {
		if strings.Contains(one.text, column) {
			t.Errorf("columns=value,offset gives %s", one.text)
		}
	}
}

func (w *walk) formats(t *testing.T) {
	w.readable(t)
	const path = "/v1/topics/r/partitions/0/records?offset=4&end_offset=6"
	for accept, want := range map[string]string{
		"":                               "application/json",
		"*/*":                            "application/json",
		"text/html, application/*;q=0.8": "application/json",
		"application/x-ndjson":           "application/x-ndjson",
		"application/jsonl":              "application/jsonl",
		"application/json;q=0.1, application/x-ndjson": "application/x-ndjson",
		"application/vnd.apache.arrow.stream":          "application/vnd.apache.arrow.stream",
	} {
		r := w.ask(t, "GET "+path, "", "Accept: "+accept).is(200).has("Content-Type", want).
			has("Foz-Next-Offset", "6").has("Foz-High-Watermark", "10").has("Vary", "Accept")
		head := w.ask(t, "HEAD "+path, "", "Accept: "+accept).is(200).has("Content-Type", want).
			has("Foz-Next-Offset", "6").has("Foz-High-Watermark", "10")
		if head.text != "" || head.Header.Get("Etag") != r.Header.Get("Etag") {
			t.Errorf("HEAD as %s: %v %q", accept, head.Header, head.text)
		}
	}
	w.ask(t, "GET "+path, "", "Accept: text/html").is(406, `"code":"not_acceptable"`)
	w.ask(t, "GET "+path, "", "Accept: application/json;q=0").is(406)
	lines := w.ask(t, "GET "+path, "", "Accept: application/x-ndjson").text
	if strings.Count(lines, "\n") != 2 || !strings.HasPrefix(lines, `{"offset":4,"timestamp":1004,`+
		`"key":"k4","value":"{\"n\":4}","headers":[]}`+"\n") {
		t.Errorf("%q", lines)
	}
	stream := w.ask(t, "GET "+path+"&columns=value,key", "",
		"Accept: application/vnd.apache.arrow.stream").text
	rows, err := segment.ReadStream(strings.NewReader(stream), segment.StreamLimits{})
	if err != nil || rows.Len() != 2 || string(rows.Values.Cell(1)) != `{"n":5}` ||
		string(rows.Keys.Cell(0)) != "k4" {
		t.Errorf("%v, %+v", err, rows)
	}
}

func (w *walk) waiting(t *testing.T) {
	w.ask(t, "PUT /v1/topics/w", "").is(201)
	const records = "/v1/topics/w/partitions/0/records"
	begun := time.Now()
	w.ask(t, "GET "+records+"?offset=0&wait=1", "").is(200, `"records":[]`, `"next_offset":0`).
		has("Cache-Control", "no-store")
	if took := time.Since(begun); took < 900*time.Millisecond || took > promptly {
		t.Errorf("an empty wait of 1 s took %s", took)
	}
	done := make(chan *reply)
	begun = time.Now()
	go func() { done <- w.ask(t, "GET "+records+"?offset=0&wait=30", "") }()
	time.Sleep(50 * time.Millisecond)
	ack := w.ask(t, "POST "+records, "a", "Content-Type: text/plain").is(200)
	(<-done).is(200, `"value":"a"`, `"next_offset":1`)
	if took := time.Since(begun); took > promptly {
		t.Errorf("it woke after %s", took)
	}
	w.ask(t, "GET "+records, "", "Foz-Min-Slot: "+ack.Header.Get("Foz-Slot")).is(200, `"value":"a"`)
	w.ask(t, "GET "+records, "", "Foz-Min-Slot: x").is(400)

	resp, lines := w.events(t, records+"?offset=0", "")
	defer resp.Body.Close()
	if got := nextEvent(t, lines); !strings.Contains(got, "id: 0") ||
		!strings.Contains(got, "event: position") {
		t.Errorf("the first event: %s", got)
	}
	if got := nextEvent(t, lines); !strings.Contains(got, "id: 1\n") ||
		!strings.Contains(got, `"offset":0`) || !strings.Contains(got, `"value":"a"`) {
		t.Errorf("the second event: %s", got)
	}
	w.ask(t, "POST "+records, "b", "Content-Type: text/plain").is(200)
	if got := nextEvent(t, lines); !strings.Contains(got, `"value":"b"`) {
		t.Errorf("the third event: %s", got)
	}
	resumed, lines := w.events(t, records, "1")
	defer resumed.Body.Close()
	nextEvent(t, lines)
	if got := nextEvent(t, lines); !strings.Contains(got, "id: 2\n") ||
		!strings.Contains(got, `"value":"b"`) {
		t.Errorf("resumed: %s", got)
	}
}

// events opens a stream of events.
func (w *walk) events(t *testing.T, path, lastID string) (*http.Response, *bufio.Reader) {
	t.Helper()
	r := eventRequest(t, w.p.URL+path)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	(&reply{resp, "", t}).is(200).has("Content-Type", "text/event-stream").
		has("X-Accel-Buffering", "no").has("Cache-Control", "no-store")
	return resp, bufio.NewReader(resp.Body)
}

func nextEvent(t *testing.T, lines *bufio.Reader) (event string) {
	t.Helper()
	for !strings.HasSuffix(event, "\n\n") {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err, event)
		}
		event += line
	}
	return event
}

func (w *walk) caching(t *testing.T) {
	w.readable(t)
	const path = "GET /v1/topics/r/partitions/0/records?offset=4&end_offset=6"
	tag := w.ask(t, path, "").is(200).has("Etag", "?").has("Cache-Control", "no-cache").
		Header.Get("Etag")
	same := w.ask(t, path, "", "If-None-Match: "+tag).is(304).has("Etag", tag)
	if same.text != "" {
		t.Error(same.text)
	}
	w.ask(t, path, "", `If-None-Match: "other"`).is(200)
	w.ask(t, path, "", "If-None-Match: "+tag, "Accept: application/x-ndjson").is(200)
	w.ask(t, strings.Replace(path, "end_offset=6", "end_offset=11", 1), "").is(200).
		has("Etag", "").has("Cache-Control", "no-store")
}

func (w *walk) all(t *testing.T) {
	w.ask(t, "PUT /v1/topics/a", `{"partitions":3}`).is(201)
	body := `{"records":[{"value":"x","partition":0},{"value":"y","partition":2},` +
		`{"value":"z","partition":2}]}`
	w.ask(t, "POST /v1/topics/a/records", body, "Content-Type: application/json").is(200)
	lines := w.ask(t, "GET /v1/topics/a/records?from=earliest", "", "Accept: application/x-ndjson").
		is(200, `"partition":0`, `"partition":2`).has("Content-Type", "application/x-ndjson")
	if strings.Count(lines.text, "\n") != 3 {
		t.Error(lines.text)
	}
	stream := w.ask(t, "GET /v1/topics/a/records?columns=value", "",
		"Accept: application/vnd.apache.arrow.stream").is(200)
	rows, err := segment.ReadStream(strings.NewReader(stream.text), segment.StreamLimits{})
	if err != nil || rows.Len() != 3 {
		t.Error(err, rows)
	}
	empty := w.ask(t, "GET /v1/topics/a/records?from=now", "", "Accept: application/x-ndjson").is(200)
	if empty.text != "" {
		t.Error(empty.text)
	}
	later := fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())
	if r := w.ask(t, "GET /v1/topics/a/records?from="+later, "", "Accept: application/x-ndjson"); r.
		is(200).text != "" {
		t.Error(r.text)
	}
	resp, events := w.events(t, "/v1/topics/a/records?from=now", "")
	defer resp.Body.Close()
	if got := nextEvent(t, events); !strings.Contains(got, "id: 0:1,1:0,2:2\n") {
		t.Errorf("the first event: %s", got)
	}
	w.ask(t, "POST /v1/topics/a/partitions/1/records", "v", "Content-Type: text/plain").is(200)
	if got := nextEvent(t, events); !strings.Contains(got, "id: 0:1,1:1,2:2\n") ||
		!strings.Contains(got, `"partition":1`) || !strings.Contains(got, `"value":"v"`) {
		t.Errorf("an event: %s", got)
	}
	resumed, events := w.events(t, "/v1/topics/a/records", "0:1,1:1,2:1")
	defer resumed.Body.Close()
	nextEvent(t, events)
	if got := nextEvent(t, events); !strings.Contains(got, `"value":"z"`) {
		t.Errorf("resumed: %s", got)
	}
}
