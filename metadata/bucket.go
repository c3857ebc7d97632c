package metadata

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// bucket is the log as the store holds it: single steps on slots and snapshots. It knows no
// leader and holds no state but its settings. Every method tries until it has an answer or
// ctx ends; an error is ctx's, or says that bytes are damaged or newer.
type bucket struct {
	store   objectstore.Store
	seed    uint64 // of the jitter
	tries   int    // how often something is read or listed that fails; 0: for ever
	defects Defects
}

// retryMax bounds the wait between two tries of one request.
const retryMax = 2 * time.Second

// pause waits before try number attempt (from 0) of what is done to key. Its jitter is a
// function of the seed, the key and the attempt, so that a replay waits as long.
func (b *bucket) pause(ctx context.Context, key string, attempt int) error {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", b.seed, key, attempt)
	base := min(20*time.Millisecond<<min(attempt, 10), retryMax)
	jitter := time.Duration(h.Sum64() % uint64(base))
	return sleep(ctx, base/2+jitter)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// resolve creates slot with body, as often as it takes to know: mine means that body is the
// slot's first content, for ever. Not mine means only that something lies there now: the
// same commands may be in the log all the same. An error is ctx's: nothing is known.
func (b *bucket) resolve(ctx context.Context, slot uint64, body []byte) (mine bool, err error) {
	key := LogKey(slot)
	for attempt := 0; ; attempt++ {
		if attempt > 0 && b.defects.BytesNotFrozen {
			body = thaw(body)
		}
		_, err := b.store.Create(ctx, key, body)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, objectstore.ErrExists):
			return b.readBack(ctx, key, body, attempt)
		case ctx.Err() != nil:
			return false, ctx.Err()
		case b.defects.TimeoutIsFailure:
			return false, nil
		}
		if err := b.pause(ctx, key, attempt); err != nil {
			return false, err
		}
	}
}

// readBack looks at what lies at a key that was taken: perhaps an earlier try of ours.
func (b *bucket) readBack(ctx context.Context, key string, body []byte, attempt int) (
	mine bool, err error,
) {
	if b.defects.NoReadBack || b.defects.ExistsIsMine && attempt > 0 {
		return b.defects.ExistsIsMine, nil
	}
	found, err := b.read(ctx, key)
	if errors.Is(err, objectstore.ErrNotFound) {
		return false, nil // trimmed since: whose it was is not to be known
	}
	return err == nil && bytes.Equal(found, body), err
}

// read gets a whole object. Errors: objectstore.ErrNotFound, or ctx's.
func (b *bucket) read(ctx context.Context, key string) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		body, err := b.store.Get(ctx, key, 0, -1)
		if err == nil || errors.Is(err, objectstore.ErrNotFound) {
			return body, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if b.tries > 0 && attempt+1 == b.tries {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		if err := b.pause(ctx, key, attempt); err != nil {
			return nil, err
		}
	}
}

// damagedTries is how often bytes that do not decode are read again: the damage may have
// happened on the way.
const damagedTries = 3

// readSound reads an object and decodes it, again if it came damaged.
func (b *bucket) readSound(ctx context.Context, key string, decode func([]byte) error) error {
	for attempt := 0; ; attempt++ {
		body, err := b.read(ctx, key)
		if err != nil {
			return err
		}
		err = decode(body)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrDamaged) || attempt+1 == damagedTries {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if err := b.pause(ctx, key, attempt); err != nil {
			return err
		}
	}
}

var errNoPage = errors.New("a page without a line that is not the last")

// list gives every key under prefix after startAfter, ascending.
func (b *bucket) list(ctx context.Context, prefix, startAfter string) ([]string, error) {
	var keys []string
	for attempt := 0; ; {
		page, more, err := b.store.List(ctx, prefix, startAfter, 0)
		// A page without a line that is not the last says nothing: not that this is all.
		if err != nil || more && len(page) == 0 {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if b.tries > 0 && attempt+1 == b.tries {
				return nil, fmt.Errorf("list %s: %w", prefix, cmp.Or(err, errNoPage))
			}
			if err := b.pause(ctx, prefix, attempt); err != nil {
				return nil, err
			}
			attempt++
			continue
		}
		for _, info := range page {
			keys = append(keys, info.Key)
		}
		if !more {
			return keys, nil
		}
		startAfter = page[len(page)-1].Key
	}
}

// tail is the highest slot in log/ above applied, or applied. It is the tail of the log at
// some moment of the call, because the tail's object is never deleted.
func (b *bucket) tail(ctx context.Context, applied uint64) (uint64, error) {
	keys, err := b.list(ctx, logPrefix, LogKey(applied))
	if err != nil || len(keys) == 0 {
		return applied, err
	}
	return SlotOf(keys[len(keys)-1])
}

