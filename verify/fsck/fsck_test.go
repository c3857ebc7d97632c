package fsck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
)

// sample is a bucket with one object of each kind: two fresh ones of three partitions, one
// merged of partition 2 alone, one that partitions 0 and 1 share, and a fresh one after them;
// and what has died of it.
func sample(t *testing.T) (b *bucket, fresh, own, shared string) {
	b = newBucket(t)
	b.flush(5, 6, 70)
	b.flush(2, 1, 50)
	own = b.merge(1<<10, 2)
	shared = b.merge(0, 0, 1)
	return b, b.flush(3, 4), own, shared
}

// found is what a report says, on one line per finding.
func found(r *Report) string {
	var lines []string
	for _, f := range r.Findings {
		line := string(f.Kind)
		for _, l := range f.Lost {
			line += fmt.Sprintf(" %s/%d[%d,%d)", l.Topic, l.Partition, l.Start, l.End)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// TestWhole: how: of a bucket in which nothing is wrong, all that is counted is compared, and
// what it cost.
func TestWhole(t *testing.T) {
	b, _, _, _ := sample(t)
	b.put([]byte("never committed"))
	if err := b.client.RaiseFloor(t.Context(), b.replica.State().Slot()); err != nil {
		t.Fatal(err)
	}
	b.put([]byte("on its way"))
	if _, err := b.store.Create(t.Context(), "data/README", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	counted := objectstore.NewCounted(b.store)
	r := run(t, counted)
	if !r.OK() {
		t.Errorf("found %s", found(r))
	}
	got := fmt.Sprint(r.Topics, r.Partitions, r.Placements, r.Records, r.Named.Objects,
		r.BelowFloor.Objects, r.AboveFloor, r.Foreign, len(r.Unnamed))
	// 5 placements: one of partition 2, two each of the others. Below the floor are the two
	// objects that were merged.
	const want = "1 3 5 141 3 2 {2 25} {1 5} 5"
	if got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
	if r.Slot != b.replica.State().Slot() || r.Floor != b.replica.State().Floor() {
		t.Errorf("slot %d, floor %d", r.Slot, r.Floor)
	}
	// One GET for each object that is named. The rest is what loading the log costs: a GET for
	// each entry, and listings.
	requests := map[string]int64{}
	for _, c := range counted.Counts() {
		requests[c.Op+" "+c.Cause] = c.Requests
	}
	if requests["get fsck"] != 3 || requests["list fsck"] != 1 ||
		counted.Requests(objectstore.OpCreate)+counted.Requests(objectstore.OpDelete) > 0 {
		t.Errorf("asked for %v", requests)
	}
}

// flip changes one bit of the byte at a share of the object, from 0 to 1.
func flip(share float64) func([]byte) []byte {
	return func(data []byte) []byte {
		data[int(share*float64(len(data)-1))] ^= 4
		return data
	}
}

func TestFinds(t *testing.T) {
	b, fresh, own, shared := sample(t)
	const ofFresh, ofShared = "t/0[7,10) t/1[7,11)", "t/0[0,7) t/1[0,7)"
	cut := func(data []byte) []byte { return data[:len(data)/4] }
	gone := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		object string
		change func([]byte) []byte
		want   string
	}{
		"fresh, gone":        {fresh, gone, "missing " + ofFresh},
		"fresh, cut":         {fresh, cut, "damaged t/0[7,10) t/1[7,11)"},
		"fresh, empty":       {fresh, func([]byte) []byte { return []byte{} }, "damaged " + ofFresh},
		"fresh, its footer":  {fresh, flip(0.9), "damaged"},
		"merged alone, gone": {own, gone, "missing t/2[0,120)"},
		"merged alone, a bit": {own, flip(0.3),
			"damaged t/2[0,120)"},
		"shared, gone":       {shared, gone, "missing " + ofShared},
		"shared, its footer": {shared, flip(0.9), "damaged"},
		"another object's bytes": {shared, func([]byte) []byte {
			data, err := b.store.Get(t.Context(), fresh, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}, "mismatch t/0[0,7); mismatch t/1[0,7)"},
	} {
		s := b.copied(func(key string, data []byte) []byte {
			if key == c.object {
				return c.change(data)
			}
			return data
		})
		r := run(t, s)
		if got := found(r); got != c.want {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
		if r.OK() {
			t.Errorf("%s: OK", name)
		}
	}
}

// TestEveryBit: how: one bit of each byte of every named object is flipped, one at a time.
// Each must be found. Where a batch of a shared object is hit, the other's records are not
// said to be lost.
func TestEveryBit(t *testing.T) {
	b, fresh, _, shared := sample(t)
	lost := map[string]int{}
	for _, object := range []string{fresh, shared} {
		sound, err := b.store.Get(t.Context(), object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		l := &look{check: &Check{}, report: &Report{}}
		l.index(b.replica.State())
		for at := 0; at < len(sound); at += 7 {
			damaged := slices.Clone(sound)
			damaged[at] ^= 1 << (at % 8)
			l.check.Store = only{damaged}
			_, findings, err := l.check.object(t.Context(), object, l.objects[object])
			if err != nil && !strings.Contains(err.Error(), "unknown format version") ||
				err == nil && (len(findings) != 1 || findings[0].Kind != Damaged) {
				t.Fatalf("byte %d of %s: %v, %v", at, object, findings, err)
			}
			lost[found(&Report{Findings: findings})]++
		}
	}
	want := []string{"damaged", "damaged t/0[0,7)", "damaged t/0[7,10)", "damaged t/1[0,7)",
		"damaged t/1[7,11)"}
	got := slices.Sorted(maps.Keys(lost))
	if got = slices.DeleteFunc(got, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
		t.Errorf("found %v", lost)
	}
}

// only is a store that has one object under every key.
type only struct{ data []byte }

func (o only) Get(context.Context, string, int64, int64) ([]byte, error) { return o.data, nil }

func (only) Create(context.Context, string, []byte) (time.Time, error) {
	return time.Time{}, objectstore.ErrExists
}

func (only) Delete(context.Context, ...string) error { return nil }

func (only) List(context.Context, string, string, int) ([]objectstore.Info, bool, error) {
	return nil, false, nil
}

// TestSweptMeanwhile: how: when the check asks for an object, it has just been merged and
// deleted.
func TestSweptMeanwhile(t *testing.T) {
	b, fresh, _, shared := sample(t)
	merged := false
	s := objectstore.NewGated(b.store, func(_ context.Context, c objectstore.Call) objectstore.Fate {
		if c.Op == objectstore.OpGet && c.Key == fresh && !merged {
			merged = true
			for number, next := range []int64{10, 11} {
				p := b.partition(int32(number))
				if _, err := b.client.Trim(t.Context(), p, next); err != nil {
					t.Error(err)
				}
			}
			if err := b.store.Delete(t.Context(), fresh, shared); err != nil {
				t.Error(err)
			}
		}
		return objectstore.Fate{}
	})
	if r := run(t, s); !r.OK() || !merged {
		t.Errorf("found %v", r.Findings)
	}
}

// TestDamagedOnTheWay: how: every first answer that brings an object has a bit flipped.
func TestDamagedOnTheWay(t *testing.T) {
	b, _, _, _ := sample(t)
	var asked sync.Map
	s := objectstore.NewFaulty(b.store, func(op, key string) objectstore.Fate {
		_, again := asked.LoadOrStore(key, true)
		if op == objectstore.OpGet && strings.HasPrefix(key, "data/") && !again {
			return objectstore.Fate{Outcome: objectstore.Flip}
		}
		return objectstore.Fate{}
	})
	if r := run(t, s); !r.OK() {
		t.Errorf("found %v", r.Findings)
	}
}

// TestCannotCheck: how: the log is damaged, or the store says no, or nothing is there.
func TestCannotCheck(t *testing.T) {
	b, _, _, _ := sample(t)
	third := metadata.LogKey(3)
	refusing := func(prefix string) objectstore.Store {
		return objectstore.NewFaulty(b.store, func(_, key string) objectstore.Fate {
			if strings.HasPrefix(key, prefix) {
				return objectstore.Fate{Outcome: objectstore.Drop}
			}
			return objectstore.Fate{}
		})
	}
	for name, c := range map[string]struct {
		store objectstore.Store
		want  error
	}{
		"no cluster": {objectstore.NewMemory(), metadata.ErrNoCluster},
		"an entry is gone": {b.copied(func(key string, data []byte) []byte {
			if key == third {
				return nil
			}
			return data
		}), metadata.ErrDamaged},
		"an entry is damaged": {b.copied(func(key string, data []byte) []byte {
			if key == third {
				return flip(0.5)(data)
			}
			return data
		}), metadata.ErrDamaged},
		"the log cannot be read":  {refusing("log/"), nil},
		"the data cannot be read": {refusing("data/"), nil},
	} {
		check := Check{Store: c.store}
		r, err := check.Run(t.Context())
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
}

func TestGaps(t *testing.T) {
	bounds := foz.Bounds{Earliest: 10, Next: 30}
	for _, c := range []struct {
		placements []foz.Range
		want       string
	}{
		{[]foz.Range{{Base: 10, Next: 30}}, "[]"},
		{[]foz.Range{{Base: 5, Next: 20}, {Base: 20, Next: 30}}, "[]"},
		{[]foz.Range{{Base: 11, Next: 30}}, "[{10 11}]"},
		{[]foz.Range{{Base: 0, Next: 10}, {Base: 10, Next: 30}}, "[{10 0}]"},
		{[]foz.Range{{Base: 10, Next: 20}, {Base: 22, Next: 30}}, "[{20 22}]"},
		{[]foz.Range{{Base: 10, Next: 20}, {Base: 18, Next: 30}}, "[{20 18}]"},
		{[]foz.Range{{Base: 10, Next: 29}}, "[{29 30}]"},
		{nil, "[{10 30}]"},
	} {
		var placements []foz.Placement
		for _, r := range c.placements {
			placements = append(placements, foz.Placement{Base: r.Base, RowCount: int32(r.Len())})
		}
		if got := fmt.Sprint(gaps(placements, bounds)); got != c.want {
			t.Errorf("%v: %s, want %s", c.placements, got, c.want)
		}
	}
}
