package compactor

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: the mill of mill_test.go with topics that are compacted by key. What is left of a
// partition is compared with what a map of its records says.

const tombstonesMS = 60_000

var keyed = foz.TopicConfig{CleanupPolicy: "compact", DeleteRetentionMS: tombstonesMS}

// left compares the records that a partition still has.
func (m *mill) left(p foz.Partition, want ...string) {
	m.t.Helper()
	found := m.read(p)
	var got []string
	for _, offset := range slices.Sorted(maps.Keys(found)) {
		if found[offset] != m.truth[p][offset] {
			m.t.Errorf("offset %d is %s, was %s", offset, found[offset], m.truth[p][offset])
		}
		got = append(got, fmt.Sprint(offset))
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("offsets %v are left, want %v", got, want)
	}
}

// damage has an object's bytes cut short whenever broken says so.
func (m *mill) damage(object string, broken func() bool) {
	m.fate = func(c objectstore.Call) objectstore.Fate {
		if c.Op == objectstore.OpGet && c.Key == object && broken() {
			return objectstore.Fate{Outcome: objectstore.Truncate, At: 10}
		}
		return objectstore.Fate{}
	}
}

// The last record of each key stays where it is, and all without a key. Tombstones stay for
// their time.
func TestCompactKeys(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.flush(rows{p: {"a=1", "b=1", "no key", "c=1"}})
		m.flush(rows{p: {"a=2", "c="}})
		m.flush(rows{p: {"b=2", "a=3", "d=1"}})
		report := m.maintain("merge", "compact")
		if j := report.Jobs[1]; j.Due != 1 || j.Done != 1 || j.Left != 0 || j.BytesOut == 0 {
			t.Errorf("%+v", j)
		}
		m.left(p, "2", "5", "6", "7", "8")
		// To merge: 3 GETs, 1 PUT. To compact: the time is known by that PUT; 1 GET for the keys, 1
		// to rewrite, 1 PUT.
		m.asked(5, 2, 0, 0)
		if j := m.maintain("compact").Jobs[0]; j.Due != 0 {
			t.Errorf("%+v", j)
		}
		m.asked(0, 0, 0, 0)
		time.Sleep(tombstonesMS * time.Millisecond)
		m.maintain("compact")
		m.left(p, "2", "6", "7", "8")
		time.Sleep(time.Hour)
		m.flush(rows{p: {"b=", "a=", "d="}})
		time.Sleep(time.Hour)
		m.maintain("merge", "compact")
		m.left(p, "2")
		if all := m.all(p); len(all) != 1 || all[0].Missing != 11 {
			t.Errorf("%+v", all)
		}
	})
}

// Of a partition whose records all go, one stays: a placement has a row. It goes when
// something comes after it.
func TestCompactToNothing(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.flush(rows{p: {"a=1", "a="}})
		m.maintain("merge", "compact")
		m.left(p, "1")
		time.Sleep(time.Hour)
		m.maintain("compact")
		m.left(p, "1")
		for range 10 {
			time.Sleep(time.Hour)
			m.step() // not over and over
		}
		m.calls = map[string]int{}
		time.Sleep(time.Hour)
		m.step()
		m.asked(0, 0, 0, 0)
		m.flush(rows{p: {"b=1"}})
		m.maintain("merge", "compact")
		m.left(p, "2")
	})
}

// A tombstone that was left and has expired with all the rest is nobody's business any more.
func TestCompactExpired(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.flush(rows{p: {"a=1", "a=", "b=1"}})
		m.maintain("merge", "compact")
		m.left(p, "1", "2")
		if m.passes.clean[p].tombstone == 0 {
			t.Fatal("no tombstone is left")
		}
		m.ledger.next().start(p, 3)
		time.Sleep(time.Hour)
		m.step()
		m.left(p)
		m.flush(rows{p: {"c=1"}})
		m.maintain("merge", "compact")
		m.left(p, "3")
	})
}

