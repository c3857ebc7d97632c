package objectstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

func (c *fullCheck) absent(ctx context.Context) (string, error) {
	key, err := c.put(ctx, "a", probeA)
	if err != nil {
		return "", err
	}
	return "", c.gives(ctx, key, whole, probeA)
}

// present creates what is there by each endpoint, with other bytes and with the same.
func (c *fullCheck) present(ctx context.Context) (string, error) {
	key := c.prefix + "a"
	for _, store := range c.stores {
		for _, data := range [][]byte{probeB, probeA} {
			_, err := store.Create(ctx, key, data)
			if err == nil {
				return "", fmt.Errorf("%w: %s was there, and creating it again succeeded",
					ErrCondition, key)
			}
			if !errors.Is(err, ErrExists) {
				return "", err
			}
		}
	}
	return "", c.gives(ctx, key, whole, probeA)
}

// race lets many clients create the same key at once, over all endpoints, key after key.
func (c *fullCheck) race(ctx context.Context) (string, error) {
	unknown := 0
	for i := range c.config.Keys {
		key := c.key(fmt.Sprintf("race/%06d", i))
		n, err := c.raceFor(ctx, key)
		if err != nil {
			return "", err
		}
		unknown += n
	}
	detail := fmt.Sprintf("%d clients, %d keys, %d endpoints", c.config.Clients, c.config.Keys,
		len(c.stores))
	if unknown > 0 {
		detail += fmt.Sprintf("; %d requests without a clear answer", unknown)
	}
	return detail, nil
}

// raceFor is the race for one key, and how many requests had no clear answer.
func (c *fullCheck) raceFor(ctx context.Context, key string) (unknown int, err error) {
	answers := make([]error, c.config.Clients)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			_, answers[i] = c.stores[i%len(c.stores)].Create(ctx, key, racer(i))
		})
	}
	all.Wait()
	var winners []int
	for i, err := range answers {
		switch {
		case err == nil:
			winners = append(winners, i)
		case !errors.Is(err, ErrExists):
			unknown++
		}
	}
	data, err := c.next().Get(ctx, key, 0, -1)
	switch {
	case len(winners) > 1:
		return 0, fmt.Errorf("%w: %d clients were told that they created %s", ErrCondition,
			len(winners), key)
	case len(winners) == 0 && unknown == 0:
		return 0, fmt.Errorf("%w: %s was free, and no client created it", ErrCondition, key)
	case unknown == c.config.Clients:
		return 0, fmt.Errorf("no clear answer for %s: %w", key, answers[0])
	case err != nil:
		return 0, err
	case len(winners) == 1 && string(data) != string(racer(winners[0])):
		return 0, fmt.Errorf("%w: client %d created %s, which holds %.40q", ErrCondition,
			winners[0], key, data)
	}
	return unknown, nil
}

func racer(client int) []byte { return fmt.Appendf(nil, "created by client %d", client) }

