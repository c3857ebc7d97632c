package metadata

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// How: the rules of the log, each alone, by steps called one by one (lab_test.go): what the
// step does to the node, and exactly what it asks the bucket for.

func TestRule4Advance(t *testing.T) {
	for _, c := range []struct {
		name  string
		then  func(leader *labNode) // what happens after the follower stands at 5
		found bool
		slot  uint64
		asked string
	}{
		{"nothing there", func(*labNode) {}, false, 5, "get log/6"},
		{"commands: 1 GET", func(n *labNode) { n.writeTo(7) }, true, 6, "get log/6"},
		{"a claim: 1 GET and 1 LIST", func(n *labNode) { n.lead() }, true, 6,
			"get log/6, list snap/"},
		{"a claim that a snapshot covers: the snapshot", func(n *labNode) {
			n.lead()
			n.writeTo(7)
			n.snapshot()
		}, true, 7, "get log/6, list snap/, list snap/, get snap/7"},
		{"trimmed", func(n *labNode) {
			for _, slot := range []uint64{8, 9} {
				n.writeTo(slot)
				n.snapshot()
			}
		}, false, 5, "get log/6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				follower := l.node("follower")
				c.then(leader)
				found, err := follower.advance(t.Context())
				if found != c.found || err != nil || follower.slot() != c.slot {
					t.Errorf("found %v, %v, at slot %d", found, err, follower.slot())
				}
				follower.asked(c.asked)
			})
		})
	}
}

// A state never goes back: a snapshot older than it is not installed, and not read.
func TestRule4NeverBack(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		leader.snapshot()
		leader.writeTo(9)
		follower := l.node("follower")
		for _, slot := range []uint64{9, 5} {
			follower.asked("")
			if newer, err := follower.reload(t.Context()); newer || err != nil {
				t.Errorf("above %d: %v, %v", slot, newer, err)
			}
			follower.asked("list snap/")
		}
		l.agree(leader, follower)
	})
}

// An entry that does not continue the state cannot be; if it is there all the same, the node
// loads a snapshot, and without one it stops.
func TestRule4Mismatch(t *testing.T) {
	for _, covered := range []bool{false, true} {
		t.Run(fmt.Sprint("covered ", covered), func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				follower := l.node("follower")
				e := entryAfter(follower.State(), born(1, "x", noop()))
				e.Prev = make([]byte, 32)
				if _, err := l.store.Create(t.Context(), LogKey(6), encodeEntry(e)); err != nil {
					t.Fatal(err)
				}
				if covered {
					state, _ := snapshotAt(8, 1, 2)
					state.cluster = follower.cfg.Cluster
					body := encodeSnapshot(state, Defects{})
					if _, err := l.store.Create(t.Context(), SnapshotKey(8), body); err != nil {
						t.Fatal(err)
					}
				}
				found, err := follower.advance(t.Context())
				if covered && (!found || follower.slot() != 8) ||
					!covered && !errors.Is(err, errMismatch) {
					t.Errorf("found %v, %v, at slot %d", found, err, follower.slot())
				}
			})
		})
	}
}

func TestRule5ClaimWarm(t *testing.T) {
	for _, c := range []struct {
		name  string
		fates []objectstore.Outcome
		asked string
	}{
		{"no fault: 1 GET, 1 PUT, 1 LIST", nil, "get log/6, create log/6, list snap/"},
		{"not applied", []objectstore.Outcome{drop},
			"get log/6, create log/6, create log/6, list snap/"},
		{"applied, answer lost: read back", []objectstore.Outcome{applied},
			"get log/6, create log/6, create log/6, get log/6, list snap/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				n := l.node("n")
				n.fate("create log/6", c.fates...)
				n.lead()
				n.asked(c.asked)
				if n.leads.Load() != 6 || !slices.Equal(n.State().Claims(), []uint64{1, 2, 6}) {
					t.Errorf("leads %d, claims %v", n.leads.Load(), n.State().Claims())
				}
				if !slices.Contains(l.claimsSent(), 6) {
					t.Error("its claim was not broadcast")
				}
			})
		})
	}
}

// Cold: 1 LIST of snapshots, the newest, 1 LIST of the tail, and a GET for each slot since.
func TestRule5ClaimCold(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		for _, slot := range []uint64{5, 8} {
			leader.writeTo(slot)
			leader.snapshot()
		}
		leader.writeTo(10)
		n := l.node("n")
		cold := &labNode{lab: l, hooks: n.hooks, fates: n.fates}
		cold.Replica = New(Deps{Store: objectstore.NewGated(l.store, cold.gate), Bus: l,
			Entropy: n.deps.Entropy, Logger: n.deps.Logger}, n.cfg)
		if err := cold.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.Sort(cold.calls[3:]) // slots are read side by side
		cold.asked("list snap/, get snap/8, list log/, get log/10, get log/9")
		cold.lead()
		cold.asked("get log/11, create log/11, list snap/")
	})
}