// A partition is dirty when half as much is new as was clean.
func TestCompactWhenDirty(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		flush := func(n int) {
			var values []string
			for range n {
				values = append(values, fmt.Sprintf("%d=%s", len(m.truth[p])+len(values), m.noise(1<<10)))
			}
			m.flush(rows{p: values})
			m.step()
			time.Sleep(10 * time.Minute)
			m.step()
			time.Sleep(10 * time.Minute)
		}
		var until []int64
		for _, n := range []int{20, 5, 3, 4, 20} {
			flush(n)
			until = append(until, m.passes.clean[p].until)
		}
		if want := []int64{20, 20, 20, 32, 52}; !slices.Equal(until, want) {
			t.Errorf("clean until %v, want %v", until, want)
		}
		m.same()
	})
}

// A swap that is refused in the middle ends the pass, and no tombstone goes that is above it;
// so does one whose answer does not come. The next pass does it all.
func TestCompactRefused(t *testing.T) {
	for name, gate := range map[string]func(*mill) (bool, bool){
		"lost":              func(*mill) (bool, bool) { return false, false },
		"done, answer lost": func(*mill) (bool, bool) { return true, false },
		"refused": func(m *mill) (bool, bool) { // somebody else was faster
			c := m.ledger.next()
			for p, s := range c.parts {
				s.placements = slices.Clone(s.placements)
				pl := s.placements[0]
				body, err := m.store.Get(m.t.Context(), pl.Object, 0, -1)
				if err != nil {
					m.t.Fatal(err)
				}
				pl.Object = foz.ObjectKey(c.slot, "other")
				_, _ = m.store.Create(m.t.Context(), pl.Object, body)
				s.placements[0] = pl
				c.parts[p] = s
			}
			return true, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			inMill(t, scaled, func(t *testing.T, m *mill) {
				topic := m.ledger.topic("t", 1, keyed)
				p := part0(topic, 0)
				m.cfg.SegmentBytes = 1 // nothing is merged but what is fresh
				for _, text := range []string{"y=1", "a=1", "x=1", "a=", "c=1"} {
					m.flush(rows{p: {text}})
					m.maintain("merge")
				}
				m.cfg.SegmentBytes = 2 * total(m.all(p)[:1]) // two placements at a time
				time.Sleep(time.Hour)
				first := true
				m.ledger.gate = func(foz.Swap) (bool, bool) {
					if first {
						first = false
						return gate(m)
					}
					return true, true
				}
				due := m.dirty(time.Now(), everyones, true)
				if err := m.begin(t.Context(), due[0]); err != nil {
					t.Fatal(err)
				}
				for m.passes.pass != nil {
					if err := m.stepPass(t.Context(), m.passes.pass); err != nil {
						t.Fatal(err)
					}
				}
				if found := m.read(p); found[3] == "" || m.passes.clean[p].until != 0 {
					t.Errorf("%v are left, clean until %d", found, m.passes.clean[p].until)
				}
				m.maintain("compact")
				m.left(p, "0", "2", "4")
			})
		})
	}
}

// What cannot be read may hold an older record: the tombstone stays until it can be.
func TestCompactDamage(t *testing.T) {
	cfg := scaled
	cfg.DirtyPercent = 1_000_000
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		for i, text := range []string{"a=1", "a=", "b=1"} {
			m.flush(rows{p: {text}})
			m.cfg.SegmentBytes = 1 // nothing is merged but what is fresh
			m.maintain("merge")
			if n := len(m.all(p)); n != i+1 {
				t.Fatalf("%d placements", n)
			}
		}
		m.cfg.SegmentBytes = scaled.SegmentBytes
		time.Sleep(time.Hour)
		bad, broken := m.all(p)[0], true
		m.damage(bad.Object, func() bool { return broken })
		report := m.maintain("compact")
		if len(report.Damaged) != 1 {
			t.Errorf("%+v", report)
		}
		m.left(p, "0", "1", "2")
		broken = false
		m.restart(cfg)
		m.maintain("compact")
		m.left(p, "2")
	})
}

