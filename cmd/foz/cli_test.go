package main

// The command line against a service that is a script: what is sent, what is printed where,
// and with which exit code, on the days when the service refuses.
//
// How: each case runs the whole command tree in this process, with strings for its streams
// and a map for its environment; an httptest server answers every request with one function.
// Against a real node the commands are tested by script_test.go.

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// outcome is what a command left.
type outcome struct {
	code      int
	out, talk string
}

func runFoz(ctx context.Context, env map[string]string, in io.Reader, args ...string) outcome {
	var out, talk strings.Builder
	a := &app{in: in, out: &out, talk: &talk, getenv: func(name string) string { return env[name] }}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	if code != exitOK {
		fmt.Fprintln(&talk, explain(err))
	}
	return outcome{code, out.String(), talk.String()}
}

// service has a topic t of 3 partitions, answers all else with a function and notes what it
// was asked.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	asks []string
}

func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet && r.URL.Path == "/v1/topics/t" {
			io.WriteString(w, `{"name":"t","topic_id":"x","partitions":3}`)
			return
		}
		s.mu.Lock()
		n := len(s.asks)
		s.asks = append(s.asks, r.Method+" "+r.URL.String()+" "+string(body))
		s.mu.Unlock()
		answer(w, r, n)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.asks...)
}

// run gives foz its input and the input's end at once: a pause between them is one in which what
// there is goes out.
func (s *service) run(t *testing.T, in string, args ...string) outcome {
	input := iotest.DataErrReader(strings.NewReader(in))
	return runFoz(t.Context(), map[string]string{"FOZ_URL": s.URL}, input, args...)
}

