package client_test

import (
	"context"
	"errors"
	"hash/crc32"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/segment"
)

// planOf is n segments of one batch each, and what gets them.
func planOf(n int) (client.Plan, client.Getter) {
	object := []byte("a record batch, as far as a plan's reader looks")
	p := client.Plan{Expires: time.Now().Add(time.Hour)}
	for i := range n {
		p.Segments = append(p.Segments, client.PlannedSegment{
			Object: "o", ByteEnd: int64(len(object)), Batches: 1, StartOffset: int64(i),
			CRC32C: crc32.Checksum(object, crc32.MakeTable(crc32.Castagnoli)),
		})
	}
	return p, func(_ context.Context, _ client.PlannedSegment, from, length int64) ([]byte, error) {
		return object[from : from+length], nil
	}
}

// How: in a bubble, a visitor waits until everything else has come to rest, and counts what was
// fetched beside it.
func TestPlanReadIsBounded(t *testing.T) {
	for _, parallel := range []int{0, 1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			plan, get := planOf(50)
			var fetched atomic.Int64
			var visited, most int64
			counted := func(ctx context.Context, s client.PlannedSegment, from, length int64) (
				[]byte, error,
			) {
				fetched.Add(1)
				return get(ctx, s, from, length)
			}
			err := plan.Read(t.Context(), counted, parallel, func(b client.PlannedBatch) error {
				synctest.Wait()
				most = max(most, fetched.Load()-visited)
				if b.Segment.StartOffset != visited {
					t.Errorf("%d comes after %d batches", b.Segment.StartOffset, visited)
				}
				visited++
				return nil
			})
			if want := 2 * max(1, int64(parallel)); err != nil || visited != 50 || most != want {
				t.Errorf("parallel %d: %v, %d visited, %d in memory at most, want %d", parallel, err,
					visited, most, want)
			}
		})
	}
}

func TestPlanReadDamaged(t *testing.T) {
	plan, get := planOf(9)
	plan.Segments[4].CRC32C++
	visited := 0
	err := plan.Read(t.Context(), get, 3, func(client.PlannedBatch) error {
		visited++
		return nil
	})
	if !errors.Is(err, segment.ErrDamaged) || visited != 4 {
		t.Errorf("%v after %d batches", err, visited)
	}
}
