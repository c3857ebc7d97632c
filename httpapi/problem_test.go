package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// problem is what every error is answered with.
type problem struct {
	Type, Title, Detail string
	Status              int
	Code                foz.Code
	Retryable           bool
	SideEffects         string `json:"side_effects"`
	Errors              []struct{ Pointer, Detail string }
}

// How: the constants of the root package are read from its source; each must have a status.
func TestEveryCodeHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		code, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		found++
		if statuses[foz.Code(code)] == 0 {
			t.Errorf("%s has no status", code)
		}
		return true
	})
	wantEqual(t, "codes", found, len(statuses))
}

const (
	asJSON   = "Content-Type: application/json"
	asNDJSON = "Content-Type: application/x-ndjson"
	asArrow  = "Content-Type: application/vnd.apache.arrow.stream"
	records  = "/v1/topics/t/records"
	commit   = "/v1/groups/g/offsets"
)

var big = strings.Repeat("x", 200)

// badRequests are requests to a topic t of two partitions whose records have 100 bytes.
var badRequests = []struct {
	method, target, body string
	header               []string
	code                 foz.Code
	pointer              string // of the first error; "-": there are none
}{
	{"GET", "/", "", nil, "not_found", "-"},
	{"GET", "/v1/nothing", "", nil, "not_found", "-"},
	{"POST", "/v1/maintenance", "[]", nil, "invalid_record", ""},
	{"POST", "/v1/maintenance", "{", nil, "bad_request", "-"},
	{"POST", "/v1/maintenance", `{"run":["merge","burn"]}`, nil, "invalid_record", "/run/1"},
	{"POST", "/v1/maintenance", `{"run":"merge"}`, nil, "invalid_record", "/run"},
	{"POST", "/v1/maintenance", `{"max_seconds":0}`, nil, "invalid_record", "/max_seconds"},
	{"POST", "/v1/maintenance", `{"walk":[]}`, nil, "invalid_record", "/walk"},
	{"GET", "/v1/topics/t/partitions/0/segment", "", nil, "not_found", "-"},
	{"GET", "/v1/topics/", "", nil, "not_found", "-"},
	{"GET", "//v1/topics", "", nil, "not_found", "-"},
	{"GET", "/v1/topics/../topics", "", nil, "not_found", "-"},
	{"GET", "/v1/topics/%2e%2e", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/..%2f..%2fetc", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/a%00b", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/a%0d%0ab", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/%C3%A9", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/%FF", "", nil, "bad_request", "-"},
	{"PUT", "/v1/topics/" + strings.Repeat("a", 64<<10), "", nil, "bad_request", "-"},
	{"PUT", "/v1/groups/a%20b/offsets", "", nil, "bad_request", "-"},

	{"POST", "/v1/topics", "", nil, "method_not_allowed", "-"},
	{"PUT", oneRead, "a", nil, "method_not_allowed", "-"},
	{"OPTIONS", oneRead, "", nil, "method_not_allowed", "-"},
	{"GET", oneRead, "", []string{"Accept: text/html"}, "not_acceptable", "-"},
	{"GET", oneRead, "", []string{"Accept: application/json;q=0"}, "not_acceptable", "-"},
	{"GET", records, "", []string{"Accept: image/*"}, "not_acceptable", "-"},

	{"GET", oneRead, "", []string{"Foz-Min-Slot: 0", "Foz-Min-Slot: 9"}, "bad_request", "-"},
	{"GET", oneRead, "", []string{"Accept: text/event-stream", "Last-Event-ID: 3",
		"Last-Event-ID: 4"}, "bad_request", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, asJSON}, "bad_request", "-"},
	{"PUT", "/v1/topics/u", "{}", []string{asJSON, "Content-Type: text/xml"}, "bad_request", "-"},

	{"POST", oneRead, "a", nil, "unsupported_media_type", "-"},
	{"POST", oneRead, "a", []string{"Content-Type: application/xml"}, "unsupported_media_type", "-"},
	{"POST", oneRead, "a", []string{"Content-Type: ;;;"}, "unsupported_media_type", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, "Content-Encoding: br"}, "unsupported_media_type", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, "Content-Encoding: gzip", "Content-Encoding: gzip"},
		"unsupported_media_type", "-"},
	{"PUT", "/v1/topics/u", "x", []string{"Content-Type: text/xml"}, "unsupported_media_type", "-"},

	{"POST", "/v1/topics/no/records", "a", []string{asNDJSON}, "topic_not_found", "-"},
	{"GET", "/v1/topics/no/records", "", nil, "topic_not_found", "-"},
	{"GET", "/v1/topics/no", "", nil, "topic_not_found", "-"},
	{"PATCH", "/v1/topics/no", "{}", nil, "topic_not_found", "-"},
	{"DELETE", "/v1/topics/no", "", nil, "topic_not_found", "-"},
	{"POST", "/v1/topics/t/partitions/2/records", "a", []string{asNDJSON}, "partition_not_found", "-"},
	{"GET", "/v1/topics/t/partitions/2147483647/records", "", nil, "partition_not_found", "-"},
	{"GET", "/v1/topics/t/partitions/2147483648/records", "", nil, "bad_request", "-"},
	{"GET", "/v1/topics/t/partitions/-1/records", "", nil, "bad_request", "-"},
	{"GET", "/v1/topics/t/partitions/+1/records", "", nil, "bad_request", "-"},
	{"GET", "/v1/topics/t/partitions/-0/records", "", nil, "bad_request", "-"},
	{"GET", "/v1/topics/t/partitions/x/offsets", "", nil, "bad_request", "-"},
	{"POST", records, `{"records":[{"value":1,"partition":2}]}`, []string{asJSON},
		"partition_not_found", "/records/0"},
	{"GET", "/v1/groups/no", "", nil, "group_not_found", "-"},
	{"DELETE", "/v1/groups/no", "", nil, "group_not_found", "-"},

	{"POST", oneRead, ``, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":1}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":01}]}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":"` + "\xff" + `"}]}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":"` + "\n" + `"}]}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":"\x"}]}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[]} x`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":` + strings.Repeat("[", 300), []string{asJSON},
		"bad_request", ""},
	{"POST", oneRead, `{"records":[{"value":NaN}]}`, []string{asJSON}, "bad_request", ""},
	{"POST", oneRead, "\ufeff{}", []string{asJSON}, "bad_request", ""},
	{"POST", oneRead + "?envelope=record", "{\"value\":1}\n{\"value\"", []string{asNDJSON},
		"bad_request", "/1"},
	{"POST", oneRead + "?envelope=record", "{\"value\":1} {}", []string{asNDJSON},
		"bad_request", "/0"},
	{"POST", oneRead, "\x1f\x8bnot gzip", []string{asNDJSON, "Content-Encoding: gzip"},
		"bad_request", "-"},
	{"POST", oneRead, gzipped("a\nb\n")[:20], []string{asNDJSON, "Content-Encoding: gzip"},
		"bad_request", "-"},
	{"POST", oneRead, "not zstd", []string{asNDJSON, "Content-Encoding: zstd"}, "bad_request", "-"},
	{"POST", oneRead, zstandard("abcdefgh\n")[:12], []string{asNDJSON, "Content-Encoding: zstd"},
		"bad_request", "-"},
	{"POST", oneRead, "not arrow", []string{asArrow},
		"bad_request", "-"},

	{"POST", oneRead, `[]`, []string{asJSON}, "invalid_record", ""},
	{"POST", oneRead, `{}`, []string{asJSON}, "invalid_record", "/records"},
	{"POST", oneRead, `{"records":{}}`, []string{asJSON}, "invalid_record", "/records"},
	{"POST", oneRead, `{"records":[],"x":1}`, []string{asJSON}, "invalid_record", "/x"},
	{"POST", oneRead, `{"records":[],"records":[]}`, []string{asJSON}, "invalid_record", "/records"},
	{"POST", oneRead, `{"records":[]}`, []string{asJSON}, "invalid_record", ""},
	{"POST", oneRead, "\n\n", []string{asNDJSON}, "invalid_record", ""},
	{"POST", oneRead, "", []string{asNDJSON}, "invalid_record", ""},
	{"POST", oneRead, `{"records":[{"value":1},7]}`, []string{asJSON}, "invalid_record", "/records/1"},
	{"POST", oneRead, `{"records":[{}]}`, []string{asJSON}, "invalid_record", "/records/0/value"},
	{"POST", oneRead, `{"records":[{"value":1,"value":2}]}`, []string{asJSON},
		"invalid_record", "/records/0/value"},
	{"POST", oneRead, `{"records":[{"value":1,"a/b~":2}]}`, []string{asJSON},
		"invalid_record", "/records/0/a~1b~0"},
	{"POST", oneRead, `{"records":[{"value":1,"key":2}]}`, []string{asJSON},
		"invalid_record", "/records/0/key"},
	{"POST", oneRead, `{"records":[{"value":"\ud800"}]}`, []string{asJSON},
		"invalid_record", "/records/0/value"},
	{"POST", oneRead, `{"records":[{"value":"\ud800\u0041"}]}`, []string{asJSON},
		"invalid_record", "/records/0/value"},
	{"POST", oneRead, `{"records":[{"value":1,"headers":{"a":"b"}}]}`, []string{asJSON},
		"invalid_record", "/records/0/headers"},
	{"POST", oneRead, `{"records":[{"value":1,"headers":[["a","b"],["a"]]}]}`, []string{asJSON},
		"invalid_record", "/records/0/headers/1"},
	{"POST", oneRead, `{"records":[{"value":1,"headers":[["a",null]]}]}`, []string{asJSON},
		"invalid_record", "/records/0/headers/0"},
	{"POST", oneRead, `{"records":[{"value":1,"headers":[["a","b","c"]]}]}`, []string{asJSON},
		"invalid_record", "/records/0/headers/0"},
	{"POST", oneRead, `{"records":[{"value":1,"timestamp":1.5}]}`, []string{asJSON},
		"invalid_record", "/records/0/timestamp"},
	{"POST", oneRead, `{"records":[{"value":1,"timestamp":9223372036854775808}]}`, []string{asJSON},
		"invalid_record", "/records/0/timestamp"},
	{"POST", oneRead, `{"records":[{"value":1,"partition":-1}]}`, []string{asJSON},
		"invalid_record", "/records/0/partition"},
	{"POST", oneRead, `{"records":[{"value":1,"partition":1}]}`, []string{asJSON},
		"invalid_record", "/records/0/partition"},
	{"POST", oneRead, `{"records":[{"value":1,"encoding":"hex"}]}`, []string{asJSON},
		"invalid_record", "/records/0/encoding"},
	{"POST", oneRead, `{"records":[{"value":"%%","encoding":"base64"}]}`, []string{asJSON},
		"invalid_record", "/records/0/value"},
	{"POST", oneRead, `{"records":[{"value":{},"encoding":"base64"}]}`, []string{asJSON},
		"invalid_record", "/records/0/value"},
	{"POST", oneRead + "?envelope=record", "{\"value\":1}\n\n[1]\n", []string{asNDJSON},
		"invalid_record", "/2"},
	{"POST", oneRead + "?envelope=record", `{"value":1,"key":{}}`, []string{asNDJSON},
		"invalid_record", "/0/key"},

	{"POST", oneRead, "a\n" + big + "\n", []string{asNDJSON}, "record_too_large", "/1"},
	{"POST", oneRead, `{"records":[{"value":1},{"value":"` + big + `"}]}`, []string{asJSON},
		"record_too_large", "/records/1"},
	{"POST", oneRead, `{"records":[{"value":1,"headers":[["h","` + big + `"]]}]}`, []string{asJSON},
		"record_too_large", "/records/0"},
	{"POST", oneRead, big, []string{"Content-Type: text/plain"}, "record_too_large", "-"},
	{"POST", oneRead, strings.Repeat("a\n", 3000), []string{asNDJSON}, "batch_too_large", "-"},
	{"POST", oneRead, strings.Repeat("a\n", 600), []string{asNDJSON}, "batch_too_large", "-"},
	{"POST", oneRead, gzipped(strings.Repeat("a\n", 3000)),
		[]string{asNDJSON, "Content-Encoding: gzip"}, "batch_too_large", "-"},
	{"POST", oneRead, zstandard(strings.Repeat("a\n", 3000)),
		[]string{asNDJSON, "Content-Encoding: zstd"}, "batch_too_large", "-"},
	{"PUT", "/v1/topics/u", `{"config":` + big, nil, "batch_too_large", "-"},

	{"POST", oneRead + "?key=k", "a", []string{asNDJSON}, "bad_request", "-"},
	{"POST", oneRead + "?envelope=x", "a", []string{asNDJSON}, "bad_request", "-"},
	{"POST", oneRead + "?envelope=record", "a", []string{asJSON}, "bad_request", "-"},
	{"POST", oneRead + "?if_next_offset=-1", "a", []string{asNDJSON}, "bad_request", "-"},
	{"POST", oneRead + "?if_next_offset=1&if_next_offset=2", "a", []string{asNDJSON},
		"bad_request", "-"},
	{"POST", oneRead + "?%zz", "a", []string{asNDJSON}, "bad_request", "-"},
	{"POST", records + "?if_next_offset=0", "a", []string{asNDJSON}, "bad_request", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, "Producer-Id: p"}, "bad_request", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, "Producer-Id: ", "Producer-Epoch: ",
		"Producer-Seq: "}, "bad_request", "-"},
	{"POST", oneRead, "a", []string{asNDJSON, "Producer-Id: p", "Producer-Epoch: 0",
		"Producer-Seq: 0", "Producer-Seq: 1"}, "bad_request", "-"},
	{"POST", oneRead, "a",
		[]string{asNDJSON, "Producer-Id: p", "Producer-Epoch: 0", "Producer-Seq: x"},
		"bad_request", "-"},
	{"POST", oneRead, "a",
		[]string{asNDJSON, "Producer-Id: p", "Producer-Epoch: -1", "Producer-Seq: 1"},
		"bad_request", "-"},
	{"POST", oneRead, "a",
		[]string{asNDJSON, "Producer-Id: a b", "Producer-Epoch: 1", "Producer-Seq: 1"},
		"bad_request", "-"},
	{"GET", oneRead + "?offset=1&tail=1", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?offset=x", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?offset=-1", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?offset=1.0", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?offset=2&end_offset=1", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?limit=x", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?wait=x", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?value=xml", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?columns=key,nope", "", nil, "bad_request", "-"},
	{"GET", oneRead + "?columns=key,key", "", nil, "bad_request", "-"},
	{"GET", records + "?from=then", "", nil, "bad_request", "-"},
	{"GET", oneRead, "", []string{"Accept: text/event-stream", "Last-Event-ID: x"},
		"bad_request", "-"},
	{"GET", records, "", []string{"Accept: text/event-stream", "Last-Event-ID: 0:1,0:1"},
		"bad_request", "-"},
	{"GET", oneRead, "", []string{"Foz-Min-Slot: x"}, "bad_request", "-"},
	{"GET", oneRead, "", []string{"Foz-Min-Slot: 99"}, "unavailable", "-"},
	{"GET", "/v1/topics/t/partitions/0/offsets?at=then", "", nil, "bad_request", "-"},
	{"DELETE", oneRead, "", nil, "bad_request", "-"},

	{"GET", oneRead + "?offset=1", "", nil, "offset_out_of_range", "-"},
	{"GET", oneRead + "?offset=1&wait=1", "", nil, "offset_out_of_range", "-"},
	{"GET", oneRead + "?offset=1", "", []string{"Accept: text/event-stream"},
		"offset_out_of_range", "-"},
	{"GET", records, "", []string{"Accept: text/event-stream", "Last-Event-ID: 0:9"},
		"offset_out_of_range", "-"},
	{"DELETE", oneRead + "?before=1", "", nil, "offset_out_of_range", "-"},

	{"PUT", "/v1/topics/t", `{"partitions":3}`, nil, "topic_exists", "-"},
	{"PUT", "/v1/topics/u", `{`, nil, "bad_request", "-"},
	{"PUT", "/v1/topics/u", `[]`, nil, "invalid_record", ""},
	{"PUT", "/v1/topics/u", `{"partitions":0}`, nil, "invalid_record", "/partitions"},
	{"PUT", "/v1/topics/u", `{"partitions":10001}`, nil, "invalid_record", "/partitions"},
	{"PUT", "/v1/topics/u", `{"partitions":"1"}`, nil, "invalid_record", "/partitions"},
	{"PUT", "/v1/topics/u", `{"partition":1}`, nil, "invalid_record", "/partition"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[]}}`, nil, "invalid_record",
		"/schema/columns"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[{"name":"key","type":"utf8"}]}}`, nil,
		"invalid_record", "/schema/columns/0/name"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[{"name":"a","type":"int"}]}}`, nil,
		"invalid_record", "/schema/columns/0/type"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[{"name":"a","type":"int64","pointer":"a"}]}}`, nil,
		"invalid_record", "/schema/columns/0/pointer"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[{"name":"a","type":"int64","nullable":1}]}}`, nil,
		"invalid_record", "/schema/columns/0/nullable"},
	{"PUT", "/v1/topics/u", `{"schema":{"columns":[{"name":"a","type":"int64","null":1}]}}`, nil,
		"invalid_record", "/schema/columns/0/null"},
	{"PUT", "/v1/topics/u", `{"schema":{"on_mismatch":"drop","columns":[{"name":"a","type":"bool"}]}}`,
		nil, "invalid_record", "/schema/on_mismatch"},
	{"PUT", "/v1/topics/u", `{"config":{"retention_ms":-1}}`, nil,
		"invalid_record", "/config/retention_ms"},
	{"PUT", "/v1/topics/u", `{"config":{"max_message_bytes":67108865}}`, nil,
		"invalid_record", "/config/max_message_bytes"},
	{"PUT", "/v1/topics/u", `{"config":{"cleanup_policy":"burn"}}`, nil,
		"invalid_record", "/config/cleanup_policy"},
	{"PUT", "/v1/topics/u", `{"config":{"retention.ms":1}}`, nil,
		"invalid_record", "/config/retention.ms"},
	{"PATCH", "/v1/topics/t", `{"partitions":1}`, nil, "invalid_record", "/partitions"},
	{"PATCH", "/v1/topics/t", `{"partitions":null}`, nil, "invalid_record", "/partitions"},

	{"PUT", commit, `{}`, nil, "invalid_record", "/offsets"},
	{"PUT", commit, `{"offsets":[{"topic":"t","partition":0}]}`, nil,
		"invalid_record", "/offsets/0/offset"},
	{"PUT", commit, `{"offsets":[{"topic":"t","partition":0,"offset":-1}]}`, nil,
		"invalid_record", "/offsets/0/offset"},
	{"PUT", commit, `{"offsets":[{"topic":"t","partition":0,"offset":1},` +
		`{"topic":"t","partition":0,"offset":1}]}`, nil, "invalid_record", "/offsets/1"},
	{"PUT", commit, `{"offsets":[{"topic":"no","partition":0,"offset":1}]}`, nil,
		"topic_not_found", "-"},
	{"PUT", commit, `{"offsets":[{"topic":"t","partition":9,"offset":1}]}`, nil,
		"partition_not_found", "-"},
	{"PUT", commit,
		`{"offsets":[{"topic":"t","partition":0,"offset":1,"if_offset":4}]}`, nil,
		"offset_conflict", "-"},
}

