package compactor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// How: the yard of situation_test.go, pass by pass.

// Traffic every minute: from the tenth minute on the floor follows ten minutes behind. When
// it ends, the floor stays; the next commit takes it to where the log was then.
func TestFloorFollowsTraffic(t *testing.T) {
	inYard(t, Config{}, func(t *testing.T, y *yard) {
		for minute := range uint64(15) {
			y.catalog.index.committed = 100 + minute
			if err := y.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			later(time.Minute)
		}
		if want := []uint64{100, 101, 102, 103, 104}; !slices.Equal(y.catalog.raised, want) {
			t.Errorf("floors %v, want %v", y.catalog.raised, want)
		}
		y.calls, y.catalog.raised = nil, nil
		for range 23 * 60 {
			y.pass("")
			later(time.Minute)
		}
		if len(y.catalog.raised) != 0 {
			t.Errorf("floors %v without traffic", y.catalog.raised)
		}
		y.catalog.index.committed = 200
		y.pass("list")
		if want := []uint64{114}; !slices.Equal(y.catalog.raised, want) {
			t.Errorf("floors %v, want %v", y.catalog.raised, want)
		}
		if len(y.floor.marks) > 12 {
			t.Errorf("%d marks are kept", len(y.floor.marks))
		}
	})
}

// Passes come seldom, or the process has just begun: the floor is never younger than asked.
func TestFloorIsNeverYoung(t *testing.T) {
	inYard(t, Config{FloorAge: 10 * time.Minute}, func(t *testing.T, y *yard) {
		began := time.Now()
		committed := func(at time.Duration) uint64 { return 1000 + uint64(at/time.Second) }
		for _, pause := range []int{0, 1, 7, 0, 30, 2, 9, 1, 1, 10, 3} {
			later(time.Duration(pause) * time.Minute)
			now := time.Since(began)
			y.catalog.index.committed = committed(now)
			if err := y.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if floor := y.catalog.index.floor; floor > 0 && floor > committed(now-10*time.Minute) {
				t.Errorf("after %v the floor is %d", now, floor)
			}
		}
		if len(y.catalog.raised) < 3 {
			t.Errorf("floors %v", y.catalog.raised)
		}
	})
}

// A floor that could not be raised is no reason to delete below it; it is raised with the
// next traffic.
func TestFloorThatCannotBeRaised(t *testing.T) {
	inYard(t, Config{Grace: time.Nanosecond}, func(t *testing.T, y *yard) {
		y.put(3, "dead", false)
		y.catalog.index.committed = 5
		y.pass("")
		later(11 * time.Minute)
		y.catalog.index.committed = 6
		y.catalog.err = errors.New("no leader")
		y.fail(y.catalog.err, "")
		later(time.Minute)
		y.pass("") // no traffic since
		y.catalog.err = nil
		y.catalog.index.committed = 7
		y.pass("list")
		later(time.Minute)
		y.pass("delete 1")
		y.left()
		if !slices.Equal(y.catalog.raised, []uint64{5, 5}) {
			t.Errorf("floors %v", y.catalog.raised)
		}
	})
}

func TestIdleAsksForNothing(t *testing.T) {
	inYard(t, Config{}, func(t *testing.T, y *yard) {
		y.put(3, "live", true)
		y.put(4, "orphan", false)
		for range 1000 {
			y.pass("")
			later(time.Minute)
		}
		if len(y.catalog.raised) != 0 || y.catalog.forgot != 0 {
			t.Errorf("floors %v, forgot %d times", y.catalog.raised, y.catalog.forgot)
		}
	})
}

// The floor itself is not below the floor; what is live stays, whatever its birth.
func TestSweepBelowTheFloor(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		y.put(1, "old-and-live", true)
		y.put(1, "old", false)
		y.put(9, "just-below", false)
		y.put(10, "at-the-floor", false)
		y.put(11, "above", false)
		y.put(11, "above-and-live", true)
		y.catalog.index.floor = 10
		y.pass("list")
		later(time.Minute)
		y.pass("delete 2")
		y.left("old-and-live", "at-the-floor", "above-and-live", "above")
		if y.Deleted() != 2 {
			t.Errorf("deleted %d", y.Deleted())
		}
		later(time.Hour)
		y.pass("")
	})
}

// A released object waits for its grace since this node saw it, not since its release.
// Nothing is listed for it.
func TestGrace(t *testing.T) {
	inYard(t, Config{Grace: 20 * time.Minute}, func(t *testing.T, y *yard) {
		a, b := y.put(1, "a", true), y.put(2, "b", true)
		y.catalog.index.floor = 10
		y.pass("list")
		delete(y.catalog.index.live, a)
		y.catalog.index.released = 9
		later(5 * time.Minute)
		y.pass("") // the index tells
		later(10 * time.Minute)
		delete(y.catalog.index.live, b)
		y.catalog.index.released = 10
		y.pass("") // does not begin a's grace again
		later(9 * time.Minute)
		y.pass("")
		later(time.Minute)
		y.pass("delete 1")
		y.left("b")
		later(10 * time.Minute)
		y.pass("delete 1")
		y.left()
	})
}

