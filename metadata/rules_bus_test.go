package metadata

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
	"google.golang.org/protobuf/proto"
)

// How: what a node does with what it is told on the bus, step by step (lab_test.go), and
// whole nodes whose store or bus is taken from them (replica_test.go).

// A follower at 5 is offered bodies: which it applies, and which are hints. None stops it.
func TestRule17Offer(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(leader *labNode) []byte
		slot uint64 // the follower's, afterwards
		hint uint64
	}{
		{"the next entry", func(n *labNode) []byte { n.writeTo(6); return n.body(6) }, 6, 6},
		{"the next claim", func(n *labNode) []byte { n.lead(); return n.body(6) }, 6, 6},
		{"one left out", func(n *labNode) []byte { n.writeTo(7); return n.body(7) }, 5, 7},
		{"one it has", func(n *labNode) []byte { return n.body(4) }, 5, 4},
		{"another history", func(n *labNode) []byte {
			e := entryAfter(n.State(), born(1, "x", noop()))
			e.Prev = make([]byte, 32)
			return encodeEntry(e)
		}, 5, 6},
		{"an older epoch", func(n *labNode) []byte {
			e := entryAfter(n.State(), born(1, "x", noop()))
			e.GetCommands().Epoch = 1
			return encodeEntry(e)
		}, 5, 6},
		{"another cluster", func(n *labNode) []byte {
			e := entryAfter(n.State(), born(1, "x", noop()))
			e.Cluster = testCluster[:]
			return encodeEntry(e)
		}, 5, 6},
		{"damaged", func(n *labNode) []byte { n.writeTo(6); return n.body(6)[1:] }, 5, 0},
		{"nothing", func(n *labNode) []byte { return nil }, 5, 0},
		{"newer", func(n *labNode) []byte { return seal(logMagic, []byte{8, 2}) }, 5, 6},
		{"a newer format", func(n *labNode) []byte {
			return encodeEntry(entryAfter(n.State(),
				born(1, "x", command(&logpb.Format{Version: FormatVersion + 1}))))
		}, 5, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				follower := l.node("follower")
				hint := follower.offer(c.make(leader))
				if hint != c.hint || follower.slot() != c.slot {
					t.Errorf("hint %d, at slot %d", hint, follower.slot())
				}
				follower.asked("") // what is brought costs nothing
			})
		})
	}
}

// body reads a slot's bytes.
func (n *labNode) body(slot uint64) []byte {
	body, err := n.lab.store.Get(n.lab.t.Context(), LogKey(slot), 0, -1)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return body
}

// Broadcasts lost, doubled and out of order: the follower comes to the leader's state, and
// reads from the bucket only what nobody brought.
func TestRule17AnyOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		order []uint64
		asked string
	}{
		{"in order", []uint64{6, 7, 8, 9}, ""},
		{"doubled", []uint64{6, 6, 7, 5, 7, 8, 8, 9, 6}, ""},
		{"one lost", []uint64{6, 8, 9}, "get log/7, get log/8, get log/9"},
		{"all but the last lost", []uint64{9}, "get log/6, get log/7, get log/8, get log/9"},
		{"backwards", []uint64{9, 8, 7, 6}, "get log/7, get log/8, get log/9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				follower := l.node("follower")
				leader.writeTo(9)
				for _, slot := range c.order {
					follower.inbox.entry(leader.body(slot))
				}
				if err := follower.step(t.Context()); err != nil {
					t.Fatal(err)
				}
				slices.Sort(follower.calls)
				follower.asked(c.asked)
				l.agree(leader, follower)
			})
		})
	}
}

// A leader and a claimant apply no broadcast; a leader sends only what is in the log.
func TestRule17AtALeader(t *testing.T) {
	for _, early := range []bool{false, true} {
		inLab(t, func(t *testing.T, l *lab) {
			leader := l.node("leader", func(c *Config) { c.Defects.BroadcastBeforeMine = early })
			leader.lead()
			leader.inbox.entry(encodeEntry(entryAfter(leader.State(), born(1, "x", noop()))))
			if err := leader.step(t.Context()); err != nil || leader.slot() != 2 {
				t.Errorf("%v, at slot %d", err, leader.slot())
			}
			l.sent = nil
			sent := 0
			leader.before("create log/3", func() { sent = len(l.sent) })
			leader.writeTo(3)
			if (sent > 0) != early || len(l.sent) == 0 {
				t.Errorf("broadcast %d before it was in the log, %d in all", sent, len(l.sent))
			}
		})
	}
}

