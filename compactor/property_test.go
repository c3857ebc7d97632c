package compactor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"pgregory.net/rapid"
)

// How: a made-up log that goes on at random (uploads, commits that may come very late,
// releases, floors) and several compactors, each on an index as stale as it likes. Every
// delete is judged as it arrives: nothing that is live, or may become live, ever goes. At
// the end, when all have caught up, nothing dead is left below the floor.

// world is the truth and its past.
type world struct {
	*rapid.T
	store    *objectstore.Memory
	slot     uint64
	past     []index           // by slot; the last is now
	uploaded map[string]uint64 // objects that exist or existed, not yet decided on, to birth
	sweepers []*staleCatalog
}

// staleCatalog is the world as one node knows it.
type staleCatalog struct {
	world     *world
	known     int // into past
	compactor *Compactor
}

func (c *staleCatalog) Index() Index { return c.world.past[c.known] }

func (c *staleCatalog) RaiseFloor(_ context.Context, slot uint64) error {
	c.world.step(func(x *index) { x.floor = max(x.floor, slot) })
	c.known = len(c.world.past) - 1
	return nil
}

func (c *staleCatalog) ForgetProducers(context.Context) (int, error) { return 0, nil }

func (w *world) now() index { return w.past[len(w.past)-1] }

// step makes the next slot.
func (w *world) step(change func(x *index)) {
	x := w.now()
	x.live = maps.Clone(x.live)
	w.slot++
	change(&x)
	w.past = append(w.past, x)
}

func (w *world) judge(_ context.Context, c objectstore.Call) objectstore.Fate {
	if c.Op != objectstore.OpDelete {
		return objectstore.Fate{}
	}
	for _, object := range c.Keys {
		birth, _, err := foz.ParseObjectKey(object)
		switch {
		case err != nil:
			w.Fatalf("deletes %s", object)
		case w.now().live[object]:
			w.Fatalf("deletes %s, which is live", object)
		case birth >= w.now().floor:
			w.Fatalf("deletes %s, which may become live: the floor is %d", object, w.now().floor)
		}
	}
	return objectstore.Fate{Outcome: rapid.SampledFrom([]objectstore.Outcome{
		objectstore.Pass, objectstore.Pass, objectstore.Drop, objectstore.ApplyThenFail,
	}).Draw(w.T, "fate")}
}

func (w *world) upload() {
	birth := w.slot - min(w.slot, rapid.Uint64Range(0, 5).Draw(w.T, "age"))
	object := foz.ObjectKey(birth, fmt.Sprint("o", len(w.past), "-", len(w.uploaded)))
	if _, err := w.store.Create(context.Background(), object, nil); err == nil {
		w.uploaded[object] = birth
	}
}

// commit decides on an object: below the floor it has expired.
func (w *world) commit() {
	object, birth, ok := draw(w, w.uploaded)
	if !ok {
		return
	}
	delete(w.uploaded, object)
	w.step(func(x *index) {
		if birth >= x.floor {
			x.live[object], x.committed = true, w.slot
		}
	})
}

// draw picks one of a map's entries, if there is one.
func draw[V any](w *world, from map[string]V) (key string, value V, ok bool) {
	if len(from) == 0 {
		return "", value, false
	}
	key = rapid.SampledFrom(slices.Sorted(maps.Keys(from))).Draw(w.T, "object")
	return key, from[key], true
}

func (w *world) release() {
	if object, _, ok := draw(w, w.now().live); ok {
		w.step(func(x *index) {
			delete(x.live, object)
			x.released = w.slot
		})
	}
}

func (w *world) sweep() {
	c := rapid.SampledFrom(w.sweepers).Draw(w.T, "sweeper")
	c.known = rapid.IntRange(c.known, len(w.past)-1).Draw(w.T, "known")
	_ = c.compactor.Step(context.Background()) // a failed delete is a fate
}

func TestOnlyTheDeadAreDeleted(t *testing.T) {
	deleted := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		w := &world{T: t, store: objectstore.NewMemory(), uploaded: map[string]uint64{},
			past: []index{{live: map[string]bool{}}}}
		for range 3 {
			c := &staleCatalog{world: w}
			// Without grace and with a floor as young as can be, every mistake shows at once.
			c.compactor = New(Deps{Store: objectstore.NewGated(w.store, w.judge), Catalog: c},
				Config{Grace: 1, FloorAge: time.Nanosecond, PendingMax: 5,
					RequestsPerSecond: 1e9})
			w.sweepers = append(w.sweepers, c)
		}
		for range 120 {
			[]func(){w.upload, w.commit, w.release, w.sweep, w.sweep}[rapid.IntRange(0, 4).
				Draw(t, "what")]()
		}
		w.settle()
		for _, c := range w.sweepers {
			deleted += c.compactor.Deleted()
		}
	})
	if deleted == 0 {
		t.Error("nothing was ever deleted: the test has gone blind")
	}
}

// settle lets a compactor do all there is to do, and looks for what it left.
func (w *world) settle() {
	c := w.sweepers[0]
	w.step(func(x *index) { x.committed = w.slot })
	w.step(func(x *index) { x.floor, x.released = w.slot, w.slot })
	c.compactor.sweep.restart() // as once a day: some uploads came after the floor
	for range 200 {
		c.known = len(w.past) - 1
		_ = c.compactor.Step(context.Background())
	}
	page, _, err := w.store.List(context.Background(), foz.ObjectPrefix, "", 0)
	if err != nil {
		w.Fatal(err)
	}
	for _, info := range page {
		birth, _, err := foz.ParseObjectKey(info.Key)
		if err != nil || birth < w.now().floor && !w.now().live[info.Key] {
			w.Fatalf("%s is left, %v", info.Key, err)
		}
	}
	for object := range w.now().live {
		if _, err := w.store.Get(context.Background(), object, 0, -1); err != nil {
			w.Fatalf("live: %v", err)
		}
	}
}