// How: each row sends oneRead bad request and looks at every member of the problem; afterwards
// nothing was handed on, no memory is held and the log is as it was.
func TestProblems(t *testing.T) {
	for _, c := range badRequests {
		name := c.method + " " + c.target
		h := newHouse()
		h.topic("t", 2, foz.TopicConfig{MaxMessageBytes: 100})
		a := h.api(Config{BodyBytesMax: 4096, RecordsMax: 500, SlotTimeout: 1, ControlBytesMax: 150})
		got := do(a.Handler(), c.method, c.target, c.body, c.header...)
		p := checkProblem(t, name+" "+shortened(c.body), got, c.code)
		if c.method == "GET" && p.SideEffects != "none" {
			t.Errorf("%s: side effects %s", name, p.SideEffects)
		}
		pointer := "-"
		if len(p.Errors) > 0 {
			pointer = p.Errors[0].Pointer
		}
		if pointer != c.pointer {
			t.Errorf("%s %q: first error at %q, want %q", name, shortened(c.body), pointer, c.pointer)
		}
		if n := h.total(); n > 0 || len(h.requests) > 0 || len(h.topics) != 1 || len(h.offsets) > 0 {
			t.Errorf("%s: something was stored: %d records", name, n)
		}
		if held := a.decoding.used.Load(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
}

// checkProblem checks that an answer is a whole problem of a kind.
func checkProblem(t *testing.T, name string, got answer, code foz.Code) (p problem) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Errorf("%s: %v in %q", name, err, got.body)
		return p
	}
	if got.status != statuses[code] || p.Code != code || p.Status != got.status ||
		p.Retryable != code.Retryable() || p.Detail == "" || p.Detail[0] == ':' ||
		p.Title == "" || p.Type == "" ||
		p.SideEffects != "none" && p.SideEffects != "unknown" ||
		got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: want %s, got %d %s", name, code, got.status, got.body)
	}
	later := got.status == 503 || got.status == 429
	if retry := got.header.Get("Retry-After"); later != (retry != "") {
		t.Errorf("%s: Retry-After %q", name, retry)
	}
	return p
}

