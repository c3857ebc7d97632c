package reader

// How: one partition of 64 MiB in 8 MiB objects is scanned from end to end, from the
// write-through cache (hot) and from a bucket in memory with nothing cached (cold); rows
// of text once more that are one merged object, whose bytes are counted as stored.

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

func benchmarkScan(b *testing.B, put bool, c Config) {
	w := newWorld(b, c)
	var total int64
	for range 8 {
		o := w.object(8<<10, 1<<10, 0)
		if put {
			w.reader.Put(o.key, o.data)
		}
		w.placeAll(o)
		total += int64(len(o.data))
	}
	w.scan64k(total)
}

// scan64k measures scans of partition 0, which has so many records in so many bytes.
func (w *world) scan64k(total int64) {
	b := w.t.(*testing.B)
	w.want = nil
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		records := 0
		for run, err := range w.reader.Scan(b.Context(), part(0), foz.Range{Base: 0, Next: end}) {
			if err != nil {
				b.Fatal(err)
			}
			records += run.To - run.From
		}
		if records != 64<<10 {
			b.Fatalf("%d records", records)
		}
	}
}

func BenchmarkScanHot(b *testing.B)  { benchmarkScan(b, true, Config{}) }
func BenchmarkScanCold(b *testing.B) { benchmarkScan(b, false, Config{ColdBytesMax: 1}) }

func BenchmarkScanMerged(b *testing.B) {
	w := newWorld(b, Config{ColdBytesMax: 1})
	random := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		rows := &foz.Rows{}
		for i := range 8 << 10 {
			var value []byte // as text is: numbers among words that come again
			for len(value) < 1000 {
				value = fmt.Appendf(value, `"a member, %d":%d,`, random.IntN(50), random.Int32())
			}
			rows.Append(int64(i), []byte("key"), value, nil)
		}
		w.made++
		w.placeAll(w.encode([]segment.Part{{Partition: part(0), Rows: rows}}))
	}
	o := w.merge(0, all, 0)
	w.scan64k(int64(len(o.data)))
}

// BenchmarkPage reads 100 records from the middle of a cached 8 MiB segment.
func BenchmarkPage(b *testing.B) {
	w := newWorld(b, Config{})
	o := w.object(8<<10, 1<<10, 0)
	w.reader.Put(o.key, o.data)
	w.placeAll(o)
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range w.reader.Scan(b.Context(), part(0), foz.Range{Base: 4000, Next: 4100}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
