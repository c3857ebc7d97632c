package httpapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

const typed = `"schema":{"columns":[{"name":"a","type":"int64","pointer":"/a","nullable":true},` +
	`{"name":"b","type":"utf8","pointer":"/x/b","nullable":false}],"on_mismatch":"null"}`

// How: a schema is given, compared, grown, and refused to shrink; each answer has it whole.
func TestTopicSchema(t *testing.T) {
	h := newHouse()
	api := h.api(Config{}).Handler()
	for _, step := range []struct {
		method, body string
		status       int
		has          string
	}{
		{"PUT", `{"schema":{"columns":[{"name":"a","type":"int64"},` +
			`{"name":"b","type":"utf8","pointer":"/x/b","nullable":false}]}}`, 201, typed},
		{"GET", ``, 200, typed},
		{"PATCH", `{"schema":{}}`, 200, typed},
		{"PUT", `{` + typed + `}`, 200, typed},
		{"PUT", `{}`, 200, typed},
		{"PUT", `{"schema":{"columns":[{"name":"a","type":"int64"}]}}`, 409, "topic_exists"},
		{"PATCH", `{"config":{"retention_ms":5}}`, 200, typed},
		{"PATCH", `{"schema":{"columns":[{"name":"a","type":"int64"}]}}`, 409, "cannot be taken away"},
		{"PATCH", `{"schema":null}`, 409, "cannot be taken away"},
		{"PATCH", `{"schema":{"columns":[{"name":"a","type":"bool"}]}}`, 409, "cannot become"},
		{"PATCH", `{"schema":{"on_mismatch":"reject"}}`, 200, `"on_mismatch":"reject"`},
		{"PATCH", `{"schema":{"columns":[{"name":"a","type":"int64"},` +
			`{"name":"b","type":"utf8","pointer":"/x/b","nullable":false},` +
			`{"name":"c","type":"bool"}]}}`, 200,
			`{"name":"c","type":"bool","pointer":"/c","nullable":true}],"on_mismatch":"reject"}`},
	} {
		got := do(api, step.method, "/v1/topics/t", step.body)
		if got.status != step.status || !strings.Contains(got.body, step.has) {
			t.Errorf("%s %s: %d %s, want %d %s", step.method, step.body, got.status, got.body,
				step.status, step.has)
		}
		// What a PUT finds may be an earlier attempt's; a PATCH that is refused changed nothing.
		if unknown := strings.Contains(got.body, `"side_effects":"unknown"`); unknown !=
			(got.status == 409 && step.method == "PUT") {
			t.Errorf("%s %s: %s", step.method, step.body, got.body)
		}
	}
	got := do(api, "PATCH", "/v1/topics/none", `{"schema":null}`)
	wantEqual(t, "no topic", got.status, 404)
	for body, status := range map[string]int{
		`{"schema":null}`: 201, `{"schema":{}}`: 422, `{"schema":{"columns":[]}}`: 422,
		`{"schema":{"on_mismatch":"reject"}}`: 422,
	} {
		got := do(newHouse().api(Config{}).Handler(), "PUT", "/v1/topics/t", body)
		wantEqual(t, body, got.status, status)
	}
}

// How: each kind of body has one record that does not fit; it is pointed at, and nothing of the
// request is stored. A topic that does not reject takes all of it.
func TestRejectMismatch(t *testing.T) {
	rows := &foz.Rows{}
	for _, value := range []string{`{"a":1}`, `{"a":"x"}`} {
		rows.Append(1, nil, []byte(value), nil)
	}
	arrow := arrowStream(t, segment.StreamOptions{Columns: []string{"value"}},
		foz.Run{Rows: rows, To: 2})
	for _, c := range []struct{ query, media, body, pointer string }{
		{"", "application/json", `{"records":[{"value":{"a":1}},{"value":{"a":"x"}}]}`, "/records/1"},
		{"", "application/x-ndjson", "{\"a\":1}\n\n{\"a\":\"x\"}\n", "/2"},
		{"", "application/x-ndjson", "{\"a\":1}\n{\"a\":\"x\"}", "/1"},
		{"?envelope=record", "application/x-ndjson", "{\"value\":1}\n{\"value\":{\"a\":\"x\"}}\n", "/1"},
		{"", "text/plain", `no JSON`, "/0"},
		{"", mediaArrow, arrow, "/1"},
	} {
		for _, rule := range []string{"", foz.MismatchReject} {
			h := newHouse()
			id := h.topic("t", 1, foz.TopicConfig{}).ID
			topic := h.topics["t"]
			topic.Schema = foz.Schema{OnMismatch: rule, Columns: []foz.SchemaColumn{
				{Name: "a", Type: foz.TypeInt64, Pointer: "/a", Nullable: true}}}
			h.topics["t"] = topic
			if c.query != "" { // a value that is no object lacks what is nullable
				c.body = strings.Replace(c.body, `"value":1`, `"value":{}`, 1)
			}
			got := do(h.api(Config{}).Handler(), "POST", "/v1/topics/t/records"+c.query, c.body,
				"Content-Type: "+c.media)
			if rule == "" {
				wantEqual(t, c.media+" taken", got.status, 200)
				continue
			}
			p := checkProblem(t, c.media, got, foz.CodeInvalidRecord)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != c.pointer {
				t.Errorf("%s: errors %+v, want one at %s", c.media, p.Errors, c.pointer)
			}
			if n := h.log(foz.Partition{Topic: id}).Len(); n != 0 {
				t.Errorf("%s: %d records are stored", c.media, n)
			}
		}
	}
}

// How: topics whose schemas are as long as they may be; a page ends when it is long, and the next
// one goes on.
func TestListLongSchemas(t *testing.T) {
	const topics = 40
	h := newHouse()
	long := foz.SchemaColumn{Name: "a", Type: foz.TypeInt64,
		Pointer: "/" + strings.Repeat("a", foz.SchemaBytesMax)}
	for i := range topics {
		name := fmt.Sprintf("t%02d", i)
		h.topic(name, 1, foz.TopicConfig{})
		topic := h.topics[name]
		topic.Schema.Columns = []foz.SchemaColumn{long}
		h.topics[name] = topic
	}
	api := h.api(Config{}).Handler()
	seen := 0
	for more, after := true, ""; more; {
		var page struct {
			Topics  []struct{ Name string }
			HasMore bool `json:"has_more"`
		}
		got := do(api, "GET", "/v1/topics?limit=1000&start_after="+after, "")
		if err := json.Unmarshal([]byte(got.body), &page); err != nil {
			t.Fatal(err)
		}
		if len(got.body) > topicsBytesMax+2*foz.SchemaBytesMax || len(page.Topics) == 0 {
			t.Fatalf("%d topics in %d bytes", len(page.Topics), len(got.body))
		}
		seen += len(page.Topics)
		more, after = page.HasMore, page.Topics[len(page.Topics)-1].Name
	}
	wantEqual(t, "topics listed", seen, topics)
}
