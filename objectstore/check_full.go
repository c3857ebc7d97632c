package objectstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Verdict is what CheckFull thinks of one point.
type Verdict string

// OK holds, Fail does not: foz on such a store loses data. A Note is for people.
const (
	OK   Verdict = "ok"
	Fail Verdict = "FAIL"
	Note Verdict = "note"
)

// Finding is one point of CheckFull, which there are ten of.
type Finding struct {
	Point   int
	What    string // what was asked for
	Verdict Verdict
	Detail  string // what was seen; of a Fail, what was wrong
	Took    time.Duration
}

// Settings are those of a bucket that a Store does not show by what it does.
type Settings struct {
	Versioned bool     // deleted objects are kept, and paid for, as old versions
	Locked    bool     // new objects are locked for a time
	Expiring  []string // names of lifecycle rules that delete or move objects of the Store
}

// Inspector is a Store that can be asked for its bucket's settings. On an error the Settings
// hold what could be learned.
type Inspector interface {
	Settings(ctx context.Context) (Settings, error)
}

// FullConfig says how much CheckFull does. The zero value is the whole check, and a number
// that is not positive its default.
type FullConfig struct {
	Also    []Store // the same bucket by other endpoints
	Clients int     // that race to create each key: 32
	Keys    int     // that they race for: 200
	Creates int     // of 1 KiB, to measure: 100
}

// CheckFull asks the store itself for everything that foz relies on, below "probe/" under a
// random name, and removes what it made. It makes some 7,000 small requests. It yields its
// findings one by one, and ends early if nothing can be created at all.
func CheckFull(ctx context.Context, s Store, config FullConfig) iter.Seq[Finding] {
	c := &fullCheck{prefix: "probe/" + rand.Text() + "/", config: config,
		stores: append([]Store{s}, config.Also...)}
	c.config.Clients = cmp.Or(max(config.Clients, 0), 32)
	c.config.Keys = cmp.Or(max(config.Keys, 0), 200)
	c.config.Creates = cmp.Or(max(config.Creates, 0), 100)
	return func(yield func(Finding) bool) {
		ctx := WithCause(ctx, "probe")
		defer c.clean(ctx)
		for i, p := range points {
			began := time.Now()
			f := p.ask(c, ctx)
			f.Point, f.What, f.Took = i+1, p.what, time.Since(began)
			if !yield(f) || i == 0 && f.Verdict == Fail {
				return
			}
		}
	}
}

// points are the questions, in order. (Methods would be told apart by their names alone.)
var points = []struct {
	what string
	ask  func(*fullCheck, context.Context) Finding
}{
	{"create a key that is absent", holds((*fullCheck).absent)},
	{"refuse to create a key that is present", holds((*fullCheck).present)},
	{"one winner of many that create a key", holds((*fullCheck).race)},
	{"see at once what was created and deleted", holds((*fullCheck).visible)},
	{"create a key again after its deletion", holds((*fullCheck).recreate)},
	{"read ranges, and none past the end", holds((*fullCheck).ranges)},
	{"list in order, in pages, after a key", holds((*fullCheck).listing)},
	{"keep what nobody deletes", (*fullCheck).settings},
	{"the store's clock", (*fullCheck).clock},
	{"time of a create of 1 KiB", (*fullCheck).latency},
}

// holds makes a point of what says nothing if all is well, and else what was seen.
func holds(ask func(*fullCheck, context.Context) (string, error)) func(
	*fullCheck, context.Context) Finding {
	return func(c *fullCheck, ctx context.Context) Finding {
		detail, err := ask(c, ctx)
		if err != nil {
			return Finding{Verdict: Fail, Detail: err.Error()}
		}
		return Finding{Verdict: OK, Detail: detail}
	}
}

// fullCheck is one run. Requests go to the stores in turn: what is written by one endpoint is
// read by the next.
type fullCheck struct {
	prefix string
	stores []Store
	config FullConfig
	turn   int
	made   []string // keys to remove
}

func (c *fullCheck) next() Store {
	c.turn++
	return c.stores[c.turn%len(c.stores)]
}

// key names an object, and remembers it.
func (c *fullCheck) key(name string) string {
	key := c.prefix + name
	c.made = append(c.made, key)
	return key
}

// clean removes what was made. A crash before this leaves small objects that nobody reads.
func (c *fullCheck) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	for len(c.made) > 0 && ctx.Err() == nil {
		n := min(len(c.made), DeleteMax)
		_ = c.stores[0].Delete(ctx, c.made[:n]...) // what is left is small, and never read
		c.made = c.made[n:]
	}
}

// put creates an object that must not be there.
func (c *fullCheck) put(ctx context.Context, name string, data []byte) (string, error) {
	key := c.key(name)
	_, err := c.next().Create(ctx, key, data)
	if errors.Is(err, ErrExists) {
		return key, fmt.Errorf("%w: %s was free, and creating it answered: %w", ErrCondition, key,
			err)
	}
	return key, err
}

// gives asserts what a read gives.
func (c *fullCheck) gives(ctx context.Context, key string, r [2]int64, want []byte) error {
	data, err := c.next().Get(ctx, key, r[0], r[1])
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: get %s: %w", ErrStale, key, err)
	}
	if err == nil && string(data) != string(want) {
		return fmt.Errorf("%w: get %s [%d +%d] gave %d bytes (%.20q), want %d (%.20q)",
			ErrStale, key, r[0], r[1], len(data), data, len(want), want)
	}
	return err
}

// lacks asserts that a read answers with a fact.
func (c *fullCheck) lacks(ctx context.Context, key string, offset int64, fact error) error {
	data, err := c.next().Get(ctx, key, offset, 10)
	if err == nil {
		return fmt.Errorf("%w: get %s [%d +10] gave %q, want: %w", ErrStale, key, offset, data, fact)
	}
	if !errors.Is(err, fact) {
		return fmt.Errorf("get %s from %d: %w, want: %w", key, offset, err, fact)
	}
	return nil
}

var whole = [2]int64{0, -1}
