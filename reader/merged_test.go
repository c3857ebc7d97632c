package reader

// Merged objects: rows that say their offsets themselves, in one batch or in many. How: objects
// built by segment.Merged take the places of others, with records left out; then reads give
// what was kept, GETs are compared with the arithmetic beside the number, and bytes are spoilt.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// merge puts what partitions hold into one object, which takes the place of all placements
// they have. Records whose offsets are not kept are left out.
func (w *world) merge(batchBytes int, keep func(int64) bool, partitions ...int32) *object {
	w.t.Helper()
	w.made++
	o := &object{
		key:        fmt.Sprintf("data/%020d/m%d.arrow", w.made, w.made),
		appendedMS: int64(w.made),
	}
	m := segment.NewMerged(segment.MergedOptions{BatchBytes: batchBytes})
	for _, number := range partitions {
		p := part(number)
		run := foz.Run{Rows: &foz.Rows{}, Offsets: []int64{}}
		var kept []foz.Record
		for _, r := range w.want[p] {
			if keep(r.Offset) {
				kept = append(kept, r)
				headers := []byte(nil)
				if r.Headers != nil {
					headers = foz.AppendHeaders(nil, r.Headers)
				}
				run.Rows.Append(r.Timestamp, r.Key, r.Value, headers)
				run.Offsets = append(run.Offsets, r.Offset)
			}
		}
		run.To = run.Rows.Len()
		w.want[p] = kept
		if err := m.Append(p, run); err != nil {
			w.t.Fatal(err)
		}
		m.Cut()
	}
	var err error
	if o.data, o.segments, err = m.Finish(nil); err != nil {
		w.t.Fatal(err)
	}
	w.create(o)
	w.index.apply(func() {
		for _, s := range o.segments {
			w.index.log(s.Partition).replace(o, s)
		}
	})
	return o
}

// replace makes a segment of level 1 the only placement.
func (l *partitionLog) replace(o *object, s foz.Segment) {
	base := int64(0)
	if len(l.placements) > 0 {
		base = l.placements[0].Base
	}
	l.placements = []foz.Placement{{
		Object: o.key, Segment: s, RowCount: s.Rows, Base: base,
		Missing: l.next - base - int64(s.Rows), AppendedMS: o.appendedMS,
	}}
}

func all(int64) bool { return true }

// own is a world with one merged object of partition 0: 100 rows of 1 KiB in batches of about
// 10; every seventh offset has no record any more.
func own(t testing.TB, c Config) (*world, *object) {
	w := newWorld(t, c)
	w.placeAll(w.object(100, 1000, 0))
	o := w.merge(11<<10, func(offset int64) bool { return offset%7 != 3 }, 0)
	if n := o.segments[0].Batches; n < 7 || n > 12 {
		t.Fatalf("%d batches", n)
	}
	return w, o
}

func (w *world) batchesOf(o *object) []segment.MergedBatch {
	w.t.Helper()
	s := o.segments[0]
	batches, err := segment.InspectMerged(o.data[s.ByteEnd:], s)
	if err != nil {
		w.t.Fatal(err)
	}
	return batches
}