// How: a method that a route lacks is answered with those it has.
func TestAllow(t *testing.T) {
	api := newHouse().api(Config{}).Handler()
	for target, want := range map[string]string{
		"/v1/topics": "GET, HEAD", "/v1/topics/t": "DELETE, GET, PATCH, PUT, HEAD",
		"/v1/topics/t/records": "GET, POST, HEAD", "/v1/groups/g/offsets": "GET, PUT, HEAD",
		"/livez": "GET, HEAD",
	} {
		got := do(api, "BREW", target, "")
		checkProblem(t, target, got, foz.CodeMethodNotAllowed)
		wantEqual(t, target, got.header.Get("Allow"), want)
	}
}

// How: every kind of refusal that another room can give comes out with its status, and its
// numbers as members and as headers.
func TestProblemsOfOtherRooms(t *testing.T) {
	for code, status := range statuses {
		h := newHouse()
		h.topic("t", 1, foz.TopicConfig{})
		h.produce = func(foz.Request) error {
			return fmt.Errorf("produce: %w", foz.Errorf(code, "because of %d", 3).
				With(foz.NumberExpectedSeq, 41).With(foz.NumberProducerEpoch, 42).
				With(foz.NumberNextOffset, 43).With(foz.NumberEarliestOffset, 44))
		}
		got := do(h.api(Config{}).Handler(), "POST", "/v1/topics/t/records", "a",
			"Content-Type: application/x-ndjson")
		p := checkProblem(t, string(code), got, code)
		wantEqual(t, "status", got.status, status)
		wantEqual(t, string(code), p.SideEffects == "unknown", code.Unknown())
		for header, member := range map[string]string{
			"Producer-Expected-Seq": `"expected_seq":41`, "Producer-Epoch": `"producer_epoch":42`,
			"Foz-Next-Offset": `"next_offset":43`, "Foz-Earliest-Offset": `"earliest_offset":44`,
		} {
			if got.header.Get(header) != member[len(member)-2:] || !strings.Contains(got.body, member) {
				t.Errorf("%s: %s is %q in %s", code, header, got.header.Get(header), got.body)
			}
		}
	}
}