// After a restart every dead object counts as just seen.
func TestGraceAfterARestart(t *testing.T) {
	inYard(t, Config{Grace: 20 * time.Minute}, func(t *testing.T, y *yard) {
		y.put(1, "a", false)
		y.catalog.index.floor = 10
		y.pass("list")
		later(19 * time.Minute)
		y.Compactor = New(y.deps, y.cfg)
		y.pass("list")
		later(19 * time.Minute)
		y.pass("")
		later(time.Minute)
		y.pass("delete 1")
	})
}

// 2,500 dead objects: 3 pages of 1,000 to list, 3 deletes of at most 1,000. Live ones among
// them stay.
func TestSweepInBatches(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		for i := range 2500 {
			y.put(uint64(i%7), fmt.Sprintf("dead%04d", i), false)
		}
		y.put(3, "live", true)
		y.catalog.index.floor = 7
		y.pass("list, list, list")
		later(time.Minute)
		y.pass("delete 1000, delete 1000, delete 500")
		y.left("live")
		if !slices.IsSorted(y.deleted) || y.Deleted() != 2500 {
			t.Errorf("deleted %d, in order %v", y.Deleted(), slices.IsSorted(y.deleted))
		}
	})
}

// A page ends the listing where the first birth at the floor lies on it.
func TestListingEndsAtTheFloor(t *testing.T) {
	inYard(t, Config{}, func(t *testing.T, y *yard) {
		for i := range 3000 {
			y.put(uint64(i), "x", true)
		}
		y.catalog.index.floor = 1500
		y.pass("list, list")
	})
}

// A delete that fails, whatever it did, is made again by the next pass, also of a house in
// which nothing happens any more.
func TestSweepFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fate    objectstore.Fate
		err     error
		deleted int64 // counted, after the pass that fails
	}{
		"not applied": {objectstore.Fate{Outcome: objectstore.Drop}, objectstore.ErrFault, 0},
		"applied":     {objectstore.Fate{Outcome: objectstore.ApplyThenFail}, objectstore.ErrFault, 0},
		"throttled":   {objectstore.Fate{Outcome: objectstore.Throttle}, objectstore.ErrThrottled, 0},
		"in part": {objectstore.Fate{Outcome: objectstore.Truncate, At: 700},
			objectstore.ErrFault, 0},
		"the second batch": {objectstore.Fate{}, objectstore.ErrThrottled, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
				for i := range 1500 {
					y.put(1, fmt.Sprintf("dead%04d", i), false)
				}
				y.catalog.index.floor = 7
				y.pass("list, list")
				later(time.Minute)
				y.fates["delete"] = []objectstore.Fate{c.fate, {Outcome: objectstore.Throttle}}
				asked, rest := "delete 1000", "delete 1000, delete 500"
				if c.deleted > 0 {
					asked, rest = "delete 1000, delete 500", "delete 500"
				}
				y.fail(c.err, asked)
				if y.Deleted() != c.deleted {
					t.Errorf("deleted %d", y.Deleted())
				}
				y.fates["delete"] = nil
				later(time.Minute)
				y.pass(rest)
				y.left()
				y.pass("")
			})
		})
	}
}

// A listing that fails, or gives an empty page that is not the last, goes on with the next
// pass; what it showed keeps its grace.
func TestListFaults(t *testing.T) {
	const drop, throttle, cut = objectstore.Drop, objectstore.Throttle, objectstore.Truncate
	for name, c := range map[string]struct {
		lists []objectstore.Outcome
		err   error
		asked string
		rest  string
	}{
		"the first page": {[]objectstore.Outcome{drop}, objectstore.ErrFault, "list", "list, list"},
		"the second page": {[]objectstore.Outcome{objectstore.Pass, throttle},
			objectstore.ErrThrottled, "list, list", "list"},
		"an empty page": {[]objectstore.Outcome{objectstore.Pass, cut}, nil, "list, list", "list"},
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, Config{Grace: time.Hour}, func(t *testing.T, y *yard) {
				for i := range 1500 {
					y.put(1, fmt.Sprintf("dead%04d", i), false)
				}
				y.catalog.index.floor = 7
				for _, outcome := range c.lists {
					y.fates["list"] = append(y.fates["list"], objectstore.Fate{Outcome: outcome})
				}
				if c.err != nil {
					y.fail(c.err, c.asked)
				} else {
					y.pass(c.asked)
				}
				y.pass(c.rest)
				later(time.Hour)
				y.pass("delete 1000, delete 500")
				y.left()
			})
		})
	}
}

