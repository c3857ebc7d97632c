package metadata

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: the four traps of the protocol's first draft, each as the interleaving that shows it
// (lab_test.go), and each once more with its protection taken away, to see that the test
// would notice.

// F1: a claimant sees 404 at 21 and stalls. The leader writes on, snapshots 30 and 40 and
// trims. The CLAIM lands at 21: void. Neither its author nor a reader at 20 may apply it.
func TestTrapVoidClaim(t *testing.T) {
	for _, c := range []struct {
		name     string
		defects  Defects
		deceived bool // whether the author or the reader takes the claim for valid
	}{
		{"covered test", Defects{}, false},
		{"reader without it", Defects{ReaderUncovered: true}, true},
		{"author without it", Defects{ClaimUncovered: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.writeTo(20)
				flawed := func(cfg *Config) { cfg.Defects = c.defects }
				author, reader := l.node("author", flawed), l.node("reader", flawed)
				author.before("create log/21", func() {
					for _, slot := range []uint64{30, 40} {
						leader.writeTo(slot)
						leader.snapshot()
					}
				})
				led, err := author.claim(t.Context())
				if err != nil || !l.there(LogKey(21)) || l.there(LogKey(22)) {
					t.Fatalf("claim: %v; the interleaving is not the one meant", err)
				}
				_, err = reader.advance(t.Context())
				deceived := led || slices.Contains(reader.State().Claims(), 21) || err != nil ||
					slices.Contains(l.claimsSent(), 21)
				if deceived != c.deceived {
					t.Errorf("author leads %v, reader at %d with claims %v, %v; broadcast %v", led,
						reader.slot(), reader.State().Claims(), err, l.claimsSent())
				}
				if deceived {
					return
				}
				author.asked("get log/21, create log/21, list snap/, list snap/, get snap/40")
				reader.asked("get log/21, list snap/, list snap/, get snap/40")
				l.agree(leader, author, reader)
				// What the author does next it does at the right place.
				author.claimAfter = author.started
				author.lead()
				if author.State().Epoch() != 41 {
					t.Errorf("leads epoch %d", author.State().Epoch())
				}
			})
		})
	}
}

// F2: a leader's append at 21 is executed, its answer lost; another claims 22, writes to 40,
// snapshots 30 and 40 and trims 21. A read at the old leader meets 404 at 21.
func TestTrapTrimmedSlot(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		old := l.node("old")
		old.lead()
		old.write(create("t", topicT, 1))
		old.writeTo(20)
		other := l.node("other")
		old.fate("create log/21", applied, drop)
		old.before("create log/21", func() { // the first try
			old.before("create log/21", func() { // its retry
				other.catchUp()
				other.lead()
				for _, slot := range []uint64{30, 40} {
					other.writeTo(slot)
					other.snapshot()
				}
				if l.there(LogKey(21)) || other.State().Epoch() != 22 {
					t.Fatal("the interleaving is not the one meant")
				}
				// The read: it must wait for 40. The next slot answers 404, and that says nothing.
				tail, err := old.bucket.tail(t.Context(), old.slot())
				if tail != 40 || err != nil {
					t.Errorf("a read at slot %d waits for %d, %v", old.slot(), tail, err)
				}
				old.inbox.tail(tail)
			})
		})
		o := newObject(20, "o", topicT, 3).ask(3)
		reply := old.write(o.Command)
		// The retry created the same bytes again in trimmed ground: ours, and true.
		if reply.Status != logpb.Reply_STATUS_DONE || tell(o.Command, reply.Results[0]) != "0" {
			t.Errorf("told %v", reply)
		}
		if got := contents(other.State(), topicT, 0); got != "[0 3) o[0:3]@0" {
			t.Errorf("the log holds %s", got)
		}
		if err := old.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if old.leads.Load() != 0 {
			t.Error("leads on, although the tail is another's")
		}
		l.agree(other, old)
		other.writeTo(42)
		other.snapshot()
		fresh := newSnapshotter(other.bucket, other.cfg) // another process's first trim
		if err := fresh.snapshot(t.Context(), other.State()); err != nil {
			t.Fatal(err)
		}
		if l.there(LogKey(21)) {
			t.Error("the re-created bytes are left for good")
		}
	})
}

// F2, without the listing: 404 believed.
func TestTrapTrimmedSlotBelieved(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(20)
		reader := l.node("reader", func(c *Config) { c.Defects.FollowerNoRelist = true })
		for _, slot := range []uint64{30, 40} {
			leader.writeTo(slot)
			leader.snapshot()
		}
		err := reader.reach(t.Context(), 40)
		if reader.slot() == 40 {
			t.Error("the reader went on without a snapshot; the test shows nothing")
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("a hole that nothing covers: %v", err)
		}
	})
}

