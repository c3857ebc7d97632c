package compactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: a compactor on a bucket in memory and on a catalog that a test writes by hand, in a
// bubble with virtual time. Passes are made one by one; what each asks the bucket for is
// written down: "list", "delete 3".

type yard struct {
	*Compactor
	t       *testing.T
	store   *objectstore.Memory
	catalog *catalog
	calls   []string
	deleted []string // keys, as asked
	fates   map[string][]objectstore.Fate
}

func inYard(t *testing.T, cfg Config, f func(t *testing.T, y *yard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		y := &yard{t: t, store: objectstore.NewMemory(), fates: map[string][]objectstore.Fate{},
			catalog: &catalog{index: index{live: map[string]bool{}}}}
		y.Compactor = New(Deps{Store: objectstore.NewGated(y.store, y.gate), Catalog: y.catalog}, cfg)
		f(t, y)
	})
}

func (y *yard) gate(_ context.Context, c objectstore.Call) objectstore.Fate {
	call := c.Op
	if c.Op == objectstore.OpDelete {
		call = fmt.Sprint("delete ", len(c.Keys))
		y.deleted = append(y.deleted, c.Keys...)
	}
	if c.Cause != jobSweep {
		y.t.Errorf("%s for %s", call, c.Cause)
	}
	y.calls = append(y.calls, call)
	if left := y.fates[c.Op]; len(left) > 0 {
		y.fates[c.Op] = left[1:]
		return left[0]
	}
	return objectstore.Fate{}
}

// put creates an object; live ones are named by the index.
func (y *yard) put(birth uint64, unique string, live bool) string {
	y.t.Helper()
	key := foz.ObjectKey(birth, unique)
	y.putKey(key)
	if live {
		y.catalog.index.live[key] = true
	}
	return key
}

func (y *yard) putKey(key string) {
	y.t.Helper()
	if _, err := y.store.Create(y.t.Context(), key, nil); err != nil {
		y.t.Fatal(err)
	}
}

// pass makes one pass and compares what it asked for.
func (y *yard) pass(want string) {
	y.t.Helper()
	if err := y.Step(y.t.Context()); err != nil {
		y.t.Error(err)
	}
	y.asked(want)
}

// fail makes one pass that must fail with err.
func (y *yard) fail(err error, want string) {
	y.t.Helper()
	if got := y.Step(y.t.Context()); !errors.Is(got, err) || got == nil {
		y.t.Errorf("pass: %v, want %v", got, err)
	}
	y.asked(want)
}

func (y *yard) asked(want string) {
	y.t.Helper()
	if got := strings.Join(y.calls, ", "); got != want {
		y.t.Errorf("asked for %q, want %q", got, want)
	}
	y.calls = nil
}

// left compares the names of the objects that are there.
func (y *yard) left(want ...string) {
	y.t.Helper()
	page, _, err := y.store.List(y.t.Context(), "", "", 0)
	if err != nil {
		y.t.Fatal(err)
	}
	var names []string
	for _, info := range page {
		name := info.Key
		if _, unique, err := foz.ParseObjectKey(info.Key); err == nil {
			name = unique
		}
		names = append(names, name)
	}
	if !slices.Equal(names, want) {
		y.t.Errorf("left %d: %.200v, want %v", len(names), names, want)
	}
}

// index is one that a test writes.
type index struct {
	floor, committed, released uint64
	live                       map[string]bool
}

func (x index) Floor() uint64           { return x.floor }
func (x index) CommittedSlot() uint64   { return x.committed }
func (x index) ReleasedSlot() uint64    { return x.released }
func (x index) Live(object string) bool { return x.live[object] }

func (x index) Objects(yield func(string) bool) {
	for _, object := range slices.Sorted(maps.Keys(x.live)) {
		if !yield(object) {
			return
		}
	}
}

// catalog gives the index, and raises its floor when asked.
type catalog struct {
	index  index
	raised []uint64
	forgot int
	err    error
}

func (c *catalog) Index() Index {
	x := c.index
	x.live = make(map[string]bool, len(c.index.live))
	for object := range c.index.live {
		x.live[object] = true
	}
	return x
}

func (c *catalog) RaiseFloor(_ context.Context, slot uint64) error {
	c.raised = append(c.raised, slot)
	if c.err == nil {
		c.index.floor = max(c.index.floor, slot)
	}
	return c.err
}

func (c *catalog) ForgetProducers(context.Context) (int, error) {
	c.forgot++
	return 0, c.err
}

// later lets time pass.
func later(d time.Duration) { time.Sleep(d) }
