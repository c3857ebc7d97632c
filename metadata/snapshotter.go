package metadata

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/fozlog/foz/objectstore"
)

// snapshotter writes snapshots beside the loop, one at a time, and trims after each.
type snapshotter struct {
	bucket  *bucket
	slots   int
	bytes   int
	states  chan *State
	busy    atomic.Bool
	last    atomic.Int64 // bytes of the last snapshot
	trimmed uint64       // owned by run
}

func newSnapshotter(b *bucket, cfg Config) *snapshotter {
	s := &snapshotter{
		bucket: b, slots: cfg.SnapshotSlots, bytes: cfg.SnapshotBytes,
		states: make(chan *State, 1),
	}
	if s.slots == 0 {
		s.slots = 1000
	}
	if s.bytes == 0 {
		s.bytes = 16 << 20
	}
	return s
}

// due: enough has been logged. Many slots make a slow start, many bytes a long one; a large
// snapshot is not rewritten for little.
func (s *snapshotter) due(slots, bytes int) bool {
	last := int(s.last.Load())
	return bytes >= max(s.bytes, last) || slots >= s.slots && bytes >= last/8
}

// offer takes a state to be written; false: one is being written. The state is at a slot of
// commands: a snapshot at a claim's slot would void that claim while it is being tested.
func (s *snapshotter) offer(state *State) bool {
	if s.busy.Swap(true) {
		return false
	}
	s.states <- state
	return true
}

func (s *snapshotter) run(ctx context.Context, logger *slog.Logger) error {
	for {
		select {
		case state := <-s.states:
			if err := s.snapshot(ctx, state); err != nil && ctx.Err() == nil {
				logger.Warn("snapshot", "slot", state.slot, "err", err)
			}
			s.busy.Store(false)
		case <-ctx.Done():
			return nil
		}
	}
}

// snapshot makes state durable, then deletes what that made superfluous. A crash after any
// step leaves more than is needed, and the next snapshot's trim takes it.
func (s *snapshotter) snapshot(ctx context.Context, state *State) (err error) {
	body := encodeSnapshot(state, s.bucket.defects)
	s.last.Store(int64(len(body)))
	trim := objectstore.WithCause(ctx, "trim")
	if s.bucket.defects.TrimEarly {
		if s.trimmed, err = s.bucket.trim(trim, state, s.trimmed); err != nil {
			return err
		}
	}
	save := objectstore.WithCause(ctx, "snapshot")
	if err := s.bucket.save(save, SnapshotKey(state.slot), body); err != nil {
		return err
	}
	s.trimmed, err = s.bucket.trim(trim, state, s.trimmed)
	return err
}
