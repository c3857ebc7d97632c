package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/objectstore"
)

// How: whole replicas on one bucket in memory and one hub, in a bubble with virtual time.
// What they asked of the bucket is counted and compared with the arithmetic beside it.

type house struct {
	t     *testing.T
	store *objectstore.Counted
	hub   *bus.Hub
	nodes map[string]*housed
	fate  func(node string, c objectstore.Call) objectstore.Fate // nil: everything passes
}

type housed struct {
	*Replica
	*Client
	stop func()
}

func newHouse(t *testing.T) *house {
	store := objectstore.NewCounted(objectstore.NewMemory())
	return &house{t: t, store: store, hub: bus.NewHub(nil), nodes: map[string]*housed{}}
}

// node starts a node; configure may be nil.
func (h *house) node(name string, configure func(*Config)) *housed {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	entropy := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", name))))
	cluster, err := Genesis(ctx, h.store, entropy, name)
	if err != nil {
		h.t.Fatal(err)
	}
	cfg := Config{Cluster: cluster, Node: name, Candidate: true, Roles: []string{RoleMetadata}}
	if configure != nil {
		configure(&cfg)
	}
	conn := h.hub.Conn(name)
	store := objectstore.NewGated(h.store,
		func(_ context.Context, c objectstore.Call) objectstore.Fate {
			if h.fate == nil {
				return objectstore.Fate{}
			}
			return h.fate(name, c)
		})
	r := New(Deps{
		Store: store, Bus: conn, Entropy: entropy, Logger: slog.New(slog.DiscardHandler),
	}, cfg)
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	<-r.Ready()
	n := &housed{Replica: r, Client: NewClient(r)}
	n.stop = func() {
		cancel()
		if err := <-ran; err != nil {
			h.t.Errorf("node %s: %v", name, err)
		}
		conn.Close()
		delete(h.nodes, name)
	}
	h.nodes[name] = n
	return n
}

func (h *house) stop() {
	for _, n := range h.nodes {
		n.stop()
	}
}

// requests counts what was asked of the bucket since the last call, by operation and cause.
func (h *house) requests(before map[string]int64) (delta, now map[string]int64) {
	delta, now = map[string]int64{}, map[string]int64{}
	for _, c := range h.store.Counts() {
		key := c.Op + " " + c.Cause
		now[key] += c.Requests
		if d := now[key] - before[key]; d > 0 {
			delta[key] = d
		}
	}
	return delta, now
}

func (h *house) expect(before, want map[string]int64) map[string]int64 {
	h.t.Helper()
	delta, now := h.requests(before)
	if fmt.Sprint(delta) != fmt.Sprint(want) {
		h.t.Errorf("requests %v, want %v", delta, want)
	}
	return now
}

func commitOf(topic foz.TopicID, birth uint64, unique string, rows int32) foz.Commit {
	return foz.Commit{
		Object: foz.ObjectKey(birth, unique), AppendedMS: 1,
		Segments: []foz.Segment{{
			Partition: foz.Partition{Topic: topic}, Rows: rows, ByteStart: 100, ByteEnd: 200,
		}},
		Requests: []foz.CommitRequest{{
			Topic: topic, Batches: []foz.CommitBatch{{Segment: 0, Rows: rows}},
		}},
	}
}

func (n *housed) mustTopic(t *testing.T, name string) foz.Topic {
	t.Helper()
	topic, _, err := n.CreateTopic(t.Context(), foz.Topic{Name: name, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func (n *housed) mustCommit(t *testing.T, c foz.Commit) foz.CommitResult {
	t.Helper()
	results, err := n.Commit(t.Context(), []foz.Commit{c})
	if err != nil {
		t.Fatal(err)
	}
	if err := results[0].Requests[0].Err; err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestOneNodeCountsItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		_, before := h.requests(nil)
		// The first command makes the node claim: 1 GET (404), 1 PUT, 1 LIST; then 1 PUT.
		topic := n.mustTopic(t, "t")
		before = h.expect(before, map[string]int64{
			"get claim": 1, "create claim": 1, "list cover": 1, "create append": 1,
		})
		for i := range 10 { // a commit is 1 PUT and nothing else
			r := n.mustCommit(t, commitOf(topic.ID, n.HeardSlot(), fmt.Sprint(i), 5))
			want := foz.Range{Base: int64(i) * 5, Next: int64(i)*5 + 5}
			if got := r.Requests[0].Ack.Ranges[0].Range; got != want {
				t.Errorf("commit %d got %v", i, got)
			}
		}
		before = h.expect(before, map[string]int64{"create append": 10})
		if err := n.CatchUp(t.Context()); err != nil { // a linearizable read is 1 LIST
			t.Fatal(err)
		}
		before = h.expect(before, map[string]int64{"list tail": 1})
		time.Sleep(time.Minute) // an idle minute is nothing
		h.expect(before, map[string]int64{})
	})
}

func TestFollowerCostsNothingWhileNewsComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		a := h.node("a", nil)
		topic := a.mustTopic(t, "t")
		b := h.node("b", func(c *Config) { c.Silence = time.Second; c.Seed = 7 })
		// Between two beats: one that tells of an entry before the entry comes is a hint to fetch it.
		time.Sleep(time.Second + beatInterval/2)
		_, before := h.requests(nil)
		for i := range 10 {
			b.mustCommit(t, commitOf(topic.ID, 1, fmt.Sprint(i), 1)) // through a, who leads
		}
		h.expect(before, map[string]int64{"create append": 10})
		if a.State().Hash() != b.State().Hash() {
			t.Error("states differ")
		}
	})
}

func TestAnotherNodeTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		silence := func(c *Config) { c.Silence = time.Second; c.Seed = uint64(len(c.Node)) }
		a := h.node("a", silence)
		time.Sleep(2 * time.Second)
		topic := a.mustTopic(t, "t")
		b := h.node("bb", silence)
		a.mustCommit(t, commitOf(topic.ID, 1, "1", 3))
		a.stop()
		began := time.Now()
		r := b.mustCommit(t, commitOf(topic.ID, 1, "2", 3))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took over after %v", took)
		}
		if got := r.Requests[0].Ack.Ranges[0].Base; got != 3 {
			t.Errorf("base %d, want 3", got)
		}
		if len(b.State().Claims()) != 3 { // genesis, a, b
			t.Errorf("claims %v", b.State().Claims())
		}
	})
}

func TestRetryGetsTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		topic := n.mustTopic(t, "t")
		c := commitOf(topic.ID, 1, "same", 4)
		first := n.mustCommit(t, c)
		n.mustCommit(t, commitOf(topic.ID, 1, "other", 4))
		again := n.mustCommit(t, c)
		before, after := first.Requests[0].Ack, again.Requests[0].Ack
		if first.Slot != again.Slot || before.Ranges[0] != after.Ranges[0] {
			t.Errorf("first %+v, again %+v", first, again)
		}
		if err := n.RaiseFloor(t.Context(), n.State().Slot()); err != nil {
			t.Fatal(err)
		}
		results, err := n.Commit(t.Context(), []foz.Commit{c})
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0].Requests[0].Err; got == nil || got.Code != foz.CodeAckTimeout {
			t.Errorf("below the floor: %v, want the outcome to be unknown", got)
		}
	})
}

func TestRestartFindsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		small := func(c *Config) { c.SnapshotSlots = 7 }
		n := h.node("a", small)
		topic := n.mustTopic(t, "t")
		for i := range 100 {
			n.mustCommit(t, commitOf(topic.ID, n.HeardSlot(), fmt.Sprint(i), 1))
			time.Sleep(time.Second)
		}
		want := n.State().Hash()
		n.stop()
		page, _, err := h.store.List(t.Context(), logPrefix, "", 0)
		if err != nil || len(page) > 2+2*8 {
			t.Errorf("%d log objects after trimming, %v", len(page), err)
		}
		again := h.node("a", small)
		if again.State().Hash() != want {
			t.Errorf("restarted at slot %d with another state", again.State().Slot())
		}
	})
}

func TestLostSnapshotsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		n := h.node("a", func(c *Config) { c.SnapshotSlots = 3 })
		topic := n.mustTopic(t, "t")
		for i := range 20 {
			n.mustCommit(t, commitOf(topic.ID, n.HeardSlot(), fmt.Sprint(i), 1))
			time.Sleep(time.Second)
		}
		cfg := n.cfg
		n.stop()
		page, _, err := h.store.List(t.Context(), snapPrefix, "", 0)
		if err != nil || len(page) != 2 {
			t.Fatalf("snapshots %v, %v", page, err)
		}
		for _, info := range page {
			if err := h.store.Delete(t.Context(), info.Key); err != nil {
				t.Fatal(err)
			}
		}
		r := New(Deps{
			Store: h.store, Bus: h.hub.Conn("b"), Logger: slog.New(slog.DiscardHandler),
		}, cfg)
		if err := r.Run(t.Context()); !errors.Is(err, ErrDamaged) {
			t.Errorf("started without its snapshots: %v", err)
		}
	})
}

func TestReadsShareAListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		h.store = objectstore.NewCounted(objectstore.NewFaulty(h.store,
			func(op, key string) objectstore.Fate {
				time.Sleep(10 * time.Millisecond)
				return objectstore.Fate{}
			}))
		n := h.node("a", nil)
		_, before := h.requests(nil)
		done := make(chan error, 50)
		for range cap(done) {
			go func() { done <- n.CatchUp(t.Context()) }()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		delta, _ := h.requests(before)
		if delta["list tail"] > 3 { // the one that ran, and the next; a third at most
			t.Errorf("50 reads made %v", delta)
		}
	})
}

func TestMembersAndLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		a := h.node("a", func(c *Config) { c.HTTP = "http://a" })
		b := h.node("b", func(c *Config) { c.Silence = time.Second; c.Candidate, c.Roles = false, nil })
		a.mustTopic(t, "t")
		time.Sleep(time.Second)
		names := []string{}
		for _, m := range b.Members() {
			names = append(names, m.ID)
		}
		if !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("members %v", names)
		}
		if got := b.Leader(); got.ID != "a" || got.HTTP != "http://a" || got.ClaimSlot != 2 {
			t.Errorf("leader %+v", got)
		}
		if err := b.Client.DeleteTopic(t.Context(), a.mustTopic(t, "t").ID); err != nil {
			t.Errorf("command through a node that may not lead: %v", err)
		}
	})
}
