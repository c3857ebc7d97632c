package metadata

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// load brings a replica that knows nothing to the tail of the log.
func (r *Replica) load(ctx context.Context) error {
	if _, err := r.reload(ctx); err != nil {
		return err
	}
	tail, err := r.bucket.tail(objectstore.WithCause(ctx, "load"), r.slot())
	if err != nil {
		return err
	}
	return r.reach(objectstore.WithCause(ctx, "load"), tail)
}

// reach reads the log up to slot, which a listing showed.
func (r *Replica) reach(ctx context.Context, slot uint64) error {
	if err := r.advanceTo(ctx, slot); err != nil || r.slot() >= slot {
		return err
	}
	// Invariant: what is below the tail and gone is covered by a snapshot.
	return fmt.Errorf("%w: slot %d is gone, slot %d is there, and no snapshot covers the gap",
		ErrDamaged, r.slot()+1, slot)
}

// follow takes in what was heard: entries that continue the state are applied, everything
// else is a hint of how far the log goes.
func (r *Replica) follow(ctx context.Context, t *turn) error {
	goal := t.hint
	for _, body := range t.entries {
		goal = max(goal, r.offer(body))
	}
	ctx = objectstore.WithCause(ctx, "follow")
	if t.seen > r.slot() {
		if err := r.reach(ctx, t.seen); err != nil {
			return err
		}
	}
	if goal > r.slot() {
		return r.advanceTo(ctx, goal)
	}
	if in := r.pollIn(); in > 0 && time.Since(r.polledAt) >= in {
		r.polledAt = time.Now()
		return r.poll(ctx)
	}
	return nil
}

// offer applies a broadcast entry if it is the next one. The answer is its slot: a hint. What
// does not decode, or is said to be of a newer version, is a hint that there is something to
// read: only the bucket can halt a node.
func (r *Replica) offer(body []byte) (hint uint64) {
	e, err := DecodeEntry(body)
	if errors.Is(err, ErrNewer) {
		return r.slot() + 1
	}
	if err != nil {
		return 0
	}
	if r.cfg.Defects.BroadcastAnySlot && e.Slot > r.slot() {
		e.Slot = r.slot() + 1
	}
	// Invariant: a broadcast body is what its slot holds for ever, because it was sent after
	// the slot was known to be the sender's.
	_ = r.apply(e, body) // if it is not the next one, or cannot be: a hint
	return e.Slot
}

// apply moves the state on by one entry and publishes it.
func (r *Replica) apply(e *logpb.Entry, body []byte) error {
	next, _, err := r.state.Load().apply(e, body, r.cfg.Defects)
	if err != nil {
		return err
	}
	r.applied(next, len(body))
	return nil
}

func (r *Replica) applied(next *State, size int) {
	r.logSlots++
	r.logBytes += size
	r.misses = 0
	r.publish(next)
}

// advanceTo reads the log up to slot, which is known or said to be there.
func (r *Replica) advanceTo(ctx context.Context, slot uint64) error {
	for r.slot() < slot {
		found, err := r.stride(ctx, slot)
		if err != nil {
			return err
		}
		if found {
			continue
		}
		if r.cfg.Defects.FollowerNoRelist {
			return nil
		}
		// Slots up to the second newest snapshot may be trimmed.
		if again, err := r.reload(ctx); err != nil || !again {
			return err
		}
	}
	return nil
}

// poll looks for news that nobody brought.
func (r *Replica) poll(ctx context.Context) error {
	for {
		found, err := r.advance(ctx)
		if err != nil {
			return err
		}
		if found {
			continue
		}
		r.misses++
		if r.misses%3 != 0 || r.cfg.Defects.FollowerNoRelist {
			return nil
		}
		if again, err := r.reload(ctx); err != nil || !again {
			return err
		}
	}
}

// pollIn is how long to wait for news before looking for it: 0 (for ever) while a leader is
// heard or nobody waits here. An idle house makes no requests.
func (r *Replica) pollIn() time.Duration {
	const first, last = 500 * time.Millisecond, 5 * time.Second
	if _, heard := r.heard.leader(time.Now()); heard || !r.follows() {
		return 0
	}
	return min(first<<min(r.misses, 8), last)
}

