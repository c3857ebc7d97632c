package ingest

// How: the bucket is pure, so it is asked at made-up instants; the random schedule checks
// its two promises against plain counting.

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBudgetDraws(t *testing.T) {
	const second = time.Second
	begin := time.Unix(0, 0)
	b := budget{interval: second, burst: 3}
	for n, step := range []struct {
		at, wait time.Duration
	}{
		{0, 0}, {0, 0}, {0, 0}, // the savings
		{0, second},                                          // the next token
		{second, second},                                     // it was used; the one after
		{10 * second, 0}, {10 * second, 0}, {10 * second, 0}, // rested
		{10*second + second/4, second * 3 / 4},
	} {
		if got := b.draw(begin.Add(step.at)); got != step.wait {
			t.Errorf("step %d: waits %s, want %s", n, got, step.wait)
		}
	}
}

func TestBudgetPromises(t *testing.T) {
	const interval = 100 * time.Millisecond
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		b := budget{interval: interval, burst: 1 + random.IntN(5)}
		begin := time.Unix(0, 0)
		now, timed := begin, 0
		for range 1000 {
			now = now.Add(time.Duration(random.Int64N(int64(interval))))
			wait := b.draw(now)
			if wait > interval {
				t.Fatalf("seed %d: waits %s", seed, wait)
			}
			if random.IntN(4) == 0 && wait > 0 { // filled up half way
				now = now.Add(wait / 2)
				b.hurry(now)
				continue
			}
			now = now.Add(wait)
			timed++
		}
		if most := b.burst + int(now.Sub(begin)/interval) + 1; timed > most {
			t.Errorf("seed %d: %d timed flushes, at most %d", seed, timed, most)
		}
	}
}
