// How: what an object costs on this machine, for Memory, for Dir, and for the file system
// alone (a file written and synced, and its directory synced), which is as fast as a Dir can be.
package objectstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{4 << 10, 8 << 20} {
		b.Run(fmt.Sprintf("memory/%d", size), func(b *testing.B) {
			benchmarkCreate(b, objectstore.NewMemory(), size)
		})
		b.Run(fmt.Sprintf("dir/%d", size), func(b *testing.B) {
			benchmarkCreate(b, openDir(b, b.TempDir()), size)
		})
		b.Run(fmt.Sprintf("raw/%d", size), func(b *testing.B) { benchmarkRaw(b, size) })
	}
}

func benchmarkCreate(b *testing.B, s objectstore.Store, size int) {
	data := make([]byte, size)
	b.SetBytes(int64(size))
	n := 0
	for b.Loop() {
		key := fmt.Sprintf("data/%020d.arrow", n)
		if _, err := s.Create(b.Context(), key, data); err != nil {
			b.Fatal(err)
		}
		n++
		b.StopTimer() // what is not deleted fills the memory or the disk
		if err := s.Delete(b.Context(), key); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func benchmarkRaw(b *testing.B, size int) {
	data := make([]byte, size)
	path := b.TempDir()
	dir, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	b.SetBytes(int64(size))
	n := 0
	for b.Loop() {
		name := filepath.Join(path, fmt.Sprint(n))
		n++
		file, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := file.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		if err := file.Close(); err != nil {
			b.Fatal(err)
		}
		if err := dir.Sync(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := errors.Join(os.Remove(name), dir.Sync()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkDirCreateParallel is 8 writers of 4 KiB: in one directory, and each object in a new
// one, as data objects are.
func BenchmarkDirCreateParallel(b *testing.B) {
	for name, format := range map[string]string{"one": "data/%020d", "new": "data/%020d/x"} {
		b.Run(name, func(b *testing.B) {
			s := openDir(b, b.TempDir())
			var n atomic.Int64
			data := make([]byte, 4<<10)
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := fmt.Sprintf(format, n.Add(1))
					if _, err := s.Create(b.Context(), key, data); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkDirList lists one page at the start, in the middle and at the end of 100,000 keys
// in one directory.
func BenchmarkDirList(b *testing.B) {
	path := b.TempDir()
	if err := os.Mkdir(filepath.Join(path, "log"), 0o777); err != nil {
		b.Fatal(err)
	}
	const keys = 100_000
	for i := range keys {
		name := filepath.Join(path, fmt.Sprintf("log/%020d", i))
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	s := openDir(b, path)
	for _, from := range []int{0, keys / 2, keys - 10} {
		b.Run(fmt.Sprint("from ", from), func(b *testing.B) {
			for b.Loop() {
				page, _, err := s.List(b.Context(), "log/", fmt.Sprintf("log/%020d", from), 0)
				if err != nil || len(page) != min(1000, keys-from-1) {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}
