package compactor

import (
	"context"
	"testing"
	"time"

	"github.com/fozlog/foz"
)

// How: 900 KiB of two partitions are merged in virtual time, in which nothing but waiting
// takes any: as long as the rate says while records come in, and not at all otherwise.
func TestMergeGivesWay(t *testing.T) {
	slow := scaled
	slow.BusyBytesPerSecond = 100 << 10
	hurried := slow
	hurried.CatchUp = 2 * time.Second // 450 KiB/s
	for _, c := range []struct {
		name     string
		cfg      Config
		busy     bool
		asked    bool
		min, max time.Duration
	}{
		{"nothing comes in", slow, false, false, 0, 0},
		{"records come in", slow, true, false, 8 * time.Second, 10 * time.Second},
		{"much has piled up", hurried, true, false, 1500 * time.Millisecond, 3 * time.Second},
		{"somebody waits", slow, true, true, 0, 0},
	} {
		inMill(t, c.cfg, func(t *testing.T, m *mill) {
			m.deps.Busy = func() bool { return c.busy }
			m.cfg.BytesPerSecond, m.cfg.RequestsPerSecond = 1<<40, 1<<20
			topic := m.ledger.topic("t", 2, foz.TopicConfig{})
			for range 9 {
				m.flush(rows{part0(topic, 0): {m.noise(50 << 10)}, part0(topic, 1): {m.noise(50 << 10)}})
			}
			begun := time.Now()
			if c.asked {
				m.maintain("merge")
			} else {
				m.step()
			}
			if took := time.Since(begun); took < c.min || took > c.max+100*time.Millisecond {
				t.Errorf("%s: took %v, want %v to %v", c.name, took, c.min, c.max)
			}
			if fresh, _ := m.levels(); fresh != 0 {
				t.Errorf("%s: %d fresh placements are left", c.name, fresh)
			}
			m.same()
		})
	}
}

// How: the node is stopped while a merge waits for its turn.
func TestMergeThatGivesWayStops(t *testing.T) {
	cfg := scaled
	cfg.BusyBytesPerSecond = 1
	inMill(t, cfg, func(t *testing.T, m *mill) {
		m.deps.Busy = func() bool { return true }
		topic := m.ledger.topic("t", 1, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(topic, 0): {m.noise(50 << 10)}})
		}
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_ = m.Step(ctx)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it stopped after %v", took)
		}
		m.same()
	})
}
