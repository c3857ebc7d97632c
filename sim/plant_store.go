package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// Planted bugs in what nodes read.

// bucketOf is a process's store.
func (w *World) bucketOf(p *Proc, s objectstore.Store) objectstore.Store {
	switch {
	case w.bugs.ChecksumUnchecked:
		return &forged{s, p}
	case w.bugs.EmptyOnMissing:
		return &counting{Store: s, missing: &p.missing}
	}
	return s
}

// forged answers some reads of data with damage that no checksum sees, as if nobody looked.
type forged struct {
	objectstore.Store
	proc *Proc
}

// unseen is what bytes can be changed by without changing their crc32c: its polynomial, x^32
// first. Checksums are linear, and its own is 0.
const unseen uint64 = 1 | 0x82f63b78<<1

func (f *forged) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := f.Store.Get(ctx, key, offset, length)
	rng := f.proc.driver.rngFor(f.proc.Name + " forged " + key)
	if err != nil || !strings.HasPrefix(key, "data/") || len(data) < 8 || rng.IntN(20) > 0 {
		return data, err
	}
	data = bytes.Clone(data)
	at := data[rng.IntN(len(data)-7):]
	binary.LittleEndian.PutUint64(at, binary.LittleEndian.Uint64(at)^unseen)
	return data, nil
}

// counting counts reads of objects that are not there.
type counting struct {
	objectstore.Store
	missing *atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := c.Store.Get(ctx, key, offset, length)
	if errors.Is(err, objectstore.ErrNotFound) {
		c.missing.Add(1)
	}
	return data, err
}

// runs is what a scan at a node yields. With the bug planted, an object that is not there is
// taken for one without records.
func (h *house) runs(
	ctx context.Context, s *services, p foz.Partition, rg foz.Range,
) iter.Seq2[foz.Run, error] {
	runs := s.reader.Scan(ctx, p, rg)
	if !h.options.EmptyOnMissing {
		return runs
	}
	return func(yield func(foz.Run, error) bool) {
		before, next := s.missing.Load(), rg.Base
		for run, err := range runs {
			if s.missing.Load() != before && err == nil {
				yield(foz.Run{Base: next, Rows: &foz.Rows{}, End: run.Next()}, nil)
				return
			}
			if next = run.Next(); !yield(run, err) {
				return
			}
		}
	}
}