// Whatever lies under data/ and has no name that foz gives is nobody's business here.
func TestForeignKeys(t *testing.T) {
	foreign := []string{
		"data/0/x.arrow", "data/00000000000000000001", "data/00000000000000000001/notes.txt",
		"data/00000000000000000001x/y.arrow", "data/000000000000000000001/y.arrow",
		"data/99999999999999999999/y.arrow", "data/README.md", "data/x/y/z.arrow", "datax/y.arrow",
		"log/00000000000000000001", "snap/00000000000000000001",
	}
	slices.Sort(foreign)
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		for _, key := range foreign {
			y.putKey(key)
		}
		y.put(1, "ours", false)
		y.catalog.index.floor = 1 << 60
		y.pass("list")
		later(time.Minute)
		y.pass("delete 1")
		y.left(foreign...)
	})
}

// No more dead objects are remembered than allowed: the others are found when there is room.
func TestPendingMax(t *testing.T) {
	inYard(t, Config{Grace: time.Minute, PendingMax: 4}, func(t *testing.T, y *yard) {
		for i := range 10 {
			y.put(1, fmt.Sprintf("dead%d", i), false)
		}
		y.catalog.index.floor = 7
		for _, want := range []string{
			"list", "list, delete 4", "list", "list, delete 4", "list", "delete 2", "",
		} {
			y.pass(want)
			if len(y.sweep.pending) > 4 {
				t.Errorf("%d are remembered", len(y.sweep.pending))
			}
			later(time.Minute)
		}
		y.left()
	})
}

// An object that a zombie creates long after it was given up is found when everything is
// listed again, which is once a day and only while the floor moves.
func TestLateOrphan(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		y.catalog.index.floor = 7
		y.pass("list")
		y.put(3, "late", false)
		later(12 * time.Hour)
		y.catalog.index.floor = 8
		y.pass("list") // from birth 7 on
		later(11 * time.Hour)
		y.pass("")
		later(time.Hour)
		y.pass("list")
		later(time.Minute)
		y.pass("delete 1")
		y.left()
		later(100 * time.Hour)
		y.pass("")
	})
}

// The floor moves: only what was born since is listed, whatever there is below. 5,000 objects
// are 5 pages once, then 1.
func TestSweepGoesOn(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		for i := range 5000 {
			y.put(uint64(i/100), fmt.Sprintf("live%04d", i), true)
		}
		y.catalog.index.floor = 49
		y.pass("list, list, list, list, list")
		y.put(49, "dead", false)
		y.put(50, "above", false)
		y.catalog.index.floor = 50
		y.pass("list")
		later(time.Minute)
		y.pass("delete 1")
	})
}

// An object is listed as live, and released before the listing is over: it is not missed.
func TestReleasedWhileListed(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		first := y.put(1, "first", true)
		for i := range 1500 {
			y.put(2, fmt.Sprintf("live%04d", i), true)
		}
		y.catalog.index.floor = 7
		y.fates["list"] = []objectstore.Fate{{}, {Outcome: objectstore.Throttle}}
		y.fail(objectstore.ErrThrottled, "list, list")
		delete(y.catalog.index.live, first)
		y.catalog.index.released = 6
		y.pass("list")
		later(time.Minute)
		y.pass("delete 1")
	})
}

// The floor follows releases, too: what was released last is born below it in the end, though
// nothing more is committed.
func TestFloorFollowsReleases(t *testing.T) {
	inYard(t, Config{Grace: time.Minute}, func(t *testing.T, y *yard) {
		merged := y.put(5, "merged", true)
		y.catalog.index.committed = 5
		y.pass("")
		delete(y.catalog.index.live, merged)
		y.catalog.index.released = 6
		for range 30 {
			_ = y.Step(t.Context())
			later(time.Minute)
		}
		if want := []uint64{6}; !slices.Equal(y.catalog.raised, want) {
			t.Errorf("floors %v, want %v", y.catalog.raised, want)
		}
		y.left()
	})
}

// Silent producers are looked for once in an interval, and only while there is traffic.
func TestForgetProducers(t *testing.T) {
	inYard(t, Config{ForgetInterval: time.Hour}, func(t *testing.T, y *yard) {
		for minute := range uint64(150) {
			if minute < 70 || minute > 140 { // idle between
				y.catalog.index.committed = 1 + minute
			}
			if err := y.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 1}[minute >= 60]; minute <= 140 && y.catalog.forgot != want {
				t.Fatalf("minute %d: forgot %d times", minute, y.catalog.forgot)
			}
			later(time.Minute)
		}
		if y.catalog.forgot != 2 {
			t.Errorf("forgot %d times", y.catalog.forgot)
		}
	})
}

// Run makes a pass every interval, goes on after one that failed, and ends with its context.
func TestRun(t *testing.T) {
	inYard(t, Config{Interval: time.Minute, Grace: 90 * time.Second}, func(t *testing.T, y *yard) {
		y.put(1, "dead", false)
		y.catalog.index.floor = 7
		y.fates["list"] = []objectstore.Fate{{Outcome: objectstore.Drop}}
		y.fates["delete"] = []objectstore.Fate{{Outcome: objectstore.Throttle}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := y.Run(ctx); err != nil {
			t.Error(err)
		}
		// list fails, list, grace, delete fails, delete
		y.asked("list, list, delete 1, delete 1")
		y.left()
	})
}