// What could not be read when its neighbours were compacted may have older records than they. When
// it can be, and there is more to compact, all is read from the start.
func TestCompactAfterDamage(t *testing.T) {
	for name, keysMax := range map[string]int{"one pass": 100, "a pass for each key": 1} {
		t.Run(name, func(t *testing.T) {
			cfg := scaled
			cfg.KeysMax = keysMax
			inMill(t, cfg, func(t *testing.T, m *mill) {
				topic := m.ledger.topic("t", 1, keyed)
				p := part0(topic, 0)
				m.cfg.SegmentBytes = 1 // nothing is merged but what is fresh
				for _, text := range []string{"a=1", "b=1", "a=", "c=1"} {
					m.flush(rows{p: {text}})
					m.maintain("merge")
				}
				time.Sleep(time.Hour)
				bad, broken := m.all(p)[0], true
				m.damage(bad.Object, func() bool { return broken })
				m.maintain("compact")
				m.left(p, "0", "1", "2", "3")
				if j := m.maintain("compact").Jobs[0]; j.Due != 0 {
					t.Errorf("over and over: %+v", j)
				}
				broken = false
				time.Sleep(2 * time.Hour)
				m.flush(rows{p: {"d=1"}})
				m.maintain("merge", "compact")
				m.left(p, "1", "3", "4")
			})
		})
	}
}

// Placements of which nothing is to stay wait for the next that has something. If that cannot be
// read they stay as they are, and the tombstones among them.
func TestCompactEmptiedBeforeDamage(t *testing.T) {
	cfg := scaled
	cfg.KeysMax = 2
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		m.cfg.SegmentBytes = 1 // nothing is merged but what is fresh
		for _, text := range []string{"a=1", "a=", "q=1", "no key", "q=2", "b=1", "c=1"} {
			m.flush(rows{p: {text}})
			m.maintain("merge")
		}
		time.Sleep(time.Hour)
		bad, gets := m.all(p)[3], 0
		m.damage(bad.Object, func() bool { // when it is mapped it can be read
			gets++
			return gets > 1
		})
		m.maintain("compact")
		if found := m.read(p); found[0] != "" && found[1] == "" {
			t.Errorf("a deleted key is back: %v", found)
		}
		if gets < 2 {
			t.Errorf("%d reads of what is damaged", gets)
		}
		gets = -100
		time.Sleep(2 * time.Hour)
		m.flush(rows{p: {"d=1"}})
		m.maintain("merge", "compact")
		m.left(p, "3", "4", "5", "6", "7")
	})
}

// Old placements that nothing is left of are not read again and again, and go with the next
// that has something.
func TestCompactEmptied(t *testing.T) {
	cfg := scaled
	cfg.SegmentBytes = 20 << 10
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, keyed)
		p := part0(topic, 0)
		for range 10 {
			m.flush(rows{p: {"a=" + m.noise(18<<10)}})
			m.maintain("merge")
		}
		m.restart(cfg)
		m.calls = map[string]int{}
		m.maintain("compact")
		m.left(p, "9")
		// The time: 1 PUT, 1 DELETE. 10 objects are read for their keys and 10 to be rewritten.
		m.asked(20, 2, 1, 0)
		if n := len(m.all(p)); n != 1 {
			t.Errorf("%d placements", n)
		}
	})
}

// Tombstones go in spite of steady traffic: what is old is not made young by its neighbours.
func TestTombstonesUnderTraffic(t *testing.T) {
	cfg := scaled
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{CleanupPolicy: "compact",
			DeleteRetentionMS: (4 * time.Hour).Milliseconds()})
		p := part0(topic, 0)
		m.flush(rows{p: {"gone=1", "gone="}})
		for i := range 40 {
			m.flush(rows{p: {fmt.Sprintf("k%d=%d", i%3, i)}})
			for range 10 {
				m.step()
				time.Sleep(time.Minute)
			}
		}
		if found := m.read(p); found[1] != "" || found[0] != "" {
			t.Errorf("after 400 minutes: %v", found)
		}
		if n := len(m.all(p)); n > 12 {
			t.Errorf("%d placements", n)
		}
	})
}
