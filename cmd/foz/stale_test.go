package main

// What a node answers that does not know what others did.
//
// How: two nodes of this process are on one directory, and the bus of the second is dead: it hears
// nothing. Or one node is started again on a store that is slow to show it the log.

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/verify/loopback"
)

// hasty is a compactor that deletes what it can within a second or two.
var hasty = compactor.Config{
	Interval: 100 * time.Millisecond, FloorAge: 200 * time.Millisecond, Grace: time.Second,
	MergeIntervalMin: 100 * time.Millisecond, MergeIntervalMax: 100 * time.Millisecond,
}

// deaf starts two nodes on one directory with a topic of one record; b hears nothing.
func deaf(t *testing.T, c compactor.Config) (a, b *node, dir string) {
	t.Helper()
	dir = t.TempDir()
	bucket := (&url.URL{Scheme: "file", Path: dir}).String()
	start := func(cfg nodeConfig) *node {
		cfg.Bucket, cfg.HTTP, cfg.Logger = bucket, "127.0.0.1:0", slog.New(slog.DiscardHandler)
		n, err := startNode(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		return n
	}
	a = start(nodeConfig{Roles: allRoles, Compactor: c, FlushInterval: time.Millisecond})
	call(t, "PUT", a.URL+"/v1/topics/t", nil, nil)
	produceText(t, a.URL, "zero")
	b = start(nodeConfig{Roles: []string{roleReader, roleIngest},
		Bus: bus.Config{URLs: []string{"nats://" + loopback.Address(t)}}})
	return a, b, dir
}

func TestDeafNodePollsAtTheHead(t *testing.T) {
	t.Parallel()
	a, b, _ := deaf(t, compactor.Config{})
	holds(t, b.URL, "zero")
	produceText(t, a.URL, "one")
	waitFor(t, func() bool {
		_, text := call(t, "GET", b.URL+"/v1/topics/t/partitions/0/records?offset=1", nil, nil)
		return strings.Contains(text, `"one"`)
	})
}

func TestDeafNodeKnowsTheRecreated(t *testing.T) {
	t.Parallel()
	a, b, _ := deaf(t, compactor.Config{})
	call(t, "DELETE", a.URL+"/v1/topics/t", nil, nil)
	call(t, "PUT", a.URL+"/v1/topics/t", nil, nil)
	resp, text := call(t, "GET", b.URL+"/v1/topics/t/partitions/0/offsets?at=latest", nil, nil)
	if resp.StatusCode != 200 || !strings.Contains(text, `"offset":0`) {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// swept produces and has maintenance done until so many objects were deleted.
func swept(t *testing.T, n *node, objects int64) {
	t.Helper()
	waitFor(t, func() bool {
		call(t, "POST", n.URL+"/v1/maintenance", map[string]string{"Content-Type": "application/json"},
			strings.NewReader(`{"run":["merge","sweep"]}`))
		produceText(t, n.URL, "more")
		return n.compact.Deleted() >= objects
	})
}

// objectsPlanned counts the objects of a plan, and looks that they are there.
func objectsPlanned(t *testing.T, base, dir string) (objects int) {
	t.Helper()
	resp, text := call(t, "GET", base+"/v1/topics/t/partitions/0/segments", nil, nil)
	var plan struct{ Segments []struct{ Object string } }
	if err := json.Unmarshal([]byte(text), &plan); err != nil || resp.StatusCode != 200 {
		return 0
	}
	for _, s := range plan.Segments {
		if _, err := os.Stat(filepath.Join(dir, s.Object)); err != nil {
			t.Errorf("a plan made now names what is not there: %v", err)
		}
	}
	return len(plan.Segments)
}

func TestDeafNodePlansWhatIsThere(t *testing.T) {
	t.Parallel()
	a, b, dir := deaf(t, hasty)
	for range 3 {
		produceText(t, a.URL, "one")
	}
	time.Sleep(6 * time.Second) // what b knows is old
	swept(t, a, 1)
	if objectsPlanned(t, b.URL, dir) == 0 {
		t.Error("nothing is planned")
	}
}

// slowLog takes its time with all entries of the log but the first.
type slowLog struct {
	objectstore.Store
	slow *atomic.Bool
}

func (s slowLog) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if s.slow.Load() && strings.HasPrefix(key, "log/") && key != "log/00000000000000000001" {
		time.Sleep(2 * time.Second)
	}
	return s.Store.Get(ctx, key, offset, length)
}

// TestNodeThatLoadsRefuses: a node that has replayed a part of its log says so, rather than what
// was once.
func TestNodeThatLoadsRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var slow atomic.Bool
	cfg := nodeConfig{
		Bucket: (&url.URL{Scheme: "file", Path: dir}).String(), HTTP: loopback.Address(t),
		Roles: allRoles, FlushInterval: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		wrap: func(s objectstore.Store) objectstore.Store { return slowLog{s, &slow} },
	}
	n, err := startNode(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	call(t, "PUT", n.URL+"/v1/topics/t", nil, nil)
	for range 40 { // several strides of the log
		produceText(t, n.URL, "r")
	}
	n.Close()
	slow.Store(true)
	started := make(chan *node)
	go func() {
		n, err := startNode(t.Context(), cfg)
		if err != nil {
			t.Error(err)
		}
		started <- n
	}()
	refused := 0
	for {
		select {
		case again := <-started:
			if again != nil {
				again.Close()
			}
			if refused == 0 {
				t.Error("it was never asked while it loaded")
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
		resp, err := http.Get(n.URL + "/v1/topics/t/partitions/0/records?tail=0")
		if err != nil {
			continue // it does not listen yet
		}
		resp.Body.Close()
		if resp.StatusCode == 503 {
			refused++
		} else if head := resp.Header.Get("Foz-High-Watermark"); head != "40" {
			t.Errorf("%d, and the head is said to be %q", resp.StatusCode, head)
		}
	}
}
