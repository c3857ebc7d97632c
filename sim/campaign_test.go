package sim

import (
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// totals add up what a campaign's seeds report.
type totals struct {
	mu     sync.Mutex
	seeds  int
	sum    Report
	failed []Report
}

func (c *totals) add(r Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seeds++
	c.sum.Steps += r.Steps
	c.sum.Virtual += r.Virtual
	c.sum.Slots += r.Slots
	c.sum.Acked += r.Acked
	c.sum.AckedStorm += r.AckedStorm
	c.sum.Read += r.Read
	for what, n := range r.Counts {
		c.sum.Counts[what] += n
	}
	for kind, n := range r.Faults {
		c.sum.Faults[kind] += n
	}
	if len(r.Violations) > 0 {
		c.failed = append(c.failed, r)
	}
}

func (c *totals) faults() (n int) {
	for _, count := range c.sum.Faults {
		n += count
	}
	return n
}

func (c *totals) String() string {
	return fmt.Sprintf("%d seeds, %d steps, %.1f h simulated, %d slots, %d acked (%d in storms), "+
		"%d records read, %d faults\nfaults: %s\nsometimes: %s", c.seeds, c.sum.Steps,
		c.sum.Virtual.Hours(), c.sum.Slots, c.sum.Acked, c.sum.AckedStorm, c.sum.Read, c.faults(),
		table(c.sum.Faults), table(c.sum.Counts))
}

func table(counts map[string]int) string {
	var cells []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		cells = append(cells, fmt.Sprintf("%s %d", what, counts[what]))
	}
	return strings.Join(cells, ", ")
}

// campaign runs seeds on all processors until there are n, time is up or more says stop.
func campaign(t *testing.T, o Options, n int, limit time.Duration) *totals {
	c := &totals{sum: Report{Counts: map[string]int{}, Faults: map[string]int{}}}
	seeds := make(chan uint64)
	end := time.Now().Add(limit)
	go func() {
		defer close(seeds)
		for seed := range uint64(n) {
			if time.Now().After(end) {
				return
			}
			seeds <- o.Seed + seed
		}
	}()
	t.Run("seeds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					one := o
					one.Seed = seed
					c.add(Run(t, one))
				}
			})
		}
	})
	slices.SortFunc(c.failed, func(a, b Report) int { return int(a.Seed) - int(b.Seed) })
	return c
}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a seed's garbage is short-lived
	os.Exit(m.Run())
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// stormMax is how long seeds storm at most: longer where there is time.
func stormMax() time.Duration {
	seconds := 24
	if os.Getenv("FOZ_SIM_FOR") != "" {
		seconds = 60
	}
	return time.Duration(number("FOZ_SIM_STORM", seconds)) * time.Second
}

// must have happened in a campaign of so many seeds, or the workload has gone blind.
var must = []struct {
	what  string
	seeds int
}{
	{"EXPIRED", 50},
	{"EXPIRED although decided before", 50},
	{"ambiguous append finds its own bytes", 50},
	{"append finds a void claim", 5000},
	{"broadcast applied", 50},
	{"burst", 50},
	{"claim finds its slot taken", 50},
	{"command answered again", 50},
	{"commit to a deleted topic refused", 50},
	{"duplicate answered", 50},
	{"entry applied from the bucket", 50},
	{"late effect", 50},
	{"late upload of a swept object", 200},
	{"linearizable read", 50},
	{"old binary halted", 50},
	{"producer forgotten", 200},
	{"record removed by its key", 50},
	{"records expired", 50},
	{"retention", 50},
	{"ruined object named by an error", 200},
	{"scan overtaken by the log start", 200},
	{"snapshot loaded by a replica that lagged", 200},
	{"swap accepted", 50},
	{"swap refused", 50},
	{"swap unknown", 50},
	{"swept object", 50},
	{"swap of a deleted topic refused", 200},
	{"tombstone removed", 50},
	{"topic deleted", 50},
	{"trim", 50},
	{"unknown and not there", 50},
	{"unknown and there", 50},
	{"void claim landed", 200},
	{"void claim met by a reader", 1000},
	{"zombie append stopped by a claim", 50},
	{"zombie append stopped by a claim below a snapshot", 200},
	{"zombie re-created its own trimmed entry", 200},
}

// budget is how many seeds to run, and for how long at most. Who gives a time wants it used.
func budget(t *testing.T) (seeds int, limit time.Duration) {
	seeds, limit = 500, 32*time.Second
	if testing.Short() {
		seeds, limit = 20, 10*time.Second
	}
	if text := os.Getenv("FOZ_SIM_FOR"); text != "" {
		var err error
		if limit, err = time.ParseDuration(text); err != nil {
			limit = time.Duration(number("FOZ_SIM_FOR", 0)) * time.Second
		}
		if limit <= 0 {
			t.Fatalf("FOZ_SIM_FOR=%s is neither a duration nor a number of seconds", text)
		}
		seeds = math.MaxInt
	}
	return number("FOZ_SIM_SEEDS", seeds), limit
}

// How: as many seeds as fit, each a house with its own weather; no invariant may break, and
// what makes the workload worth its time must happen. FOZ_SIM_SEEDS, FOZ_SIM_FROM (the first
// seed), FOZ_SIM_FOR (5m, or seconds) and FOZ_SIM_STORM (seconds of virtual time) make it longer.
func TestCampaign(t *testing.T) {
	o := Options{Seed: uint64(number("FOZ_SIM_FROM", 1)), StormMax: stormMax()}
	seeds, limit := budget(t)
	c := campaign(t, o, seeds, limit)
	t.Log(c)
	for i, r := range c.failed {
		t.Errorf("FOZ_SIM_SEED=%d FOZ_SIM_STORM=%d go test ./sim -run TestSeed -v\n%s",
			r.Seed, int(stormMax().Seconds()), strings.Join(r.Violations, "\n"))
		if i == 0 {
			t.Log(strings.Join(r.Trace[max(0, len(r.Trace)-60):], "\n"))
		}
	}
	for _, m := range must {
		if c.seeds >= m.seeds && c.sum.Counts[m.what] == 0 {
			t.Errorf("%d seeds and never: %s", c.seeds, m.what)
		}
	}
}

// How: seeds run twice; the two traces must be equal, decision by decision.
func TestReplay(t *testing.T) {
	defer func(n int) { traceKept = n }(traceKept)
	traceKept = 1_000_000
	for seed := range uint64(number("FOZ_SIM_REPLAYS", 20)) {
		o := Options{Seed: seed, StormMax: stormMax() / 2}
		a, b := Run(t, o), Run(t, o)
		if a.Hash != b.Hash {
			t.Errorf("seed %d: %x after %d steps and %x after %d: %s", seed,
				a.Hash, a.Steps, b.Hash, b.Steps, divergence(a.Trace, b.Trace))
		}
	}
}

// divergence is where two traces part.
func divergence(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return strings.Join(a[max(0, i-15):i], "\n") +
				"\n--- one\n" + strings.Join(a[i:min(i+5, len(a))], "\n") +
				"\n--- the other\n" + strings.Join(b[i:min(i+5, len(b))], "\n")
		}
	}
	return "later"
}
