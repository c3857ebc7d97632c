package reader

// Wait and OffsetAt. How: Wait runs on synctest's clock, so that an hour of idling and the
// instant of a wake-up can be asserted; OffsetAt is a table over unordered timestamps.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

func TestWaitWakesOnCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		o := w.object(5, 10, 0)
		w.index.log(part(0))
		began := time.Now()
		go func() {
			time.Sleep(30 * time.Minute)
			w.index.apply(func() {}) // a commit to another partition
			time.Sleep(30 * time.Minute)
			w.placeAll(o)
		}()
		if err := w.reader.Wait(t.Context(), part(0), 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Hour {
			t.Errorf("woke after %v, want 1h", took)
		}
		w.mustCount(0, 0)
		if w.index.locates != 3 {
			t.Errorf("%d lookups, want 3: at first, and after each commit", w.index.locates)
		}
	})
}

func TestWaitMissesNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a missed wake-up is a deadlock here
		w := newWorld(t, Config{})
		o := w.object(5, 10, 0)
		w.index.log(part(0))
		w.index.onChanged = func() { // the commit comes just before the channel is taken
			w.index.onChanged = nil
			w.placeAll(o)
		}
		if err := w.reader.Wait(t.Context(), part(0), 0); err != nil {
			t.Fatal(err)
		}
	})
}

func TestWaitEnds(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name      string
		ctx       context.Context
		partition int32
		offset    int64
		want      error
	}{
		{"there already", t.Context(), 0, 4, nil},
		{"below the start", t.Context(), 0, -3, nil},
		{"cancelled", cancelled, 0, 5, context.Canceled},
		{"unknown", t.Context(), 9, 0, &foz.Error{Code: foz.CodeTopicNotFound}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.placeAll(w.object(5, 10, 0))
			if err := w.reader.Wait(c.ctx, part(c.partition), c.offset); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.index.log(part(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.reader.Wait(ctx, part(0), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v after the wait", err)
		}
		w.mustCount(0, 0) // an idle hour costs nothing
	})
}

// timed writes one object of partition 0 with a row for each timestamp.
func (w *world) timed(timestamps ...int64) *object {
	w.made++
	rows := &foz.Rows{}
	for _, ms := range timestamps {
		rows.Append(ms, nil, []byte("v"), nil)
	}
	return w.encode([]segment.Part{{Partition: part(0), Rows: rows}})
}

func TestOffsetAt(t *testing.T) {
	for _, c := range []struct {
		name              string
		ms                int64
		offset, timestamp int64
		gets, catchUps    int
	}{
		{"before all", 0, 0, 100, 1, 0},
		{"exact", 110, 1, 110, 1, 0},
		{"between, unsorted", 111, 2, 300, 1, 0},
		{"segment whose youngest row was refused", 301, 8, 400, 2, 0},
		{"last", 401, 9, 500, 1, 0},
		{"only after catching up", 600, 10, 700, 1, 1},
		{"none", 701, 11, -1, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Config{PlacementsMax: 2})
			w.placeAll(w.timed(100, 110, 300, 120)) // offsets 0 to 3
			w.placeAll(w.timed(90))                 // 4
			w.place(w.timed(200, 210, 320), 0, 0, 2)
			w.placeAll(w.timed(200)) // 7
			w.placeAll(w.timed(400)) // 8
			w.placeAll(w.timed(500)) // 9
			late := w.timed(700)     // 10
			w.lag(func() { w.placeAll(late) })
			offset, timestamp, err := w.reader.OffsetAt(t.Context(), part(0), c.ms)
			if err != nil || offset != c.offset || timestamp != c.timestamp {
				t.Errorf("offset %d at %d, %v; want %d at %d",
					offset, timestamp, err, c.offset, c.timestamp)
			}
			w.mustCount(c.gets, c.catchUps)
		})
	}
}

func TestOffsetAtErrors(t *testing.T) {
	w := newWorld(t, Config{})
	if _, _, err := w.reader.OffsetAt(t.Context(), part(0), 5); !errors.Is(err,
		&foz.Error{Code: foz.CodeTopicNotFound}) {
		t.Errorf("got %v", err)
	}
	o := w.placeAll(w.timed(100))
	if err := w.bucket.Delete(t.Context(), o.key); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.reader.OffsetAt(t.Context(), part(0), 5); !errors.Is(err,
		&foz.Error{Code: foz.CodeStorage}) {
		t.Errorf("got %v", err)
	}
}

func TestOffsetAtOvertakenByRetention(t *testing.T) {
	w := newWorld(t, Config{PlacementsMax: 1})
	w.placeAll(w.timed(100, 110))
	w.placeAll(w.timed(120))
	w.placeAll(w.timed(130))
	w.index.onLocate = func(n int) { // as search goes on from its first page
		if n == 3 {
			w.index.apply(func() { w.index.log(part(0)).earliest = 3 })
		}
	}
	offset, timestamp, err := w.reader.OffsetAt(t.Context(), part(0), 115)
	if err != nil || offset != 3 || timestamp != 130 {
		t.Errorf("offset %d at %d, %v; want 3 at 130", offset, timestamp, err)
	}
}
