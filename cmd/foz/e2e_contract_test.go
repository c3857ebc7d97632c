package main

// The contract, row by row, through a real node.
//
// How: one node, one topic after the other. Each row is asked as curl would ask it, and what
// the contract promises is looked up in the answer: status, headers, media type, members.

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// walk is a walk along the contract.
type walk struct {
	*testing.T
	p *process
}

// reply is an answer, read.
type reply struct {
	*http.Response
	text string
	t    testing.TB
}

// ask sends "METHOD /path", with headers as "Name: value".
func (w *walk) ask(t testing.TB, what, body string, headers ...string) *reply {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	header := map[string]string{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		header[name] = value
	}
	resp, text := call(t, method, w.p.URL+path, header, strings.NewReader(body))
	return &reply{resp, text, t}
}

// is checks the status and what the answer must contain.
func (r *reply) is(status int, contains ...string) *reply {
	r.t.Helper()
	if r.StatusCode != status {
		r.t.Errorf("%s %s: %d, want %d: %.300s", r.Request.Method, r.Request.URL, r.StatusCode, status,
			r.text)
	}
	for _, c := range contains {
		if !strings.Contains(r.text, c) {
			r.t.Errorf("%s %s: no %s in %.600s", r.Request.Method, r.Request.URL, c, r.text)
		}
	}
	if status >= 400 && r.Request.Method != "HEAD" {
		r.has("Content-Type", "application/problem+json").has("Cache-Control", "no-store")
	}
	return r
}

// has checks a header; "?" is any value, "" none.
func (r *reply) has(name, want string) *reply {
	r.t.Helper()
	got := r.Header.Get(name)
	if got != want && (want != "?" || got == "") {
		r.t.Errorf("%s %s: header %s is %q, want %q", r.Request.Method, r.Request.URL, name, got, want)
	}
	return r
}

// json decodes the answer.
func (r *reply) json(out any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.text), out); err != nil {
		r.t.Errorf("%s: %v in %.300s", r.Request.URL, err, r.text)
	}
	r.has("Content-Type", "application/json")
}

func TestContract(t *testing.T) {
	t.Parallel()
	p := startDev(t, filepath.Join(t.TempDir(), "bucket"))
	w := &walk{t, p}
	for _, row := range []struct {
		name string
		walk func(w *walk, t *testing.T)
	}{
		{"1 to 4, topics", (*walk).topics}, {"6 and 7, produce", (*walk).produce},
		{"7, conditions", (*walk).conditions}, {"7, bodies", (*walk).bodies},
		{"idempotent producers", (*walk).idempotent},
		{"8, reads", (*walk).reads}, {"8, formats", (*walk).formats}, {"8, waiting", (*walk).waiting},
		{"8, caching", (*walk).caching}, {"9, all partitions", (*walk).all},
		{"10, offsets", (*walk).offsets}, {"13 and 14, groups", (*walk).groups},
		{"15 and 17, the node", (*walk).node}, {"5, delete", (*walk).remove},
		{"what is not there", (*walk).elsewhere},
	} {
		t.Run(row.name, func(t *testing.T) { row.walk(w, t) })
	}
}