// Rule 8: the leader takes snapshots of the slots of its entries, never of a claim's: that
// would void the claim while its author tests it.
func TestRule8NoSnapshotOfAClaim(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		every := func(c *Config) { c.SnapshotSlots = 1 }
		nodes := []*labNode{l.node("a", every), l.node("b", every)}
		for _, n := range nodes {
			defer n.start()()
		}
		for i := range 6 {
			n := nodes[i%2]
			n.catchUp()
			n.claimAfter = time.Time{}
			n.lead()
			for range 3 {
				a := newAsk(n.Replica, noop())
				n.inbox.ask(a)
				if reply := <-a.reply; reply.Status != logpb.Reply_STATUS_DONE {
					t.Fatalf("told %v", reply.Status)
				}
				synctest.Wait()
				snapshots, err := n.bucket.snapshots(t.Context())
				if err != nil || len(snapshots) == 0 || len(snapshots) > 2 {
					t.Fatalf("snapshots %v, %v", snapshots, err)
				}
				for _, slot := range snapshots {
					if slices.Contains(n.State().Claims(), slot) {
						t.Errorf("a snapshot at %d, which is a claim", slot)
					}
				}
			}
		}
	})
}

// Nothing is deleted before the snapshot is durable.
func TestRule8TrimComesAfter(t *testing.T) {
	for _, early := range []bool{false, true} {
		inLab(t, func(t *testing.T, l *lab) {
			n := l.node("n", func(c *Config) { c.Defects.TrimEarly = early })
			n.lead()
			for _, slot := range []uint64{5, 8, 11} {
				n.writeTo(slot)
				n.calls = nil
				n.fate("create snap/"+fmt.Sprint(slot), drop, applied, drop)
				n.snapshot()
			}
			create := strings.Repeat("create snap/11, ", 4)
			want := create + "list snap/, list log/, delete snap/5"
			if got := strings.Join(n.calls, ", "); (got == want) == early {
				t.Errorf("trims early %v: asked for %s", early, got)
			}
		})
	}
}

// Rule 15: an append that the store does not answer for 2 s makes its leader silent.
func TestRule15Silence(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n := l.node("n")
		n.lead()
		epoch := func() uint64 {
			n.tell()
			return l.sent[len(l.sent)-1].Beat.Epoch
		}
		stalled := make(chan struct{})
		n.before("create log/3", func() { <-stalled })
		defer n.start()()
		a := newAsk(n.Replica, noop())
		n.inbox.ask(a)
		for _, c := range []struct{ after, epoch uint64 }{{0, 2}, {1900, 2}, {200, 0}, {60000, 0}} {
			time.Sleep(time.Duration(c.after) * time.Millisecond)
			if got := epoch(); got != c.epoch {
				t.Errorf("%d ms later it says that it leads %d", c.after, got)
			}
		}
		close(stalled)
		<-a.reply
		if got := epoch(); got != 2 {
			t.Errorf("with its answer it leads %d", got)
		}
	})
}

// Who may claim: a candidate, when nobody is heard, or when a sender had no answer from the
// leader that is heard; never within its back-off, and forced only every few seconds.
func TestRule15MayClaim(t *testing.T) {
	const long, short = time.Hour, time.Second
	for _, c := range []struct {
		name      string
		candidate bool
		heard     uint64 // epoch
		silent    uint64 // epoch of the leader that did not answer, as the sender says
		claimed   time.Duration
		backOff   time.Duration
		started   time.Duration
		may       bool
	}{
		{"nobody is heard", true, 0, 0, long, 0, long, true},
		{"not a candidate", false, 0, 0, long, 0, long, false},
		{"in its back-off", true, 0, 0, long, short, long, false},
		{"just started, too early to know", true, 0, 0, long, 0, short / 2, false},
		{"a leader is heard", true, 7, 0, long, 0, long, false},
		{"it left its sender alone", true, 7, 7, long, 0, long, true},
		{"an older one left its sender alone", true, 7, 6, long, 0, long, false},
		{"it left its sender alone; just claimed", true, 7, 7, short, 0, long, false},
		{"it left its sender alone; in its back-off", true, 7, 7, long, short, long, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				n := l.node("n", func(cfg *Config) {
					cfg.Candidate, cfg.Silence = c.candidate, 700*time.Millisecond
				})
				now := time.Now()
				n.started, n.claimedAt = now.Add(-c.started), now.Add(-c.claimed)
				n.claimAfter = now.Add(c.backOff)
				if c.heard > 0 {
					n.heard.beat(&logpb.Beat{Node: "leader", Epoch: c.heard}, now)
				}
				a := newAsk(n.Replica, noop())
				a.silentEpoch = c.silent
				if got := n.mayClaim([]*ask{a}); got != c.may {
					t.Errorf("may claim: %v", got)
				}
			})
		})
	}
}

