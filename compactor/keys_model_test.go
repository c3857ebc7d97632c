package compactor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"pgregory.net/rapid"
)

// At random: records of few keys, tombstones, keyless ones, merges, passes with room for very
// few keys, restarts, swaps that are lost, objects that cannot be read for a while, another node
// that merges, time. Whoever replays the log from its start always gets the map that all records
// make: no key is lost, none comes back. In the end, each key has one record.
func TestCompactModel(t *testing.T) {
	dropped, tombstones := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &modelMill{mill: newMill(t, Config{}), T: rt, want: map[string]string{}}
			m.topic = m.ledger.topic("t", 1, keyed)
			m.restart()
			add := func() { m.append() }
			what := []func(){add, add, m.mergeSome, m.stepSome, m.stepSome, m.later, m.trouble,
				m.damageOne, m.mergeOther}
			for range 60 {
				what[rapid.IntRange(0, len(what)-1).Draw(rt, "what")]()
				m.check()
			}
			d, z := m.settle()
			dropped, tombstones = dropped+d, tombstones+z
		})
	})
	if dropped == 0 || tombstones == 0 {
		t.Errorf("%d records and %d tombstones were dropped: the test has gone blind",
			dropped, tombstones)
	}
}

type modelMill struct {
	*mill
	*rapid.T
	topic foz.Topic
	want  map[string]string // the map that all records make
	lost  int               // swaps to be lost
	bad   string            // an object that cannot be read
}

func (m *modelMill) restart() {
	m.restartWith(rapid.SampledFrom([]int{3, 100}).Draw(m.T, "keys"),
		rapid.SampledFrom([]int64{1, 2500}).Draw(m.T, "bytes"))
}

// restartWith has passes remember so many keys, and a step of one take so many bytes.
func (m *modelMill) restartWith(keys int, bytes int64) {
	m.mill.restart(Config{SegmentBytes: bytes, BatchBytes: 400, JobBytes: 1500, KeysMax: keys,
		DirtyPercent: 1, RequestsPerSecond: 1e9, DamageRetry: 20 * time.Second})
	m.mill.fate = func(c objectstore.Call) objectstore.Fate {
		if c.Op == objectstore.OpGet && c.Key == m.bad {
			return objectstore.Fate{Outcome: objectstore.Truncate, At: 10}
		}
		return objectstore.Fate{}
	}
	m.ledger.gate = func(foz.Swap) (bool, bool) {
		if m.lost == 0 {
			return true, true
		}
		m.lost--
		return m.lost%2 == 0, false
	}
}

func (m *modelMill) append() (object string) {
	var texts []string
	for range rapid.IntRange(1, 6).Draw(m.T, "records") {
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", ""}).Draw(m.T, "key")
		value := rapid.SampledFrom([]string{"", "1", "2", "a longer value"}).Draw(m.T, "value")
		if key == "" {
			texts = append(texts, "no key")
			continue
		}
		texts = append(texts, key+"="+value)
		if value == "" {
			delete(m.want, key)
		} else {
			m.want[key] = value
		}
	}
	return m.flush(rows{part0(m.topic, 0): texts})
}

func (m *modelMill) mergeSome() {
	_, _ = m.mergeAll(m.t.Context())
}

func (m *modelMill) stepSome() { _, _ = m.compact(m.t.Context(), time.Now()) }

func (m *modelMill) later() { time.Sleep(tombstonesMS * time.Millisecond / 2) }

func (m *modelMill) trouble() {
	if rapid.Bool().Draw(m.T, "restart") {
		m.restart()
		return
	}
	m.lost = rapid.IntRange(0, 2).Draw(m.T, "lost")
}

// damageOne damages an object, any or one among fresh ones that a pass then begins with, and
// repairs the one before.
func (m *modelMill) damageOne() {
	m.bad = ""
	switch all := m.all(part0(m.topic, 0)); rapid.IntRange(0, 2).Draw(m.T, "damage") {
	case 0:
		if len(all) > 0 {
			m.bad = rapid.SampledFrom(all).Draw(m.T, "bad").Object
		}
	case 1:
		m.append()
		m.mergeSome()
		m.bad = m.append()
		m.append()
		m.append()
		m.mergeSome()
		m.stepSome()
	}
}

// mergeOther merges some placements as another node would that takes the partition for its own.
func (m *modelMill) mergeOther() {
	p := part0(m.topic, 0)
	all := m.all(p)
	if len(all) < 2 {
		return
	}
	from := rapid.IntRange(0, len(all)-2).Draw(m.T, "from")
	parts := []part{{p, nil, all[from:rapid.IntRange(from+2, len(all)).Draw(m.T, "to")]}}
	node := New(m.deps, m.cfg)
	if h, err := node.fetch(m.t.Context(), parts); err == nil {
		_, _ = node.writeHeld(m.t.Context(), h, parts, &writer{restMin: 1})
	}
}

// check replays the log.
func (m *modelMill) check() {
	got := map[string]string{}
	p := part0(m.topic, 0)
	found := m.read(p)
	for _, offset := range slices.Sorted(maps.Keys(found)) {
		text := found[offset]
		if text != m.truth[p][offset] {
			m.T.Fatalf("offset %d is %s, was %s", offset, text, m.truth[p][offset])
		}
		var key, value string
		var noKey, tombstone bool
		if _, err := fmt.Sscanf(text, "%q %t=%q %t", &key, &noKey, &value, &tombstone); err != nil {
			m.T.Fatalf("%s: %v", text, err)
		}
		switch {
		case noKey:
		case tombstone:
			delete(got, key)
		default:
			got[key] = value
		}
	}
	if !maps.Equal(got, m.want) {
		m.T.Fatalf("a replay gives %v, all records gave %v", got, m.want)
	}
	for offset, text := range m.truth[p] {
		if _, there := found[int64(offset)]; !there && strings.Contains(text, "true=") {
			m.T.Fatalf("offset %d without a key is gone", offset)
		}
	}
}

// settle does all there is to do, and gives how many records and tombstones went.
func (m *modelMill) settle() (dropped, tombstones int) {
	p := part0(m.topic, 0)
	m.lost, m.bad = 0, ""
	for i := range 5 {
		if i == 2 { // after it has gone on from what it took for clean
			m.restartWith(3, 2500)
		}
		time.Sleep(2 * tombstonesMS * time.Millisecond)
		m.flush(rows{p: {"no key"}}) // so that the last record is none that would go
		m.maintain("merge", "compact")
		m.check()
	}
	found := m.read(p)
	keys := map[string]int64{}
	for offset, text := range found {
		key, _, _ := strings.Cut(text, "=")
		if strings.Contains(text, "true=") {
			continue
		}
		if other, twice := keys[key]; twice {
			m.T.Errorf("%s is at %d and %d", key, offset, other)
		}
		if strings.HasSuffix(text, " true") {
			m.T.Errorf("the tombstone at %d has outlived its time: %s", offset, text)
		}
		keys[key] = offset
	}
	for offset, text := range m.truth[p] {
		if _, there := found[int64(offset)]; !there {
			dropped++
			if strings.HasSuffix(text, " true") {
				tombstones++
			}
		}
	}
	return dropped, tombstones
}