func (w *walk) topics(t *testing.T) {
	var topic struct {
		Name       string
		ID         string `json:"topic_id"`
		Partitions int
		Config     map[string]any
		Created    string `json:"created_at"`
		Bounds     []map[string]int64
	}
	body := `{"partitions":3,"config":{"retention_ms":86400000,"max_message_bytes":2000}}`
	w.ask(t, "PUT /v1/topics/t.1_A-z", body).is(201).json(&topic)
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(topic.ID) ||
		topic.Name != "t.1_A-z" || topic.Partitions != 3 || topic.Config["retention_ms"] != 86400000.0 ||
		topic.Config["cleanup_policy"] != "delete" {
		t.Errorf("%+v", topic)
	}
	if _, err := time.Parse(time.RFC3339, topic.Created); err != nil {
		t.Error(err)
	}
	id := topic.ID
	w.ask(t, "PUT /v1/topics/t.1_A-z", body).is(200).json(&topic)
	w.ask(t, "PUT /v1/topics/t.1_A-z", "").is(200, id)
	w.ask(t, "PUT /v1/topics/t.1_A-z", `{"partitions":4}`).is(409, `"code":"topic_exists"`)
	w.ask(t, "PUT /v1/topics/u", "").is(201, `"partitions":1`)
	w.ask(t, "PUT /v1/topics/ta", "").is(201)

	w.ask(t, "GET /v1/topics?prefix=t", "").is(200, `"has_more":false`, `"t.1_A-z"`, `"ta"`)
	w.ask(t, "GET /v1/topics?prefix=t&limit=1", "").is(200, `"has_more":true`, `"t.1_A-z"`)
	after := w.ask(t, "GET /v1/topics?start_after=ta", "").is(200, `"has_more":false`, `"u"`)
	if strings.Contains(after.text, `"ta"`) {
		t.Error(after.text)
	}
	w.ask(t, "GET /v1/topics/t.1_A-z", "").is(200, id, `"earliest_offset":0`, `"next_offset":0`,
		`"records":0`, `"bytes":0`, `"segments":0`)
	w.ask(t, "GET /v1/topics/none", "").is(404, `"code":"topic_not_found"`, `"retryable":false`,
		`"side_effects":"none"`, `"status":404`, `"title":`, `"detail":`)

	merge := "Content-Type: application/merge-patch+json"
	w.ask(t, "PATCH /v1/topics/t.1_A-z", `{"partitions":4,"config":{"retention_ms":null}}`, merge).
		is(200, `"partitions":4`, `"max_message_bytes":2000`)
	if r := w.ask(t, "PATCH /v1/topics/t.1_A-z", `{"partitions":2}`, merge); r.StatusCode != 409 {
		r.is(422)
	}
	w.ask(t, "PATCH /v1/topics/none", `{}`, merge).is(404)
	w.ask(t, "PATCH /v1/topics/u", `{}`, "Content-Type: text/plain").is(415)
	w.ask(t, "PATCH /v1/topics/u", `{"config":5}`, merge).is(422)
}

func (w *walk) produce(t *testing.T) {
	var ack struct {
		Partitions []struct {
			Partition int
			Start     int64 `json:"start_offset"`
			End       int64 `json:"end_offset"`
			Timestamp int64
		}
		Count int
	}
	w.ask(t, "PUT /v1/topics/p", `{"partitions":4}`).is(201)
	asJSON := "Content-Type: application/json"
	begun := time.Now().Add(-time.Second).UnixMilli()
	r := w.ask(t, "POST /v1/topics/p/records", `{"records":[{"key":"k","value":{"a": [1,2]}},
		{"key":"k","value":null},{"value":"x","partition":1,"headers":[["h","1"]],"timestamp":5},
		{"value":"\u00e9","partition":1}]}`, asJSON).is(200).has("Foz-Slot", "?")
	r.json(&ack)
	if ack.Count != 4 || len(ack.Partitions) > 3 || ack.Partitions[0].Start != 0 ||
		ack.Partitions[0].Timestamp < begun || ack.Partitions[0].End < 1 {
		t.Errorf("%+v", ack)
	}
	// Records without keys and partitions stick together.
	w.ask(t, "POST /v1/topics/p/records", "a\nb\n\nc", "Content-Type: application/x-ndjson").
		is(200, `"count":3`).json(&ack)
	if len(ack.Partitions) != 1 {
		t.Errorf("%+v", ack)
	}
	var one struct {
		Partition int
		Start     int64 `json:"start_offset"`
		End       int64 `json:"end_offset"`
		Next      int64 `json:"next_offset"`
		Timestamp int64
	}
	w.ask(t, "PUT /v1/topics/p7", `{"partitions":4}`).is(201)
	w.ask(t, "POST /v1/topics/p7/partitions/3/records", "a\nb", "Content-Type: application/jsonl").
		is(200).has("Foz-Slot", "?").has("Foz-Next-Offset", "2").json(&one)
	if one.Partition != 3 || one.Start != 0 || one.End != 2 || one.Next != 2 || one.Timestamp < begun {
		t.Errorf("%+v", one)
	}
	w.ask(t, "GET /v1/topics/p7/partitions/3/records", "").is(200, `"value":"a"`, `"value":"b"`)
	// \r belongs to the value.
	w.ask(t, "POST /v1/topics/p7/partitions/3/records", "c\r\n", "Content-Type: application/ndjson").
		is(200, `"start_offset":2`)
	w.ask(t, "GET /v1/topics/p7/partitions/3/records?offset=2", "").is(200, `"value":"c\r"`)
}

