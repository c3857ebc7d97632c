package bench

import (
	"math"
	"slices"
)

// Spread is the lowest, the middle and the highest of some measurements.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// spreadOf gives the spread of values; the zero value if there are none.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{
		Min: percentile(values, 0), Median: percentile(values, 50), Max: percentile(values, 100),
	}
}

// percentile is the value below or at which p percent of values lie, between the two nearest
// ranks in proportion (Hyndman and Fan 1996, type 7). NaN if there are none.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := p / 100 * float64(len(sorted)-1)
	below := int(math.Floor(rank))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (rank-float64(below))*(sorted[above]-sorted[below])
}
