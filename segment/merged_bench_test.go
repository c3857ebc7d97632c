package segment

// How: flights, as producers send them, are merged; throughput is of the rows' decoded bytes.
// What zstd alone takes for the same columns is the speed of light, and beside it.

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fozlog/foz"
)

// flights are 20,000 rows keyed by airport.
func flights(b *testing.B) *foz.Rows {
	name := filepath.Join("..", "cmd", "foz", "demo", "flights.ndjson.zst")
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	rows := &foz.Rows{}
	lines := bufio.NewScanner(d)
	for lines.Scan() {
		value := lines.Bytes()
		rows.Append(980_000_000_000+int64(rows.Len()*37), value[len(value)-24:len(value)-21], value, nil)
	}
	if lines.Err() != nil {
		b.Fatal(lines.Err())
	}
	return rows
}

// benchRuns are so many runs of the same rows, a batch each.
func benchRuns(b *testing.B) (runs []foz.Run, size int) {
	rows := flights(b)
	for i := range 8 {
		run := wholeRun(int64(i*rows.Len()), rows)
		runs = append(runs, run)
		size += DecodedBytes(run)
	}
	return runs, size
}

func mergeRuns(b testing.TB, m *Merged, runs []foz.Run) ([]byte, []foz.Segment) {
	b.Helper()
	for _, run := range runs {
		if err := m.Append(foz.Partition{}, run); err != nil {
			b.Fatal(err)
		}
	}
	object, segments, err := m.Finish(nil)
	if err != nil {
		b.Fatal(err)
	}
	return object, segments
}

func BenchmarkMerge(b *testing.B) {
	runs, size := benchRuns(b)
	m := NewMerged(MergedOptions{BatchBytes: DecodedBytes(runs[0])})
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		object, _ := mergeRuns(b, m, runs)
		b.ReportMetric(float64(size)/float64(len(object)), "ratio")
	}
}

// BenchmarkMergeCompression is what zstd takes of BenchmarkMerge.
func BenchmarkMergeCompression(b *testing.B) {
	runs, size := benchRuns(b)
	p := newZSTDPacker()
	columns := columnsOf(runs[0])
	b.SetBytes(int64(size))
	for b.Loop() {
		for range runs {
			for _, c := range columns {
				if err := p.compress(c); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

// columnsOf are the buffers of a batch, not compressed.
func columnsOf(run foz.Run) (columns [][]byte) {
	w := beginBatch(nil, plainLayout.shape, nil)
	offsets := make([]int64, run.Len())
	for i := range offsets {
		offsets[i] = run.Offset(i)
	}
	w.int64s(offsets)
	w.int64s(run.Rows.Timestamps)
	w.cells(&run.Rows.Keys)
	w.cells(&run.Rows.Values)
	w.lists(&headers{nulls: run.Rows.Headers.Nulls, ends: make([]int32, run.Len())})
	msg := w.end(run.Len())
	for at := w.shape.buffers.from; at < w.shape.buffers.to; at += pairBytes {
		from, n := pair(msg[at:])
		if n > 0 {
			columns = append(columns, msg[len(w.shape.metadata):][from:][:n])
		}
	}
	return columns
}

func BenchmarkDecodeMerged(b *testing.B) {
	runs, size := benchRuns(b)
	object, segments := mergeRuns(b, NewMerged(MergedOptions{BatchBytes: DecodedBytes(runs[0])}), runs)
	batches, err := InspectMerged(object[segments[0].ByteEnd:], segments[0])
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, batch := range batches {
			if _, _, err := DecodeMergedBatch(object[batch.ByteStart:batch.ByteEnd], batch); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkMergeShared merges 1,000 partitions of which each has 10 rows of 100 bytes.
func BenchmarkMergeShared(b *testing.B) {
	parts := benchParts(1000, 10, 100)
	m := NewMerged(MergedOptions{})
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range parts {
			if err := m.Append(p.Partition, wholeRun(7, p.Rows)); err != nil {
				b.Fatal(err)
			}
		}
		object, _, err := m.Finish(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(object))/1000, "bytes/run")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(1000*b.N), "ns/run")
}

func BenchmarkDecodeMergedShared(b *testing.B) {
	m := NewMerged(MergedOptions{})
	for _, p := range benchParts(1000, 10, 100) {
		if err := m.Append(p.Partition, wholeRun(7, p.Rows)); err != nil {
			b.Fatal(err)
		}
	}
	object, segments, err := m.Finish(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range segments {
			if _, _, err := DecodeMerged(object[s.ByteStart:s.ByteEnd], s); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(1000*b.N), "ns/run")
}