// snapshots lists the slots that have a snapshot, ascending.
func (b *bucket) snapshots(ctx context.Context) ([]uint64, error) {
	keys, err := b.list(ctx, snapPrefix, "")
	if err != nil {
		return nil, err
	}
	slots := make([]uint64, 0, len(keys))
	for _, key := range keys {
		slot, err := SlotOf(key)
		if err != nil {
			return nil, err
		}
		slots = append(slots, slot)
	}
	return slots, nil
}

// covered is the test without which nothing seen at a slot may be believed: whether a
// snapshot at or above the slot shows in a listing issued now. If one does, the slot may
// have been used and trimmed, and what was seen there may have come after.
func (b *bucket) covered(ctx context.Context, slot uint64) (bool, error) {
	slots, err := b.snapshots(objectstore.WithCause(ctx, "cover"))
	if err != nil || len(slots) == 0 {
		return false, err
	}
	return slots[len(slots)-1] >= slot, nil
}

// load gives the newest snapshot's state if it is above the slot given, else nil.
func (b *bucket) load(ctx context.Context, above uint64) (*State, error) {
	ctx = objectstore.WithCause(ctx, "load")
	for attempt := 0; ; attempt++ {
		slots, err := b.snapshots(ctx)
		if err != nil || len(slots) == 0 {
			return nil, err
		}
		newest := slots[len(slots)-1]
		if newest <= above {
			return nil, nil
		}
		var state *State
		err = b.readSound(ctx, SnapshotKey(newest), func(body []byte) (err error) {
			state, err = decodeSnapshot(body)
			if err == nil && state.slot != newest {
				err = fmt.Errorf("%w: holds slot %d", ErrDamaged, state.slot)
			}
			return err
		})
		if !errors.Is(err, objectstore.ErrNotFound) {
			return state, err
		}
		if err := b.pause(ctx, snapPrefix, attempt); err != nil { // deleted meanwhile
			return nil, err
		}
	}
}

// save makes the state's snapshot durable.
func (b *bucket) save(ctx context.Context, key string, body []byte) error {
	for attempt := 0; ; attempt++ {
		_, err := b.store.Create(ctx, key, body)
		if err == nil || errors.Is(err, objectstore.ErrExists) {
			return nil // the state at a slot is unique: whoever wrote it wrote this
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.pause(ctx, key, attempt); err != nil {
			return err
		}
	}
}

// trim deletes what the two newest snapshots made superfluous, with s, a state held at a
// slot whose snapshot is durable. It starts in log/ after the slot that a former call
// returned. It needs no leadership and may stop anywhere.
func (b *bucket) trim(ctx context.Context, s *State, from uint64) (uint64, error) {
	slots, err := b.snapshots(ctx)
	if err != nil || len(slots) < 2 {
		return from, err
	}
	second := slots[len(slots)-2]
	bound := b.trimBound(slots, s)
	keys, err := b.list(ctx, logPrefix, LogKey(from))
	if err != nil {
		return from, err
	}
	var dead []string
	for _, slot := range slots[:len(slots)-2] {
		dead = append(dead, SnapshotKey(slot)) // all below second, the second newest
	}
	claims := make(map[uint64]bool, len(s.claims))
	for _, slot := range s.claims {
		claims[slot] = !b.defects.ClaimsTrimmed
	}
	for _, key := range keys {
		slot, err := SlotOf(key)
		if err != nil {
			return from, err
		}
		// Invariant: a valid claim is never deleted, and nothing above second is.
		if slot <= bound && !claims[slot] {
			dead = append(dead, key)
		}
	}
	if err := b.delete(ctx, dead); err != nil {
		return from, err
	}
	return min(bound, second), nil
}

func (b *bucket) trimBound(slots []uint64, s *State) uint64 {
	newest, second := slots[len(slots)-1], slots[len(slots)-2]
	switch {
	case b.defects.TrimToNewest:
		return newest
	case b.defects.TrimBoundListed:
		return second
	}
	return min(second, s.slot)
}

func (b *bucket) delete(ctx context.Context, keys []string) error {
	for len(keys) > 0 {
		n := min(len(keys), objectstore.DeleteMax)
		if err := b.store.Delete(ctx, keys[:n]...); err != nil {
			return fmt.Errorf("delete %d keys from %s: %w", n, keys[0], err)
		}
		keys = keys[n:]
	}
	return nil
}
