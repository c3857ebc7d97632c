package metadata

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// How: reads at nodes whose loop runs (lab_test.go), while answers of the store are held on
// their way. A read says which slot it is answered from; what was in the log when it began
// is known, because the test wrote it.

// A LIST was executed and its answer is on its way when an entry is written and acked; the
// read that comes then may not be answered from that LIST.
func TestRule7ReadWhileAListIsUnderWay(t *testing.T) {
	for _, joins := range []bool{false, true} {
		inLab(t, func(t *testing.T, l *lab) {
			leader := l.node("leader")
			leader.lead()
			leader.writeTo(5)
			n := l.node("n", func(c *Config) { c.Defects.ReadJoins = joins })
			n.hears(leader)
			defer n.start()()
			release := n.hold("list log/")
			first := n.read()
			leader.writeTo(6)
			releaseNext := n.hold("list log/")
			second, third := n.read(), n.read()
			release()
			if slot := <-first; slot != 5 {
				t.Errorf("the first read saw slot %d", slot)
			}
			synctest.Wait()
			if stale := len(second) > 0; stale != joins {
				t.Errorf("joins %v: answered before a LIST of its own: %v", joins, stale)
			}
			releaseNext()
			if slot := <-second; slot != 6 && !joins {
				t.Errorf("the read after slot 6 was acked saw slot %d", slot)
			}
			<-third
			if !joins { // one LIST for the first, one for the two that waited
				n.asked("list log/, list log/, get log/6")
			}
		})
	}
}

// The leader's own append is at the tail that a read sees: the read waits for its outcome,
// and the leader leads on.
func TestRule7ReadAtALeaderThatAppends(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		leader.calls = nil
		release := leader.hold("create log/6")
		defer leader.start()()
		a := newAsk(leader.Replica, noop())
		leader.inbox.ask(a)
		synctest.Wait()
		read := leader.read()
		select {
		case slot := <-read:
			t.Errorf("answered from slot %d while slot 6 is in the log", slot)
		default:
		}
		release()
		if slot := <-read; slot != 6 {
			t.Errorf("answered from slot %d", slot)
		}
		if reply := <-a.reply; reply.Status != logpb.Reply_STATUS_DONE || leader.leads.Load() != 2 {
			t.Errorf("told %v, leads %d", reply.Status, leader.leads.Load())
		}
		leader.asked("create log/6, list log/")
	})
}

// The tail is a claim that beat the leader's append: it steps down and answers from there.
func TestRule7ReadAtALeaderThatLost(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader, other := l.node("leader"), l.node("other")
		leader.lead()
		leader.writeTo(5)
		stalled := make(chan struct{})
		leader.before("create log/6", func() { <-stalled })
		defer leader.start()()
		a := newAsk(leader.Replica, noop())
		leader.inbox.ask(a)
		synctest.Wait()
		other.catchUp()
		other.lead()
		read := leader.read()
		close(stalled)
		if slot := <-read; slot != 6 || leader.leads.Load() != 0 {
			t.Errorf("answered from slot %d, leads %d", slot, leader.leads.Load())
		}
		if reply := <-a.reply; reply.Status != logpb.Reply_STATUS_UNKNOWN {
			t.Errorf("told %v", reply.Status)
		}
		l.agree(other, leader)
	})
}

// A leader that was deposed, and heard nothing of it, learns it from the first read.
func TestRule7ReadAtADeposedLeader(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader, other := l.node("leader"), l.node("other")
		leader.lead()
		leader.writeTo(5)
		defer leader.start()()
		other.catchUp()
		other.lead()
		other.writeTo(9)
		if slot := <-leader.read(); slot != 9 || leader.leads.Load() != 0 {
			t.Errorf("answered from slot %d, leads %d", slot, leader.leads.Load())
		}
		l.agree(other, leader)
	})
}

// Reads do not starve under steady appends: each waits for the tail it saw, not for a moment
// when nothing is written.
func TestRule7ReadsUnderSteadyAppends(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader, n := l.node("leader"), l.node("n")
		leader.lead()
		defer n.start()()
		for i := range 20 {
			n.before("list log/", func() { leader.writeTo(leader.slot() + 1) })
			n.before("get log/"+fmt.Sprint(n.slot()+1), func() { leader.writeTo(leader.slot() + 2) })
			began := leader.slot()
			if slot := <-n.read(); slot < began {
				t.Errorf("read %d saw slot %d, written was %d", i, slot, began)
			}
		}
	})
}

// A read that the store does not answer ends after 10 s, or with its caller.
func TestRule7ReadGivesUp(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n := l.node("n")
		for range 1000 {
			n.fates["list log/"] = append(n.fates["list log/"], objectstore.Drop)
		}
		defer n.start()()
		began := time.Now()
		if err := n.CatchUp(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.CatchUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// Rule 10: a 404 alone proves nothing; every third in a row, snapshots are listed.
func TestRule10EveryThirdMiss(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		n := l.node("n")
		for range 2 {
			for range 3 {
				if err := n.poll(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			n.asked("get log/6, get log/6, get log/6, list snap/")
		}
		for _, slot := range []uint64{8, 9} { // trims 6, so that only a listing shows it
			leader.writeTo(slot)
			leader.snapshot()
		}
		for range 3 {
			if err := n.poll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n.asked("get log/6, get log/6, get log/6, list snap/, get snap/9, get log/10")
		l.agree(leader, n)
	})
}

// A hint that a slot is there has snapshots listed at once; one that lies costs a look.
func TestRule10Hint(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		n := l.node("n")
		for _, slot := range []uint64{8, 9} {
			leader.writeTo(slot)
			leader.snapshot()
		}
		n.inbox.beat(6, 0)
		if err := n.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.asked("get log/6, list snap/, get snap/9")
		l.agree(leader, n)
		n.inbox.beat(10, 0)
		if err := n.step(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.asked("get log/10, list snap/")
		n.inbox.beat(1<<63, 0)
		if err := n.step(t.Context()); err != nil || n.slot() != 9 || len(n.calls) > readsMax+1 {
			t.Errorf("%v, at slot %d, asked for %d", err, n.slot(), len(n.calls))
		}
	})
}

// Who waits for news at a follower gets it, though its leader has fallen silent on the bus
// since and writes on: the follower looks for itself. When nobody waits it asks for nothing.
func TestRule10PollsInSilence(t *testing.T) {
	for _, watched := range []bool{true, false} {
		inLab(t, func(t *testing.T, l *lab) {
			leader := l.node("leader")
			leader.lead()
			leader.writeTo(5)
			n := l.node("n")
			n.cfg.Silence = time.Second
			defer n.start()()
			n.hears(leader) // the loop goes to sleep
			synctest.Wait()
			if watched {
				n.Changed()
			}
			leader.writeTo(6) // and nothing of it is heard
			time.Sleep(10 * time.Second)
			if saw := n.slot() == 6; saw != watched {
				t.Errorf("watched %v: at slot %d after 10 s", watched, n.slot())
			}
			if !watched {
				n.asked("")
			}
		})
	}
}

// The same when nobody had waited there for long.
func TestRule10WaiterWakesAFollower(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		leader := l.node("leader")
		leader.lead()
		leader.writeTo(5)
		n := l.node("n")
		defer n.start()()
		time.Sleep(10 * time.Minute)
		n.asked("") // an idle node asks for nothing
		n.Changed()
		leader.writeTo(6)
		time.Sleep(10 * time.Second)
		if n.slot() != 6 {
			t.Errorf("at slot %d after 10 s", n.slot())
		}
	})
}
