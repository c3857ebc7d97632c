//go:build unix

package ingest

// How: producers call Produce against a store and a metadata that answer at once, so what is
// measured is ingest alone: copying rows, encoding objects (with checksums), and the queues.
// Run with -cpu 1. MB/s suffers from neighbours on the machine, cpu-s/GB does not: below 1 is
// more than 1 GB/s per core.

import (
	"context"
	"crypto/rand"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

func BenchmarkProduce(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache Cache
	}{
		{"no cache", nil},
		{"cache of 256 MiB", &ring{max: 256 << 20}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkProduce(b, c.cache) })
	}
}

func benchmarkProduce(b *testing.B, cache Cache) {
	i := New(Deps{
		Store: nothing{}, Committer: newTally(), Slots: heard(1), Cache: cache, Entropy: rand.Reader,
	}, Config{FlushInterval: 5 * time.Millisecond})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- i.Run(ctx) }()

	request := wide(1000, 100, 1024)
	b.SetBytes(1000 * 1024)
	b.ReportAllocs()
	b.SetParallelism(64) // enough to fill several objects of 8 MiB
	before := cpuSeconds(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := i.Produce(ctx, request); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric((cpuSeconds(b)-before)/(float64(b.N)*1000*1024/1e9), "cpu-s/GB")
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

// cpuSeconds is what this process has used, the kernel's work for it included.
func cpuSeconds(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// wide is a request of so many rows, in turn over so many partitions.
func wide(rows, partitions, valueBytes int) foz.Request {
	r := foz.Request{Topic: flights}
	for n := range partitions {
		r.Batches = append(r.Batches, foz.Batch{Partition: int32(n), Rows: new(foz.Rows)})
	}
	value := make([]byte, valueBytes)
	for n := range rows {
		r.Batches[n%partitions].Rows.Append(int64(n), nil, value, nil)
	}
	return r
}

// nothing is a store that takes everything and keeps nothing.
type nothing struct{ objectstore.Store }

func (nothing) Create(context.Context, string, []byte) (time.Time, error) { return time.Now(), nil }

// tally gives dense offsets and remembers nothing else, unlike ledger.
type tally struct{ next map[foz.Partition]int64 }

func newTally() *tally { return &tally{map[foz.Partition]int64{}} }

func (t *tally) Commit(_ context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	l := ledger{next: t.next}
	results := make([]foz.CommitResult, len(commits))
	for n, c := range commits {
		results[n] = l.apply(c)
	}
	return results, nil
}

// ring is a cache that keeps the newest objects and gives the rest back.
type ring struct {
	mu      sync.Mutex
	max     int
	bytes   int
	objects [][]byte
}

func (r *ring) Put(_ string, data []byte) (spare []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects = append(r.objects, data)
	for r.bytes += cap(data); r.bytes > r.max; {
		spare = r.objects[0]
		r.bytes -= cap(spare)
		r.objects[0], r.objects = nil, r.objects[1:]
	}
	return spare
}
