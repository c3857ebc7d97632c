package main

// The real binary on a real directory, on bad days.
//
// How: each test starts `foz dev` as processes of its own (this test binary under that name,
// which testscript put into $PATH), speaks with them over HTTP, and kills or stops them.
// What was acknowledged and what is there is judged by package verify, which knows nothing
// but the contract. Processes die with the test, and with this process (see ownedProcess).

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	check "github.com/fozlog/foz/verify" // cmd has a function of that name
)

// shortly is how long a test waits for what takes no time, on a machine that is busy.
const shortly = time.Minute

// promptly is less than what a node waits for those it cannot help, and more than a busy
// machine takes.
const promptly = drainTimeout * 2 / 3

// process is a running `foz dev`.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	URL  string
	done chan struct{} // closed when it has ended

	mu   sync.Mutex
	said strings.Builder // stderr
}

// startDev starts foz dev on a directory and waits until it serves.
func startDev(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p := launch(t, append([]string{"dev", "--data-dir", dir, "--http", "127.0.0.1:0"}, args...)...)
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("foz dev ended: %v\n%s", p.cmd.ProcessState, p.talk())
		default:
		}
		if _, after, ok := strings.Cut(p.talk(), "service  "); ok && strings.Contains(after, "\n") {
			p.URL, _, _ = strings.Cut(after, "\n")
			return p
		}
		if time.Since(begin) > shortly {
			t.Fatalf("foz dev does not come up:\n%s", p.talk())
		}
	}
}

// launch starts foz with arguments. It is killed when the test ends, if it is still there.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith is launch with more variables in the environment, "NAME=value".
func launchWith(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("foz", args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = ownedProcess()
	p.cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		lines := bufio.NewReader(stderr)
		for {
			line, err := lines.ReadString('\n')
			p.mu.Lock()
			p.said.WriteString(line)
			p.mu.Unlock()
			if err != nil {
				break
			}
		}
		_ = p.cmd.Wait() // its state tells
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("foz %s said:\n%s", args[0], p.talk())
		}
	})
	return p
}

func (p *process) talk() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// kill kills the process, unless it has ended, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop asks it to end and gives its exit code.
func (p *process) stop(s os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Errorf("signal %v: %v", s, err)
	}
	return p.ended(shortly)
}

// ended waits for its end and gives its exit code.
func (p *process) ended(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Errorf("it does not end within %s", within)
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// address is where a service is that moves when it is started again.
type address struct{ at atomic.Pointer[string] }

func (a *address) move(p *process) { a.at.Store(&p.URL) }
func (a *address) URL() string     { return *a.at.Load() }

// loaded runs a load while it is disturbed, and reports what verify found. disturb gets a
// function that waits until so many more requests have been acknowledged.
func loaded(t *testing.T, run *check.Run, disturb func(more func(n int))) *check.Report {
	t.Helper()
	ctx := t.Context()
	if err := run.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	load, stop := context.WithCancel(ctx)
	defer stop()
	var report *check.Report
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, err = run.Load(ctx, load)
	}()
	disturb(func(n int) {
		begun := time.Now()
		for want := run.Acked() + n; run.Acked() < want; time.Sleep(2 * time.Millisecond) {
			if time.Since(begun) > shortly {
				t.Fatalf("%d requests are not acknowledged within %s", n, shortly)
			}
		}
	})
	stop()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", report)
	if !report.OK() {
		t.Errorf("%d kinds of broken promise", len(report.Counts))
	}
	return report
}

// kills is how often a test kills: as often as it likes, or $FOZ_TEST_KILLS.
func kills(t *testing.T, usual int) int {
	text := os.Getenv("FOZ_TEST_KILLS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal("FOZ_TEST_KILLS: ", err)
	}
	return n
}

// TestKilledFiveTimes: a node killed five times under eight writers and six followers has
// every acknowledged record, dense, once, in order.
func TestKilledFiveTimes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	var at address
	p := startDev(t, dir)
	at.move(p)
	run := &check.Run{
		Service: &check.Service{URL: at.URL, Topic: "killed", Client: newHTTPClient(t)},
		Shape:   check.Shape{Partitions: 5, Pause: time.Millisecond}, Writers: 8, Tails: 6,
	}
	report := loaded(t, run, func(more func(int)) {
		for n := range kills(t, 5) {
			more(100 + 17*(n%5))
			time.Sleep(rand.N(30 * time.Millisecond)) // not just when something was acknowledged
			p.kill()
			p = startDev(t, dir, "--flush-interval", []string{"0s", "1ms", "25ms"}[n%3])
			at.move(p)
		}
		more(100)
	})
	if report.Acked < 600 || report.Unknown+report.Retries == 0 {
		t.Errorf("the kills hit nothing: %+v", report)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestKilledWhileItStarts: how: nodes on one directory, an empty one at first, are killed some
// time after their birth, before or after they serve. The next one always comes up.
func TestKilledWhileItStarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	for n := range 20 {
		p := launch(t, "dev", "--data-dir", dir, "--http", "127.0.0.1:0")
		time.Sleep(rand.N(100 * time.Millisecond))
		p.kill()
		if code := p.cmd.ProcessState.ExitCode(); code != -1 {
			t.Errorf("node %d ended by itself, with exit code %d", n, code)
		}
	}
	p := startDev(t, dir)
	call(t, "PUT", p.URL+"/v1/topics/t", nil, nil)
	if resp, text := produceText(t, p.URL, "a"); resp.StatusCode != 200 {
		t.Error(text)
	}
	holds(t, p.URL, "a")
	if left, err := filepath.Glob(filepath.Join(dir, ".tmp", "*")); err != nil || len(left) != 1 {
		t.Errorf("temporary directories of %d processes are left: %v", len(left), err)
	}
}

func newHTTPClient(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// call sends a request and reads the whole answer.
func call(t testing.TB, method, url string, header map[string]string, body io.Reader) (
	*http.Response, string,
) {
	t.Helper()
	return callIn(t.Context(), t, method, url, header, body)
}

func callIn(ctx context.Context, t testing.TB, method, url string, header map[string]string,
	body io.Reader,
) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: read the answer: %w", method, url, err))
	}
	return resp, string(text)
}