func (w *walk) conditions(t *testing.T) {
	w.ask(t, "PUT /v1/topics/c", "").is(201)
	text := "Content-Type: text/plain"
	w.ask(t, "POST /v1/topics/c/partitions/0/records?if_next_offset=0", "a", text).is(200)
	w.ask(t, "POST /v1/topics/c/partitions/0/records?if_next_offset=0", "b", text).
		is(412, `"code":"offset_conflict"`, `"next_offset":1`, `"side_effects":"none"`).
		has("Foz-Next-Offset", "1")
	w.ask(t, "POST /v1/topics/c/partitions/0/records?if_next_offset=1", "b", text).
		is(200, `"start_offset":1`)
}

func (w *walk) bodies(t *testing.T) {
	w.ask(t, "PUT /v1/topics/b", "").is(201)
	const records = "POST /v1/topics/b/partitions/0/records"
	w.ask(t, records+"?key=k%20y", "\xff\x00", "Content-Type: application/octet-stream",
		"Foz-Header-Trace: 7").is(200)
	w.ask(t, records, "plain", "Content-Type: text/plain; charset=utf-8").is(200)
	w.ask(t, records+"?envelope=record", `{"key":"a","value":"line"}`+"\n"+
		`{"value":"/wA=","encoding":"base64"}`, "Content-Type: application/x-ndjson").is(200)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte("gzipped"))
	_ = z.Close()
	w.ask(t, records, zipped.String(), "Content-Type: text/plain", "Content-Encoding: gzip").is(200)
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	w.ask(t, records, string(e.EncodeAll([]byte("zstandard"), nil)), "Content-Type: text/plain",
		"Content-Encoding: zstd").is(200)
	w.ask(t, records, string(arrowOf("key", "value")), "Content-Type: "+asArrow).
		is(200, `"start_offset":6`, `"end_offset":106`)
	var page struct {
		Records []struct {
			Offset, Timestamp int64
			Key, Value        *string
			Headers           [][2]string
			Encoding          string
		}
	}
	w.ask(t, "GET /v1/topics/b/partitions/0/records?limit=7", "").is(200).json(&page)
	var got []string
	for _, r := range page.Records {
		key := "-"
		if r.Key != nil {
			key = *r.Key
		}
		got = append(got, fmt.Sprint(r.Offset, " ", key, " ", *r.Value, " ", r.Headers, r.Encoding))
	}
	want := "0 ayB5 /wA= [[trace Nw==]]base64|1 - plain []|2 a line []|3 - /wA= []base64|" +
		"4 - gzipped []|5 - zstandard []|6 k value 0 []"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func (w *walk) idempotent(t *testing.T) {
	w.ask(t, "PUT /v1/topics/i", `{"partitions":2}`).is(201)
	send := func(epoch, seq int, body string) *reply {
		return w.ask(t, "POST /v1/topics/i/records", body, "Content-Type: application/json",
			"Producer-Id: me", fmt.Sprint("Producer-Epoch: ", epoch), fmt.Sprint("Producer-Seq: ", seq))
	}
	const body = `{"records":[{"value":"a","partition":0},{"value":"b","partition":1}]}`
	first := send(0, 0, body).is(200)
	send(0, 1, body).is(200, `"start_offset":1`)
	again := send(0, 0, body).is(200, `"duplicate":true`)
	if strings.Replace(again.text, `,"duplicate":true`, "", 1) != first.text {
		t.Errorf("at first %s, again %s", first.text, again.text)
	}
	send(0, 5, body).is(409, `"code":"sequence_gap"`, `"expected_seq":2`, `"side_effects":"unknown"`).
		has("Producer-Expected-Seq", "2")
	send(1, 0, body).is(200, `"start_offset":2`)
	send(0, 2, body).is(403, `"code":"producer_fenced"`, `"producer_epoch":1`).
		has("Producer-Epoch", "1")
	w.ask(t, "GET /v1/topics/i", "").is(200, `"next_offset":3`)
}

func (w *walk) offsets(t *testing.T) {
	w.readable(t)
	for at, want := range map[string]string{
		"earliest": `"offset":0`, "latest": `"offset":10`, "1003": `"offset":3,"timestamp":1003`,
		"0": `"offset":0,"timestamp":1000`, "9999": `"offset":10`,
	} {
		w.ask(t, "GET /v1/topics/r/partitions/0/offsets?at="+at, "").is(200, want)
	}
	w.ask(t, "GET /v1/topics/r/partitions/9/offsets?at=latest", "").is(404, `"partition_not_found"`)
}

