package reader

// Bad bytes and bad stores. How: the bucket spoils what GETs return, once or for good, or
// the index is made to lie; then the records are right or the error names the object.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

func TestDamage(t *testing.T) {
	flip := func(data []byte) []byte {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 4
		return data
	}
	cut := func(data []byte) []byte { return data[:len(data)-9] }
	none := func(data []byte) []byte { return nil }
	for _, c := range []struct {
		name  string
		spoil func([]byte) []byte
		times int
		gets  int
		want  foz.Code
	}{
		{"bit flipped once", flip, 1, 2, ""},
		{"cut short once", cut, 1, 2, ""},
		{"empty once", none, 1, 2, ""},
		{"bit flipped for good", flip, 100, 2, foz.CodeStorage},
		{"cut short for good", cut, 100, 2, foz.CodeStorage},
		{"empty for good", none, 100, 2, foz.CodeStorage},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			o := w.placeAll(w.object(5, 10, 0))
			w.bucket.spoil = func(
				_ context.Context, n int, _ string, data []byte, err error,
			) ([]byte, error) {
				if n <= c.times {
					data = c.spoil(data)
				}
				return data, err
			}
			if c.want == "" {
				w.mustRead(part(0), 0, end)
				w.mustRead(part(0), 0, end) // the good copy is cached
			} else {
				err := w.mustFail(part(0), 0, c.want)
				s := o.segments[0]
				at := fmt.Sprintf("%s bytes [%d,%d)", o.key, s.ByteStart, s.ByteEnd)
				if !errors.Is(err, segment.ErrDamaged) || !strings.Contains(err.Error(), at) {
					t.Errorf("error does not say what is damaged, want %s: %v", at, err)
				}
			}
			w.mustCount(c.gets, 0)
			if got := w.metric("damaged_total"); got != 1 {
				t.Errorf("%v damaged, want 1", got)
			}
		})
	}
}

func TestTruncatedObjectAndLyingIndex(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(pl *foz.Placement)
	}{
		{"bytes past the end", func(pl *foz.Placement) {
			pl.Segment.ByteStart += 1 << 20
			pl.Segment.ByteEnd += 1 << 20
		}},
		{"rows past the end", func(pl *foz.Placement) { pl.RowStart = 3 }},
		{"rows below zero", func(pl *foz.Placement) { pl.RowStart = -1 }},
		{"no bytes", func(pl *foz.Placement) { pl.Segment.ByteEnd = pl.Segment.ByteStart }},
		{"bytes below zero", func(pl *foz.Placement) { pl.Segment.ByteStart = -8 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			o := w.placeAll(w.object(5, 10, 0))
			c.lie(&w.index.log(part(0)).placements[0])
			if err := w.mustFail(part(0), 0, foz.CodeStorage); !strings.Contains(err.Error(), o.key) {
				t.Errorf("the error does not name the object: %v", err)
			}
		})
	}
}

func TestDamagedBytesAreNotKept(t *testing.T) {
	w := newWorld(t, Config{})
	w.placeAll(w.object(5, 10, 0))
	w.bucket.spoil = func(
		_ context.Context, n int, _ string, data []byte, err error,
	) ([]byte, error) {
		if n <= 2 {
			data[len(data)/2] ^= 1
		}
		return data, err
	}
	w.mustFail(part(0), 0, foz.CodeStorage)
	w.mustRead(part(0), 0, end) // the store was repaired
	w.mustCount(3, 0)
	if got := w.metric("damaged_total"); got != 1 {
		t.Errorf("%v damaged, want 1: damaged bytes were served again", got)
	}
}

func TestLyingIndexAboutASegmentReadBefore(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.object(5, 10, 0)
	w.place(o, 0, 0, 2)
	w.place(o, 0, 2, 5)
	w.index.log(part(0)).placements[1].RowStart = 3
	w.mustFail(part(0), 0, foz.CodeStorage)
}

func TestDamagedCacheIsRefetched(t *testing.T) {
	w := newWorld(t, Config{})
	o := w.placeAll(w.object(5, 10, 0))
	bad := append([]byte(nil), o.data...)
	bad[(o.segments[0].ByteStart+o.segments[0].ByteEnd)/2] ^= 1
	w.reader.Put(o.key, bad)
	w.mustRead(part(0), 0, end)
	w.mustCount(1, 0)
}

func TestStoreFaults(t *testing.T) {
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name  string
		err   error
		times int
		want  foz.Code
		took  time.Duration
		gets  int
	}{
		// With jitter 0.5 a pause is 3/4 of 50, 100, 200 ms.
		{"reset twice", broken, 2, "", 112500 * time.Microsecond, 3},
		{"throttled once", objectstore.ErrThrottled, 1, "", 37500 * time.Microsecond, 2},
		{"reset for good", broken, 99, foz.CodeStorage, 262500 * time.Microsecond, 4},
		{"throttled for good", objectstore.ErrThrottled, 99, foz.CodeUnavailable,
			262500 * time.Microsecond, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				w.placeAll(w.object(5, 10, 0))
				w.bucket.spoil = func(
					_ context.Context, n int, _ string, data []byte, err error,
				) ([]byte, error) {
					if n <= c.times {
						return nil, c.err
					}
					return data, err
				}
				began := time.Now()
				if c.want == "" {
					w.mustRead(part(0), 0, end)
				} else {
					w.mustFail(part(0), 0, c.want)
				}
				w.mustCount(c.gets, 0)
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestStuckStoreIsAnErrorOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{FetchTimeout: time.Second})
		w.placeAll(w.object(5, 10, 0))
		w.holdGets()
		err := w.mustFail(part(0), 0, foz.CodeStorage)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the fetch's deadline passes for the client's: %v", err)
		}
	})
}
