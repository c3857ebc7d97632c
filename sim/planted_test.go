package sim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// planted are bugs: each takes one protection away, and the checker has to see it.
var planted = []struct {
	name   string
	within int // seeds that are always enough; 0: rarer, only in the table
	plant  func(*Options)
}{
	{"claims trimmed like other slots", 100, func(o *Options) { o.Defects.ClaimsTrimmed = true }},
	{"no snapshot check after own claim", 100, func(o *Options) { o.Defects.ClaimUncovered = true }},
	{"timeout = failure", 100, func(o *Options) { o.Defects.TimeoutIsFailure = true }},
	{"no read-back, 412 = definite failure", 100, func(o *Options) { o.Defects.NoReadBack = true }},
	{"412 = my first try succeeded", 100, func(o *Options) { o.Defects.ExistsIsMine = true }},
	{"bytes not frozen on retry", 100, func(o *Options) { o.Defects.BytesNotFrozen = true }},
	{"LOST answered as definite failure", 0, func(o *Options) { o.Defects.LostIsFailure = true }},
	{"snapshot without dedupe table", 100, func(o *Options) { o.Defects.SnapshotNoResults = true }},
	{"snapshot without claim list", 100, func(o *Options) { o.Defects.SnapshotNoClaims = true }},
	{"trim before snapshot durable", 0, func(o *Options) { o.Defects.TrimEarly = true }},
	{"trim before snapshot durable, bound newest", 100, func(o *Options) {
		o.Defects.TrimEarly, o.Defects.TrimToNewest = true, true
	}},
	{"trim bound newest instead of second newest", 100, func(o *Options) {
		o.Defects.TrimToNewest = true
	}},
	{"trim bound from the listing only", 0, func(o *Options) { o.Defects.TrimBoundListed = true }},
	{"reads without any request", 100, func(o *Options) { o.Defects.ReadLocal = true }},
	{"read joins a request issued before it", 0, func(o *Options) { o.Defects.ReadJoins = true }},
	{"readers apply CLAIM unchecked", 0, func(o *Options) { o.Defects.ReaderUncovered = true }},
	{"followers do not list snapshots again", 100, func(o *Options) {
		o.Defects.FollowerNoRelist = true
	}},
	{"floor's answer taken as definite", 100, func(o *Options) { o.ExpiredIsDefinite = true }},
	{"ENTRIES broadcast before MINE", 100, func(o *Options) { o.Defects.BroadcastBeforeMine = true }},
	{"broadcast applied whatever its slot", 0, func(o *Options) {
		o.Defects.BroadcastAnySlot = true
	}},
	{"broadcast applied whatever its slot, chain unchecked", 100, func(o *Options) {
		o.Defects.BroadcastAnySlot, o.Defects.ChainUnchecked = true, true
	}},
	{"chain and epoch unchecked", 0, func(o *Options) { o.Defects.ChainUnchecked = true }},
	{"data swept without a floor", 100, func(o *Options) { o.SweepAnyBirth = true }},
	{"sweep before FLOOR is applied", 100, func(o *Options) { o.SweepAhead = true }},
	{"sweeper spares what is dead", 100, func(o *Options) { o.SweepSpares = true }},
	{"swap without a look at its inputs", 100, func(o *Options) {
		o.Defects.SwapUncheckedInputs = true
	}},
	{"swap outside floor and dedupe", 100, func(o *Options) { o.Defects.SwapOutsideFloor = true }},
	{"compactor deletes what was not accepted", 100, func(o *Options) { o.DeleteRefused = true }},
	{"retention drops a record too many", 100, func(o *Options) { o.RetainLess = true }},
	{"DELETE of a recreated topic", 100, func(o *Options) { o.DeleteByName = true }},
	{"commit k+1 sent before k is answered", 100, func(o *Options) { o.CommitAhead = true }},
	{"tombstone dropped in a partial pass", 100, func(o *Options) { o.PassPartly = true }},
	{"int32 offsets in merge, to scale", 100, func(o *Options) { o.OffsetsNarrow = true }},
	{"empty answer on 404", 100, func(o *Options) { o.EmptyOnMissing = true }},
	{"CRC not checked", 100, func(o *Options) { o.ChecksumUnchecked = true }},
	{"unknown command skipped", 100, func(o *Options) { o.UnknownSkipped = true }},
	{"ack before the log entry", 100, func(o *Options) { o.AckEarly = true }},
	{"store ignores 2 % of failing conditions", 100, func(o *Options) { o.Unconditional = 0.02 }},
}

// How: each bug is planted alone and seeds run until one reports a violation. FOZ_SIM_PLANTED
// is a number of seeds: all of them run, for the table in docs/reliability.md. FOZ_SIM_BUG
// picks bugs by a part of their names.
func TestPlanted(t *testing.T) {
	all := number("FOZ_SIM_PLANTED", 0)
	for _, p := range planted {
		o := Options{Seed: 1, StormMax: 40 * time.Second}
		p.plant(&o)
		switch {
		case !strings.Contains(p.name, os.Getenv("FOZ_SIM_BUG")):
		case all > 0:
			c := campaign(t, o, all, time.Hour)
			t.Logf("| %s | %d/%d | %s |", p.name, len(c.failed), all, kinds(c.failed))
		case p.within > 0 && !testing.Short():
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				seed := firstCaught(t, o, p.within)
				if seed == 0 {
					t.Fatalf("%d seeds saw nothing", p.within)
				}
				t.Logf("caught by seed %d", seed)
			})
		}
	}
}

func firstCaught(t *testing.T, o Options, within int) uint64 {
	for ; o.Seed <= uint64(within); o.Seed++ {
		if len(Run(t, o).Violations) > 0 {
			return o.Seed
		}
	}
	return 0
}

// kinds counts the first violations by invariant.
func kinds(failed []Report) string {
	counts := map[string]int{}
	for _, r := range failed {
		_, text, _ := strings.Cut(r.Violations[0], "invariant ")
		invariant, _, _ := strings.Cut(text, ":")
		counts["inv. "+invariant]++
	}
	return fmt.Sprint(table(counts))
}
