package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/bus/bustest"
	"github.com/fozlog/foz/verify/loopback"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const cluster = "0198c0de-0000-7000-8000-000000000001"

// patience is how long a test waits for what takes no time, on a machine that is busy.
const patience = 30 * time.Second

// How: the shared suite over every way to be connected: one embedded server without a
// socket, an external server reached by URL, and the hub in memory.
func TestSuite(t *testing.T) {
	ways := []struct {
		name string
		pair func(t *testing.T) (a, b bustest.Bus)
	}{
		{"embedded", func(t *testing.T) (bustest.Bus, bustest.Bus) {
			n := start(t, bus.Config{Cluster: cluster, Name: "n1"})
			return n, n
		}},
		{"external", func(t *testing.T) (bustest.Bus, bustest.Bus) {
			address := loopback.Address(t)
			start(t, bus.Config{Cluster: cluster, Name: "server", Listen: address})
			c := bus.Config{Cluster: cluster, URLs: []string{"nats://" + address}}
			return connected(t, start(t, c)), connected(t, start(t, c))
		}},
		{"memory", func(*testing.T) (bustest.Bus, bustest.Bus) {
			h := bus.NewHub(nil)
			return h.Conn("a"), h.Conn("b")
		}},
	}
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { bustest.Run(t, w.pair) })
	}
}

func start(t *testing.T, c bus.Config) *bus.NATS {
	t.Helper()
	n, err := bus.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}

func connected(t *testing.T, n *bus.NATS) *bus.NATS {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		if n.Connected() {
			return n
		}
	}
	t.Fatal("not connected")
	return nil
}

// How: two servers in this process, joined by a route; a message of one node must reach the
// other, and a node of another cluster on the same servers must not hear it.
func TestRoutes(t *testing.T) {
	first, second := loopback.Address(t), loopback.Address(t)
	a := start(t, bus.Config{Cluster: cluster, Name: "n1", ClusterListen: first})
	b := start(t, bus.Config{
		Cluster: cluster, Name: "n2", ClusterListen: second, Routes: []string{"nats://" + first},
	})
	got := make(chan string, 1000)
	if _, err := b.Subscribe("s", func(data []byte) { got <- string(data) }); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); time.Since(begun) < patience; {
		if err := a.Publish("s", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("nothing came over the route")
}

// How: two clusters share an external server; the subject prefix keeps them apart.
func TestClustersAreApart(t *testing.T) {
	address := loopback.Address(t)
	a := start(t, bus.Config{Cluster: cluster, Listen: address})
	other := connected(t, start(t, bus.Config{
		Cluster: "0198c0de-0000-7000-8000-000000000002", URLs: []string{"nats://" + address},
	}))
	if _, err := a.Serve("s", func(context.Context, []byte) []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := other.Request(ctx, "s", nil); !errors.Is(err, bus.ErrNoResponder) {
		t.Errorf("a request across clusters: %v", err)
	}
}

// How: a bus that was never started, and one that is started twice.
func TestLifecycle(t *testing.T) {
	n, err := bus.New(bus.Config{Cluster: cluster})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Publish("s", nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish before Start: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	connected(t, n)
	if err := n.Start(ctx); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("second Start: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := n.Publish("s", nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("publish after Run: %v", err)
	}
}

// How: configurations that cannot work are refused before anything starts.
func TestConfig(t *testing.T) {
	for name, c := range map[string]bus.Config{
		"no cluster":        {},
		"wild cluster":      {Cluster: "*"},
		"both kinds":        {Cluster: cluster, URLs: []string{"nats://x"}, Listen: "x:1"},
		"listen no port":    {Cluster: cluster, Listen: "x"},
		"cluster port word": {Cluster: cluster, ClusterListen: "x:y"},
	} {
		n, err := bus.New(c)
		if err == nil {
			err = n.Start(t.Context())
			n.Close()
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// How: a gate keeps every message; the test then loses, doubles and reorders them inside a
// synctest bubble, and looks at what arrives.
func TestGateDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parked []bus.Delivery
		h := bus.NewHub(func(d bus.Delivery) { parked = append(parked, d) })
		a, b := h.Conn("a"), h.Conn("b")
		defer a.Close()
		defer b.Close()
		var got []string
		if _, err := b.Subscribe("s", func(data []byte) {
			got = append(got, string(data))
		}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"lost", "late", "twice"} {
			if err := a.Publish("s", []byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(got) > 0 || len(parked) != 3 {
			t.Fatalf("%d parked, %q arrived unasked", len(parked), got)
		}
		for _, i := range []int{2, 1, 2} {
			parked[i].Deliver()
			synctest.Wait()
		}
		if want := []string{"twice", "late", "twice"}; !slices.Equal(got, want) {
			t.Errorf("arrived %q, want %q", got, want)
		}
	})
}

// How: every way a request can be cut off, one row each; a lost request or reply ends with
// the requester's deadline, and only a lost request was not acted upon.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to string
		acted    bool
	}{
		{"request lost", "a", "b", false},
		{"reply lost", "b", "a", true},
		{"requester mute", "a", "", false},
		{"requester deaf", "", "a", true},
		{"responder mute", "b", "", true},
		{"responder deaf", "", "b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testCut(t, c.from, c.to, c.acted) })
		})
	}
}

func testCut(t *testing.T, from, to string, wantActed bool) {
	h := bus.NewHub(nil)
	a, b := h.Conn("a"), h.Conn("b")
	defer a.Close()
	defer b.Close()
	acted := false
	if _, err := b.Serve("s", func(context.Context, []byte) []byte {
		acted = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	request := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Request(ctx, "s", nil)
		synctest.Wait() // orders the answerer's writes before the test's reads
		return err
	}
	h.Cut(from, to)
	if err := request(); !errors.Is(err, context.DeadlineExceeded) || acted != wantActed {
		t.Errorf("while cut: error %v, acted %v", err, acted)
	}
	h.Heal(from, to)
	if err := request(); err != nil || !acted {
		t.Errorf("when healed: error %v, acted %v", err, acted)
	}
}
