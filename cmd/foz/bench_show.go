package main

import (
	"fmt"

	"github.com/fozlog/foz/bench"
)

// fillIngest tells a report as one row per claim.
func fillIngest(t *table, r *bench.IngestReport) {
	t.row("MEASURED", "FOZ", "RAW STORE", "RATIO")
	fillRounds(t, r.Rounds, r.Ratio)
	t.row("objects", fmt.Sprintf("%d of %s", r.Objects, byteCount(r.ObjectBytes)), "", "")
	t.row("produces refused", grouped(r.Refused), "", "")
	t.row("creates per GB", fmt.Sprintf("%.0f", r.PutsPerGB), "", "")
	if r.MemoryBytes > 0 {
		t.row("memory of the service", byteCount(r.MemoryBytes).String(), "", "")
	}
	if l := r.Lone; l.Requests > 0 {
		t.row("lone record, p50", fmt.Sprintf("%.2f ms", l.FozP50MS),
			fmt.Sprintf("%.2f ms", l.RawP50MS), fmt.Sprintf("%+.2f ms", l.OverheadMS))
		t.row("lone record, p99", fmt.Sprintf("%.2f ms", l.FozP99MS),
			fmt.Sprintf("%.2f ms", l.RawP99MS), "")
	}
	for _, cost := range []struct {
		what     string
		requests []bench.Requests
	}{
		{"requests of the load", r.Requests},
		{"requests of one produce", r.Produce},
		{"requests of a tail read", r.TailRead},
		{"requests of a cold fetch", r.ColdFetch},
		{fmt.Sprintf("requests of %.0f s idle", r.Idle.Seconds), r.Idle.Requests},
	} {
		t.row(cost.what, requestList(cost.requests), "", "")
	}
}

// fillReplay tells a report as one row per claim.
func fillReplay(t *table, r *bench.ReplayReport) {
	t.row("MEASURED", "FOZ", "RAW STORE", "RATIO")
	fillRounds(t, r.Rounds, r.Ratio)
	t.row("requests of a replay", requestList(r.Requests), "", "")
	t.row("gets per GB", fmt.Sprintf("%.0f", r.GetsPerGB), "", "")
}

func fillRounds(t *table, rounds []bench.Round, ratio bench.Spread) {
	for n, round := range rounds {
		t.row(fmt.Sprintf("round %d, bytes/s", n+1), perSecond(round.FozBytesPerSecond),
			perSecond(round.RawBytesPerSecond), fmt.Sprintf("%.2f", round.Ratio))
	}
	t.row("  min / median / max", "", "",
		fmt.Sprintf("%.2f / %.2f / %.2f", ratio.Min, ratio.Median, ratio.Max))
	for n, round := range rounds {
		t.row(fmt.Sprintf("round %d, CPU-s per GB", n+1), fmt.Sprintf("%.2f", round.FozCPUPerGB),
			fmt.Sprintf("%.2f", round.RawCPUPerGB), "")
	}
}

func perSecond(bytes float64) string { return byteCount(bytes).String() + "/s" }

func requestList(requests []bench.Requests) string {
	if len(requests) == 0 {
		return "0"
	}
	text := ""
	for n, r := range requests {
		if n > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d %s (%s)", r.Requests, r.Op, r.Cause)
	}
	return text
}