// F3: a commit is applied, its answer lost. Retention takes its records and the floor passes
// its birth. The retry is told that the outcome is unknown: not refused, not appended again.
func TestTrapExpiredIsUnknown(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprint("live ", live), func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				leader := l.node("leader")
				leader.lead()
				leader.write(create("t", topicT, 1))
				o := newObject(3, "o", topicT, 3).ask(3).ask(0)
				leader.write(o.Command)
				if !live {
					leader.write(trim(topicT, 0, 3))
				}
				leader.write(floor(4))
				before := contents(leader.State(), topicT, 0)
				reply := leader.write(o.Command)
				c := foz.Commit{Object: o.commit.Object, Requests: make([]foz.CommitRequest, 2)}
				for i, r := range commitResult(&c, reply.Results[0]).Requests {
					if r.Err == nil || r.Err.Code != foz.CodeAckTimeout || !r.Err.Code.Unknown() {
						t.Errorf("request %d is told %v", i, r.Err)
					}
				}
				if got := contents(leader.State(), topicT, 0); got != before {
					t.Errorf("holds %s, held %s", got, before)
				}
			})
		})
	}
}

// F4: a zombie leader at slot 25 knows no claim but its own. Another claims 26 and snapshots
// 30 and 40. The zombie finishes its snapshot at 25, lists {25, 30, 40}, and must not take
// the second newest for its bound: the claim at 26 would go, and with it what stops zombies.
func TestTrapTrimOfAnUnknownClaim(t *testing.T) {
	for _, c := range []struct {
		name    string
		defects Defects
		lost    bool
	}{
		{"bound by the state held", Defects{}, false},
		{"bound by the listing alone", Defects{TrimBoundListed: true}, true},
		{"bound newest", Defects{TrimToNewest: true}, true},
		{"claims like other slots", Defects{ClaimsTrimmed: true}, false}, // takes older ones
	} {
		t.Run(c.name, func(t *testing.T) {
			inLab(t, func(t *testing.T, l *lab) {
				zombie := l.node("zombie", func(cfg *Config) { cfg.Defects = c.defects })
				zombie.lead()
				zombie.writeTo(25)
				zombie.before("create snap/25", func() {
					other := l.node("other")
					other.lead()
					for _, slot := range []uint64{30, 40} {
						other.writeTo(slot)
						other.snapshot()
					}
				})
				zombie.snapshot()
				if lost := !l.there(LogKey(26)); lost != c.lost {
					t.Errorf("the claim at 26 is gone: %v", lost)
				}
				if gone := !l.there(LogKey(2)); gone != c.defects.ClaimsTrimmed {
					t.Errorf("the claim at 2 is gone: %v", gone)
				}
				reply := zombie.write(noop())
				acked := reply.Status == logpb.Reply_STATUS_DONE
				if acked != c.lost {
					t.Errorf("the zombie is told %v at slot 26", reply.Status)
				}
			})
		})
	}
}

// A zombie's append is stopped by the claim that came after its own, below the newest
// snapshot and for ever.
func TestTrapZombieMeetsAnImmortalClaim(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		zombie, other := l.node("zombie"), l.node("other")
		zombie.lead()
		zombie.writeTo(9)
		zombie.calls = nil
		zombie.before("create log/10", func() {
			other.catchUp()
			other.lead()
			for _, slot := range []uint64{20, 30, 40} {
				other.writeTo(slot)
				other.snapshot()
			}
		})
		o := newObject(9, "o", topicT, 1).ask(1)
		if reply := zombie.write(o.Command); reply.Status != logpb.Reply_STATUS_UNKNOWN {
			t.Errorf("told %v", reply)
		}
		zombie.asked("create log/10, get log/10")
		if zombie.leads.Load() != 0 {
			t.Error("leads on")
		}
		zombie.catchUp()
		l.agree(other, zombie)
	})
}

// LOST although it is in the history: the append executed, was trimmed with its answer on
// the way, and a void claim lies there when the leader tries again.
func TestTrapLostButInTheLog(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.write(create("t", topicT, 1))
		leader.writeTo(9)
		late := l.node("late")
		other := l.node("other")
		o := newObject(9, "o", topicT, 1).ask(1)
		leader.fate("create log/10", applied)
		leader.before("create log/10", func() {
			leader.before("create log/10", func() { // the retry
				other.catchUp() // with the entry at 10
				other.lead()
				for _, slot := range []uint64{20, 30} {
					other.writeTo(slot)
					other.snapshot()
				}
				if led, err := late.claim(t.Context()); led || err != nil {
					t.Errorf("leads with a void claim: %v, %v", led, err)
				}
			})
		})
		late.before("get log/10", func() { l.forget(LogKey(10)) })
		reply := leader.write(o.Command)
		if reply.Status != logpb.Reply_STATUS_UNKNOWN {
			t.Errorf("told %v: neither is true", reply.Status)
		}
		again := other.write(o.Command)
		if got := tell(o.Command, again.Results[0]); got != "0" || again.Results[0].Slot != 10 {
			t.Errorf("asked again, told %q of slot %d", got, again.Results[0].Slot)
		}
	})
}

// forget checks that a slot was trimmed.
func (l *lab) forget(key string) {
	if l.there(key) {
		l.t.Errorf("%s was not trimmed; the interleaving is not the one meant", key)
	}
}
