package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
)

// member is the one client of a consumer group, which only moves forward: whatever is lost
// or late, the group must never be found behind what was acknowledged, nor where its member
// has not put it.
type member struct {
	*house
	name  string
	rng   *rand.Rand
	at    int64          // acknowledged, or seen; -1: nowhere
	tried map[int64]bool // where it may be
}

func (h *house) group(name string) {
	m := &member{house: h, name: name, rng: h.rngFor(name), at: -1, tried: map[int64]bool{}}
	h.actor(name, func(ctx context.Context, _ *rand.Rand) {
		pace := between(m.rng, 100, 3000)
		for sleep(ctx, time.Microsecond+jitter(m.rng, pace)) == nil {
			if s := m.pick(m.rng); s != nil {
				m.step(ctx, s)
			}
		}
	})
}

func (m *member) step(ctx context.Context, s *services) {
	ctx, cancel := context.WithTimeout(ctx, between(m.rng, 1000, 20_000))
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	if m.rng.IntN(3) == 0 {
		m.look(ctx, s)
		return
	}
	m.commit(ctx, s)
}

func (m *member) commit(ctx context.Context, s *services) {
	next := max(m.at, 0) + m.rng.Int64N(50)
	m.tried[next] = true
	topic, _ := s.replica.State().Topic(plain)
	err := s.client.CommitOffsets(ctx, m.name, []foz.GroupOffset{{
		Topic: topic.ID, Partition: 0, Offset: next,
	}})
	if s.dead.Load() {
		return
	}
	var known *foz.Error
	switch {
	case err == nil:
		m.judge.sometimes("group committed")
		m.at = max(m.at, next)
	case errors.As(err, &known) && known.Code == foz.CodeOffsetConflict:
		m.judge.sometimes("group commit overtaken")
		m.found(known.Numbers[foz.NumberNextOffset], s)
	}
}

// look reads where the group is, linearizably.
func (m *member) look(ctx context.Context, s *services) {
	if s.replica.CatchUp(ctx) != nil || s.dead.Load() {
		return
	}
	at := int64(-1)
	offsets, _ := s.replica.State().GroupOffsets(m.name)
	for _, o := range offsets {
		at = o.Offset
	}
	m.found(at, s)
}

func (m *member) found(at int64, s *services) {
	if at < m.at || at >= 0 && !m.tried[at] {
		m.judge.violation(18, "%s at %s: the group is at %d, it was at %d", m.name, s.Name, at, m.at)
	}
	m.at = max(m.at, at)
}
