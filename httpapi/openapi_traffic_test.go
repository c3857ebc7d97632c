package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/errors"
)

// exchange is a request and the status of its answer.
type exchange struct {
	request string // "GET /v1/topics"
	body    string
	status  int
	header  []string // "Name: value"
	fault   foz.Code // what is behind the API answers so; "": what it likes
}

// How: requests over TCP to a server, one for each status and media type that the document
// has for each operation. libopenapi-validator compares each answer with the document: status,
// media type, headers and body, no member or Foz header beyond it; and each request, where
// only what is refused for its form may differ. What the document says and nothing shows
// fails, and so does what is answered and the document does not say.
func TestOpenAPITraffic(t *testing.T) {
	h, p := ten(2)
	h.log(p).Append(1100, []byte("k"), []byte{0xff}, foz.AppendHeaders(nil, []foz.Header{{Key: "h"}}))
	w := newWitness(t, h)
	for _, e := range slices.Concat(topicTraffic, produceTraffic(t), readTraffic, groupTraffic,
		nodeTraffic) {
		w.exchange(e)
	}
	documented := documentedKeys(t)
	for _, key := range slices.Sorted(maps.Keys(documented)) {
		if !w.seen[key] {
			t.Errorf("documented and not exercised: %s", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.seen)) {
		if !documented[key] && !strings.HasSuffix(key, " 500 application/problem+json") {
			t.Errorf("answered and not documented: %s", key)
		}
	}
}

const (
	ofJSON   = "Content-Type: application/json"
	ofPatch  = "Content-Type: application/merge-patch+json"
	ofText   = "Content-Type: text/plain"
	ofStuff  = "Content-Type: application/xml"
	huge     = "\x00" // stands for a body beyond any limit
	topicURL = "/v1/topics/t"
	zeroURL  = topicURL + "/partitions/0"
)

var topicTraffic = []exchange{
	{"GET /v1/topics?limit=1&prefix=t&start_after=a", "", 200, []string{"Foz-Min-Slot: 1"}, ""},
	{"GET /v1/topics?limit=x", "", 400, nil, ""},
	{"PUT /v1/topics/a", `{"partitions":3,"config":{"retention_ms":5,"cleanup_policy":"compact"}}`,
		201, []string{ofJSON}, ""},
	{"PUT /v1/topics/b", "", 201, nil, ""},
	{"PUT /v1/topics/b", "", 200, nil, ""},
	{"PUT /v1/topics/a", `{"partitions":2}`, 409, []string{ofJSON}, ""},
	{"PUT /v1/topics/c", `{`, 400, []string{ofJSON}, ""},
	{"PUT /v1/topics/c", huge, 413, []string{ofJSON}, ""},
	{"PUT /v1/topics/c", `{}`, 415, []string{ofStuff}, ""},
	{"PUT /v1/topics/c", `{"partitions":-1}`, 422, []string{ofJSON}, ""},
	{"GET /v1/topics/t", "", 200, nil, ""},
	{"GET /v1/topics/!", "", 400, nil, ""},
	{"GET /v1/topics/no", "", 404, nil, ""},
	{"PATCH /v1/topics/a", `{"partitions":4,"config":{"retention_ms":null}}`, 200,
		[]string{ofPatch}, ""},
	{"PATCH /v1/topics/a", `{"config":null}`, 200, []string{ofJSON}, ""},
	{"PATCH /v1/topics/a", `]`, 400, []string{ofPatch}, ""},
	{"PATCH /v1/topics/no", `{"partitions":4}`, 404, []string{ofPatch}, ""},
	{"PATCH /v1/topics/a", `{"partitions":9}`, 409, []string{ofPatch},
		foz.CodeTopicChanged},
	{"PATCH /v1/topics/a", huge, 413, []string{ofPatch}, ""},
	{"PATCH /v1/topics/a", `{"schema":{"columns":[{"name":"x","type":"int64"}]}}`, 200,
		[]string{ofPatch}, ""},
	{"PATCH /v1/topics/a", `{"schema":{"columns":[{"name":"x","type":"bool"}]}}`, 409,
		[]string{ofPatch}, ""},
	{"PATCH /v1/topics/a", `{}`, 415, []string{ofStuff}, ""},
	{"PATCH /v1/topics/a", `{"size":1}`, 422, []string{ofPatch}, ""},
	{"DELETE /v1/topics/b", "", 204, nil, ""},
	{"DELETE /v1/topics/b", "", 404, nil, ""},
	{"DELETE /v1/topics/!", "", 400, nil, ""},
}

func produceTraffic(t *testing.T) (all []exchange) {
	rows := &foz.Rows{}
	rows.Append(7, []byte("a"), []byte("b"), nil)
	arrow := arrowStream(t, segment.StreamOptions{Columns: []string{"key", "value"}},
		foz.Run{Rows: rows, To: 1})
	for _, at := range []string{topicURL, zeroURL} {
		post := "POST " + at + "/records"
		all = append(all, []exchange{
			{post, `{"records":[{"key":"k","value":{"a":1},"headers":[["h","v"]],"timestamp":5}]}`,
				200, []string{ofJSON, "Producer-Id: p" + strconv.Itoa(len(all)), "Producer-Epoch: 0",
					"Producer-Seq: 0"}, ""},
			{post, `{"records":[{"value":"/w==","encoding":"base64"}]}`, 200,
				[]string{ofJSON, "Producer-Id: p" + strconv.Itoa(len(all)), "Producer-Epoch: 0",
					"Producer-Seq: 0"}, ""}, // duplicate
			{post + "?envelope=record", `{"value":1}`, 200,
				[]string{"Content-Type: " + mediaNDJSON}, ""},
			{post, "a\nb\n", 200, []string{"Content-Type: application/ndjson"}, ""},
			{post, "a\nb\n", 200, []string{"Content-Type: application/jsonl"}, ""},
			{post, arrow, 200, []string{"Content-Type: " + mediaArrow}, ""},
			{post + "?key=k", "\xff", 200, []string{"Content-Type: application/octet-stream",
				"Foz-Header-Colour: red"}, ""},
			{post, "text", 200, []string{ofText}, ""},
			{post, `{`, 400, []string{ofJSON}, ""},
			{strings.Replace(post, "/t/", "/no/", 1), "x", 404, []string{ofText}, ""},
			{post, huge, 413, []string{ofText}, ""},
			{post, "x", 415, []string{ofStuff}, ""},
			{post, `{"records":[{"value":1,"timestamp":"x"}]}`, 422, []string{ofJSON}, ""},
			{post, "x", 403, []string{ofText}, foz.CodeProducerFenced},
			{post, "x", 409, []string{ofText}, foz.CodeSequenceGap},
			{post, "x", 429, []string{ofText}, foz.CodeThrottled},
			{post, "x", 500, []string{ofText}, foz.CodeInternal},
			{post, "x", 502, []string{ofText}, foz.CodeStorage},
			{post, "x", 503, []string{ofText}, foz.CodeOverloaded},
			{post, "x", 504, []string{ofText}, foz.CodeAckTimeout},
		}...)
	}
	return append(all, exchange{"POST " + zeroURL + "/records?if_next_offset=99999", "x", 412,
		[]string{ofText}, ""})
}

var readTraffic = []exchange{
	{"GET /v1/topics/t/records?from=earliest&columns=value,offset", "", 200, nil, ""},
	{"GET /v1/topics/t/records?value=json", "", 200, []string{"Accept: " + mediaNDJSON}, ""},
	{"GET /v1/topics/t/records", "", 200, []string{"Accept: " + mediaArrow}, ""},
	{"GET /v1/topics/t/records?from=earliest", "", 200, []string{"Accept: " + mediaSSE}, ""},
	{"GET /v1/topics/t/records?from=x", "", 400, nil, ""},
	{"GET /v1/topics/no/records", "", 404, nil, ""},
	{"GET /v1/topics/t/records", "", 406, []string{"Accept: text/html"}, ""},
	{"GET /v1/topics/t/records", "", 416, nil, foz.CodeOffsetOutOfRange},
	{"GET /v1/topics/t/records", "", 502, nil, foz.CodeStorage},
	{"GET /v1/topics/t/records", "", 503, nil, foz.CodeUnavailable},
	{"GET " + zeroURL + "/records?offset=10", "", 200, []string{"Foz-Min-Slot: 1"}, ""},
	{"GET " + zeroURL + "/records?timestamp=5&until=9999&limit=2&max_bytes=99&wait=0", "", 200,
		nil, ""},
	{"GET " + zeroURL + "/records?tail=2", "", 200, []string{"Accept: " + mediaNDJSON}, ""},
	{"GET " + zeroURL + "/records?tail=2", "", 200, []string{"Accept: " + mediaArrow}, ""},
	{"GET " + zeroURL + "/records?offset=2", "", 200, []string{"Accept: " + mediaSSE,
		"Last-Event-ID: 3"}, ""},
	{"GET " + zeroURL + "/records?offset=3&end_offset=5", "", 304, []string{"If-None-Match: *"}, ""},
	{"GET " + zeroURL + "/records?offset=x", "", 400, nil, ""},
	{"GET /v1/topics/t/partitions/99/records", "", 404, nil, ""},
	{"GET " + zeroURL + "/records", "", 406, []string{"Accept: text/html"}, ""},
	{"GET " + zeroURL + "/records?offset=0", "", 416, nil, ""},
	{"GET " + zeroURL + "/records", "", 502, nil, foz.CodeStorage},
	{"GET " + zeroURL + "/records", "", 503, nil, foz.CodeUnavailable},
	{"GET " + zeroURL + "/segments?from=5&presign=true", "", 200, nil, ""},
	{"GET " + zeroURL + "/segments?from=99", "", 416, nil, ""},
	{"GET " + zeroURL + "/segments?limit=x", "", 400, nil, ""},
	{"GET /v1/topics/no/partitions/0/segments", "", 404, nil, ""},
	{"GET " + zeroURL + "/offsets?at=latest", "", 200, nil, ""},
	{"GET " + zeroURL + "/offsets?at=5", "", 200, nil, ""},
	{"GET " + zeroURL + "/offsets?at=x", "", 400, nil, ""},
	{"GET /v1/topics/no/partitions/0/offsets?at=latest", "", 404, nil, ""},
	{"DELETE " + zeroURL + "/records?before=4", "", 200, nil, ""},
	{"DELETE " + zeroURL + "/records", "", 400, nil, ""},
	{"DELETE /v1/topics/no/partitions/0/records?before=4", "", 404, nil, ""},
	{"DELETE " + zeroURL + "/records?before=999999", "", 416, nil, ""},
}

const committing = `{"offsets":[{"topic":"t","partition":0,"offset":3`

var groupTraffic = []exchange{
	{"PUT /v1/groups/g/offsets", committing + `,"metadata":"m","if_offset":-1}]}`, 200,
		[]string{ofJSON}, ""},
	{"PUT /v1/groups/g/offsets", committing + `,"if_offset":7}]}`, 412, []string{ofJSON}, ""},
	{"PUT /v1/groups/g/offsets", committing, 400, []string{ofJSON}, ""},
	{"PUT /v1/groups/g/offsets", strings.Replace(committing, `"t"`, `"no"`, 1) + `}]}`, 404,
		[]string{ofJSON}, ""},
	{"PUT /v1/groups/g/offsets", huge, 413, []string{ofJSON}, ""},
	{"PUT /v1/groups/g/offsets", committing + `}]}`, 415, []string{ofStuff}, ""},
	{"PUT /v1/groups/g/offsets", `{"offsets":[]}`, 422, []string{ofJSON}, ""},
	{"GET /v1/groups/g/offsets?topic=t", "", 200, []string{"Foz-Min-Slot: 1"}, ""},
	{"GET /v1/groups/g/offsets", "", 400, []string{"Foz-Min-Slot: x"}, ""},
	{"GET /v1/groups/no/offsets", "", 404, nil, ""},
	{"GET /v1/groups", "", 200, nil, ""},
	{"GET /v1/groups/g", "", 200, nil, ""},
	{"GET /v1/groups/!", "", 400, nil, ""},
	{"GET /v1/groups/no", "", 404, nil, ""},
	{"DELETE /v1/groups/g", "", 204, nil, ""},
	{"DELETE /v1/groups/!", "", 400, nil, ""},
	{"DELETE /v1/groups/g", "", 404, nil, ""},
}

var nodeTraffic = []exchange{
	{"GET /v1/cluster", "", 200, nil, ""},
	{"GET /v1/openapi.json", "", 200, nil, ""},
	{"GET /livez", "", 200, nil, ""},
	{"GET /readyz", "", 200, nil, ""},
	{"GET /readyz", "", 503, nil, foz.CodeUnavailable},
	{"GET /metrics", "", 200, nil, ""},
	{"POST /v1/maintenance", `{"run":["merge","sweep"],"max_seconds":7}`, 200, []string{ofJSON}, ""},
	{"POST /v1/maintenance", `{`, 400, []string{ofJSON}, ""},
	{"POST /v1/maintenance", "", 503, nil, foz.CodeUnavailable},
}

// documentedKeys is what the document says of requests and answers, as witness notes it.
func documentedKeys(t *testing.T) map[string]bool {
	type body struct{ Content map[string]any }
	type operation struct {
		RequestBody body
		Responses   map[string]struct {
			body
			Ref string `json:"$ref"`
		}
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for path, operations := range doc.Paths {
		delete(operations, "parameters")
		for method, text := range operations {
			var o operation
			if err := json.Unmarshal(text, &o); err != nil {
				t.Fatal(err)
			}
			name := strings.ToUpper(method) + " " + path
			for media := range o.RequestBody.Content {
				keys[name+" takes "+media] = true
			}
			delete(o.Responses, "default")
			for status, r := range o.Responses {
				if r.Ref != "" { // the only one there is
					r.Content = map[string]any{"application/problem+json": nil}
				}
				for media := range r.Content {
					keys[name+" "+status+" "+media] = true
				}
				if len(r.Content) == 0 {
					keys[name+" "+status+" "] = true
				}
			}
		}
	}
	return keys
}

// witness sends requests and compares them and their answers with the document.
type witness struct {
	t         *testing.T
	url       string
	patterns  *http.ServeMux
	validator validator.Validator
	seen      map[string]bool

	mu    sync.Mutex
	fault error // what is behind the API answers so; nil: what it likes
}

func (w *witness) planted() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

// faultyMaintainer does nothing while a fault is planted.
type faultyMaintainer struct {
	Maintainer
	w *witness
}

func (f faultyMaintainer) Maintain(ctx context.Context, run []string, atMost time.Duration) (
	Maintenance, error,
) {
	if err := f.w.planted(); err != nil {
		return Maintenance{}, err
	}
	return f.Maintainer.Maintain(ctx, run, atMost)
}

// faulty alters no topic while a fault is planted.
type faulty struct {
	TopicAdmin
	w *witness
}

func (f faulty) Alter(ctx context.Context, t foz.Topic) (foz.Topic, error) {
	if err := f.w.planted(); err != nil {
		return foz.Topic{}, err
	}
	return f.TopicAdmin.Alter(ctx, t)
}

func newWitness(t *testing.T, h *house) *witness {
	w := &witness{t: t, patterns: http.NewServeMux(), seen: map[string]bool{}}
	h.produce = func(foz.Request) error { return w.planted() }
	h.scan = func(foz.Partition, foz.Range) error { return w.planted() }
	h.ready = func() error {
		if err := w.planted(); isCode(err, foz.CodeUnavailable) {
			return err
		}
		return nil
	}
	api := h.api(Config{BodyBytesMax: 1 << 16, ControlBytesMax: 1 << 16})
	api.TopicAdmin = faulty{api.TopicAdmin, w}
	api.Maintainer = faultyMaintainer{api.Maintainer, w}
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	w.url = server.URL
	for _, rt := range api.routes {
		w.patterns.Handle(rt.pattern, http.NotFoundHandler())
	}
	document, err := libopenapi.NewDocument(OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	lines := content.DecoderFunc(func(in *content.DecodeInput) (any, error) {
		text, err := io.ReadAll(in.Body)
		if in.Direction == content.Request || err != nil {
			return string(text), err // a request's lines are one string, an answer's are records
		}
		var v any
		return v, json.Unmarshal(text, &v)
	})
	v, errs := validator.NewValidator(document, config.WithStrictMode(), config.WithFormatAssertions(),
		config.WithStrictIgnorePaths("$.body.**.value.**", "$.body.value.**",
			"$.body.requests.**", "$.body.jobs.**", "$.body.openapi", "$.body.info", "$.body.servers",
			"$.body.tags", "$.body.paths", "$.body.components"), // have names of their own
		config.WithStrictIgnoredHeadersExtra("Foz-Header-Colour", "X-Accel-Buffering",
			"X-Content-Type-Options", "Allow"),
		config.WithBodyDecoder(mediaNDJSON, lines), config.WithBodyDecoder("application/ndjson", lines),
		config.WithBodyDecoder("application/jsonl", lines))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, errs := v.ValidateDocument(); !ok {
		t.Fatal(told(errs))
	}
	w.validator = v
	return w
}

func (w *witness) exchange(e exchange) {
	w.t.Helper()
	if e.body == huge {
		e.body = strings.Repeat(" ", 1<<17)
	}
	w.plant(e)
	defer w.plant(exchange{})
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	r := e.made(ctx, w)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(e.request, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != e.status {
		text, _ := io.ReadAll(resp.Body)
		w.t.Errorf("%s: %d, want %d: %s", e.request, resp.StatusCode, e.status, text)
		return
	}
	w.note(r, resp)
	if ok, errs := w.validator.ValidateHttpRequestSync(e.made(ctx, w)); !ok && !refusesForm(e.status) {
		w.t.Errorf("%s was answered %d, and the document has no such request: %s", e.request,
			e.status, told(errs))
	}
	for _, body := range bodies(w.t, resp) {
		part := *resp
		part.Header = resp.Header.Clone()
		if media(resp.Header) == mediaSSE && len(body) > 0 {
			part.Header.Set("Content-Type", mediaNDJSON) // whose lines are the same records
		}
		part.Body = io.NopCloser(bytes.NewReader(body))
		if ok, errs := w.validator.ValidateHttpResponse(r, &part); !ok {
			w.t.Errorf("%s: %d %s\n%.300s", e.request, e.status, told(errs), body)
		}
	}
}

// plant makes what is behind the API fail, if the exchange says so.
func (w *witness) plant(e exchange) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = nil
	if e.fault != "" {
		w.fault = foz.Errorf(e.fault, "planted")
	}
}

// made makes the request, once for the server and once for the validator.
func (e exchange) made(ctx context.Context, w *witness) *http.Request {
	method, target, _ := strings.Cut(e.request, " ")
	var body io.Reader
	if e.body != "" {
		body = strings.NewReader(e.body)
	}
	r, err := http.NewRequestWithContext(ctx, method, w.url+target, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, line := range e.header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// note remembers what was exercised.
func (w *witness) note(r *http.Request, resp *http.Response) {
	_, pattern := w.patterns.Handler(r)
	name := r.Method + " " + pattern
	w.seen[fmt.Sprintf("%s %d %s", name, resp.StatusCode, media(resp.Header))] = true
	if m := media(r.Header); m != "" && resp.StatusCode < 300 {
		w.seen[name+" takes "+m] = true
	}
}

// refusesForm: such an answer may be to what the document does not allow.
func refusesForm(status int) bool {
	return slices.Contains([]int{400, 406, 413, 415, 422}, status)
}

func media(h http.Header) string {
	m, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return m
}

// bodies are what of an answer is to be compared, each by itself: its lines, the records of
// its first events, or all of it.
func bodies(t *testing.T, resp *http.Response) (all [][]byte) {
	t.Helper()
	m := media(resp.Header)
	if m != mediaNDJSON && m != mediaSSE {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{body}
	}
	lines, event := bufio.NewScanner(resp.Body), ""
	for lines.Scan() && len(all) < 3 {
		line := lines.Text()
		if m == mediaNDJSON {
			all = append(all, []byte(line))
		}
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok && event == "" {
			all = append(all, []byte(data))
		}
		if line == "" {
			event = ""
		}
	}
	if len(all) == 0 {
		t.Fatalf("no records in an answer: %v", lines.Err())
	}
	return all
}

func told(errs []*errors.ValidationError) string {
	var b strings.Builder
	for _, e := range errs {
		fmt.Fprintf(&b, "\n  %s: %s", e.Message, e.Reason)
		for _, s := range e.SchemaValidationErrors {
			fmt.Fprintf(&b, "\n    %s at %s", s.Reason, s.KeywordLocation)
		}
	}
	return b.String()
}
