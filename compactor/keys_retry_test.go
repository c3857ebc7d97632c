package compactor

import (
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
)

// How: the mill of keys_test.go. A pass is begun, and what it goes by changes under way: the
// time for which a fresh placement that could not be read is left alone ends, or another node
// merges.

// begun begins the pass that is due.
func (m *mill) begun() *pass {
	m.t.Helper()
	due := m.dirty(time.Now(), everyones, true)
	if len(due) != 1 {
		m.t.Fatalf("%d passes are due", len(due))
	}
	if err := m.begin(m.t.Context(), due[0]); err != nil {
		m.t.Fatal(err)
	}
	return m.passes.pass
}

// goOn takes the pass to where enough says so, or to its end.
func (m *mill) goOn(enough func(*pass) bool) {
	m.t.Helper()
	for p := m.passes.pass; m.passes.pass != nil && !enough(p); {
		if err := m.stepPass(m.t.Context(), p); err != nil {
			m.t.Fatal(err)
		}
	}
}

func never(*pass) bool { return false }

// deleted wants that no record is there whose tombstone is gone.
func (m *mill) deleted(p foz.Partition, record, tombstone int64) {
	m.t.Helper()
	if found := m.read(p); found[record] != "" && found[tombstone] == "" {
		m.t.Errorf("a deleted key is back: %v", found)
	}
}

// A pass that is due when a fresh placement is left alone reaches beyond it. When that is to be
// tried again before the pass is over, what lies beyond is not clean: the next pass drops the
// record before its tombstone.
func TestCompactDamageRetriedInAPass(t *testing.T) {
	for _, name := range []string{"read at last", "trimmed by a user"} {
		t.Run(name, func(t *testing.T) {
			inMill(t, scaled, func(t *testing.T, m *mill) {
				topic := m.ledger.topic("t", 1, keyed)
				p := part0(topic, 0)
				bad, broken := m.flush(rows{p: {"x=1"}}), true
				m.damage(bad, func() bool { return broken })
				m.flush(rows{p: {"a=1", "a=", "z=1"}})
				m.maintain("merge") // around what cannot be read
				if all := m.all(p); len(all) != 2 || all[0].Segment.Level != 0 {
					t.Fatalf("%+v", all)
				}
				time.Sleep(time.Hour - time.Second) // the tombstone is old by now
				m.begun()
				time.Sleep(2 * time.Second)
				m.goOn(never)
				if until := m.passes.clean[p].until; until != 0 {
					t.Errorf("clean until %d, where nothing was read", until)
				}
				broken = false
				if name == "trimmed by a user" {
					m.ledger.next().start(p, 1)
				}
				m.flush(rows{p: {"d=1"}})
				m.maintain("merge", "compact")
				m.deleted(p, 1, 2)
				if name == "read at last" {
					m.left(p, "0", "3", "4")
				} else {
					m.left(p, "3", "4")
				}
			})
		})
	}
}

// So it is with what is mapped already, but not rewritten.
func TestCompactDamageRetriedWhenMapped(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.flush(rows{p: {"y=1", "z=1"}})
		m.maintain("merge")
		bad, broken := m.flush(rows{p: {"z=2", "x=1"}}), true
		m.damage(bad, func() bool { return broken })
		m.flush(rows{p: {"a=1", "a=", "x=2", "y=2"}})
		m.maintain("merge") // around what cannot be read
		time.Sleep(time.Hour - time.Second)
		m.begun()
		m.goOn(func(p *pass) bool { return p.full })
		time.Sleep(2 * time.Second)
		m.goOn(never)
		m.left(p, "1", "2", "3", "4", "5", "6", "7") // y=2 was mapped
		if c := m.passes.clean[p]; c.until != 2 || c.hole != noHole || c.again {
			t.Errorf("%+v", c)
		}
		broken = false
		m.maintain("merge", "compact")
		m.left(p, "2", "6", "7")
	})
}

// A partition that takes many passes is not begun anew, however often they come across one that
// cannot be read.
func TestCompactDamageRetriedBelowAPass(t *testing.T) {
	cfg := scaled
	cfg.SegmentBytes, cfg.KeysMax = 1, 1
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.damage(m.flush(rows{p: {"x=1"}}), func() bool { return true })
		for _, text := range []string{"a=1", "b=1", "c=1", "a=", "b=2"} {
			m.flush(rows{p: {text}})
			m.maintain("merge")
		}
		var until []int64
		for range 4 {
			m.begun()
			m.goOn(func(p *pass) bool { return p.mapped > p.from })
			if len(until) == 1 {
				time.Sleep(2 * time.Hour) // what was mapped is not rewritten
			}
			m.goOn(never)
			until = append(until, m.passes.clean[p].until)
			m.maintain("merge") // it cannot be read still
		}
		if want := []int64{2, 2, 3, 4}; !slices.Equal(until, want) {
			t.Errorf("clean until %v, want %v", until, want)
		}
		m.left(p, "0", "1", "2", "3", "4", "5")
		m.begun()
		m.goOn(never)
		m.begun()
		m.goOn(never)
		m.left(p, "0", "3", "4", "5") // the tombstone is above what cannot be read
	})
}

// Placements of which nothing is to stay wait for the next that has something. If another node
// merges some of them into that, the others stay as they are, and the tombstones above them.
func TestCompactEmptiedMergedByOthers(t *testing.T) {
	cfg := scaled
	cfg.SegmentBytes = 1 // each placement stays by itself
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		for _, text := range []string{"a=1", "a=", "b=1", "c=1"} {
			m.flush(rows{p: {text}})
			m.maintain("merge")
		}
		time.Sleep(time.Hour)
		m.begun()
		m.goOn(func(p *pass) bool { return len(p.emptied) == 2 })
		parts := []part{{p, nil, m.all(p)[1:3]}}
		h, err := m.fetch(t.Context(), parts)
		if err != nil {
			t.Fatal(err)
		}
		w := &writer{restMin: 1, uncut: true}
		if tally, err := m.writeHeld(t.Context(), h, parts, w); err != nil || tally.accepted != 2 {
			t.Fatal(tally, err)
		}
		m.goOn(never)
		m.deleted(p, 0, 1)
		m.flush(rows{p: {"d=1"}})
		m.maintain("merge", "compact")
		m.left(p, "2", "3", "4")
	})
}
