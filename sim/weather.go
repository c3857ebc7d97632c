package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// weather is how often things go wrong in one seed: some are stormy, some nearly calm.
type weather struct {
	// Store, per request.
	lost, replyLost, failAfter, late, busy, conflict, slow, damage float64
	slowClaim                                                      float64 // of claims
	// Bus, per message.
	drop, dup, delay float64
	dropReply        float64 // of answers, beside drop
	// Latency of a store request, half of it: log-uniform between the two, milliseconds.
	fastest, slowest float64
}

func drawWeather(rng *rand.Rand) weather {
	storm := math.Pow(10, -1.5*rng.Float64()) // 0.03 to 1
	rate := func(most float64) float64 { return most * storm * rng.Float64() }
	dropReply := 0.0
	if rng.IntN(3) == 0 {
		dropReply = 0.25 * rng.Float64()
	}
	return weather{
		dropReply: dropReply,
		lost:      rate(0.1), replyLost: rate(0.1), failAfter: rate(0.1), late: rate(0.1),
		busy: rate(0.05), conflict: rate(0.05), slow: rate(0.1), damage: rate(0.05),
		slowClaim: rng.Float64(),
		drop:      rate(0.4), dup: rate(0.2), delay: rate(0.2),
		fastest: 0.5, slowest: 2 + 60*rng.Float64()*rng.Float64(),
	}
}

// latency is the way to the store, or back.
func (w *weather) latency(rng *rand.Rand) time.Duration {
	ms := w.fastest * math.Pow(w.slowest/w.fastest, rng.Float64())
	return time.Duration(ms * float64(time.Millisecond))
}