func (w *walk) groups(t *testing.T) {
	w.readable(t)
	put := func(body string) *reply {
		return w.ask(t, "PUT /v1/groups/g/offsets", body, "Content-Type: application/json")
	}
	w.ask(t, "GET /v1/groups/g", "").is(404, `"code":"group_not_found"`)
	put(`{"offsets":[{"topic":"r","partition":0,"offset":4,"metadata":"here"}]}`).is(200)
	w.ask(t, "GET /v1/groups", "").is(200, `"g"`)
	w.ask(t, "GET /v1/groups/g", "").is(200, `"offset":4`, `"lag":6`, `"metadata":"here"`)
	w.ask(t, "GET /v1/groups/g/offsets?topic=r", "").is(200, `"topic":"r"`, `"offset":4`)
	put(`{"offsets":[{"topic":"r","partition":0,"offset":5,"if_offset":3}]}`).
		is(412, `"code":"offset_conflict"`)
	put(`{"offsets":[{"topic":"r","partition":0,"offset":5,"if_offset":4},` +
		`{"topic":"r","partition":1,"offset":0,"if_offset":-1}]}`).is(200)
	w.ask(t, "GET /v1/groups/g/offsets?topic=r", "").is(200, `"offset":5`, `"partition":1`)
	w.ask(t, "DELETE /v1/groups/g", "").is(204)
	w.ask(t, "DELETE /v1/groups/g", "").is(404)
}

func (w *walk) node(t *testing.T) {
	var cluster struct {
		ID      string `json:"cluster_id"`
		Version string
		Bucket  string
		Health  string
		Nodes   []struct {
			ID, HTTP string
			Roles    []string
			Applied  int64 `json:"applied_slot"`
		}
		Leader struct {
			ID, HTTP string
			Claim    int64 `json:"claim_slot"`
		}
		Requests map[string]map[string]any
		Cost     map[string]float64
	}
	w.ask(t, "GET /v1/cluster", "").is(200).json(&cluster)
	if len(cluster.ID) != 36 || cluster.Version == "" ||
		!strings.HasPrefix(cluster.Bucket, "file://") || cluster.Health != "ok" ||
		len(cluster.Nodes) != 1 || cluster.Nodes[0].HTTP != w.p.URL ||
		cluster.Leader.ID != cluster.Nodes[0].ID || cluster.Leader.Claim == 0 ||
		len(cluster.Requests["create"]) == 0 || len(cluster.Cost) == 0 {
		t.Errorf("%+v", cluster)
	}
	w.ask(t, "GET /livez", "").is(200)
	w.ask(t, "GET /readyz", "").is(200)
	w.ask(t, "GET /metrics", "").is(200, "foz_store_requests_total{")
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	w.ask(t, "GET /v1/openapi.json", "").is(200).json(&document)
	if !strings.HasPrefix(document.OpenAPI, "3.1") || document.Paths["/v1/cluster"] == nil {
		t.Errorf("openapi %s with %d paths", document.OpenAPI, len(document.Paths))
	}
}

func (w *walk) remove(t *testing.T) {
	w.ask(t, "PUT /v1/topics/d", "").is(201)
	w.ask(t, "POST /v1/topics/d/records", "a", "Content-Type: text/plain").is(200)
	w.ask(t, "DELETE /v1/topics/d", "").is(204)
	w.ask(t, "DELETE /v1/topics/d", "").is(404)
	w.ask(t, "GET /v1/topics/d/partitions/0/records", "").is(404, `"code":"topic_not_found"`)
	w.ask(t, "PUT /v1/topics/d", "").is(201)
	w.ask(t, "GET /v1/topics/d/partitions/0/records", "").is(200, `"records":[]`)
}

func (w *walk) elsewhere(t *testing.T) {
	w.readable(t)
	w.ask(t, "GET /", "").is(404, `"code":"not_found"`)
	w.ask(t, "GET /v1/topics/r/", "").is(404, `"code":"not_found"`)
	w.ask(t, "POST /v1/topics/r", "").is(405, `"code":"method_not_allowed"`).has("Allow", "?")
	w.ask(t, "DELETE /v1/cluster", "").is(405).has("Allow", "?")
	w.ask(t, "PUT /v1/topics/r/records", "").is(405).has("Allow", "?")
	w.ask(t, "POST /v1/topics/r/records", "a").is(415, `"code":"unsupported_media_type"`)
	w.ask(t, "POST /v1/topics/r/records", "a", "Content-Type: text/plain", "Content-Encoding: br").
		is(415).has("Accept-Encoding", "gzip, zstd")
	r := eventRequest(t, w.p.URL+"/v1/topics/none/records")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	(&reply{resp, string(text), t}).is(404, `"code":"topic_not_found"`)
}
