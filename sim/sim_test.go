package sim

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// How: seeds that found something run for ever. What they do changes with the workload: what they
// found has a test of its own where it was.
func TestSeedsThatFailed(t *testing.T) {
	for _, o := range []Options{
		// A compactor's swap released inputs behind the back of the last sweep: the checker has
		// to let compactors rest before it calls that a leak.
		{Seed: 637, StormMax: time.Minute},
		// The same, of a merge that the last sweepers made themselves.
		{Seed: 5012, StormMax: time.Minute},
		// An object was ruined behind offsets that have no record any more.
		{Seed: 105, StormMax: time.Minute},
		{Seed: 1039, StormMax: time.Minute},
		// A tombstone was dropped above what a pass had not been able to read.
		{Seed: 1225, StormMax: time.Minute},
	} {
		for _, v := range Run(t, o).Violations {
			t.Errorf("seed %d: %s", o.Seed, v)
		}
	}
}

// How: FOZ_SIM_SEED=n replays one seed and prints the end of its trace and what was counted.
// FOZ_SIM_STORM must be what it was.
func TestSeed(t *testing.T) {
	text := os.Getenv("FOZ_SIM_SEED")
	if text == "" {
		t.Skip("set FOZ_SIM_SEED")
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r := Run(t, Options{Seed: seed, StormMax: stormMax()})
	for _, line := range r.Trace {
		t.Log(line)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Logf("%+v", r.Counts)
	t.Logf("%+v", r.Faults)
	r.Counts, r.Faults, r.Trace, r.Violations = nil, nil, nil, nil
	t.Logf("%+v", r)
}
