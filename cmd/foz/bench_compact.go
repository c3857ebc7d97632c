package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/bench"
	"github.com/fozlog/foz/compactor"
)

func (a *app) benchCompactCommand() *cobra.Command {
	s := benchDefaults()
	s.duration, s.bytes, s.partitions = span(5*time.Second), 240<<20, 4
	noise, floorAge := false, span(10*time.Second)
	target := byteCount(12 << 20) // of the words of a partition, about 80 % of what they become
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "What merging costs, and whom it disturbs",
		Long: "Merging --bytes of fresh objects against decoding, encoding and compressing the same\n" +
			"bytes in memory, in turns; what it asks of the store; what the log remembers of it.\n" +
			"Then merged objects are read as Arrow against ranged reads of the same objects, and a\n" +
			"load is produced for --for at a time: alone, beside a backlog that is being merged, and\n" +
			"beside a replay from a service that has just started. The service merges when it is\n" +
			"asked to, and is in this process.",
		Example: "  foz bench compact --rounds 3 --for 10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.process || s.load <= 0 || s.load > 1 || s.duration <= 0 || s.bytes == 0 || target == 0 {
				return usagef("it measures in this process, --load is above 0 and at most 1, and " +
					"sizes and times are positive")
			}
			// By itself it would merge a backlog while that is being made.
			s.compactor = compactor.Config{SegmentBytes: int64(target), Interval: time.Hour,
				MergeIntervalMin: time.Hour, FloorAge: time.Duration(floorAge)}
			var report bench.CompactReport
			s.text = !noise
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.Compact(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillCompact(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.BoolVar(&noise, "noise", false, "records of noise, which zstd leaves as it is, not of words")
	f.Var(&target, "segment-bytes", "how large objects become by merging")
	f.Var(&s.coldRate, "cold-rate", coldRateUsage)
	f.Var(&floorAge, "floor-age", "of the service: how late a commit may arrive")
	f.Var(&s.duration, "for", "how long each arm of the load is")
	f.Float64Var(&s.load, "load", 0.25, "of what the service takes, 0 to 1")
	f.IntVar(&s.readers, "readers", 4, "partitions read at a time; ranges, on the raw side")
	return cmd
}

// fillCompact tells a report as one row per claim.
func fillCompact(t *table, r *bench.CompactReport) {
	t.row("MEASURED", "FOZ", "BESIDE", "RATIO")
	fillMerge(t, &r.Merge)
	i := r.Index
	t.row("log per merged placement", fmt.Sprintf("%.0f B", i.PerPlacement),
		fmt.Sprintf("%d of them", i.Placements), "")
	t.row("log per GiB, at 64 and 256 MiB", fmt.Sprintf("%.0f B", i.PerGiBAt64MiB),
		fmt.Sprintf("%.0f B", i.PerGiBAt256), "")
	t.row("replay of merged objects", "", "raw store", "")
	fillRounds(t, r.Replay, r.ReplayRatio)
	t.row("load of what follows", perSecond(r.LoadBytesPerSecond), "", "")
	fillDisturbed(t, "merging a backlog", r.Backlog, r.BacklogRatio)
	fillDisturbed(t, "a cold replay", r.Cold, r.ColdRatio)
	t.row("  the replay alone", perSecond(r.AloneBytesPerSecond), "", "")
}

func fillMerge(t *table, r *bench.MergeReport) {
	t.row("merging", "", "codec alone", "")
	for n, round := range r.Rounds {
		t.row(fmt.Sprintf("round %d, bytes per core-s", n+1), perSecond(round.Merge.PerCoreSecond),
			perSecond(round.Codec.PerCoreSecond),
			fmt.Sprintf("%.2f", round.Merge.PerCoreSecond/round.Codec.PerCoreSecond))
		t.row("  bytes/s", perSecond(round.Merge.PerSecond), perSecond(round.Codec.PerSecond),
			fmt.Sprintf("%.2f", round.Merge.PerSecond/round.Codec.PerSecond))
	}
	t.row("  per core, min / median / max", "", "", threeRatios(r.CoreRatio))
	t.row("  by the clock, min / median / max", "", "", threeRatios(r.WallRatio))
	t.row("requests per GB merged", fmt.Sprintf("%.0f", r.RequestsPerGB), "", "")
	t.row("requests of "+byteCount(r.Bytes).String(), requestList(r.Requests), "", "")
	t.row("written per byte that ingest wrote", fmt.Sprintf("%.2f", r.WrittenPerByte), "", "")
}

func fillDisturbed(t *table, what string, all []bench.Disturbed, ratio bench.Spread) {
	t.row("produce beside "+what, "", "quiet", "")
	for n, d := range all {
		t.row(fmt.Sprintf("round %d, p99", n+1), fmt.Sprintf("%.1f ms", d.Busy.P99MS),
			fmt.Sprintf("%.1f ms", d.Quiet.P99MS), fmt.Sprintf("%.2f", d.Ratio))
		t.row("  p50", fmt.Sprintf("%.1f ms", d.Busy.P50MS), fmt.Sprintf("%.1f ms", d.Quiet.P50MS), "")
		t.row("  and meanwhile", perSecond(d.BytesPerSecond), "", "")
	}
	t.row("  p99, min / median / max", "", "", threeRatios(ratio))
}

func threeRatios(s bench.Spread) string {
	return fmt.Sprintf("%.2f / %.2f / %.2f", s.Min, s.Median, s.Max)
}
