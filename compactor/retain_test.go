package compactor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: the mill of mill_test.go. The bucket's clock is the bubble's; a store may be put in
// front of it that tells another time.

// By age: whole placements, once they are older by the store's clock than their topic keeps
// them. The first look asks the store for the time, 1 PUT and 1 DELETE; later ones nothing.
func TestRetainByAge(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{RetentionMS: time.Hour.Milliseconds()})
		kept := m.ledger.topic("kept", 1, foz.TopicConfig{})
		m.maintain("retain")
		m.asked(0, 0, 0, 0) // nothing could be due
		for range 5 {
			m.flush(rows{part0(topic, 0): {"a", "b"}, part0(topic, 1): {"c"}, part0(kept, 0): {"d"}})
			time.Sleep(19 * time.Minute)
		}
		report := m.maintain("retain")
		m.asked(0, 1, 1, 0)
		// 95, 76, 57, 38 and 19 minutes old.
		if j := report.Jobs[0]; j.Due != 4 || j.Done != 4 || j.Left != 0 {
			t.Errorf("%+v", j)
		}
		if n := len(m.ledger.retains); n != 1 || m.ledger.now.parts[part0(topic, 0)].earliest != 4 {
			t.Errorf("%d commands, %+v", n, m.ledger.now.parts[part0(topic, 0)])
		}
		m.same()
		time.Sleep(4 * time.Minute)
		m.maintain("retain")
		m.asked(0, 0, 0, 0)
		if earliest := m.ledger.now.parts[part0(topic, 1)].earliest; earliest != 3 {
			t.Errorf("starts at %d", earliest)
		}
		if n := len(m.all(part0(kept, 0))); n != 5 {
			t.Errorf("%d placements of what is kept for ever", n)
		}
		m.same()
	})
}

// By size: the oldest placements go while the others are as large as is to be kept.
func TestRetainBySize(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{RetentionBytes: 25 << 10})
		for range 5 {
			m.flush(rows{part0(topic, 0): {m.noise(10 << 10)}})
		}
		m.step()
		m.asked(0, 0, 0, 0)
		if all := m.all(part0(topic, 0)); len(all) != 3 || total(all) < 25<<10 {
			t.Errorf("%d placements of %d bytes are left", len(all), total(all))
		}
		m.same()
	})
}

// What does not expire, and what is refused.
func TestRetainNothing(t *testing.T) {
	for name, cfg := range map[string]foz.TopicConfig{
		"for ever":      {},
		"compact":       {CleanupPolicy: "compact", RetentionMS: 1, RetentionBytes: 1},
		"not yet":       {RetentionMS: 1000_000},
		"large enough":  {RetentionBytes: 1 << 20},
		"one placement": {RetentionBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inMill(t, scaled, func(t *testing.T, m *mill) {
				topic := m.ledger.topic("t", 1, cfg)
				m.flush(rows{part0(topic, 0): {"a"}})
				time.Sleep(time.Minute)
				if m.maintain("retain"); len(m.ledger.retains) != 0 {
					t.Errorf("%+v", m.ledger.retains)
				}
			})
		})
	}
}

// The topic is altered between the look and the command: it is refused, and left as due.
func TestRetainStale(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{RetentionMS: 1})
		m.flush(rows{part0(topic, 0): {"a"}})
		time.Sleep(time.Minute)
		before := m.ledger.now
		m.ledger.stale = &before
		c := m.ledger.next()
		c.topics[0].Revision, c.topics[0].Config.RetentionMS = c.slot, 0
		if j := m.maintain("retain").Jobs[0]; j.Due != 1 || j.Done != 0 || j.Left != 1 {
			t.Errorf("%+v", j)
		}
		m.ledger.stale = nil
		if j := m.maintain("retain").Jobs[0]; j.Due != 0 {
			t.Errorf("%+v", j)
		}
		m.same()
	})
}

// offClock is a store whose clock, or whose network, is another's than this host's.
type offClock struct {
	objectstore.Store
	off time.Duration
}

func (o offClock) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	date, err := o.Store.Create(ctx, key, data)
	return date.Add(o.off), err
}

// The host's clock is off by a day, either way: retention goes by the store's. What the host
// thinks is 2 hours old was appended, by the store's clock, when its upload says.
func TestRetainHostClock(t *testing.T) {
	for _, off := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			inMill(t, scaled, func(t *testing.T, m *mill) {
				m.deps.Store = offClock{m.store, off}
				m.Compactor = New(m.deps, scaled)
				topic := m.ledger.topic("t", 1, foz.TopicConfig{RetentionMS: time.Hour.Milliseconds()})
				for range 3 {
					m.flush(rows{part0(topic, 0): {"a"}})
					c := m.ledger.next()
					all := c.parts[part0(topic, 0)].placements
					all[len(all)-1].AppendedMS += off.Milliseconds()
					time.Sleep(40 * time.Minute)
				}
				m.maintain("retain")
				if n := len(m.all(part0(topic, 0))); n != 1 {
					t.Errorf("%d placements are left of 120, 80 and 40 minutes", n)
				}
			})
		})
	}
}

// The store does not tell the time: nothing expires, and that is an error.
func TestRetainWithoutTime(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{RetentionMS: 1})
		m.flush(rows{part0(topic, 0): {"a"}})
		time.Sleep(time.Hour)
		m.fate = func(c objectstore.Call) objectstore.Fate {
			return objectstore.Fate{Outcome: objectstore.Drop}
		}
		if _, err := m.retain(t.Context(), time.Now()); !errors.Is(err, objectstore.ErrFault) {
			t.Error(err)
		}
		if len(m.ledger.retains) != 0 {
			t.Errorf("%+v", m.ledger.retains)
		}
	})
}

// A topic is deleted, and another's records are deleted by request: that is metadata's alone,
// and the sweep does the rest. Shared objects stay as long as anything in them is named.
func TestSweepAfterDeletes(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		a, b := m.ledger.topic("a", 1, foz.TopicConfig{}), m.ledger.topic("b", 1, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(a, 0): {"x"}, part0(b, 0): {"y"}})
		}
		m.flush(rows{part0(a, 0): {"x"}})
		m.ledger.drop(a.ID)
		m.ledger.next().start(part0(b, 0), 2)
		m.Compactor = New(m.deps, Config{MergeIntervalMin: 1000 * time.Hour,
			MergeIntervalMax: 1000 * time.Hour})
		for range 60 {
			m.step()
			time.Sleep(time.Minute)
		}
		if n := len(m.objects()); n != 1 || m.Deleted() != 3 {
			t.Errorf("%d objects are left, %d deleted", n, m.Deleted())
		}
		m.same()
	})
}
