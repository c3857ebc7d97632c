package reader

// What reads cost, in requests. How: each test builds a bucket, reads, and compares the GETs
// and catch-ups (a LIST each) that were made with the arithmetic beside the number.

import (
	"math"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
)

const end = math.MaxInt64

func TestTailReadAfterPut(t *testing.T) {
	w := newWorld(t, Config{})
	for range 20 {
		o := w.object(10, 100, 0, 1, 2)
		w.reader.Put(o.key, o.data)
		w.placeAll(o)
		for number := range int32(3) {
			w.mustRead(part(number), int64(10*(w.made-1)), end)
		}
	}
	w.mustCount(0, 0) // what this node wrote is in memory
}

func TestColdReadOfOneSegment(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.placeAll(w.object(10, 100, 0, 1, 2))
	w.mustRead(part(1), 0, end)
	w.mustCount(1, 0) // one ranged GET
	s := o.segments[1]
	if _, got := w.bucket.counts(); got != s.ByteEnd-s.ByteStart {
		t.Errorf("read %d bytes for a segment of %d", got, s.ByteEnd-s.ByteStart)
	}
	w.mustRead(part(1), 3, 7)
	w.mustCount(1, 0) // in the cold cache
}

func TestReplayReadsOnlyItsOwnBytes(t *testing.T) {
	w := newWorld(t, Config{})
	var own int64
	for range 30 {
		o := w.placeAll(w.object(5, 100, 0, 1, 2, 3))
		own += o.segments[2].ByteEnd - o.segments[2].ByteStart
	}
	w.mustRead(part(2), 0, end)
	w.mustCount(30, 0) // one GET per object
	if _, got := w.bucket.counts(); got != own {
		t.Errorf("read %d bytes for %d bytes of segments", got, own)
	}
}

func TestManyPartitionsShareAnObject(t *testing.T) {
	w := newWorld(t, Config{})
	numbers := make([]int32, 100)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	o := w.placeAll(w.object(2, 50, numbers...))
	for _, number := range numbers {
		w.mustRead(part(number), 0, end)
	}
	w.mustCount(4, 0) // 3 ranged, then the whole object for the other 97
	if _, got := w.bucket.counts(); got > 2*int64(len(o.data)) {
		t.Errorf("read %d bytes of an object of %d", got, len(o.data))
	}
}

func TestSharingForgetsWhatTheCacheWouldHaveDropped(t *testing.T) {
	w := newWorld(t, Config{ColdBytesMax: 20 << 10, WholePartitions: 2})
	for range 40 { // 40 objects of about 2 x 2 KiB: 5 to 10 fit
		w.placeAll(w.object(2, 1000, 0, 1))
	}
	w.mustRead(part(0), 0, end)
	w.mustRead(part(1), 0, 60)
	w.mustCount(70, 0) // 40 + 30 ranged: partition 1 comes long after partition 0
	if gets, bytes := w.bucket.counts(); bytes/int64(gets) > 3<<10 {
		t.Errorf("%d bytes in %d GETs: objects were fetched whole in vain", bytes, gets)
	}
}

func TestRowRangesOfOneSegmentShareAFetch(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.object(30, 100, 0)
	w.place(o, 0, 0, 10)
	w.place(o, 0, 12, 20) // rows 10 and 11 were refused
	w.place(o, 0, 25, 30)
	w.mustRead(part(0), 0, end)
	w.mustCount(1, 0)
}

func TestNeighboursShareAFetch(t *testing.T) {
	w := newWorld(t, Config{FetchBytesMax: 64 << 10})
	o := w.placeAll(w.batches(20, 10, 1000, 0)) // 20 segments of about 10 KiB
	w.mustRead(part(0), 0, end)
	perFetch := int64(64<<10) / (int64(len(o.data)) / 20)
	w.mustCount(int((20+perFetch-1)/perFetch), 0)
	if _, got := w.bucket.counts(); got > int64(len(o.data)) {
		t.Errorf("read %d bytes of an object of %d", got, len(o.data))
	}
	gets, _ := w.bucket.counts()
	for base := range int64(200) {
		w.firstRun(part(0), base)
	}
	w.mustCount(gets, 0) // also what begins in the middle of a chunk
}

// firstRun begins a scan to the end and stops after one run, as a read with a limit does.
func (w *world) firstRun(p foz.Partition, base int64) {
	w.t.Helper()
	for run, err := range w.reader.Scan(w.t.Context(), p, foz.Range{Base: base, Next: end}) {
		if err != nil || run.Base != base {
			w.t.Fatalf("run from %d, %v; want one from %d", run.Base, err, base)
		}
		return
	}
}

func TestShortReadDoesNotRunAhead(t *testing.T) {
	w := newWorld(t, Config{})
	for range 50 {
		w.placeAll(w.object(5, 100, 0))
	}
	w.firstRun(part(0), 0)
	w.mustCount(1, 0) // the first segment; running ahead begins when the consumer goes on
	w.mustRead(part(0), 7, 8)
	w.mustCount(2, 0)
}

func TestOneFlightForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		release := w.holdGets()
		w.placeAll(w.object(5, 100, 0))
		done := make(chan error)
		for range 100 {
			go func() {
				_, err := w.read(part(0), 0, end)
				done <- err
			}()
		}
		synctest.Wait()
		close(release)
		for range 100 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		w.mustCount(1, 0) // 99 joined
	})
}

func TestReplayDoesNotEvictTheTail(t *testing.T) {
	w := newWorld(t, Config{CacheBytesMax: 16 << 10, ColdBytesMax: 8 << 10})
	for range 50 {
		w.placeAll(w.object(5, 1000, 0))
	}
	tail := w.object(5, 1000, 0)
	w.reader.Put(tail.key, tail.data)
	w.placeAll(tail)
	w.mustRead(part(0), 0, 250)
	gets, _ := w.bucket.counts()
	w.mustRead(part(0), 250, end)
	w.mustCount(gets, 0)
	if cold, hot := w.reader.fetches.cold.bytes, w.reader.fetches.hot.bytes; cold > 8<<10 ||
		hot > 16<<10 {
		t.Errorf("caches hold %d and %d bytes", cold, hot)
	}
}

func TestPutReplacesWhatWasFetched(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.placeAll(w.object(5, 100, 0))
	w.mustRead(part(0), 0, end)
	w.reader.Put(o.key, o.data)
	w.mustRead(part(0), 0, end)
	w.mustCount(1, 0)
	if cold := w.reader.fetches.cold.bytes; cold != 0 {
		t.Errorf("%d bytes are held twice", cold)
	}
}

func TestHeadAndBoundsCost(t *testing.T) {
	w := newWorld(t, Config{})
	w.placeAll(w.object(5, 100, 0))
	w.mustRead(part(0), 5, end) // at the head: nothing, and no error
	w.mustCount(0, 0)
	for _, linearizable := range []bool{false, true} {
		b, err := w.reader.Bounds(t.Context(), part(0), linearizable)
		if err != nil || b.Next != 5 || b.Earliest != 0 {
			t.Errorf("bounds %+v, %v", b, err)
		}
	}
	w.mustCount(0, 1) // a LIST for the linearizable one
}
