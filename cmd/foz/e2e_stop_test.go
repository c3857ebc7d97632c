package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	check "github.com/fozlog/foz/verify" // cmd has a function of that name
)

// TestStopAnswersWhatIsUnderWay: how: with a flush interval of a minute, requests lie in the
// node's buffer, beside a long poll and an event stream. Then it is told to stop.
func TestStopAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	plain := map[string]string{"Content-Type": "text/plain"}
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := filepath.Join(t.TempDir(), "bucket")
		p := startDev(t, dir, "--flush-interval", "60s")
		topic := p.URL + "/v1/topics/t"
		call(t, "PUT", topic, nil, nil)
		const burst = 4 // flushes that the budget has saved up: afterwards records wait
		for i := range burst {
			call(t, "POST", topic+"/records", plain, strings.NewReader(fmt.Sprint("first ", i)))
		}
		var underWay sync.WaitGroup
		var sent, acked atomic.Int64
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { sent.Add(1) },
		})
		for i := range 12 {
			underWay.Go(func() {
				body := strings.NewReader(fmt.Sprint(i))
				resp, text := callIn(ctx, t, "POST", topic+"/records", plain, body)
				if resp.StatusCode == 200 {
					acked.Add(1)
				} else {
					t.Errorf("%v: a request under way: %d %s", s, resp.StatusCode, text)
				}
			})
		}
		waitFor(t, func() bool { return sent.Load() == 12 })
		time.Sleep(time.Second) // and the node has heard of them
		before := burst + acked.Load()
		records := topic + "/partitions/0/records?offset="
		underWay.Go(func() {
			resp, text := callIn(ctx, t, "GET", fmt.Sprint(records, before, "&wait=60"), nil, nil)
			if resp.StatusCode != 200 && resp.StatusCode != 503 {
				t.Errorf("%v: a long poll under way: %d %s", s, resp.StatusCode, text)
			}
		})
		events, err := http.DefaultClient.Do(eventRequest(t, fmt.Sprint(records, before)))
		if err != nil {
			t.Fatal(err)
		}
		defer events.Body.Close()
		waitFor(t, func() bool { return sent.Load() == 13 })
		time.Sleep(time.Second)

		begun := time.Now()
		if code := p.stop(s); code != 0 {
			t.Errorf("%v: exit code %d", s, code)
		}
		underWay.Wait()
		took := time.Since(begun)
		if took > promptly || before == burst+12 || acked.Load() != 12 {
			t.Errorf("%v: took %s; %d before, %d of 12 in all", s, took, before-burst, acked.Load())
		}
		t.Logf("%v: %d acknowledged before, 12 in all, ended after %s", s, before-burst, took)
		last := allLines(events.Body)
		if !strings.Contains(last, "event: error\n") || !strings.Contains(last, `"draining"`) {
			t.Errorf("%v: the event stream ends so:\n%s", s, last)
		}
		p = startDev(t, dir)
		_, text := call(t, "GET", p.URL+"/v1/topics/t/partitions/0/records", nil, nil)
		if got := strings.Count(text, `"offset":`); got != burst+12 {
			t.Errorf("%v: %d records afterwards: %s", s, got, text)
		}
		p.kill()
	}
}

// allLines reads lines until they end, however that is.
func allLines(r io.Reader) (all string) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		all += lines.Text() + "\n"
	}
	return all
}

// TestStoppedUnderLoad: a node told to stop, and started again, four times.
func TestStoppedUnderLoad(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	var at address
	p := startDev(t, dir)
	at.move(p)
	run := &check.Run{
		Service: &check.Service{URL: at.URL, Topic: "stopped", Client: newHTTPClient(t)},
		Shape:   check.Shape{Partitions: 4, Pause: time.Millisecond}, Writers: 6, Tails: 3,
	}
	loaded(t, run, func(more func(int)) {
		for n := range 4 {
			more(60)
			begun := time.Now()
			if code := p.stop([]os.Signal{syscall.SIGTERM, syscall.SIGINT}[n%2]); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(begun); took > promptly {
				t.Errorf("it took %s to stop", took)
			}
			p = startDev(t, dir)
			at.move(p)
		}
		more(60)
	})
}

// pair is two services on one directory that do not know of each other, each with a bus of
// its own.
type pair struct {
	first, second address
	turn          atomic.Int64
}

// either is one of them, in turn: a writer's requests go to both.
func (p *pair) either() string {
	if p.turn.Add(1)%2 == 0 {
		return p.first.URL()
	}
	return p.second.URL()
}

func (p *pair) run(t *testing.T, topic string) *check.Run {
	client := newHTTPClient(t)
	return &check.Run{
		Service: &check.Service{URL: p.either, Topic: topic, Client: client},
		Reader:  &check.Service{URL: p.second.URL, Topic: topic, Client: client},
		Shape:   check.Shape{Partitions: 4}, Writers: 6, Tails: 3,
	}
}

// TestTwoServicesOnOneDirectory: written to by the same writers in turn, one leads at a time.
func TestTwoServicesOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	nodes := []*process{startDev(t, dir), startDev(t, dir)}
	var both pair
	both.first.move(nodes[0])
	both.second.move(nodes[1])
	loaded(t, both.run(t, "two"), func(more func(int)) { more(200) })
	claims := 0
	for _, p := range nodes {
		n := strings.Count(p.talk(), "msg=leads")
		if n == 0 {
			t.Error("a node never led")
		}
		claims += n
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	t.Logf("%d claims", claims)
}

// TestTwoServicesUnderFire: how: while both are written to, one is stopped in its tracks and
// goes on later, perhaps still believing that it leads; the other is killed and started again.
func TestTwoServicesUnderFire(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	first, second := startDev(t, dir), startDev(t, dir)
	var both pair
	both.first.move(first)
	both.second.move(second)
	loaded(t, both.run(t, "fire"), func(more func(int)) {
		for range kills(t, 2) {
			more(20)
			send(t, first, syscall.SIGSTOP)
			time.Sleep(rand.N(20 * time.Millisecond)) // later, all writers wait for the first
			second.kill()
			second = startDev(t, dir)
			both.second.move(second)
			time.Sleep(500 * time.Millisecond)
			send(t, first, syscall.SIGCONT)
			more(20)
			send(t, second, syscall.SIGSTOP)
			time.Sleep(300 * time.Millisecond)
			send(t, second, syscall.SIGCONT)
		}
		more(30)
	})
}

func send(t *testing.T, p *process, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func eventRequest(t *testing.T, url string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	return r
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(begun) > shortly {
			t.Fatal("it did not come to pass")
		}
	}
}
