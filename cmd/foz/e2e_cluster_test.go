package main

// Several nodes of the real binary on one bucket, on bad days.
//
// How: three `foz serve` processes that form their bus themselves, or use the NATS server that
// FOZ_E2E_BUS names, on a directory or on the buckets that FOZ_E2E_BUCKETS names (a comma
// between two; each test adds a prefix of its own). Writers and followers speak with all of
// them in turn while their leader is killed and stopped.

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	check "github.com/fozlog/foz/verify"
	"github.com/fozlog/foz/verify/loopback"
)

// resumeWithin is how long acknowledgements may pause when a leader goes.
const resumeWithin = 10 * time.Second

// fleet is a service of several processes.
type fleet struct {
	t     *testing.T
	args  [][]string // of each node
	turns atomic.Int64

	mu    sync.Mutex
	nodes []*process
	away  int // a node that clients do not ask just now; -1: none
}

// newFleet starts a node for each list of roles and waits until all serve.
func newFleet(t *testing.T, bucket string, roles ...string) *fleet {
	return newFleetWith(t, bucket, nil, roles...)
}

// newFleetWith is newFleet with more flags for each node.
func newFleetWith(t *testing.T, bucket string, flags []string, roles ...string) *fleet {
	f := &fleet{t: t, nodes: make([]*process, len(roles)), away: -1}
	routes := make([]string, len(roles))
	for i := range routes {
		routes[i] = loopback.Address(t)
	}
	for i, r := range roles {
		args := []string{"serve", "--bucket", bucket, "--roles", r, "--http", loopback.Address(t)}
		args = append(args, flags...)
		if external := os.Getenv("FOZ_E2E_BUS"); external != "" {
			args = append(args, "--bus", external)
		} else {
			args = append(args, "--bus-cluster", routes[i],
				"--bus-routes", "nats://"+strings.Join(routes, ",nats://"))
		}
		f.args = append(f.args, args)
	}
	for i := range roles {
		f.nodes[i] = launch(t, f.args[i]...)
	}
	for i := range roles {
		f.await(i)
	}
	return f
}

func (f *fleet) await(i int) {
	f.t.Helper()
	p := f.node(i)
	for begin := time.Now(); time.Since(begin) < shortly; time.Sleep(5 * time.Millisecond) {
		if _, after, ok := strings.Cut(p.talk(), " is up at "); ok {
			f.mu.Lock()
			p.URL, _, _ = strings.Cut(after, " ")
			f.mu.Unlock()
			return
		}
	}
	f.t.Fatalf("node %d does not come up:\n%s", i, p.talk())
}

func (f *fleet) node(i int) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[i]
}

// URL is each node's in turn.
func (f *fleet) URL() string { return f.only(0, 1, 2)() }

// only is some of the nodes in turn, but for the one that is away.
func (f *fleet) only(nodes ...int) func() string {
	return func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		for {
			i := nodes[f.turns.Add(1)%int64(len(nodes))]
			if i != f.away {
				return f.nodes[i].URL
			}
		}
	}
}

// leave takes a node out of the clients' turns; -1 puts it back.
func (f *fleet) leave(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = i
}

// restart starts a killed node again, at the same addresses.
func (f *fleet) restart(i int) {
	p := launch(f.t, f.args[i]...)
	f.mu.Lock()
	p.URL = f.nodes[i].URL
	f.nodes[i] = p
	f.mu.Unlock()
	f.await(i)
}

// leader is the node that leads, as a node says that answers.
func (f *fleet) leader() int {
	f.t.Helper()
	for begin := time.Now(); time.Since(begin) < resumeWithin; time.Sleep(20 * time.Millisecond) {
		_, text := call(f.t, "GET", f.URL()+"/v1/cluster", nil, nil)
		var cluster struct{ Leader struct{ HTTP string } }
		if err := json.Unmarshal([]byte(text), &cluster); err != nil {
			f.t.Fatalf("cluster: %v in %s", err, text)
		}
		f.mu.Lock()
		i := slices.IndexFunc(f.nodes, func(p *process) bool { return p.URL == cluster.Leader.HTTP })
		f.mu.Unlock()
		if i >= 0 {
			return i
		}
	}
	f.t.Fatal("no node leads")
	return -1
}

// stop ends all nodes with SIGTERM.
func (f *fleet) stop() {
	for i := range f.nodes {
		if code := f.node(i).stop(syscall.SIGTERM); code != 0 {
			f.t.Errorf("node %d: exit code %d", i, code)
		}
	}
}

