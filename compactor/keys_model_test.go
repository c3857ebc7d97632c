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
	"pgregory.net/rapid"
)

// At random: records of few keys, tombstones, keyless ones, merges, passes with room for very
// few keys, restarts, swaps that are lost, time. Whoever replays the log from its start always
// gets the map that all records make: no key is lost, none comes back. In the end, each key
// has one record.
func TestCompactModel(t *testing.T) {
	dropped, tombstones := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &modelMill{mill: newMill(t, Config{}), T: rt, want: map[string]string{}}
			m.topic = m.ledger.topic("t", 1, keyed)
			m.restart()
			for range 60 {
				[]func(){m.append, m.append, m.mergeSome, m.stepSome, m.stepSome, m.later, m.trouble}[rapid.
					IntRange(0, 6).Draw(rt, "what")]()
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
}

func (m *modelMill) restart() {
	m.mill.restart(Config{SegmentBytes: 2500, BatchBytes: 400, JobBytes: 1500, KeysMax: 3,
		DirtyPercent: 1, RequestsPerSecond: 1e9})
	m.ledger.gate = func(foz.Swap) (bool, bool) {
		if m.lost == 0 {
			return true, true
		}
		m.lost--
		return m.lost%2 == 0, false
	}
}

func (m *modelMill) append() {
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
	m.flush(rows{part0(m.topic, 0): texts})
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
	m.lost = 0
	m.restart()
	for range 3 {
		time.Sleep(2 * tombstonesMS * time.Millisecond)
		m.flush(rows{p: {"no key"}}) // so that the last record is none that would go
		m.maintain("merge", "compact")
	}
	m.check()
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
