package client_test

// The client against a service that is a script.
//
// How: an httptest server answers the n-th request with the n-th step and fails the test when
// it is asked more often. A step checks what was asked and answers, or hangs up. What a
// retry must and must not do is read off the number of requests that came.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

type step func(w http.ResponseWriter, r *http.Request)

// script is a service and the requests it got.
type script struct {
	*client.Client
	mu   sync.Mutex
	asks []string // method, URI, sequence, body
}

func play(t *testing.T, steps ...step) *script {
	t.Helper()
	s := &script{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := len(s.asks)
		s.asks = append(s.asks, strings.TrimSpace(fmt.Sprintf("%s %s %s%s",
			r.Method, r.URL, r.Header.Get("Producer-Seq"), body)))
		s.mu.Unlock()
		if n >= len(steps) {
			t.Errorf("request %d was not expected: %s %s", n, r.Method, r.URL)
			hangUp(w, r)
			return
		}
		steps[n](w, r)
	}))
	t.Cleanup(server.Close)
	var err error
	if s.Client, err = client.New(client.Options{URL: server.URL, Attempts: 3}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asks)
}

func answer(status int, body string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func refuse(status int, code foz.Code, retryable bool, sideEffects string, more string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"about:blank","title":"t","status":%d,"detail":"because",`+
			`"code":%q,"retryable":%t,"side_effects":%q%s}`,
			status, code, retryable, sideEffects, more)
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var (
	busy    = refuse(503, foz.CodeOverloaded, true, "none", "")
	timeout = refuse(504, foz.CodeAckTimeout, true, "unknown", "")
	invalid = refuse(422, foz.CodeInvalidRecord, false, "none", "")
	acked   = answer(200, `{"partitions":[{"partition":1,"start_offset":4,"end_offset":6,`+
		`"timestamp":9}],"count":2}`)
)

func TestProduceIsSentAgainOnlyWhileNothingCanHaveHappened(t *testing.T) {
	plain := func(c *client.Client) error {
		_, err := c.Produce(t.Context(), "t", nil, client.ProduceOptions{})
		return err
	}
	identified := func(c *client.Client) error {
		_, err := c.NewProducer("t", "", 0).Produce(t.Context(), nil, client.ProduceOptions{})
		return err
	}
	for _, c := range []struct {
		name    string
		steps   []step
		produce func(*client.Client) error
		code    foz.Code // "": no answer, or an ack
		unknown bool
		failed  bool
	}{
		{"ack", []step{acked}, plain, "", false, false},
		{"busy, then ack", []step{busy, busy, acked}, plain, "", false, false},
		{"busy for ever", []step{busy, busy, busy}, plain, foz.CodeOverloaded, false, true},
		{"refused", []step{invalid}, plain, foz.CodeInvalidRecord, false, true},
		{"no answer", []step{hangUp}, plain, "", true, true},
		{"unknown", []step{timeout}, plain, foz.CodeAckTimeout, true, true},
		{"a proxy's 502", []step{answer(502, "oops")}, plain, foz.CodeUnavailable, true, true},
		{"a proxy's 429", []step{answer(429, "slow"), acked}, plain, "", false, false},
		{"an ack that is none", []step{answer(200, "{")}, plain, "", true, true},
		{"identified: no answer, then ack", []step{hangUp, acked}, identified, "", false, false},
		{"identified: unknown, then ack", []step{timeout, timeout, acked}, identified, "", false,
			false},
		{"identified: unknown, then busy", []step{timeout, busy, busy}, identified,
			foz.CodeOverloaded, true, true},
		{"identified: refused", []step{invalid}, identified, foz.CodeInvalidRecord, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := play(t, c.steps...)
			err := c.produce(s.Client)
			if (err != nil) != c.failed {
				t.Fatalf("error %v, want one: %t", err, c.failed)
			}
			if errors.Is(err, client.ErrUnknown) != c.unknown {
				t.Errorf("error %v: unknown %t", err, !c.unknown)
			}
			if e, ok := errors.AsType[*foz.Error](err); ok != (c.code != "") || ok && e.Code != c.code {
				t.Errorf("error %v, want code %q", err, c.code)
			}
			if got := s.requests(); len(got) != len(c.steps) {
				t.Errorf("%d requests, want %d: %q", len(got), len(c.steps), got)
			}
		})
	}
}

func TestProduceThatNeverLeftIsNotUnknown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // its port refuses now
	c, err := client.New(client.Options{URL: server.URL, Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Produce(t.Context(), "t", nil, client.ProduceOptions{})
	if err == nil || errors.Is(err, client.ErrUnknown) {
		t.Fatalf("error %v: nothing was sent", err)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	later := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		busy(w, r)
	}
	s := play(t, later, acked)
	begin := time.Now()
	if _, err := s.Produce(t.Context(), "t", nil, client.ProduceOptions{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("sent again after %s, asked to wait 1 s", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	s = play(t, later)
	_, err := s.Produce(ctx, "t", nil, client.ProduceOptions{})
	if e, ok := errors.AsType[*foz.Error](err); !ok || e.Code != foz.CodeOverloaded {
		t.Errorf("error %v, want what the service said", err)
	}
}

func TestProblem(t *testing.T) {
	s := play(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Producer-Expected-Seq", "7")
		refuse(412, foz.CodeOffsetConflict, false, "none",
			`,"next_offset":42,"errors":[{"pointer":"/3/value","detail":"no"}]`)(w, r)
	})
	_, err := s.Produce(t.Context(), "t", nil, client.ProduceOptions{Partition: new(int32(3)),
		IfNextOffset: new(int64(41))})
	e, ok := errors.AsType[*foz.Error](err)
	if !ok || e.Code != foz.CodeOffsetConflict || e.Detail != "because" {
		t.Fatalf("error %v", err)
	}
	if e.Numbers[foz.NumberNextOffset] != 42 || e.Numbers[foz.NumberExpectedSeq] != 7 {
		t.Errorf("numbers %v", e.Numbers)
	}
	if len(e.Invalid) != 1 || e.Invalid[0] != (foz.InvalidRecord{Pointer: "/3/value", Detail: "no"}) {
		t.Errorf("invalid %v", e.Invalid)
	}
	want := "POST /v1/topics/t/partitions/3/records?envelope=record&if_next_offset=41"
	if got := s.requests()[0]; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestRecordsTravelUnchanged(t *testing.T) {
	records := []client.Record{
		{Record: foz.Record{Timestamp: 5, Key: []byte("k"), Value: []byte(`<"é"&>`)}, Partition: 2},
		{Record: foz.Record{Value: nil, Key: []byte{}}, Partition: client.AnyPartition},
		{Record: foz.Record{Value: []byte{}}, Partition: 0},
		{Record: foz.Record{Value: []byte{0xff, 0}, Key: []byte("k"),
			Headers: []foz.Header{{Key: "h", Value: []byte("v")}, {Key: "h", Value: nil}}}},
	}
	var got []client.Record
	s := play(t, func(w http.ResponseWriter, r *http.Request) { acked(w, r) })
	if _, err := s.Produce(t.Context(), "t", records, client.ProduceOptions{}); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(s.requests()[0], "envelope=record ")
	for line := range strings.Lines(body) {
		var r client.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	records[1].Partition = 0 // not sent, reads as 0
	records[3].Headers[1].Value = []byte{}
	if a, b := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", records); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
	if strings.Contains(strings.Split(body, "\n")[1], "partition") {
		t.Errorf("a record for any partition names one: %s", body)
	}
}

func TestProducer(t *testing.T) {
	s := play(t, acked, invalid, acked, hangUp, hangUp, hangUp, acked, acked)
	p := s.NewProducer("t", "me", 3)
	produce := func() error {
		_, err := p.ProduceBody(t.Context(), client.Body{}, client.ProduceOptions{})
		return err
	}
	for i, want := range []error{nil, &foz.Error{Code: foz.CodeInvalidRecord}, nil,
		client.ErrUnknown, client.ErrPending} {
		if err := produce(); !errors.Is(err, want) {
			t.Fatalf("request %d: error %v, want %v", i, err, want)
		}
	}
	if ack, err := p.Settle(t.Context()); err != nil || ack.Count != 2 {
		t.Fatalf("settle: %+v, %v", ack, err)
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	var seqs []string
	for _, ask := range s.requests() {
		seqs = append(seqs, ask[len(ask)-1:])
	}
	if got := strings.Join(seqs, ""); got != "01122223" {
		t.Errorf("sequences %s, want 01122223: a refusal consumes none, a retry is the same", got)
	}
	p.Abandon()
	if got := p.Identity(); got != (foz.Producer{ID: "me", Epoch: 4}) {
		t.Errorf("after Abandon: %+v", got)
	}
}

func TestDeleteSentTwiceFindsNothing(t *testing.T) {
	gone := refuse(404, foz.CodeTopicNotFound, false, "none", "")
	if err := play(t, hangUp, gone).DeleteTopic(t.Context(), "t"); err != nil {
		t.Errorf("the first attempt may have deleted it: %v", err)
	}
	err := play(t, gone).DeleteTopic(t.Context(), "t")
	if !errors.Is(err, &foz.Error{Code: foz.CodeTopicNotFound}) {
		t.Errorf("error %v, want topic_not_found", err)
	}
}

// TestNewRefuses: what is no URL of a service is shown with the form that one has, unless it
// may hold a password.
func TestNewRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"127.0.0.1:7080":      `service URL "127.0.0.1:7080": want http://host:port`,
		"localhost:7080":      `service URL "localhost:7080": want http://host:port`,
		"http://u:hidden@h":   "want http://host:port",
		"http://u:hidden@h:x": "without a user",
		"ftp://h":             "want http://host:port",
	} {
		_, err := client.New(client.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