// How: errors that nobody gave a kind, and panics, are internal: unknown for a write, and
// their text stays here.
func TestInternalProblems(t *testing.T) {
	for name, fail := range map[string]func(foz.Request) error{
		"error": func(foz.Request) error { return errors.New("secret") },
		"panic": func(foz.Request) error { panic("secret") },
	} {
		h := newHouse()
		h.topic("t", 1, foz.TopicConfig{})
		h.produce = fail
		a := h.api(Config{})
		got := do(a.Handler(), "POST", "/v1/topics/t/records", "a", "Content-Type: application/x-ndjson")
		p := checkProblem(t, name, got, foz.CodeInternal)
		if p.SideEffects != "unknown" || strings.Contains(got.body, "secret") {
			t.Errorf("%s: %s", name, got.body)
		}
		wantEqual(t, "memory held", a.decoding.used.Load(), 0)
	}
}

// How: a node that drains refuses writes and streams, and says so in /readyz; reads go on.
func TestDrain(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	api := a.Handler()
	wantEqual(t, "ready before", do(api, "GET", "/readyz", "").status, 200)
	a.Drain()
	for _, c := range []struct{ method, target, header string }{
		{"POST", "/v1/topics/t/records", "Content-Type: application/x-ndjson"},
		{"GET", "/v1/topics/t/records", "Accept: text/event-stream"},
		{"GET", "/v1/topics/t/partitions/0/records", "Accept: text/event-stream"},
		{"GET", "/readyz", "Accept: */*"},
	} {
		checkProblem(t, c.target, do(api, c.method, c.target, "", c.header), foz.CodeDraining)
	}
	got := do(api, "GET", "/v1/topics/t/partitions/0/records?wait=60", "")
	wantEqual(t, "long poll", got.status, 200)
	wantEqual(t, "live", do(api, "GET", "/livez", "").status, 200)
}

// How: not ready is 503 and says why; /metrics is the handler given.
func TestHealth(t *testing.T) {
	h := newHouse()
	h.ready = func() error { return errors.New("the store is gone") }
	api := h.api(Config{}).Handler()
	got := do(api, "GET", "/readyz", "")
	checkProblem(t, "readyz", got, foz.CodeUnavailable)
	if !strings.Contains(got.body, "store is gone") {
		t.Error(got.body)
	}
	wantEqual(t, "livez", do(api, "GET", "/livez", ""), answer{200, http.Header{
		"Content-Type": {"text/plain; charset=utf-8"}}, "ok\n"})
	wantEqual(t, "metrics", do(api, "GET", "/metrics", "").body, "foz_up 1\n")
}
