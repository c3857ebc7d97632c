package reader

// Reading many partitions: what it costs and what it yields. How: worlds in which every
// object has segments of up to 100 partitions and all of them together are many times larger
// than the cold cache; GETs and their bytes are counted at the bucket and compared with the
// arithmetic beside the number.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

func numbersBelow(n int32) []int32 {
	numbers := make([]int32, n)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	return numbers
}

// wholes asks for all of partitions 0 to n-1.
func wholes(n int32) []foz.PartitionRange {
	var parts []foz.PartitionRange
	for p := range n {
		parts = append(parts, foz.PartitionRange{Partition: p, Range: foz.Range{Next: end}})
	}
	return parts
}

// readTopic scans ranges and gives each partition's records; runs must tile each range.
func (w *world) readTopic(parts []foz.PartitionRange) (map[foz.Partition][]foz.Record, error) {
	got := map[foz.Partition][]foz.Record{}
	position := map[int32]int64{}
	for _, part := range parts {
		position[part.Partition] = part.Base
	}
	err := w.reader.ScanTopic(w.t.Context(), topic, parts, func(n int32, run foz.Run) (err error) {
		if run.Base != position[n] {
			return fmt.Errorf("a run of %d begins at %d, after %d", n, run.Base, position[n])
		}
		position[n] = run.Next()
		got[part(n)], err = appendRun(got[part(n)], run)
		return err
	})
	return got, err
}

func (w *world) mustReadTopic(parts []foz.PartitionRange) {
	w.t.Helper()
	got, err := w.readTopic(parts)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, asked := range parts {
		p := part(asked.Partition)
		var want []foz.Record
		for _, record := range w.want[p] {
			if asked.Base <= record.Offset && record.Offset < asked.Next {
				want = append(want, record)
			}
		}
		if !slices.EqualFunc(got[p], want, sameRecord) {
			w.t.Fatalf("partition %s: %d records, want %d", p, len(got[p]), len(want))
		}
	}
}

// stored is what the segments of all placements take.
func (w *world) stored() (bytes int64) {
	for _, log := range w.index.logs {
		for _, pl := range log.placements {
			bytes += pl.Segment.ByteEnd - pl.Segment.ByteStart
		}
	}
	return bytes
}

// many is a world of objects of 100 partitions, 2 rows of 100 bytes each: about 70 KiB an
// object, of which so many fit into the cold cache.
func many(t *testing.T, objects int, cached int64) *world {
	w := newWorld(t, Config{ColdBytesMax: cached * 70 << 10})
	for range objects {
		w.placeAll(w.object(2, 100, numbersBelow(100)...))
	}
	return w
}

func TestTopicScanFetchesEachObjectOnce(t *testing.T) {
	w := many(t, 60, 4)
	w.mustReadTopic(wholes(100))
	w.mustCount(60, 0) // 1 GET for each object: the segments of a topic are neighbours there
	if _, got := w.bucket.counts(); got != w.stored() {
		t.Errorf("read %d bytes of %d: %.2f times", got, w.stored(),
			float64(got)/float64(w.stored()))
	}
}

// Partitions that are at different places, some of which lack in most objects, and objects
// that were committed in another order than they were made, as those of several nodes are.
func TestTopicScanOfUnevenPartitions(t *testing.T) {
	w := newWorld(t, Config{ColdBytesMax: 300 << 10})
	random := rand.New(rand.NewPCG(1, 2))
	var objects []*object
	for range 80 {
		var numbers []int32
		for _, number := range numbersBelow(100) {
			if random.IntN(100) < 20+int(number) {
				numbers = append(numbers, number)
			}
		}
		objects = append(objects, w.object(2, 100, numbers...))
	}
	for i := range objects { // up to three places from where they belong
		j := max(0, i-random.IntN(4))
		objects[i], objects[j] = objects[j], objects[i]
	}
	for _, o := range objects {
		w.placeAll(o)
	}
	w.mustReadTopic(wholes(100))
	gets, bytes := w.bucket.counts()
	if ratio := float64(bytes) / float64(w.stored()); ratio > 1.3 || gets > 3*80 {
		t.Errorf("%d GETs for 80 objects, %.2f bytes for a byte", gets, ratio)
	}
}

func TestTopicScanYieldsExactlyWhatIsPlaced(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string, low, high int) int {
			return rapid.IntRange(low, high).Draw(rt, name)
		}
		w := newWorld(t, Config{
			ColdBytesMax:  int64(draw("cold", 1, 20)) << 10,
			FetchBytesMax: int64(draw("fetch", 1, 8)) << 10,
			WholeBytesMax: int64(draw("whole", 1, 16)) << 10,
			AheadBytesMax: int64(draw("ahead", 1, 32)) << 10,
			PlacementsMax: draw("page", 1, 20), AheadMax: draw("depth", 1, 8),
		})
		for range draw("objects", 1, 12) {
			o := w.object(draw("rows", 1, 20), 50, 0, 1, 2, 3)
			o.appendedMS = int64(draw("appended", 0, 5))
			for s := range o.segments {
				w.placeSome(o, s, draw)
			}
		}
		var parts []foz.PartitionRange
		for p := range int32(4) {
			log := w.index.log(part(p))
			base := int64(draw("base", 0, int(log.next)))
			next := base + int64(draw("length", 0, 200))
			rg := foz.Range{Base: base, Next: next}
			parts = append(parts, foz.PartitionRange{Partition: p, Range: rg})
		}
		w.mustReadTopic(parts)
	})
}