func problem(w http.ResponseWriter, status int, code, more string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"code":%q,"detail":"because","retryable":false,"side_effects":"none"%s}`,
		code, more)
}

func ack(w http.ResponseWriter, start, end int) {
	fmt.Fprintf(w, `{"partitions":[{"partition":0,"start_offset":%d,"end_offset":%d}],"count":%d}`,
		start, end, end-start)
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, more string
		args       string
		exit       int
		talk       string
	}{
		{404, "topic_not_found", "", "topic describe u", exitNotFound, "topic_not_found: because"},
		{404, "group_not_found", "", "group describe g", exitNotFound, "group_not_found"},
		{412, "offset_conflict", `,"next_offset":7`, "group commit g t -p 0 -o 5 --if-offset 4",
			exitPrecondition, "offset_conflict"},
		{409, "topic_exists", "", "topic create t", exitPrecondition, "topic_exists"},
		{416, "offset_out_of_range", "", "consume t -p 0 -o 99", exitFailure, "offset_out_of_range"},
		{400, "bad_request", "", "topic list", exitFailure, "bad_request"},
		{200, "", "", "topic lst", exitUsage, "did you mean list?"},
		{200, "", "", "topic", exitUsage, "say which of its commands"},
		{200, "", "", "topic create", exitUsage, "foz topic create --help"},
		{200, "", "", "topic create t --retention soon", exitUsage, "no duration"},
		{200, "", "", "topic trim t -p 1", exitUsage, "--before is missing"},
		{200, "", "", "topic alter t", exitUsage, "nothing to change"},
		{200, "", "", "consume t --format xml", exitUsage, "want ndjson, json, raw, arrow"},
		{200, "", "", "consume t --format raw --columns key", exitUsage, "raw is the value"},
		{200, "", "", "consume t --follow -o 3-5 -p 0", exitUsage, "--follow does not"},
		{200, "", "", "consume t --follow -o 3", exitUsage, "say which with -p"},
		{200, "", "", "consume t --follow --format json", exitUsage, "no end"},
		{200, "", "", "consume t --format arrow -o 3", exitUsage, "with -p"},
		{200, "", "", "consume t -o later", exitUsage, "want start, end, N"},
		{200, "", "", "group commit g t -o 3-5", exitUsage, "not in a range"},
		{200, "", "", "produce t --envelope -k k", exitUsage, "-k and -H"},
		{200, "", "", "produce t -H k", exitUsage, "NAME=VALUE"},
		{200, "", "", "produce t -p -2", exitUsage, "-1 for any"},
		{200, "", "", "produce t --batch-bytes 0", exitUsage, "at least one line"},
		{200, "", "", "topic create t --partitions 0", exitUsage, "at least 1"},
		{200, "", "", "topic create ..", exitUsage, "names are 1 to 249 of"},
		{200, "", "", "topic create a/b", exitUsage, "names are 1 to 249 of"},
		{200, "", "", "group commit g t -o end -p -2", exitUsage, "-1 for all"},
		{200, "", "", "help nope", exitUsage, "unknown command \"nope\""},
		{200, "", "", "help topic nope", exitUsage, "foz topic --help"},
		{200, "", "", "completion", exitUsage, "say which of its commands"},
		{200, "", "", "completion tcsh", exitUsage, "unknown command \"tcsh\""},
		{200, "", "", "completion bash x", exitUsage, "foz completion bash --help"},
		{200, "", "", "version --output xml", exitUsage, "table, json or yaml"},
		{200, "", "", "version --nope", exitUsage, "unknown flag"},
		{200, "", "", "log show x --data-dir ./not/there", exitUsage, "want a number"},
		{200, "", "", "segment list --data-dir ./not/there", exitNotFound, "not exist"},
		{200, "", "", "segment list --bucket ftp://x", exitUsage, "unknown scheme"},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
			problem(w, c.status, c.code, c.more)
		})
		got := s.run(t, "x\n", strings.Fields(c.args)...)
		if got.code != c.exit || !strings.Contains(got.talk, c.talk) {
			t.Errorf("foz %s: exit %d, %q; want %d, %q", c.args, got.code, got.talk, c.exit, c.talk)
		}
	}
}

// TestGroupCommitMovesFromWhereItStands: each partition has a condition of its own, and a race
// that is lost is told as one.
func TestGroupCommitMovesFromWhereItStands(t *testing.T) {
	for _, c := range []struct {
		stands, want string // what the service says of partition 1, and what it is asked to do
	}{
		{`{"offsets":[{"topic":"t","partition":1,"offset":16}]}`, `"if_offset":16`},
		{``, `"if_offset":-1`},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
			switch {
			case r.Method == http.MethodPut:
				problem(w, 412, "offset_conflict", "")
			case c.stands == "":
				problem(w, 404, "group_not_found", "")
			default:
				io.WriteString(w, c.stands)
			}
		})
		got := s.run(t, "", "group", "commit", "g", "t", "-o", "3")
		if got.code != exitPrecondition || !strings.Contains(got.talk, "have moved it meanwhile") {
			t.Errorf("exit %d: %s", got.code, got.talk)
		}
		want := `PUT /v1/groups/g/offsets {"offsets":[` +
			`{"topic":"t","partition":0,"offset":3,"if_offset":-1},` +
			`{"topic":"t","partition":1,"offset":3,` + c.want + `},` +
			`{"topic":"t","partition":2,"offset":3,"if_offset":-1}]}`
		if diff := cmp.Diff([]string{"GET /v1/groups/g/offsets?topic=t ", want}, s.asked()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFlagBeforeEnvironmentBeforeDefault(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		io.WriteString(w, `{"name":"t","topic_id":"x","partitions":3}`)
	})
	env := map[string]string{"FOZ_URL": s.URL, "FOZ_PARTITIONS": "3", "FOZ_RETENTION": "1d",
		"FOZ_OUTPUT": "json"}
	for _, c := range []struct {
		args string
		want string
	}{
		{"topic create t", `PUT /v1/topics/t {"partitions":3,"config":{"retention_ms":86400000}}`},
		{"topic create t --partitions 5 --retention 0",
			`PUT /v1/topics/t {"partitions":5,"config":{"retention_ms":0}}`},
	} {
		got := runFoz(t.Context(), env, strings.NewReader(""), strings.Fields(c.args)...)
		if asked := s.asked(); got.code != 0 || asked[len(asked)-1] != c.want {
			t.Errorf("%s: %v, asked %q, want %q", c.args, got, asked, c.want)
		}
		if !strings.HasPrefix(got.out, "{") {
			t.Errorf("%s: FOZ_OUTPUT=json printed %q", c.args, got.out)
		}
	}
	got := runFoz(t.Context(), map[string]string{"FOZ_PARTITIONS": "many"}, strings.NewReader(""),
		"topic", "create", "t")
	if got.code != exitUsage || !strings.Contains(got.talk, "FOZ_PARTITIONS") {
		t.Errorf("a variable that is no number: %v", got)
	}
}

func TestProduceWrapsLines(t *testing.T) {
	const line, binary = `{"a":"<"}`, "\xff\x00"
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) { ack(w, 0, 2) })
	for _, c := range []struct{ args, want string }{
		{"", "POST /v1/topics/t/records " + line + "\n\n" + binary + "\n"},
		{"-k K -H h=v=w -H h=", `POST /v1/topics/t/records?envelope=record ` +
			`{"key":"K","headers":[["h","v=w"],["h",""]],"value":"{\"a\":\"\u003c\"}"}` + "\n\n" +
			`{"key":"Sw==","headers":[["h","dj13"],["h",""]],"encoding":"base64",` +
			`"value":"/wA="}` + "\n"},
		{"-H h=v -p 3", `POST /v1/topics/t/partitions/3/records?envelope=record ` +
			`{"headers":[["h","v"]],"value":"{\"a\":\"\u003c\"}"}` + "\n\n" +
			`{"headers":[["h","dg=="]],"encoding":"base64","value":"/wA="}` + "\n"},
		{"--envelope", "POST /v1/topics/t/records?envelope=record " + line + "\n\n" + binary + "\n"},
	} {
		args := append([]string{"produce", "t"}, strings.Fields(c.args)...)
		got := s.run(t, line+"\n\n"+binary, args...)
		asked := s.asked()
		if diff := cmp.Diff(c.want, asked[len(asked)-1]); diff != "" || got.code != 0 {
			t.Errorf("produce %s: %v\n%s", c.args, got, diff)
		}
	}
	if got := s.run(t, "\n\n", "produce", "t"); got.code != 0 || len(s.asked()) != 4 {
		t.Errorf("nothing but empty lines: %v, %q", got, s.asked())
	}
}

func TestProduceSaysHowFarItCame(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 2 {
			problem(w, 422, "invalid_record", `,"errors":[{"pointer":"/1/value","detail":"no"}]`)
			return
		}
		ack(w, 2*n, 2*n+2)
	})
	input := strings.Repeat("0123456789\n", 8) // two lines to a batch
	got := s.run(t, input, "produce", "t", "--batch-bytes", "25", "--output", "json")
	if got.code != exitFailure || !strings.Contains(got.talk, "4 lines acknowledged; then") ||
		!strings.Contains(got.talk, "line 6, /value: no") {
		t.Errorf("exit %d, talk %q", got.code, got.talk)
	}
	want := `{"partitions":[{"partition":0,"start_offset":0,"end_offset":4,"records":4}],"records":4}`
	if squeezed := strings.Join(strings.Fields(got.out), ""); squeezed != want {
		t.Errorf("out %s, want %s", squeezed, want)
	}
}

func TestProduceSendsWhenTheInputPauses(t *testing.T) {
	sent := make(chan struct{}, 9)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		ack(w, n, n+1)
		sent <- struct{}{}
	})
	in, typing := io.Pipe()
	done := make(chan outcome)
	go func() {
		done <- runFoz(t.Context(), map[string]string{"FOZ_URL": s.URL}, in, "produce", "t")
	}()
	for _, text := range []string{"a\n", "b", "c\n"} {
		io.WriteString(typing, text)
		if text != "b" {
			<-sent
		}
	}
	typing.Close()
	if got := <-done; got.code != 0 {
		t.Fatal(got)
	}
	want := []string{"POST /v1/topics/t/records a\n", "POST /v1/topics/t/records bc\n"}
	if diff := cmp.Diff(want, s.asked()); diff != "" {
		t.Error(diff)
	}
}

func TestProduceSeesTheRequestUnderWayThrough(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		interrupt()
		time.Sleep(20 * time.Millisecond)
		ack(w, 0, 1)
	})
	in, typing := io.Pipe()
	defer typing.Close()
	go io.WriteString(typing, "a\n")
	got := runFoz(ctx, map[string]string{"FOZ_URL": s.URL}, in, "produce", "t")
	if got.code != exitFailure || !strings.Contains(got.talk, "1 record to t") ||
		!strings.Contains(got.talk, "interrupted") {
		t.Errorf("%+v", got)
	}
}

func TestConsumeStopsAtItsLimitAndMarksPartitions(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("Foz-High-Watermark", "2")
		io.WriteString(w, "{\"offset\":0,\"value\":\"a\"}\n{\"offset\":1,\"value\":\"b\"}\n")
	})
	got := s.run(t, "", "consume", "t", "-o", "-2", "-n", "3")
	want := `{"partition":0,"offset":0,"value":"a"}
{"partition":0,"offset":1,"value":"b"}
{"partition":1,"offset":0,"value":"a"}
`
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != 0 {
		t.Error(got, diff)
	}
	got = s.run(t, "", "consume", "t", "-p", "1", "--format", "json")
	want = "{\"records\":[\n{\"offset\":0,\"value\":\"a\"},\n{\"offset\":1,\"value\":\"b\"}\n]}\n"
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != 0 {
		t.Error(got, diff)
	}
	if got = s.run(t, "", "consume", "t", "-p", "1", "--format", "raw"); got.out != "a\nb\n" {
		t.Error(got)
	}
}

// TestHintsThatDoNotHelp: a person is told to start a service only where one is missed, and
// not alarmed by a refusal.
func TestHintsThatDoNotHelp(t *testing.T) {
	const hint = "Is a service running there"
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	got := runFoz(t.Context(), nil, nil, "fsck", "--bucket", "minio://127.0.0.1:1/b-b?secure=false")
	if got.code != exitFailure || !strings.Contains(got.talk, "refused") ||
		strings.Contains(got.talk, hint) {
		t.Errorf("no store: exit %d: %s", got.code, got.talk)
	}
	got = runFoz(t.Context(), nil, nil, "topic", "list", "--url", "http://127.0.0.1:1")
	if !strings.Contains(got.talk, hint) {
		t.Errorf("no service: exit %d: %s", got.code, got.talk)
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(409)
		io.WriteString(w, `{"code":"topic_exists","side_effects":"unknown","retryable":false}`)
	})
	got = s.run(t, "", "topic", "create", "t")
	if got.code != exitPrecondition || strings.Contains(got.talk, "unknown") {
		t.Errorf("exit %d: %s", got.code, got.talk)
	}
}

// TestTopicSettingsHaveNoDefaults: what is not given stays as it is, or is the service's.
func TestTopicSettingsHaveNoDefaults(t *testing.T) {
	for _, command := range []string{"create", "alter"} {
		got := runFoz(t.Context(), nil, nil, "topic", command, "--help")
		settings, _, _ := strings.Cut(got.out, "Global Flags")
		if strings.Contains(settings, "(default") || !strings.Contains(settings, "topic: 7d") {
			t.Errorf("%s:\n%s", command, settings)
		}
	}
}

func TestEveryCommandHasAnExampleAndEveryFlagItsVariable(t *testing.T) {
	got := runFoz(t.Context(), nil, nil, "produce", "--help")
	for _, want := range []string{"Examples:", "[$FOZ_KEY]", "[$FOZ_BATCH_BYTES]", "[$FOZ_URL]"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("help of produce lacks %s:\n%s", want, got.out)
		}
	}
	a := &app{in: strings.NewReader(""), out: io.Discard, talk: io.Discard}
	commands := []*cobra.Command{a.root()}
	for len(commands) > 0 {
		c := commands[0]
		commands = append(commands[1:], c.Commands()...)
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no short help", c.CommandPath())
		}
	}
}
