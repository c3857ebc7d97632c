package reader

// The pool and sharing by themselves. How: the workload of a log's tail, which decided the
// policy, and chunks that cover one another.

import (
	"fmt"
	"testing"

	"github.com/fozlog/foz"
)

func TestPoolKeepsTheTail(t *testing.T) {
	p := newPool(32 << 10)
	misses, reads := 0, 0
	look := func(i int) {
		reads++
		if _, ok := p.find(fmt.Sprint(i), 0, 1<<10); !ok {
			misses++
		}
	}
	for i := range 400 {
		p.add(fmt.Sprint(i), chunk{data: make([]byte, 1<<10)})
		for range 4 {
			look(i)
		}
		if i >= 8 {
			look(i - 8)
		}
	}
	if misses != 0 || reads != 1992 {
		t.Errorf("%d of %d reads missed", misses, reads)
	}
	if p.bytes != 32<<10 || p.recent.Len() != 32 || len(p.byObject) != 32 {
		t.Errorf("%d bytes in %d chunks of %d objects", p.bytes, p.recent.Len(), len(p.byObject))
	}
}

func TestPoolDropsTheLeastRecentlyUsed(t *testing.T) {
	p := newPool(30)
	for _, object := range []string{"a", "b", "c"} {
		p.add(object, chunk{data: make([]byte, 10)})
	}
	p.find("a", 0, 10)
	p.add("d", chunk{data: make([]byte, 10)})
	_, a := p.find("a", 0, 10)
	_, b := p.find("b", 0, 10)
	if !a || b {
		t.Errorf("a is there: %v, b is there: %v", a, b)
	}
}

func TestPoolChunks(t *testing.T) {
	p := newPool(1000)
	at := func(start, n int64) chunk { return chunk{start: start, data: make([]byte, n)} }
	p.add("a", at(100, 50))
	p.add("a", at(200, 50))
	p.add("b", at(0, 10))
	for _, c := range []struct {
		start, end int64
		want       bool
	}{{100, 150, true}, {110, 140, true}, {100, 151, false}, {140, 210, false}, {99, 120, false}} {
		if _, ok := p.find("a", c.start, c.end); ok != c.want {
			t.Errorf("[%d,%d) found: %v", c.start, c.end, ok)
		}
	}
	p.add("a", at(0, 500)) // covers both
	p.add("a", at(300, 20))
	p.add("c", at(0, 1001)) // larger than the pool
	if p.bytes != 510 || p.recent.Len() != 2 {
		t.Errorf("%d bytes in %d chunks", p.bytes, p.recent.Len())
	}
	p.drop("a")
	if p.bytes != 10 || len(p.byObject) != 1 {
		t.Errorf("%d bytes of %d objects after a drop", p.bytes, len(p.byObject))
	}
}

func TestChunkBytes(t *testing.T) {
	c := chunk{start: 10, data: []byte("abcdef")}
	if got, ok := c.bytes(12, 14); !ok || string(got) != "cd" || cap(got) != 2 {
		t.Errorf("got %q %v", got, ok)
	}
	for _, bad := range [][2]int64{{9, 12}, {12, 17}, {14, 12}, {-1, 12}} {
		if _, ok := c.bytes(bad[0], bad[1]); ok {
			t.Errorf("[%d,%d) is not in the chunk", bad[0], bad[1])
		}
	}
}

func TestSharingIsBounded(t *testing.T) {
	s := newSharing(100)
	for i := range 1000 {
		s.miss(fmt.Sprint(i), part(0), 10)
	}
	if len(s.byObject) != 10 || s.recent.Len() != 10 || s.bytes != 100 {
		t.Errorf("remembers %d objects, %d bytes", len(s.byObject), s.bytes)
	}
	if n := s.miss("999", part(0), 10); n != 1 {
		t.Errorf("one partition counted %d times", n)
	}
	if n := s.miss("999", part(1), 5); n != 2 {
		t.Errorf("two partitions counted as %d", n)
	}
}

// TestPutGivesBack: memory of an object that had to go is given back if nobody has read it.
func TestPutGivesBack(t *testing.T) {
	w := newWorld(t, Config{CacheBytesMax: 3 << 10})
	put := func(object string) []byte { return w.reader.Put(object, make([]byte, 100, 1<<10)) }
	for _, object := range []string{"a", "b", "c"} {
		if spare := put(object); spare != nil {
			t.Errorf("%s: %d bytes are given back, and nothing had to go", object, cap(spare))
		}
	}
	if _, ok := w.reader.fetches.cached(span{object: "b", end: 10}); !ok {
		t.Error("b is not there")
	}
	for _, c := range []struct {
		object string
		spare  int
	}{{"d", 1 << 10}, {"e", 1 << 10}, {"f", 0}, {"g", 1 << 10}} { // a, c, b was read, d
		if spare := put(c.object); cap(spare) != c.spare || len(spare) != 0 {
			t.Errorf("%s: %d bytes of room for %d", c.object, cap(spare), c.spare)
		}
	}
}

// What is planned from a cached object is served from it, though ingest displaces it before the
// plan is carried out: 0 GETs, and nothing looks damaged.
func TestPlannedFromACacheThatForgets(t *testing.T) {
	w := newWorld(t, Config{CacheBytesMax: 8 << 10})
	o := w.placeAll(w.object(5, 100, 0, 1, 2))
	w.reader.Put(o.key, o.data)
	s := w.reader.newScan(t.Context())
	records := 0
	s.visit = func(_ foz.Partition, run foz.Run) bool {
		records += run.Len()
		return true
	}
	for n := range int32(3) {
		if err := s.begin(part(n), foz.Range{Next: end}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.planMore(); err != nil {
		t.Fatal(err)
	}
	l := s.next()
	if len(l.pieces) != 3 {
		t.Errorf("%d pieces are planned from one object in memory", len(l.pieces))
	}
	w.reader.Put("another", make([]byte, 8<<10))
	if _, ok := w.reader.fetches.cached(l.spans[0]); ok {
		t.Fatal("the object is still in memory")
	}
	s.open(&l)
	s.loads, s.plan = []load{l}, s.plan[len(l.pieces):]
	if err := s.run(); err != nil || records != 15 {
		t.Errorf("%d records, %v", records, err)
	}
	w.mustCount(0, 0)
	if n := w.metric("damaged_total"); n != 0 {
		t.Errorf("%v damaged", n)
	}
}