func TestTopicScanEnds(t *testing.T) {
	w := many(t, 4, 100)
	enough := errors.New("enough")
	runs := 0
	err := w.reader.ScanTopic(t.Context(), topic, wholes(100), func(int32, foz.Run) error {
		if runs++; runs == 7 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || runs != 7 {
		t.Errorf("%d runs, then %v", runs, err)
	}
	if _, err := w.readTopic(nil); err != nil {
		t.Errorf("of no partitions: %v", err)
	}
	parts := wholes(5)
	parts[4].Base = 99
	_, err = w.readTopic(parts)
	if !errors.Is(err, &foz.Error{Code: foz.CodeOffsetOutOfRange}) {
		t.Errorf("past the end of one: %v", err)
	}
	w.mustBeIdle()
}

// Objects that two partitions share are merged into one of each, and this node learns of it
// by a 404 in the middle.
func TestTopicScanOfMovedObjects(t *testing.T) {
	w := newWorld(t, Config{PlacementsMax: 2})
	var old []string
	for range 6 {
		old = append(old, w.placeAll(w.object(5, 10, 0, 1)).key)
	}
	before := map[foz.Partition][]foz.Record{part(0): w.want[part(0)], part(1): w.want[part(1)]}
	merged := []*object{w.batches(6, 5, 10, 0), w.batches(6, 5, 10, 1)}
	if err := w.bucket.Delete(t.Context(), old[3:]...); err != nil {
		t.Fatal(err)
	}
	w.lag(func() {
		for n, o := range merged {
			w.index.apply(func() { w.index.logs[part(int32(n))] = &partitionLog{} })
			w.want[part(int32(n))] = nil
			w.placeAll(o)
		}
	})
	got, err := w.readTopic(wholes(2))
	if err != nil {
		t.Fatal(err)
	}
	for n := range int32(2) {
		want := append(slices.Clone(before[part(n)][:15]), w.want[part(n)][15:]...)
		if !slices.EqualFunc(got[part(n)], want, sameRecord) {
			t.Errorf("partition %d: %d records, want %d", n, len(got[part(n)]), len(want))
		}
	}
	if got := w.metric("stale_retries_total"); got != 1 {
		t.Errorf("%v stale retries, want 1", got)
	}
}

// large counts the GETs of more than a few segments, by object.
func (w *world) large(bytes int) func() (most, all int) {
	var mu sync.Mutex
	counts := map[string]int{}
	w.bucket.spoil = func(
		_ context.Context, _ int, key string, data []byte, err error,
	) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(data) > bytes {
			counts[key]++
		}
		return data, err
	}
	return func() (most, all int) {
		for _, n := range counts {
			most, all = max(most, n), all+n
		}
		return most, all
	}
}

// Four readers that replay 25 partitions each, one after the other and side by side: the cache
// is gone round 25 times. Whole objects are fetched once, beside exactly what each reader needs.
func TestReadersApartFetchNoObjectWholeTwice(t *testing.T) {
	w := many(t, 60, 10)
	large := w.large(10 << 10)
	for n := range int32(25) {
		w.sideBySide(n, 25+n, 50+n, 75+n)
	}
	most, all := large()
	if most != 1 || all < 50 {
		t.Errorf("%d were fetched whole, one of them %d times", all, most)
	}
	// At most all segments and all objects once; an object is its segments and a footer, as
	// small as these are a fourth of it.
	gets, bytes := w.bucket.counts()
	if ratio := float64(bytes) / float64(w.stored()); ratio > 2.3 || gets > 60*100 {
		t.Errorf("%d GETs, %.2f bytes for a byte", gets, ratio)
	}
}

// sideBySide reads partitions, a run of each in turn.
func (w *world) sideBySide(numbers ...int32) {
	w.t.Helper()
	var scans []func() (foz.Run, error, bool)
	for _, n := range numbers {
		next, stop := iter.Pull2(w.reader.Scan(w.t.Context(), part(n), foz.Range{Next: end}))
		defer stop()
		scans = append(scans, next)
	}
	for more := true; more; {
		for _, next := range scans {
			var err error
			if _, err, more = next(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// One reader that replays 100 partitions one after the other gets their bytes and no more: from
// the first object fetched whole it knows that the others are as large, and that few of them
// would still be there when it comes again.
func TestReaderOfOnePartitionAfterTheOther(t *testing.T) {
	w := many(t, 60, 10)
	large := w.large(10 << 10)
	for n := range int32(100) {
		w.mustRead(part(n), 0, end)
	}
	if _, all := large(); all != 1 {
		t.Errorf("%d objects were fetched whole, want 1", all)
	}
	w.mustCount(4+59*100, 0) // 3 ranged and 1 whole of the first, which stays; of others ranged
	if _, bytes := w.bucket.counts(); float64(bytes) > 1.05*float64(w.stored()) {
		t.Errorf("read %d bytes for %d", bytes, w.stored())
	}
}

func TestSharingRemembersWhatItBought(t *testing.T) {
	s := newSharing(1000)
	for n := range int32(4) {
		s.miss("a", part(n), 10)
		s.miss("b", part(n), 10)
	}
	s.buy("a", 600)
	if n := s.miss("a", part(9), 10); n != 0 {
		t.Errorf("bought before, and missed by %d", n)
	}
	if n := s.miss("b", part(9), 10); n != 5 || s.bytes != 600 {
		t.Errorf("b was missed by %d, all is %d bytes", n, s.bytes)
	}
	if s.miss("c", part(0), 10); s.byObject["b"] != nil { // 1200 bytes by now
		t.Error("b is remembered, but would not be cached")
	}
	for i := range boughtMax + 5 {
		s.buy(fmt.Sprint(i), 1)
	}
	if len(s.bought) != boughtMax || len(s.buys) != boughtMax || s.bought["4"] || !s.bought["5"] {
		t.Errorf("%d are remembered as bought, of %d", len(s.bought), len(s.buys))
	}
}
