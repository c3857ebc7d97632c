package reader

// Fetching ahead: what a scan holds, gives back and shares. How: in synctest bubbles, which
// end only when every goroutine has; GETs hang until a test lets them go.

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
)

// holdGets makes every GET wait until the channel is closed, or its context ends.
func (w *world) holdGets() chan struct{} {
	release := make(chan struct{})
	w.bucket.spoil = func(
		ctx context.Context, _ int, _ string, data []byte, err error,
	) ([]byte, error) {
		select {
		case <-release:
			return data, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return release
}

func TestConsumerStopsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // ends only when every goroutine has
		w := newWorld(t, Config{})
		for range 40 {
			w.placeAll(w.object(5, 1000, 0))
		}
		runs := 0
		for _, err := range w.reader.Scan(t.Context(), part(0), foz.Range{Base: 0, Next: end}) {
			if err != nil {
				t.Fatal(err)
			}
			if runs++; runs == 4 {
				synctest.Wait()
				w.holdGets() // what runs ahead from now on hangs until it is called off
			}
			if runs == 5 {
				break
			}
		}
		synctest.Wait()
		if gets, _ := w.bucket.counts(); gets <= runs {
			t.Errorf("%d GETs for %d runs: nothing ran ahead", gets, runs)
		}
		w.mustBeIdle()
	})
}

// mustBeIdle wants that no scan holds anything.
func (w *world) mustBeIdle() {
	w.t.Helper()
	f := w.reader.fetches
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != 0 || len(f.waiting) != 0 || len(f.flights) != 0 {
		w.t.Errorf("%d running, %d waiting, %d objects in flight",
			f.running, len(f.waiting), len(f.flights))
	}
	if !f.ahead.TryAcquire(f.config.AheadBytesMax) {
		w.t.Error("the budget for fetching ahead was not given back")
	}
}

func TestCancelledScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.placeAll(w.object(5, 10, 0))
		release := w.holdGets()
		ctx, cancel := context.WithCancel(t.Context())
		began, joined := make(chan error, 1), make(chan error, 1)
		go func() {
			for _, err := range w.reader.Scan(ctx, part(0), foz.Range{Base: 0, Next: end}) {
				began <- err
			}
		}()
		synctest.Wait()
		go func() {
			_, err := w.read(part(0), 0, end)
			joined <- err
		}()
		synctest.Wait()
		cancel() // the one that began the flight leaves: another waits for it
		if err := <-began; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled scan: %v", err)
		}
		synctest.Wait()
		close(release)
		if err := <-joined; err != nil {
			t.Errorf("the other scan: %v", err)
		}
		synctest.Wait()
		w.mustCount(1, 0)
		w.mustBeIdle()
	})
}

func TestMemoryAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{AheadBytesMax: 20 << 10, ColdBytesMax: 1 << 10, FetchesMax: 3})
		for range 60 {
			w.placeAll(w.object(5, 1000, 0)) // about 6 KiB: three fit ahead
		}
		f := w.reader.fetches
		for _, err := range w.reader.Scan(t.Context(), part(0), foz.Range{Base: 0, Next: end}) {
			if err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			if f.running > 3 || f.running+len(f.waiting) > 4 {
				t.Errorf("%d running, %d waiting", f.running, len(f.waiting))
			}
			f.mu.Unlock()
		}
		w.mustCount(60, 0)
		w.mustBeIdle()
	})
}

func TestNeededFetchGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{FetchesMax: 1})
		f := w.reader.fetches
		release := w.holdGets()
		var tickets []*ticket
		for range 3 {
			o := w.object(5, 10, 0)
			tickets = append(tickets, f.open(t.Context(), span{o.key, 0, 100, part(0)}))
		}
		go func() {
			if _, err := f.wait(t.Context(), tickets[2]); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		close(release)
		synctest.Wait()
		var order []byte
		for _, key := range w.bucket.keys {
			order = append(order, key[len(key)-len("1.arrow")])
		}
		if string(order) != "132" { // 1 was under way, 3 is waited for, 2 is ahead of need
			t.Errorf("fetched in order %s", order)
		}
		for _, ticket := range tickets {
			f.leave(ticket)
		}
		w.mustBeIdle()
	})
}
