package main

// Nodes of the real binary that lose the store, or the bus, or that the store turns away.
//
// How: three processes with all roles reach the store and the bus each through wires of its
// own: TCP proxies in this process that fall silent when they are cut, as a broken network
// does, and carry on where they stopped. The store is an S3 server in this process, or the
// MinIO that FOZ_MINIO names; the bus is a NATS server in this process, or the one that
// FOZ_E2E_BUS names. Writers and followers speak with the nodes all the while; what was
// acknowledged is judged by package verify.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/objectstore/s3test"
	check "github.com/fozlog/foz/verify"
	"github.com/fozlog/foz/verify/loopback"
)

// wire carries TCP connections to one address until it is cut.
type wire struct {
	net.Listener
	to string

	mu   sync.Mutex
	open chan struct{} // closed while the wire is whole
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to}
	w.mend()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return w
}

func (w *wire) address() string { return w.Addr().String() }

func (w *wire) carry(near net.Conn) {
	defer near.Close()
	<-w.whole()
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer far.Close()
	var g sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		g.Go(func() {
			defer way[1].Close()
			defer way[0].Close()
			w.pump(way[1], way[0])
		})
	}
	g.Wait()
}

// pump copies until an end is gone. While the wire is cut it holds what it has, as TCP would.
func (w *wire) pump(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		<-w.whole()
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

func (w *wire) whole() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = make(chan struct{})
	}
	close(w.open)
}

// wired is a fleet whose nodes have a wire each to the store and to the bus.
type wired struct {
	*fleet
	toStore, toBus []*wire
	busy           atomic.Bool // the store answers 503 SlowDown
	refused        atomic.Int64
}

func newWired(t *testing.T) *wired {
	w := &wired{fleet: &fleet{t: t, nodes: make([]*process, 3), away: -1}}
	store, keys := w.front(t)
	server := busServer(t)
	for i := range w.nodes {
		w.toStore = append(w.toStore, newWire(t, store.Host))
		w.toBus = append(w.toBus, newWire(t, server))
		at := *store
		at.Host = w.toStore[i].address()
		w.args = append(w.args, []string{"serve", "--bucket", at.String(),
			"--http", loopback.Address(t), "--bus", "nats://" + w.toBus[i].address()})
	}
	for i := range w.nodes {
		w.nodes[i] = launchWith(t, keys, w.args[i]...)
	}
	for i := range w.nodes {
		w.await(i)
	}
	return w
}

// front is a bucket's URL whose server turns requests away when the store is busy, and the
// variables with the keys to it, if the environment does not have them.
func (w *wired) front(t *testing.T) (at *url.URL, keys []string) {
	bucket, err := url.Parse(os.Getenv("FOZ_MINIO"))
	if err != nil {
		t.Fatal(err)
	}
	if bucket.Host == "" {
		keys = []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
		fake, err := url.Parse(s3test.Start(t).URL)
		if err != nil {
			t.Fatal(err)
		}
		bucket = &url.URL{Scheme: "minio", Host: fake.Host, Path: "/" + s3test.Bucket,
			RawQuery: "secure=false"}
	}
	real := &url.URL{Scheme: "http", Host: bucket.Host}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(real); r.Out.Host = r.In.Host }, // signed
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !w.busy.Load() {
			proxy.ServeHTTP(rw, r)
			return
		}
		w.refused.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/xml")
		rw.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(rw, "<Error><Code>SlowDown</Code><Message>later</Message></Error>")
	}))
	t.Cleanup(front.Close)
	bucket.Host = front.Listener.Addr().String()
	bucket.Path += fmt.Sprintf("/%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	return bucket, keys
}

// busServer is the address of a NATS server that knows of no other.
func busServer(t *testing.T) string {
	t.Helper()
	if external, ok := strings.CutPrefix(os.Getenv("FOZ_E2E_BUS"), "nats://"); ok {
		return external
	}
	at := loopback.Address(t)
	b, err := bus.New(bus.Config{Cluster: "server", Name: "server", Listen: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return at
}

func (w *wired) load(topic string) *check.Run {
	return &check.Run{
		Service: &check.Service{URL: w.URL, Topic: topic, Client: newHTTPClient(w.t)},
		Shape:   check.Shape{Partitions: 4, Pause: time.Millisecond}, Writers: 6, Tails: 3,
	}
}

// TestLeaderCutOff: a leader that cannot reach the store, and one that nobody hears, are
// replaced; when the wire is whole again it is one node among others, without a restart.
func TestLeaderCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 12 s")
	}
	t.Parallel()
	for from, wires := range map[string]func(*wired) []*wire{
		"store": func(w *wired) []*wire { return w.toStore },
		"bus":   func(w *wired) []*wire { return w.toBus },
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			w := newWired(t)
			report := loaded(t, w.load("cut"), func(more func(int)) {
				more(60)
				leader := w.leader()
				w.leave(leader)
				wires(w)[leader].cut()
				within(t, "after the leader was cut off", func() { more(30) })
				if next := w.leader(); next == leader {
					t.Errorf("node %d leads still", leader)
				}
				wires(w)[leader].mend()
				w.leave(-1)
				within(t, "after the wire was mended", func() { more(60) })
			})
			w.agree("cut", 4, report)
			w.stop()
		})
	}
}

// TestStoreSaysSlowDown: while the store answers 503 SlowDown, producers wait or are told to
// come again, the nodes say that they are degraded, and no node ends; afterwards they go on.
func TestStoreSaysSlowDown(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 13 s")
	}
	t.Parallel()
	lasts, err := time.ParseDuration(cmp.Or(os.Getenv("FOZ_TEST_SLOW_DOWN"), "10s"))
	if err != nil {
		t.Fatal("FOZ_TEST_SLOW_DOWN: ", err)
	}
	w := newWired(t)
	report := loaded(t, w.load("slow"), func(more func(int)) {
		more(60)
		w.busy.Store(true)
		time.Sleep(lasts) // a node knows when a request's retries are spent
		for i := range w.nodes {
			if health := w.health(i); health != "degraded" {
				t.Errorf("node %d says that it is %q after %v", i, health, lasts)
			}
		}
		w.busy.Store(false)
		within(t, "after the store had rested", func() { more(60) })
	})
	t.Logf("%d requests were turned away", w.refused.Load())
	if w.refused.Load() == 0 {
		t.Error("the store turned nobody away")
	}
	w.agree("slow", 4, report)
	w.stop()
}

func (w *wired) health(node int) string {
	w.t.Helper()
	_, text := call(w.t, "GET", w.node(node).URL+"/v1/cluster", nil, nil)
	var cluster struct{ Health string }
	if err := json.Unmarshal([]byte(text), &cluster); err != nil {
		w.t.Fatalf("cluster: %v in %s", err, text)
	}
	return cluster.Health
}