func TestMergedScanYieldsExactlyWhatIsKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, low, high int) int {
			return rapid.IntRange(low, high).Draw(rt, name)
		}
		w := newWorld(t, Config{
			ColdBytesMax:  int64(draw("cold", 1, 20)) << 10,
			FetchBytesMax: int64(draw("fetch", 1, 8)) << 10,
			AheadBytesMax: int64(draw("ahead", 1, 32)) << 10,
			PlacementsMax: draw("page", 1, 5), AheadMax: draw("depth", 1, 8),
			WholePartitions: draw("whole", 1, 3),
		})
		objects := func() {
			for range draw("objects", 1, 5) {
				o := w.object(draw("rows", 1, 20), 100, 0, 1, 2)
				for s := range o.segments {
					w.placeSome(o, s, draw)
				}
			}
		}
		objects()
		kept := draw("kept", 0, 4)
		keep := func(offset int64) bool { return int(offset%5) < kept }
		w.merge(draw("batch", 200, 3000), keep, 0)
		w.merge(1<<20, keep, 1, 2)
		objects()
		for n := range int32(3) {
			log := w.index.log(part(n))
			if log.earliest = int64(draw("earliest", 0, int(log.next))); draw("trim", 0, 1) == 0 {
				log.earliest = 0
			}
		}
		var parts []foz.PartitionRange
		for n := range int32(3) {
			log := w.index.log(part(n))
			base := log.earliest + int64(draw("base", 0, int(log.next-log.earliest)))
			rg := foz.Range{Base: base, Next: base + int64(draw("length", 0, 100))}
			w.mustRead(part(n), rg.Base, rg.Next)
			parts = append(parts, foz.PartitionRange{Partition: n, Range: rg})
		}
		w.mustReadTopic(parts)
	})
}

func TestMergedReadOfManyBatches(t *testing.T) {
	w, o := own(t, Config{FetchBytesMax: 1, ColdBytesMax: 1})
	batches := w.batchesOf(o)
	w.mustRead(part(0), 0, end)
	w.mustCount(1+len(batches), 0) // the footer, and each batch by itself
	tail := int64(len(o.data)) - o.segments[0].ByteEnd
	want := tail
	for _, b := range batches {
		want += b.ByteEnd - b.ByteStart
	}
	if _, got := w.bucket.counts(); got != want {
		t.Errorf("read %d bytes, want %d", got, want)
	}
	b := batches[4]
	w.mustRead(part(0), b.First+1, b.Last)
	w.mustCount(1+len(batches)+1, 0) // one batch; the footer is known
	w.mustRead(part(0), b.First+1, b.Last+2)
	w.mustCount(1+len(batches)+3, 0)
}

// What can never be fetched whole is not counted: it would take the place of what can.
func TestMergedReadsAreNotRemembered(t *testing.T) {
	w, _ := own(t, Config{WholeBytesMax: 1})
	w.mustRead(part(0), 0, end)
	if n := w.reader.fetches.sharing.recent.Len(); n != 0 {
		t.Errorf("%d objects are remembered as missed", n)
	}
}

func TestMergedBatchesShareAFetch(t *testing.T) {
	w, _ := own(t, Config{})
	w.mustRead(part(0), 0, end)
	w.mustCount(2, 0) // the footer, and batches that together are below FetchBytesMax
	w.mustRead(part(0), 40, 60)
	w.mustCount(2, 0)
}

func TestMergedObjectOfManyPartitions(t *testing.T) {
	w := newWorld(t, Config{ColdBytesMax: 1})
	for range 5 {
		w.placeAll(w.object(2, 100, numbersBelow(100)...))
	}
	w.merge(0, all, numbersBelow(100)...)
	for n := range int32(3) {
		w.mustRead(part(n), 0, end)
	}
	w.mustCount(3, 0) // one GET for each run: there is no footer to read
	w.mustReadTopic(wholes(100))
	w.mustCount(4, 0) // one for all of them
	for i := range w.index.logs {
		w.index.logs[i].placements[0].AppendedMS = int64(i.Number) // each has its newest row's
	}
	w.placeAll(w.object(2, 100, numbersBelow(50)...))
	w.mustReadTopic(wholes(100))
	w.mustCount(6, 0)
}