// Somebody was faster: at the same slot, before, or with an append.
func TestRule5ClaimLost(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      string // the request before which it happens
		happens func(other *labNode)
		slot    uint64
		back    bool // backs off: there is a new leader
		asked   string
	}{
		{"a claim at the slot", "create log/6", func(o *labNode) { o.lead() }, 6, true,
			"get log/6, create log/6, get log/6, get log/6, list snap/"},
		{"a claim before", "get log/6", func(o *labNode) { o.lead() }, 6, true,
			"get log/6, list snap/, get log/7"},
		{"a claim and more", "get log/6", func(o *labNode) { o.lead(); o.writeTo(8) }, 8, true,
			"get log/6, list snap/, get log/7, get log/8, get log/9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(5)
				n, other := l.node("n"), l.node("other")
				n.before(c.at, func() { c.happens(other) })
				led, err := n.claim(t.Context())
				if led || err != nil || n.leads.Load() != 0 {
					t.Errorf("leads %v, %v", led, err)
				}
				if back := n.claimAfter.After(time.Now()); back != c.back || n.mayClaim(nil) {
					t.Errorf("backs off: %v", back)
				}
				n.asked(c.asked)
				l.agree(other, n)
			})
		})
	}
}

// The leader appends while somebody claims: the claimant goes round it and takes the next.
func TestRule5ClaimAfterAppend(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		n := l.node("n")
		n.before("create log/6", func() { leader.writeTo(6) })
		if led, err := n.claim(t.Context()); led || err != nil {
			t.Fatal(led, err)
		}
		n.claimAfter = time.Time{}
		n.lead()
		if n.leads.Load() != 7 {
			t.Errorf("leads %d", n.leads.Load())
		}
		if reply := leader.write(noop()); reply.Status != logpb.Reply_STATUS_UNKNOWN {
			t.Errorf("the old leader is told %v", reply.Status)
		}
	})
}

// Losing again and again makes a node wait longer each time, up to a bound.
func TestRule5BackOffGrows(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n := l.node("n")
		var waits []time.Duration
		for range 12 {
			n.backOff()
			waits = append(waits, time.Until(n.claimAfter))
		}
		if waits[0] > 150*time.Millisecond || waits[11] < 2500*time.Millisecond ||
			slices.Max(waits) > 7500*time.Millisecond {
			t.Errorf("waits %v", waits)
		}
	})
}

// What waits together goes into one slot, in order, and each is told its own results.
func TestRule6GroupCommit(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n := l.node("n")
		n.lead()
		n.write(create("t", topicT, 1))
		n.calls = nil
		var asks []*ask
		for i := range 5 {
			asks = append(asks, newAsk(n.Replica,
				newObject(3, fmt.Sprint("a", i), topicT, 2).ask(2).Command,
				newObject(3, fmt.Sprint("b", i), topicT, 1).ask(1).Command))
		}
		if err := n.append(t.Context(), asks); err != nil {
			t.Fatal(err)
		}
		n.asked("create log/4")
		for i, a := range asks {
			reply := <-a.reply
			got := tell(a.commands[0], reply.Results[0]) + " " + tell(a.commands[1], reply.Results[1])
			if want := fmt.Sprint(i*3, " ", i*3+2); got != want {
				t.Errorf("ask %d is told %q, want %q", i, got, want)
			}
		}
	})
}

// An entry takes 4 MiB of asks and at least one; the others follow in the next slots, and
// what an entry that was lost did not hold has certainly not been written.
func TestRule6EntriesAreCapped(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				n, other := l.node("n"), l.node("other")
				n.lead()
				n.calls = nil
				var asks []*ask
				for _, size := range []int{3 << 20, 1 << 20, 1, 9 << 20, 1} {
					a := newAsk(n.Replica, noop())
					a.commands[0].Id += fmt.Sprint("-", len(asks))
					a.size = size
					asks = append(asks, a)
				}
				if lost {
					n.before("create log/4", func() { other.catchUp(); other.lead() })
				}
				if err := n.append(t.Context(), asks); err != nil {
					t.Fatal(err)
				}
				var told []logpb.Reply_Status
				for _, a := range asks {
					told = append(told, (<-a.reply).Status)
				}
				const done, unknown, not = logpb.Reply_STATUS_DONE, logpb.Reply_STATUS_UNKNOWN,
					logpb.Reply_STATUS_NOT_LEADER
				want := []logpb.Reply_Status{done, done, done, done, done}
				asked := "create log/3, create log/4, create log/5, create log/6"
				if lost {
					want = []logpb.Reply_Status{done, done, unknown, not, not}
					asked = "create log/3, create log/4, get log/4"
				}
				if !slices.Equal(told, want) {
					t.Errorf("told %v, want %v", told, want)
				}
				n.asked(asked)
			})
		})
	}
}

// LOST: the leader leads no more, and only a new claim changes that.
func TestRule6StepsDown(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n, other := l.node("n"), l.node("other")
		n.lead()
		other.catchUp()
		other.lead()
		if reply := n.write(noop()); reply.Status != logpb.Reply_STATUS_UNKNOWN {
			t.Errorf("told %v", reply.Status)
		}
		n.cfg.Candidate = false
		a := newAsk(n.Replica, noop())
		n.inbox.ask(a)
		if err := n.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reply := <-a.reply; reply.Status != logpb.Reply_STATUS_NOT_LEADER {
			t.Errorf("told %v", reply.Status)
		}
		n.cfg.Candidate = true
		n.catchUp()
		n.inbox.ask(a)
		if err := n.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reply := <-a.reply; reply.Status != logpb.Reply_STATUS_DONE || n.leads.Load() != 4 {
			t.Errorf("told %v, leads %d", reply.Status, n.leads.Load())
		}
	})
}