// A leader that lost the store and kept the bus is replaced, and acks go on.
func TestRule15LeaderCutOffFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		var cutOff atomic.Value
		cutOff.Store("")
		h.fate = func(node string, c objectstore.Call) objectstore.Fate {
			if node == cutOff.Load() {
				return objectstore.Fate{Outcome: objectstore.Drop}
			}
			return objectstore.Fate{}
		}
		silence := func(c *Config) { c.Silence = time.Second; c.Seed = uint64(len(c.Node)) }
		a := h.node("a", silence)
		time.Sleep(2 * time.Second)
		topic := a.mustTopic(t, "t")
		b := h.node("bb", silence)
		reader := h.node("reader", func(c *Config) { silence(c); c.Candidate, c.Roles = false, nil })
		time.Sleep(2 * time.Second)
		cutOff.Store("a")
		for i := range 5 {
			began := time.Now()
			r := reader.mustCommit(t, commitOf(topic.ID, 1, fmt.Sprint(i), 1))
			if got := r.Requests[0].Ack.Ranges[0].Base; got != int64(i) {
				t.Errorf("commit %d got offset %d", i, got)
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("commit %d took %v", i, took)
			}
		}
		if b.Leader().ID != "bb" {
			t.Errorf("leader %+v", b.Leader())
		}
		cutOff.Store("")
		time.Sleep(10 * time.Second)
		if err := a.CatchUp(t.Context()); err != nil || a.State().Hash() != b.State().Hash() {
			t.Errorf("the old leader is at slot %d, %v", a.State().Slot(), err)
		}
	})
}

// A leader that is heard and answers nobody is replaced too: its senders say so, and a
// candidate claims in spite of its heartbeats.
func TestRule15LeaderThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		var deaf atomic.Value
		deaf.Store("")
		h.hub = bus.NewHub(func(d bus.Delivery) {
			if d.Kind == bus.KindPublish || d.To != deaf.Load() {
				d.Deliver()
			}
		})
		silence := func(c *Config) { c.Silence = time.Second; c.Seed = uint64(len(c.Node)) }
		a := h.node("a", silence)
		time.Sleep(2 * time.Second)
		topic := a.mustTopic(t, "t")
		b := h.node("bb", silence)
		time.Sleep(2 * time.Second)
		deaf.Store("a")
		began := time.Now()
		b.mustCommit(t, commitOf(topic.ID, 1, "x", 1))
		if took := time.Since(began); took > 15*time.Second || b.Leader().ID != "bb" {
			t.Errorf("took %v, leader %+v", took, b.Leader())
		}
		time.Sleep(time.Second)
		if a.leads.Load() != 0 { // it hears of the newer epoch
			t.Error("the old leader leads on")
		}
	})
}

// Rule 13: replies are lost, requests doubled and late; the client asks again with the same
// commit until it is told, and each is decided once.
func TestRule13SameCommitUntilAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		var messages atomic.Int64
		h.hub = bus.NewHub(func(d bus.Delivery) {
			if d.Kind == bus.KindPublish {
				d.Deliver()
				return
			}
			n := messages.Add(1)
			switch {
			case n%7 == 3: // lost
			case d.Kind == bus.KindRequest && n%5 == 1:
				d.Deliver()
				time.AfterFunc(4*time.Second, d.Deliver) // and once more, late
			default:
				d.Deliver()
			}
		})
		silence := func(c *Config) { c.Silence = time.Second; c.Seed = uint64(len(c.Node)) }
		a := h.node("a", silence)
		b := h.node("bb", silence)
		time.Sleep(2 * time.Second)
		topic := a.mustTopic(t, "t")
		for i := range 30 {
			r := b.mustCommit(t, commitOf(topic.ID, 1, fmt.Sprint(i), 2))
			if got := r.Requests[0].Ack.Ranges[0].Base; got != int64(i)*2 {
				t.Fatalf("commit %d got offset %d", i, got)
			}
		}
		time.Sleep(10 * time.Second)
		_, bounds, err := a.Locate(foz.Partition{Topic: topic.ID}, 0, 0)
		if err != nil || bounds.Next != 60 {
			t.Errorf("holds %+v, %v", bounds, err)
		}
	})
}

// What comes over the bus and is no message harms nobody.
func TestStrangeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		conn := h.hub.Conn("stranger")
		defer conn.Close()
		for _, data := range [][]byte{nil, {0xff}, []byte(strings.Repeat("x", 1000))} {
			if err := conn.Publish(subjectNews, data); err != nil {
				t.Fatal(err)
			}
			answer, err := conn.Request(t.Context(), subjectAsk+"a", data)
			reply := new(logpb.Reply)
			if err != nil || proto.Unmarshal(answer, reply) != nil ||
				reply.Status != logpb.Reply_STATUS_MALFORMED {
				t.Errorf("%q is answered %v, %v", data, reply, err)
			}
		}
		n.mustTopic(t, "t")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.CatchUp(ctx); err != nil {
			t.Error(err)
		}
	})
}