func TestRangesWithoutRecords(t *testing.T) {
	for _, c := range []struct {
		name string
		kept func(int64) bool
		rg   foz.Range
		gets int
		runs string
	}{
		{"nothing is left", func(int64) bool { return false }, foz.Range{Base: 10, Next: 90}, 0,
			"[10,90):0"},
		{"a hole in a batch", func(o int64) bool { return o < 40 || o >= 60 },
			foz.Range{Base: 42, Next: 58}, 1, "[42,58):0"},
		{"from a hole to a hole", func(o int64) bool { return o%50 == 49 },
			foz.Range{Base: 3, Next: 100}, 1, "[3,100):2"},
		{"the end of it", func(o int64) bool { return o < 40 },
			foz.Range{Base: 50, Next: 103}, 2, "[50,100):0 [100,103):3"},
		{"the end of it, before others", func(o int64) bool { return o < 40 },
			foz.Range{Base: 30, Next: 102}, 2, "[30,100):10 [100,102):2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.placeAll(w.object(100, 10, 0))
			w.merge(1<<20, c.kept, 0)
			w.placeAll(w.object(5, 10, 0))
			var runs []string
			for run, err := range w.reader.Scan(t.Context(), part(0), c.rg) {
				if err != nil {
					t.Fatal(err)
				}
				runs = append(runs, fmt.Sprintf("[%d,%d):%d", run.Base, run.Next(), run.Len()))
			}
			if got := strings.Join(runs, " "); got != c.runs {
				t.Errorf("runs %s, want %s", got, c.runs)
			}
			w.mustCount(c.gets, 0)
			w.mustRead(part(0), 0, end)
		})
	}
}

func TestDamagedMergedObject(t *testing.T) {
	flip := func(data []byte) []byte {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 4
		return data
	}
	cut := func(data []byte) []byte { return data[:len(data)-1] }
	none := func([]byte) []byte { return nil }
	for _, c := range []struct {
		name        string
		spoil       func([]byte) []byte
		first, last int // GETs that are spoilt
		gets        int
		fatal       bool
	}{
		{"footer flipped once", flip, 1, 1, 3, false},
		{"footer cut once", cut, 1, 1, 3, false},
		{"footer empty once", none, 1, 1, 3, false},
		{"footer flipped for good", flip, 1, 9, 2, true},
		{"footer cut for good", cut, 1, 9, 2, true},
		{"footer empty for good", none, 1, 9, 2, true},
		{"batch flipped once", flip, 2, 2, 3, false},
		{"batch empty once", none, 2, 2, 3, false},
		{"batch flipped for good", flip, 2, 9, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, o := own(t, Config{})
			w.bucket.spoil = func(
				_ context.Context, n int, _ string, data []byte, err error,
			) ([]byte, error) {
				if c.first <= n && n <= c.last {
					data = c.spoil(data)
				}
				return data, err
			}
			b := w.batchesOf(o)[2]
			if c.fatal {
				err := w.mustFail(part(0), b.First, foz.CodeStorage)
				if !errors.Is(err, segment.ErrDamaged) || !strings.Contains(err.Error(), o.key) {
					t.Errorf("the error does not name the object: %v", err)
				}
			} else {
				w.mustRead(part(0), b.First, b.Last)
			}
			w.mustCount(c.gets, 0)
			if got := w.metric("damaged_total"); got != 1 {
				t.Errorf("%v damaged, want 1", got)
			}
			w.bucket.spoil = nil
			w.mustRead(part(0), 0, end) // the store was repaired
		})
	}
}

func TestIndexThatLiesOfAMergedObject(t *testing.T) {
	for name, lie := range map[string]func(*foz.Placement){
		"more rows":        func(pl *foz.Placement) { pl.RowCount++ },
		"fewer rows":       func(pl *foz.Placement) { pl.RowCount-- },
		"begins later":     func(pl *foz.Placement) { pl.Base, pl.Missing = 5, pl.Missing-5 },
		"ends earlier":     func(pl *foz.Placement) { pl.Missing -= 5 },
		"other batches":    func(pl *foz.Placement) { pl.Segment.Batches++ },
		"one batch":        func(pl *foz.Placement) { pl.Segment.Batches = 1 },
		"other level":      func(pl *foz.Placement) { pl.Segment.Level, pl.Segment.Batches = 7, 1 },
		"past the end":     func(pl *foz.Placement) { pl.Segment.ByteEnd += 1 << 20 },
		"past all numbers": func(pl *foz.Placement) { pl.Segment.ByteEnd = 1<<63 - 1 },
		"below zero":       func(pl *foz.Placement) { pl.Segment.ByteEnd = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := own(t, Config{})
			lie(&w.index.log(part(0)).placements[0])
			if err := w.mustFail(part(0), 7, foz.CodeStorage); !strings.Contains(err.Error(), o.key) {
				t.Errorf("the error does not name the object: %v", err)
			}
		})
	}
}

