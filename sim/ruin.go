package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
)

// ruin damages objects that are in use, for good, in some seeds. What is in them can be read no
// more, everything else can; nobody takes the bytes for records.
func (h *house) ruin(ctx context.Context, rng *rand.Rand) {
	if rng.IntN(6) > 0 {
		return
	}
	for range 1 + rng.IntN(3) {
		if sleep(ctx, time.Second+jitter(rng, 10*time.Second)) != nil {
			return
		}
		h.After(0, "ruin", func() {
			var live []string
			for object := range h.ledger.newest().Objects {
				live = append(live, object)
			}
			if len(live) > 0 && !h.calm {
				h.fault("object ruined")
				h.ledger.ruin(live[rng.IntN(len(live))], rng)
			}
		})
	}
}

// ruin flips a bit of every 64th byte of an object.
func (l *ledger) ruin(object string, rng *rand.Rand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx := context.Background()
	body, err := l.Memory.Get(ctx, object, 0, -1)
	if err != nil {
		return
	}
	body = bytes.Clone(body)
	for at := rng.IntN(64); at < len(body); at += 64 {
		body[at] ^= 1 << rng.IntN(8)
	}
	if err = l.Memory.Delete(ctx, object); err == nil {
		_, err = l.Memory.Create(ctx, object, body)
	}
	if err != nil {
		panic(err) // Memory does not fail
	}
	l.ruined[object] = true
}

func (l *ledger) anyRuined() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ruined) > 0
}

// isRuined says whether an offset lies in a ruined object, and where that ends.
func (h *house) isRuined(p foz.Partition, offset int64) (next int64, ruined bool) {
	placements, _, err := h.ledger.newest().Locate(p, offset, 1)
	if err != nil || len(placements) == 0 {
		return 0, false
	}
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	return placements[0].Next(), h.ledger.ruined[placements[0].Object]
}

// around scans a range like scan, and goes around what is ruined.
func (h *house) around(
	ctx context.Context, s *services, p foz.Partition, rg foz.Range, who string,
) (next int64, err error) {
	for {
		next, err = h.scan(ctx, s, p, rg, who)
		if !errors.Is(err, &foz.Error{Code: foz.CodeStorage}) {
			return next, err
		}
		after, ruined := h.isRuined(p, h.judge.present(p, next))
		if !ruined {
			return next, fmt.Errorf("offset %d of %s is not ruined: %w", next, p, err)
		}
		h.judge.sometimes("ruined object named by an error")
		if rg.Base = after; after >= h.judge.bounds(p).Next {
			return after, nil
		}
	}
}
