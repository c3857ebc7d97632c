package reader

// What Scan yields, whatever happens. How: a property over random placements and ranges,
// then one test per way in which the index is behind: denied, moved, lost, overtaken.

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScanYieldsExactlyWhatIsPlaced(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, low, high int) int {
			return rapid.IntRange(low, high).Draw(rt, name)
		}
		w := newWorld(t, Config{
			CacheBytesMax: int64(draw("hot", 1, 20)) << 10,
			ColdBytesMax:  int64(draw("cold", 1, 20)) << 10,
			FetchBytesMax: int64(draw("fetch", 1, 8)) << 10,
			AheadBytesMax: int64(draw("ahead", 1, 32)) << 10,
			PlacementsMax: draw("page", 1, 5), AheadMax: draw("depth", 1, 8),
			WholePartitions: draw("whole", 1, 3),
		})
		for range draw("objects", 1, 12) {
			var o *object
			if draw("merged", 0, 3) == 0 {
				o = w.batches(draw("batches", 1, 4), draw("rows", 1, 6), 200, 1)
			} else {
				o = w.object(draw("rows", 1, 20), 50, 0, 1, 2)
			}
			if draw("put", 0, 1) == 1 {
				w.reader.Put(o.key, o.data)
			}
			for s := range o.segments {
				w.placeSome(o, s, draw)
			}
		}
		for range 6 {
			p := part(int32(draw("partition", 0, 2)))
			log := w.index.log(p)
			base := log.earliest + int64(draw("base", 0, int(log.next-log.earliest)))
			w.mustRead(p, base, base+int64(draw("length", 0, 60)))
		}
	})
}

// placeSome places row ranges of a segment, refuses others, and now and then skips offsets
// as compaction by key does.
func (w *world) placeSome(o *object, s int, draw func(string, int, int) int) {
	rows := int(o.segments[s].Rows)
	for from := 0; from < rows; {
		to := from + draw("run", 1, rows-from)
		switch draw("fate", 0, 5) {
		case 0: // refused
		case 1:
			w.index.apply(func() {
				w.index.log(o.segments[s].Partition).next += int64(draw("gap", 1, 5))
			})
		default:
			w.place(o, s, from, to)
		}
		from = to
	}
}

func TestGapAtTheEndMovesOn(t *testing.T) {
	w := newWorld(t, Config{})
	w.placeAll(w.object(3, 10, 0))
	w.index.apply(func() { w.index.log(part(0)).next = 50 })
	var next int64
	for run, err := range w.reader.Scan(t.Context(), part(0), foz.Range{Base: 0, Next: 40}) {
		if err != nil {
			t.Fatal(err)
		}
		next = run.Next()
	}
	if next != 40 {
		t.Errorf("the scan ended at %d, want 40", next)
	}
}

func TestScanEndsAtTheWatermarkItBeganWith(t *testing.T) {
	w := newWorld(t, Config{PlacementsMax: 1})
	w.placeAll(w.object(3, 10, 0))
	w.placeAll(w.object(3, 10, 0))
	var next int64
	for run, err := range w.reader.Scan(t.Context(), part(0), foz.Range{Base: 0, Next: end}) {
		if err != nil {
			t.Fatal(err)
		}
		next = run.Next()
		w.placeAll(w.object(3, 10, 0))
	}
	if next != 6 {
		t.Errorf("the scan ended at %d, want 6", next)
	}
}

func TestDenials(t *testing.T) {
	trim := func(w *world) { w.index.log(part(0)).earliest = 2 }
	for _, c := range []struct {
		name      string
		partition int32
		offset    int64
		before    func(w *world)
		want      foz.Code
		numbers   string
	}{
		{"unknown topic", 9, 0, nil, foz.CodeTopicNotFound, ""},
		{"past the end", 0, 6, nil, foz.CodeOffsetOutOfRange, "0-5"},
		{"below zero", 0, -1, nil, foz.CodeOffsetOutOfRange, "0-5"},
		{"below the start", 0, 1, trim, foz.CodeOffsetOutOfRange, "2-5"},
		{"unknown while cut off", 9, 0,
			func(w *world) { w.index.broken = errors.New("cut off") }, foz.CodeUnavailable, ""},
		{"past the end while cut off", 0, 6,
			func(w *world) { w.index.broken = errors.New("cut off") }, foz.CodeUnavailable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.placeAll(w.object(5, 10, 0))
			if c.before != nil {
				c.before(w)
			}
			err := w.mustFail(part(c.partition), c.offset, c.want)
			got := ""
			if err.Numbers != nil {
				got = fmt.Sprintf("%d-%d", err.Numbers["earliest_offset"], err.Numbers["next_offset"])
			}
			if got != c.numbers {
				t.Errorf("numbers %s, want %s", got, c.numbers)
			}
			w.mustCount(0, 1) // one LIST before saying no
		})
	}
}