// Before each GET of a scan the object may be merged into another, and go.
func TestMergedObjectMoves(t *testing.T) {
	for n := 1; n <= 3; n++ {
		w, old := own(t, Config{FetchBytesMax: 1, AheadMax: 1})
		before := w.want[part(0)]
		w.bucket.spoil = func(
			_ context.Context, get int, key string, data []byte, err error,
		) ([]byte, error) {
			if key == old.key && get >= n {
				return w.bucket.Memory.Get(t.Context(), "data/gone", 0, 1)
			}
			return data, err
		}
		w.lag(func() { w.merge(1<<20, func(offset int64) bool { return offset < 90 }, 0) })
		got, err := w.read(part(0), 1, end)
		if err != nil {
			t.Fatal(err)
		}
		if len(before) <= len(w.want[part(0)]) || len(got) != len(w.want[part(0)])-1 {
			t.Errorf("%d records of %d, then %d", len(got), len(before), len(w.want[part(0)]))
		}
		if got := w.metric("stale_retries_total"); got != 1 {
			t.Errorf("%v stale retries, want 1", got)
		}
		w.mustBeIdle()
	}
}

func TestMergedObjectIsLost(t *testing.T) {
	w, o := own(t, Config{})
	if err := w.bucket.Delete(t.Context(), o.key); err != nil {
		t.Fatal(err)
	}
	err := w.mustFail(part(0), 0, foz.CodeStorage)
	if !strings.Contains(err.Error(), o.key) || w.metric("objects_lost_total") != 1 {
		t.Errorf("an object lost: %v", err)
	}
}

func TestOffsetAtInAMergedObject(t *testing.T) {
	w, o := own(t, Config{})
	batches := w.batchesOf(o)
	for _, b := range []segment.MergedBatch{batches[6], batches[1]} {
		offset, timestamp, err := w.reader.OffsetAt(t.Context(), part(0), b.MinTimestamp)
		if err != nil || offset != b.First || timestamp != b.MinTimestamp {
			t.Errorf("offset %d at %d, %v; want %d at %d",
				offset, timestamp, err, b.First, b.MinTimestamp)
		}
	}
	w.mustCount(3, 0) // the footer, and each time the batch in which the record is
	if offset, _, err := w.reader.OffsetAt(t.Context(), part(0), 1<<60); err != nil || offset != 100 {
		t.Errorf("none: offset %d, %v", offset, err)
	}
	w.mustCount(3, 1)
}

func TestFootersAreBounded(t *testing.T) {
	f := newFooters()
	at := func(i int) foz.Placement { return foz.Placement{Object: fmt.Sprint(i)} }
	for i := range 300 {
		f.add(at(i), make([]segment.MergedBatch, 1000))
		f.add(at(i), make([]segment.MergedBatch, 1000))
		f.find(at(0))
	}
	if f.batches > footerBatchesMax || f.recent.Len() != footerBatchesMax/1000 ||
		len(f.byObject) != f.recent.Len() {
		t.Errorf("%d batches of %d objects", f.batches, f.recent.Len())
	}
	_, first := f.find(at(0))
	_, second := f.find(at(1))
	other := at(0)
	other.Segment.CRC32C++
	if _, found := f.find(other); !first || second || found {
		t.Errorf("used always: %v, once: %v, of another segment: %v", first, second, found)
	}
}
