package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fozlog/foz/objectstore"
)

// oneWinner lets 32 callers create the same key, ten times over.
func oneWinner(b *bucket) {
	for round := range 10 {
		key := fmt.Sprintf("log/%d", round)
		var winner atomic.Int64
		winner.Store(-1)
		parallel(32, func(i int) {
			_, err := b.s.Create(b.ctx, key, fmt.Append(nil, i))
			switch {
			case err == nil:
				if !winner.CompareAndSwap(-1, int64(i)) {
					b.t.Errorf("%s: %d won, and so did %d", key, i, winner.Load())
				}
			case !errors.Is(err, objectstore.ErrExists):
				b.t.Errorf("%s: %d: %v", key, i, err)
			default:
				// Whoever lost sees the winner's object, whole, at once.
				if got, err := b.s.Get(b.ctx, key, 0, -1); err != nil || len(got) == 0 {
					b.t.Errorf("%s: %d lost and read %q, %v", key, i, got, err)
				}
			}
		})
		if winner.Load() < 0 {
			b.t.Fatalf("%s: nobody won", key)
		}
		b.holds(key, fmt.Sprint(winner.Load()))
	}
}

// concurrent has workers that create, read, list and delete keys of their own side by side,
// in directories that appear and vanish under each other's hands.
func concurrent(b *bucket) {
	parallel(8, func(worker int) {
		for i := range 25 {
			key := fmt.Sprintf("d%d/e/%d-%d", i%2, worker, i)
			if err := b.turn(key); err != nil {
				b.t.Errorf("%s: %v", key, err)
				return
			}
		}
	})
	b.lists("", "")
}

// turn creates key, sees it, deletes it, and sees that it is gone.
func (b *bucket) turn(key string) error {
	if err := b.createBesideDeletes(key); err != nil {
		return err
	}
	got, err := b.s.Get(b.ctx, key, 0, -1)
	if err != nil || string(got) != key {
		return fmt.Errorf("read %q: %w", got, err)
	}
	if page, _, err := b.s.List(b.ctx, key, "", 0); err != nil || len(page) != 1 {
		return fmt.Errorf("listed %v: %w", page, err)
	}
	if err := b.s.Delete(b.ctx, key); err != nil {
		return err
	}
	if page, _, err := b.s.List(b.ctx, key, "", 0); err != nil || len(page) != 0 {
		return fmt.Errorf("listed %v after the deletion: %w", page, err)
	}
	return nil
}

// createBesideDeletes asks again after the one answer that a directory's end may cause: MinIO
// makes the directories of a key twice, and says AccessDenied, having stored nothing, if both
// times somebody else has removed one of them as empty.
func (b *bucket) createBesideDeletes(key string) (err error) {
	for range 5 {
		_, err = b.s.Create(b.ctx, key, []byte(key))
		if err == nil || !strings.Contains(err.Error(), "403 AccessDenied") {
			return err
		}
	}
	return err
}

// listBesideDeletes trims a log from below while its end is listed: the last slot created
// before a List began must be in it, whatever is deleted meanwhile. (metadata-log rule 7)
func listBesideDeletes(b *bucket) {
	slot := func(i int64) string { return fmt.Sprintf("log/%020d", i) }
	const slots = 120
	var last atomic.Int64
	b.create(slot(0), "")
	parallel(3, func(worker int) {
		for i := int64(1); i <= slots; i++ {
			switch worker {
			case 0:
				b.append(slot(i), &last, i)
			case 1:
				if trim := last.Load() - 1; trim >= 0 {
					b.delete2(slot(trim), slot(trim/2))
				}
			case 2:
				want := slot(last.Load())
				page, _, err := b.s.List(b.ctx, "log/", "", 0)
				if err != nil || len(page) == 0 || page[len(page)-1].Key < want {
					b.t.Errorf("list %v, %v, want up to %s", page, err, want)
				}
			}
		}
	})
}

func (b *bucket) append(key string, last *atomic.Int64, slot int64) {
	if _, err := b.s.Create(b.ctx, key, nil); err != nil {
		b.t.Errorf("create %s: %v", key, err)
	}
	last.Store(slot)
}

func (b *bucket) delete2(keys ...string) {
	if err := b.s.Delete(b.ctx, keys...); err != nil {
		b.t.Errorf("delete %q: %v", keys, err)
	}
}

// parallel runs n workers and waits for all.
func parallel(n int, work func(worker int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { work(i) })
	}
	all.Wait()
}
