package metadata

import (
	"context"
	"testing"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
)

// count gives the number of requests since the last call.
func (n *labNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := len(n.calls)
	n.calls = nil
	return now
}

// How: a node whose bus brings nothing says what there is as of a few seconds ago, for one listing
// in that time; one that hears the leader say it has no more asks nothing.
func TestKeepUp(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.node("a")
		a.lead()
		b := l.node("b")
		defer b.start()()
		keepUp := func(what string, asks bool) {
			t.Helper()
			b.count()
			if err := b.KeepUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := b.count(); (n > 0) != asks {
				t.Errorf("%s: %d requests", what, n)
			}
		}
		a.writeTo(5)
		keepUp("news was missed", true)
		if b.slot() != a.slot() {
			t.Errorf("at %d of %d", b.slot(), a.slot())
		}
		a.writeTo(6)
		keepUp("just caught up", false)
		time.Sleep(freshFor + time.Millisecond)
		beat := func(applied uint64) {
			b.heard.beat(&logpb.Beat{Node: "a", Epoch: a.leads.Load(), Applied: applied}, time.Now())
		}
		a.writeTo(7)
		beat(7)
		keepUp("the leader has more", true)
		time.Sleep(freshFor + time.Millisecond)
		beat(7)
		keepUp("the leader has no more", false)
		time.Sleep(freshFor + time.Millisecond)
		b.heard.beat(&logpb.Beat{Node: "c", Applied: 7}, time.Now())
		keepUp("only a follower is heard", true)
	})
}

// How: a leader that hears nobody may have been replaced; one that hears others, or has appended
// just now, has not.
func TestKeepUpOfLeader(t *testing.T) {
	for _, c := range []struct {
		name     string
		heard    *logpb.Beat
		since    time.Duration
		requests bool
	}{
		{"appended just now", nil, time.Second, false},
		{"alone for a while", nil, time.Minute, true},
		{"hears a follower", &logpb.Beat{Node: "b", Applied: 3}, time.Minute, false},
		{"hears of more", &logpb.Beat{Node: "b", Applied: 9}, time.Minute, true},
		{"hears a newer leader", &logpb.Beat{Node: "b", Epoch: 99, Applied: 3}, time.Minute, true},
	} {
		inLab(t, func(t *testing.T, l *lab) {
			a := l.node("a")
			a.lead()
			a.writeTo(5)
			time.Sleep(c.since)
			if c.heard != nil {
				a.heard.beat(c.heard, time.Now())
			}
			a.count()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			defer a.start()()
			if err := a.KeepUp(ctx); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if n := a.count(); (n > 0) != c.requests {
				t.Errorf("%s: %d requests", c.name, n)
			}
		})
	}
}

// How: clients that name a slot which is not there cost a listing a second, however many they are.
func TestMadeUpSlot(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		a := l.node("a")
		a.lead()
		a.writeTo(5)
		b := l.node("b")
		defer b.start()()
		const waiters, seconds = 20, 10
		for i := range uint64(waiters) {
			time.Sleep(7 * time.Millisecond)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
				defer cancel()
				_ = b.WaitSlot(ctx, 1<<62+i)
			}()
		}
		time.Sleep((seconds + 1) * time.Second)
		if n := b.count(); n == 0 || n > 2*seconds {
			t.Errorf("%d requests", n)
		}
	})
}

// How: a leader whose append hangs hears another lead by a newer claim: that one is asked.
func TestStuckLeaderAsksTheNewer(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		b := l.node("b")
		b.lead()
		b.heard.beat(&logpb.Beat{Node: "a", Roles: []string{RoleMetadata}, Applied: 9,
			Epoch: b.leads.Load() + 7}, time.Now())
		if node, _ := NewClient(b.Replica).target("", 0); node != "a" {
			t.Errorf("%q is asked", node)
		}
		if leader := b.Leader(); leader.ID != "a" || leader.ClaimSlot != b.leads.Load()+7 {
			t.Errorf("%+v leads", leader)
		}
	})
}
