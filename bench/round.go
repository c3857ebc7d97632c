package bench

import (
	"context"
	"fmt"
	"time"
)

// sample is what one arm did.
type sample struct {
	bytes int64         // of records
	took  time.Duration // until the last was durable
	cpu   time.Duration // of this process
}

func (s sample) plus(o sample) sample {
	return sample{s.bytes + o.bytes, s.took + o.took, s.cpu + o.cpu}
}

func (s sample) rate() float64 { return per(float64(s.bytes), s.took.Seconds()) }

// cpuPerGB is in seconds; a GB is 1e9 bytes.
func (s sample) cpuPerGB() float64 { return per(s.cpu.Seconds(), float64(s.bytes)/1e9) }

// per is n/d, and 0 where there is nothing to divide by.
func per(n, d float64) float64 {
	if d == 0 {
		return 0
	}
	return n / d
}

// arm does its work once and says what it was.
type arm func(ctx context.Context) (sample, error)

// measured makes an arm of work that returns how many bytes of records it made durable.
func measured(work func(ctx context.Context) (int64, error)) arm {
	return func(ctx context.Context) (sample, error) {
		cpu, begun := processCPU(), time.Now()
		bytes, err := work(ctx)
		return sample{bytes, time.Since(begun), processCPU() - cpu}, err
	}
}

// measured does work once. Where the service is a process of its own the time on processors
// is that one's, and so is the memory in bytes that it holds afterwards.
func (s *session) measured(
	ctx context.Context, work func(ctx context.Context) (int64, error),
) (done sample, memory int64, err error) {
	if s.service.Usage == nil {
		done, err = measured(work)(ctx)
		return done, 0, err
	}
	before, err := s.service.Usage()
	if err != nil {
		return done, 0, err
	}
	if done, err = measured(work)(ctx); err != nil {
		return done, 0, err
	}
	after, err := s.service.Usage()
	done.cpu = after.CPU - before.CPU
	return done, after.MemoryBytes, err
}

// Round is one turn of both arms: raw, foz, foz, raw, so that what drifts, drifts for both.
type Round struct {
	RawBytesPerSecond float64 `json:"raw_bytes_per_second"`
	FozBytesPerSecond float64 `json:"foz_bytes_per_second"`
	Ratio             float64 `json:"ratio"` // foz to raw
	RawCPUPerGB       float64 `json:"raw_cpu_seconds_per_gb"`
	FozCPUPerGB       float64 `json:"foz_cpu_seconds_per_gb"`
}

func newRound(raw, foz sample) Round {
	return Round{
		RawBytesPerSecond: raw.rate(), FozBytesPerSecond: foz.rate(),
		Ratio:       per(foz.rate(), raw.rate()),
		RawCPUPerGB: raw.cpuPerGB(), FozCPUPerGB: foz.cpuPerGB(),
	}
}

// rounds runs both arms n times in turns.
func (d Deps) rounds(ctx context.Context, n int, raw, foz arm) ([]Round, error) {
	var done []Round
	for round := range n {
		var sums [2]sample
		for _, turn := range []int{0, 1, 1, 0} {
			s, err := []arm{raw, foz}[turn](ctx)
			if err != nil {
				return nil, err
			}
			sums[turn] = sums[turn].plus(s)
		}
		done = append(done, newRound(sums[0], sums[1]))
		d.say(fmt.Sprintf("round %d of %d: ratio %.2f", round+1, n, done[round].Ratio))
	}
	return done, nil
}

// RatioOf is the spread of the rounds' ratios.
func RatioOf(rounds []Round) Spread {
	ratios := make([]float64, len(rounds))
	for n, r := range rounds {
		ratios[n] = r.Ratio
	}
	return spreadOf(ratios)
}
