package metadata

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz/objectstore"
)

// How: load and trim on the scripted bucket of bucket_test.go: which snapshot is taken, what
// is deleted and what stays, and what each costs.

// snapshotAt is the snapshot of some state at a slot.
func snapshotAt(slot uint64, claims ...uint64) (*State, []byte) {
	s := NewState(testCluster)
	s.slot, s.claims = slot, claims
	return s, encodeSnapshot(s, Defects{})
}

func TestRule4Load(t *testing.T) {
	for _, c := range []struct {
		name   string
		there  []uint64
		above  uint64
		script map[string][]objectstore.Fate
		want   uint64 // 0: none
		err    error
		calls  string
	}{
		{name: "none", calls: "list snap/"},
		{name: "none newer", there: []uint64{3, 7}, above: 7, calls: "list snap/"},
		{name: "the newest", there: []uint64{3, 7}, above: 2, want: 7,
			calls: "list snap/, get snap/7"},
		{name: "no answers", there: []uint64{3, 7}, want: 7,
			script: map[string][]objectstore.Fate{"list": fates(drop), "get": fates(throttle, drop)},
			calls:  "list snap/, list snap/, get snap/7, get snap/7, get snap/7"},
		{name: "damaged on the way", there: []uint64{7}, want: 7,
			script: map[string][]objectstore.Fate{"get": {{Outcome: flip, At: 100}}},
			calls:  "list snap/, get snap/7, get snap/7"},
		{name: "damaged", there: []uint64{3, 7}, err: ErrDamaged,
			script: map[string][]objectstore.Fate{"get": {
				{Outcome: flip}, {Outcome: cut, At: 9}, {Outcome: flip, At: 99}}},
			calls: "list snap/, get snap/7, get snap/7, get snap/7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(c.script)
				for _, slot := range c.there {
					_, body := snapshotAt(slot, 1)
					s.put(t, SnapshotKey(slot), body)
				}
				got, err := s.load(t.Context(), c.above)
				if !errors.Is(err, c.err) || (got == nil) != (c.want == 0) {
					t.Fatal(got, err)
				}
				if got != nil && got.slot != c.want {
					t.Errorf("loaded %d", got.slot)
				}
				s.expect(t, c.calls)
			})
		})
	}
}

// The newest snapshot of the listing is deleted before it is read, because there are newer
// ones by then.
func TestRule4LoadDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(nil)
		_, three := snapshotAt(3, 1)
		s.put(t, SnapshotKey(3), three)
		s.before = func(call string) {
			if call == "get snap/3" {
				_ = s.Memory.Delete(t.Context(), SnapshotKey(3))
				_, nine := snapshotAt(9, 1)
				s.put(t, SnapshotKey(9), nine)
			}
		}
		got, err := s.load(t.Context(), 0)
		if err != nil || got.slot != 9 {
			t.Error(got, err)
		}
		s.expect(t, "list snap/, get snap/3, list snap/, get snap/9")
	})
}

// A snapshot under another slot's key would take a state back, or forward past its tail.
func TestRule4LoadWrongSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted(nil)
		_, three := snapshotAt(3, 1)
		s.put(t, SnapshotKey(7), three)
		if got, err := s.load(t.Context(), 5); !errors.Is(err, ErrDamaged) {
			t.Errorf("loaded %v, %v", got, err)
		}
	})
}

