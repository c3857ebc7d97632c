package compactor

import (
	"context"
	"fmt"
	"time"
)

// clock is the store's, as far as this process knows it: the date of its own last upload, and
// what has passed since by the host's monotonic clock. The host's date plays no part. A host
// that slept makes it slow, and slow is safe: what is too old goes later.
type clock struct {
	date time.Time // as the store said; zero: it never did
	at   time.Time // when, by the monotonic clock
}

func (k *clock) set(date time.Time) {
	if !date.IsZero() {
		k.date, k.at = date, time.Now()
	}
}

// now is the store's time in milliseconds, if it is known.
func (k *clock) now() (ms int64, known bool) {
	if k.date.IsZero() {
		return 0, false
	}
	return k.date.Add(time.Since(k.at)).UnixMilli(), true
}

// askTime makes the store say what time it is, if it never has: 1 PUT and 1 DELETE in the life
// of a process.
//
// Crash in between: a small object under probe/, where nobody looks.
func (c *Compactor) askTime(ctx context.Context) (ms int64, err error) {
	if ms, known := c.clock.now(); known {
		return ms, nil
	}
	id, err := c.newID()
	if err != nil {
		return 0, err
	}
	key := "probe/time-" + id
	date, err := c.store.Create(ctx, key, []byte("what time is it?"))
	if err != nil {
		return 0, fmt.Errorf("ask the store for the time: %w", err)
	}
	c.clock.set(date)
	if err := c.store.Delete(ctx, key); err != nil {
		return 0, fmt.Errorf("delete %s: %w", key, err)
	}
	ms, known := c.clock.now()
	if !known {
		return 0, fmt.Errorf("the store gives no date")
	}
	return ms, nil
}
