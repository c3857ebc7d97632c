package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// How: a store in memory in a bubble, where waiting is measured and costs nothing. 8 MiB are
// fetched by four at a time, in pieces, at a rate of 16 MiB/s.
func TestCourtesy(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name     string
		cause    string
		piece    int64
		uploaded time.Duration // before it begins; 0: never
		rate     int64
		want     time.Duration
	}{
		{"records come in", "fetch", 2 * mib, time.Millisecond, 16 * mib, 375 * time.Millisecond},
		{"no records have come", "fetch", 2 * mib, 0, 16 * mib, 0},
		{"none for a while", "fetch", 2 * mib, 2 * time.Second, 16 * mib, 0},
		{"small pieces", "fetch", mib / 2, time.Millisecond, 16 * mib, 0},
		{"no rate", "fetch", 2 * mib, time.Millisecond, 0, 0},
		{"not for a reader", "merge", 2 * mib, time.Millisecond, 16 * mib, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &courteous{Store: objectstore.NewMemory(), bytesPerSecond: c.rate}
			if _, err := s.Create(t.Context(), "x", make([]byte, 8*mib)); err != nil {
				t.Fatal(err)
			}
			if c.uploaded > 0 {
				ctx := objectstore.WithCause(t.Context(), "upload")
				if _, err := s.Create(ctx, "y", nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(c.uploaded)
			}
			begun := time.Now()
			var wait sync.WaitGroup
			for at := int64(0); at < 8*mib; at += c.piece {
				wait.Go(func() {
					ctx := objectstore.WithCause(t.Context(), c.cause)
					got, err := s.Get(ctx, "x", at, c.piece)
					if err != nil || int64(len(got)) != c.piece {
						t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
					}
				})
			}
			wait.Wait()
			if took := time.Since(begun); took != c.want {
				t.Errorf("%s: it took %s, not %s", c.name, took, c.want)
			}
		})
	}
}

// Whoever gives up does not wait any longer.
func TestCourtesyGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &courteous{Store: objectstore.NewMemory(), bytesPerSecond: 1}
		s.uploaded = time.Now()
		ctx, cancel := context.WithTimeout(objectstore.WithCause(t.Context(), "fetch"), time.Second)
		defer cancel()
		for range 2 {
			_, _ = s.Get(ctx, "x", 0, courtesyBytesMin)
		}
		if ctx.Err() == nil || s.free.IsZero() {
			t.Error("it did not wait")
		}
	})
}