func TestDenialIsTakenBackAfterCatchingUp(t *testing.T) {
	w := newWorld(t, Config{})
	w.placeAll(w.object(5, 10, 0))
	o := w.object(5, 10, 0, 7)
	w.lag(func() { w.placeAll(o) })
	w.mustRead(part(7), 0, end)
	w.mustRead(part(0), 7, end)
	w.mustCount(2, 1)
}

func TestMovedObject(t *testing.T) {
	w := newWorld(t, Config{})
	for range 6 {
		w.placeAll(w.object(5, 10, 0))
	}
	merged := w.batches(6, 5, 10, 0)
	log := w.index.log(part(0))
	var gone []string
	for _, pl := range log.placements {
		gone = append(gone, pl.Object)
	}
	if err := w.bucket.Delete(t.Context(), gone[1:]...); err != nil {
		t.Fatal(err)
	}
	w.lag(func() { w.swap(merged) })
	w.mustFirstThenRest(t)
	if got := w.metric("stale_retries_total"); got != 1 {
		t.Errorf("%v stale retries, want 1", got)
	}
}

// swap replaces a partition's placements by a merged object's. The rows differ from the
// first ones, so that a test sees which were read.
func (w *world) swap(o *object) {
	w.index.apply(func() {
		log := w.index.log(part(0))
		log.placements, log.next = nil, 0
	})
	w.want[part(0)] = nil
	w.placeAll(o)
}

func (w *world) mustFirstThenRest(t *testing.T) {
	t.Helper()
	old := w.want[part(0)][:5]
	got, err := w.read(part(0), 0, end)
	if err != nil {
		t.Fatal(err)
	}
	want := append(old[:5:5], w.want[part(0)][5:]...)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !sameRecord(got[i], want[i]) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestObjectGone(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world) // what catching up brings
		want   foz.Code
		lost   float64
	}{
		{"expired", func(w *world) { w.index.log(part(0)).earliest = 8 },
			foz.CodeOffsetOutOfRange, 0},
		{"deleted topic", func(w *world) { delete(w.index.logs, part(0)) },
			foz.CodeTopicNotFound, 0},
		{"lost", func(*world) {}, foz.CodeStorage, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			for range 3 {
				w.placeAll(w.object(5, 10, 0))
			}
			second := w.index.log(part(0)).placements[1].Object
			if err := w.bucket.Delete(t.Context(), second); err != nil {
				t.Fatal(err)
			}
			w.lag(func() { c.change(w) })
			err := w.mustFail(part(0), 0, c.want)
			if c.lost > 0 && !strings.Contains(err.Error(), second) {
				t.Errorf("the error does not name %s: %v", second, err)
			}
			if got := w.metric("objects_lost_total"); got != c.lost {
				t.Errorf("%v objects lost, want %v", got, c.lost)
			}
		})
	}
}

func TestRetentionOvertakesAScan(t *testing.T) {
	w := newWorld(t, Config{PlacementsMax: 1})
	for range 5 {
		w.placeAll(w.object(5, 10, 0))
	}
	var next int64
	var last error
	for run, err := range w.reader.Scan(t.Context(), part(0), foz.Range{Base: 0, Next: end}) {
		if last = err; err != nil {
			break
		}
		next = run.Next()
		w.index.apply(func() { w.index.log(part(0)).earliest = 20 })
	}
	var known *foz.Error
	if !errors.As(last, &known) || known.Code != foz.CodeOffsetOutOfRange || next != 5 {
		t.Errorf("read up to %d, then %v", next, last)
	}
}