func TestRule9TrimKeeps(t *testing.T) {
	logs := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for _, c := range []struct {
		name  string
		snaps []uint64
		held  uint64 // slot of the state that trims; its claims are 1 and 4
		from  uint64
		left  string
		bound uint64
		calls string
	}{
		{name: "no snapshot", held: 12, calls: "list snap/",
			left: "log/1 log/2 log/3 log/4 log/5 log/6 log/7 log/8 log/9 log/10 log/11 log/12"},
		{name: "one snapshot", snaps: []uint64{8}, held: 8, calls: "list snap/",
			left: "log/1 log/2 log/3 log/4 log/5 log/6 log/7 log/8 log/9 log/10 log/11 log/12 snap/8"},
		{name: "two: up to the second newest", snaps: []uint64{5, 8}, held: 8, bound: 5,
			left:  "log/1 log/4 log/6 log/7 log/8 log/9 log/10 log/11 log/12 snap/5 snap/8",
			calls: "list snap/, list log/, delete log/2"},
		{name: "four: two stay", snaps: []uint64{3, 5, 8, 11}, held: 11, bound: 8,
			left:  "log/1 log/4 log/9 log/10 log/11 log/12 snap/8 snap/11",
			calls: "list snap/, list log/, delete snap/3"},
		{name: "a state below the second newest: only what it knows", snaps: []uint64{3, 9, 11},
			held: 5, bound: 5,
			left:  "log/1 log/4 log/6 log/7 log/8 log/9 log/10 log/11 log/12 snap/9 snap/11",
			calls: "list snap/, list log/, delete snap/3"},
		{name: "again, from where it was", snaps: []uint64{5, 8}, held: 8, from: 5, bound: 5,
			left: "log/1 log/2 log/3 log/4 log/5 log/6 log/7 log/8 log/9 log/10 log/11 log/12 " +
				"snap/5 snap/8",
			calls: "list snap/, list log/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(nil)
				for _, slot := range logs {
					s.put(t, LogKey(slot), nil)
				}
				for _, slot := range c.snaps {
					s.put(t, SnapshotKey(slot), nil)
				}
				held, _ := snapshotAt(c.held, 1, 4)
				bound, err := s.trim(t.Context(), held, c.from)
				if err != nil || bound != c.bound {
					t.Errorf("trimmed to %d, %v", bound, err)
				}
				s.expect(t, c.calls)
				if got := s.keys(t); got != c.left {
					t.Errorf("left %s\nwant %s", got, c.left)
				}
			})
		})
	}
}

// A trim that fails may have deleted anything or nothing; the next one does the rest. What
// must stay stays in each case.
func TestRule9TrimFaults(t *testing.T) {
	for name, c := range map[string]struct {
		script map[string][]objectstore.Fate
		fails  bool
	}{
		"no fault":           {nil, false},
		"listing, no answer": {map[string][]objectstore.Fate{"list": fates(drop, pass, drop)}, false},
		"listing, throttled": {map[string][]objectstore.Fate{"list": fates(throttle)}, false},
		"delete not applied": {map[string][]objectstore.Fate{"delete": fates(drop)}, true},
		"delete applied":     {map[string][]objectstore.Fate{"delete": fates(applied)}, true},
		"delete throttled":   {map[string][]objectstore.Fate{"delete": fates(throttle)}, true},
		"delete in part": {map[string][]objectstore.Fate{"delete": {{Outcome: cut, At: 2}}},
			true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(c.script)
				for slot := range uint64(9) {
					s.put(t, LogKey(slot+1), nil)
				}
				for _, slot := range []uint64{3, 5, 8} {
					s.put(t, SnapshotKey(slot), nil)
				}
				held, _ := snapshotAt(8, 1, 4)
				bound, err := s.trim(t.Context(), held, 0)
				if (err != nil) != c.fails || c.fails && bound != 0 {
					t.Fatalf("trimmed to %d, %v", bound, err)
				}
				for _, must := range []string{"log/1 ", "log/4 ", "log/6 log/7 log/8 log/9 ",
					"snap/5 snap/8"} {
					if !strings.Contains(s.keys(t), must) {
						t.Errorf("left %s: no %s", s.keys(t), must)
					}
				}
				if bound, err = s.trim(t.Context(), held, bound); err != nil || bound != 5 {
					t.Errorf("trimmed to %d, %v", bound, err)
				}
				if got := s.keys(t); got != "log/1 log/4 log/6 log/7 log/8 log/9 snap/5 snap/8" {
					t.Errorf("left %s", got)
				}
			})
		})
	}
}

// 2,500 slots go in three deletes: 2 LISTs of snap/ and of three pages of log/, 1,000 keys each.
func TestRule9TrimBatches(t *testing.T) {
	s := newScripted(nil)
	for slot := range uint64(2500) {
		s.put(t, LogKey(slot+1), nil)
	}
	for _, slot := range []uint64{2499, 2500} {
		s.put(t, SnapshotKey(slot), nil)
	}
	held, _ := snapshotAt(2500, 1)
	bound, err := s.trim(t.Context(), held, 0)
	if err != nil || bound != 2499 {
		t.Errorf("trimmed to %d, %v", bound, err)
	}
	s.expect(t, "list snap/, list log/, list log/, list log/, "+
		"delete log/2, delete log/1002, delete log/2002")
	if got := s.keys(t); got != "log/1 log/2500 snap/2499 snap/2500" {
		t.Errorf("left %s", got)
	}
}