// buckets runs a test on a directory and on every bucket of the environment.
func buckets(t *testing.T, test func(t *testing.T, bucket string)) {
	t.Run("file", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "bucket")
		test(t, (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String())
	})
	for _, raw := range strings.Split(os.Getenv("FOZ_E2E_BUCKETS"), ",") {
		u, err := url.Parse(raw)
		if raw == "" || err != nil {
			continue
		}
		t.Run(u.Scheme, func(t *testing.T) {
			name := strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())
			u.Path = fmt.Sprintf("%s/%s-%d", u.Path, name, time.Now().UnixNano())
			test(t, u.String())
		})
	}
}

// TestLeaderKilledAndStopped: three nodes with all roles lose their leader, by SIGKILL and by
// SIGSTOP, under load; acknowledgements resume within 10 s, and every node reads back what
// was acknowledged.
func TestLeaderKilledAndStopped(t *testing.T) {
	buckets(t, func(t *testing.T, bucket string) {
		all := strings.Join(allRoles, ",")
		f := newFleet(t, bucket, all, all, all)
		run := &check.Run{
			Service: &check.Service{URL: f.URL, Topic: "fleet", Client: newHTTPClient(t)},
			Shape:   check.Shape{Partitions: 4, Pause: time.Millisecond}, Writers: 6, Tails: 3,
		}
		report := loaded(t, run, func(more func(int)) {
			more(60)
			leader := f.leader()
			f.node(leader).kill()
			within(t, "after the leader's death", func() { more(30) })
			f.restart(leader)
			leader = f.leader()
			f.leave(leader) // whoever asks it waits as long as it is stopped
			_ = f.node(leader).cmd.Process.Signal(syscall.SIGSTOP)
			within(t, "after the leader was stopped", func() { more(30) })
			_ = f.node(leader).cmd.Process.Signal(syscall.SIGCONT)
			f.leave(-1)
			more(60)
		})
		f.agree("fleet", 4, report)
		f.stop()
	})
}

// TestSplitRoles: nodes that ingest, lead and read, one role each and two that may lead.
func TestSplitRoles(t *testing.T) {
	buckets(t, func(t *testing.T, bucket string) {
		f := newFleet(t, bucket, "metadata,compactor", "ingest", "metadata,reader", "reader,ingest")
		client := newHTTPClient(t)
		run := &check.Run{
			Service: &check.Service{URL: f.only(1, 3), Topic: "split", Client: client},
			Reader:  &check.Service{URL: f.only(2, 3), Topic: "split", Client: client},
			Shape:   check.Shape{Partitions: 3, Pause: time.Millisecond}, Writers: 4, Tails: 3,
		}
		report := loaded(t, run, func(more func(int)) {
			more(40)
			leader := f.leader()
			f.node(leader).kill()
			within(t, "after the leader's death", func() { more(30) })
			f.restart(leader)
			more(30)
		})
		f.agree("split", 3, report)
		for node, role := range map[int]string{0: "ingest", 2: "ingest"} {
			resp, text := call(t, "POST", f.node(node).URL+"/v1/topics/split/records",
				map[string]string{"Content-Type": "text/plain"}, strings.NewReader("x"))
			if resp.StatusCode != 503 || !strings.Contains(text, "role "+role) ||
				!strings.Contains(text, f.node(1).URL) {
				t.Errorf("a node without the role %s: %d %s", role, resp.StatusCode, text)
			}
		}
		f.stop()
	})
}

// within fails the test if do takes longer than acknowledgements may pause.
func within(t *testing.T, when string, do func()) {
	t.Helper()
	begin := time.Now()
	do()
	took := time.Since(begin)
	t.Logf("acknowledged again %s in %v", when, took.Round(time.Millisecond))
	if took > resumeWithin {
		t.Errorf("%s it took %v", when, took)
	}
}

// agree asks every node where every partition ends: all say the same, at once, and it is at
// least what was acknowledged.
func (f *fleet) agree(topic string, partitions int, report *check.Report) {
	f.t.Helper()
	var total int64
	for p := range partitions {
		var first string
		for i := range f.nodes {
			_, text := call(f.t, "GET", fmt.Sprintf("%s/v1/topics/%s/partitions/%d/offsets?at=latest",
				f.node(i).URL, topic, p), nil, nil)
			if first == "" {
				first = text
			}
			if text != first {
				f.t.Errorf("partition %d: node %d says %s, node 0 %s", p, i, text, first)
			}
		}
		var latest struct{ Offset int64 }
		if err := json.Unmarshal([]byte(first), &latest); err != nil {
			f.t.Fatalf("offsets: %v in %s", err, first)
		}
		total += latest.Offset
	}
	f.t.Logf("%d records at every node, %d requests acknowledged", total, report.Acked)
}