// watchedFor is how long somebody who waited for news counts as waiting.
const watchedFor = time.Minute

// follows: somebody waits here for what another node writes.
func (r *Replica) follows() bool {
	return time.Since(time.Unix(0, r.watched.Load())) <= watchedFor && r.leads.Load() == 0
}

// wakeIn is how long the loop may sleep: until the next poll, or, while a leader is heard,
// until it may have fallen silent, because its silence wakes nobody. 0: for ever.
func (r *Replica) wakeIn() time.Duration {
	in := r.pollIn()
	if in == 0 && r.follows() {
		return r.heard.silence + time.Duration(r.cfg.Seed%1000)*7*time.Microsecond
	}
	return in
}

// advance reads the next slot and applies it. found: the state has moved, by the entry or by
// a newer snapshot. Not found: nothing lies there, which by itself proves nothing.
func (r *Replica) advance(ctx context.Context) (found bool, err error) {
	return r.take(ctx, r.readEntry(ctx, r.slot()+1))
}

// slotRead is what reading one slot brought.
type slotRead struct {
	entry *logpb.Entry
	body  []byte
	err   error
}

// take applies what was read at the next slot.
func (r *Replica) take(ctx context.Context, read slotRead) (found bool, err error) {
	if errors.Is(read.err, objectstore.ErrNotFound) {
		return false, nil
	}
	if read.err != nil {
		return false, read.err
	}
	if read.entry.GetClaim() != nil && !r.cfg.Defects.ReaderUncovered {
		covered, err := r.bucket.covered(ctx, read.entry.Slot)
		if err != nil {
			return false, err
		}
		if covered { // perhaps void: created in ground that was used and trimmed
			return r.reload(ctx)
		}
	}
	err = r.apply(read.entry, read.body)
	if errors.Is(err, errMismatch) {
		r.deps.Logger.Error("log does not continue this state; loading a snapshot", "err", err)
		if again, rerr := r.reload(ctx); rerr != nil || again {
			return again, rerr
		}
	}
	return err == nil, err
}

func (r *Replica) readEntry(ctx context.Context, slot uint64) (read slotRead) {
	read.err = r.bucket.readSound(ctx, LogKey(slot), func(body []byte) (err error) {
		read.body = body
		read.entry, err = DecodeEntry(body)
		if err == nil && read.entry.Slot != slot {
			err = fmt.Errorf("%w: holds slot %d", ErrDamaged, read.entry.Slot)
		}
		return err
	})
	return read
}

// readsMax is how many slots are read at a time on the way to one that is known to be there.
const readsMax = 16

// stride reads the next slots up to last together and applies them in order, as far as they
// are there.
func (r *Replica) stride(ctx context.Context, last uint64) (found bool, err error) {
	first := r.slot() + 1
	reads := make([]slotRead, min(readsMax, last-first+1))
	var wait sync.WaitGroup
	for i := range reads {
		wait.Go(func() { reads[i] = r.readEntry(ctx, first+uint64(i)) })
	}
	wait.Wait()
	for i, read := range reads {
		if r.slot() != first+uint64(i)-1 {
			return true, nil // a snapshot went further
		}
		if found, err = r.take(ctx, read); err != nil || !found {
			return i > 0, err
		}
	}
	return true, nil
}

// reload installs the newest snapshot if it is newer than the state held. A state never goes
// back.
func (r *Replica) reload(ctx context.Context) (newer bool, err error) {
	s, err := r.bucket.load(ctx, r.slot())
	if err != nil || s == nil {
		return false, err
	}
	if s.cluster != r.cfg.Cluster {
		return false, fmt.Errorf("snapshot %d: %w: of another cluster", s.slot, errMismatch)
	}
	r.logSlots, r.logBytes, r.misses = 0, 0, 0
	r.publish(s)
	return true, nil
}
