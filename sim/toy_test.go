package sim

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// How: a toy under the gate: several processes race to create the same keys, one after the
// other, tell each other over the bus, and get all faults. The same seed many times must be
// one trace; many seeds must be many.
func TestDeterminism(t *testing.T) {
	first := toy(t, 1)
	for range 20 {
		if again := toy(t, 1); again != first {
			t.Fatalf("the same seed gave the traces %x and %x", first, again)
		}
	}
	traces := map[uint64]bool{}
	for seed := range uint64(50) {
		traces[toy(t, seed)] = true
	}
	if len(traces) != 50 {
		t.Errorf("50 seeds gave %d traces", len(traces))
	}
}

func toy(t *testing.T, seed uint64) (hash uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWorld(seed, objectstore.NewMemory())
		left := 5
		for i := range left {
			p := w.newProc(fmt.Sprintf("n%d", i))
			go func() {
				toyWriter(t, p)
				w.After(0, p.Name+" is done", func() { left-- })
			}()
		}
		if !w.RunUntil(10*time.Hour, func() bool { return left == 0 }) {
			t.Errorf("seed %d did not end", seed)
		}
		for _, p := range w.procs {
			p.crash()
		}
		synctest.Wait()
		hash = w.trace.hash.Sum64()
	})
	return hash
}

func toyWriter(t *testing.T, p *Proc) {
	heard := make(chan string, 1000)
	if _, err := p.Bus.Subscribe("won", func(data []byte) { heard <- string(data) }); err != nil {
		t.Error(err)
	}
	rng := p.rng("toy")
	for slot := 0; slot < 20; {
		_, err := p.Store.Create(p.ctx, fmt.Sprintf("log/%d", slot), []byte(p.Name))
		switch {
		case err == nil:
			_ = p.Bus.Publish("won", fmt.Append(nil, p.Name, slot))
			slot++
		case errors.Is(err, objectstore.ErrExists):
			slot++
		}
		time.Sleep(jitter(rng, 50*time.Millisecond))
	}
	p.driver.note("%s heard %d", p.Name, len(heard))
}