// visible creates and deletes by one endpoint and looks by the next.
func (c *fullCheck) visible(ctx context.Context) (string, error) {
	const rounds = 20
	for i := range rounds {
		key, err := c.put(ctx, fmt.Sprintf("visible/%d", i), probeA)
		if err != nil {
			return "", err
		}
		if err := c.gives(ctx, key, whole, probeA); err != nil {
			return "", err
		}
		if err := c.lists(ctx, "visible/", "", 0, key); err != nil {
			return "", err
		}
		if err := c.next().Delete(ctx, key); err != nil {
			return "", err
		}
		if err := c.lacks(ctx, key, 0, ErrNotFound); err != nil {
			return "", err
		}
		if err := c.lists(ctx, "visible/", "", 0); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d times", rounds), nil
}

func (c *fullCheck) recreate(ctx context.Context) (string, error) {
	for i := range 3 {
		data := fmt.Appendf(nil, "generation %d", i)
		key, err := c.put(ctx, "again", data)
		if err != nil {
			return "", err
		}
		if err := c.gives(ctx, key, whole, data); err != nil {
			return "", err
		}
		if err := c.next().Delete(ctx, key); err != nil {
			return "", err
		}
	}
	return "", nil
}

func (c *fullCheck) ranges(ctx context.Context) (string, error) {
	data := make([]byte, 1<<20)
	source := rand.New(rand.NewPCG(6, 6))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	key, err := c.put(ctx, "ranges", data)
	if err != nil {
		return "", err
	}
	size := int64(len(data))
	for _, r := range [][2]int64{whole, {0, 1}, {1000, 100_000}, {size - 1, 1}, {size - 10, 100}} {
		want := data[r[0]:]
		if r[1] >= 0 {
			want = want[:min(r[1], int64(len(want)))]
		}
		if err := c.gives(ctx, key, r, want); err != nil {
			return "", err
		}
	}
	for _, offset := range []int64{size, size + 100} {
		if err := c.lacks(ctx, key, offset, ErrRange); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("1 MiB, crc32c %08x", crc32.Checksum(data, castagnoli)), nil
}

// listing has names that sort otherwise by path than by whole keys, and by number.
func (c *fullCheck) listing(ctx context.Context) (string, error) {
	names := []string{"A", "a-/x", "a-b", "a.b", "a/b", "a/b-c/d", "a/b.c", "a/c0", "a0", "ab/c",
		"log/00000000000000000009", "log/00000000000000000010", "log/00000000000000000100"}
	keys := make([]string, len(names))
	for i := range names {
		from := (i*5 + 3) % len(names) // not in order
		key, err := c.put(ctx, "list/"+names[from], nil)
		if err != nil {
			return "", err
		}
		keys[from] = key
	}
	for from := range len(keys) {
		after := ""
		if from > 0 {
			after = keys[from-1]
		}
		for _, limit := range []int{0, 5} {
			if err := c.lists(ctx, "list/", after, limit, keys[from:]...); err != nil {
				return "", err
			}
		}
	}
	return "", c.lists(ctx, "list/a/", c.prefix+"list/a/b", 0, keys[5:8]...)
}

// lists asserts a page of at most limit of the keys that are there.
func (c *fullCheck) lists(ctx context.Context, under, after string, limit int,
	all ...string) error {
	page, more, err := c.next().List(ctx, c.prefix+under, after, limit)
	if err != nil {
		return err
	}
	var keys []string
	for _, info := range page {
		keys = append(keys, info.Key)
	}
	want := all
	if limit > 0 {
		want = all[:min(limit, len(all))]
	}
	if !slices.Equal(keys, want) || len(want) < len(all) && !more {
		return fmt.Errorf("%w: list %s after %q gave %q (more: %t), want %q", ErrStale,
			c.prefix+under, after, keys, more, want)
	}
	return nil
}

func (c *fullCheck) settings(ctx context.Context) Finding {
	inspector, ok := c.stores[0].(Inspector)
	if !ok {
		return Finding{Verdict: Note, Detail: "this kind of store has no settings to ask for"}
	}
	s, err := inspector.Settings(ctx)
	var notes []string
	if s.Versioned {
		notes = append(notes, "versioned: what foz deletes is kept, and paid for")
	}
	if s.Locked {
		notes = append(notes, "objects are locked: what foz deletes stays")
	}
	if err != nil {
		notes = append(notes, "not all settings may be read: "+err.Error())
	}
	f := Finding{Verdict: OK, Detail: strings.Join(notes, "; ")}
	if len(notes) > 0 {
		f.Verdict = Note
	}
	if len(s.Expiring) > 0 {
		f.Verdict = Fail
		f.Detail = fmt.Sprintf("lifecycle rules take objects away: %q", s.Expiring)
	}
	return f
}

// clock compares clocks; foz never relies on it.
func (c *fullCheck) clock(ctx context.Context) Finding {
	began := time.Now()
	date, err := c.stores[0].Create(ctx, c.key("clock"), nil)
	if err != nil {
		return Finding{Verdict: Fail, Detail: err.Error()}
	}
	ahead := date.Sub(began.Add(time.Since(began) / 2)).Round(100 * time.Millisecond)
	return Finding{Verdict: Note,
		Detail: fmt.Sprintf("%+.1f s to this machine's, to a second", ahead.Seconds())}
}

func (c *fullCheck) latency(ctx context.Context) Finding {
	times := make([]time.Duration, c.config.Creates)
	data := make([]byte, 1<<10)
	for i := range times {
		began := time.Now()
		if _, err := c.put(ctx, fmt.Sprintf("latency/%06d", i), data); err != nil {
			return Finding{Verdict: Fail, Detail: err.Error()}
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	at := func(q float64) time.Duration {
		return times[min(len(times)-1, int(q*float64(len(times))))].Round(10 * time.Microsecond)
	}
	return Finding{Verdict: Note,
		Detail: fmt.Sprintf("p50 %v, p99 %v of %d", at(0.50), at(0.99), len(times))}
}
