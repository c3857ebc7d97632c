package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/bench"
	"github.com/fozlog/foz/compactor"
)

func (a *app) benchAnalyticsCommand() *cobra.Command {
	s := benchDefaults()
	s.partitions, s.readers = 4, 4
	target := byteCount(64 << 20)
	cmd := &cobra.Command{
		Use:   "analytics",
		Short: "Columns, filters and plans against whole reads, and bulk produce",
		Long: "Records with 15 typed columns are produced and merged. In turns: two of 20 columns\n" +
			"against all of them; a filter on a hundredth of the time, bytes counted; a read plan, and\n" +
			"the service, against ranged reads of the same bytes; and records produced as Arrow\n" +
			"against the same as lines, by CPU time. Reads are of a service that has just started.",
		Example: "  foz bench analytics --bytes 256MiB",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.process || s.bytes == 0 {
				return usagef("it measures in this process, and --bytes is positive")
			}
			s.compactor = compactor.Config{SegmentBytes: int64(target), Interval: time.Hour,
				MergeIntervalMin: time.Hour}
			var report bench.AnalyticsReport
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.Analytics(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillAnalytics(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().Var(&target, "segment-bytes", "how large objects become by merging")
	cmd.Flags().IntVar(&s.readers, "readers", 4, "partitions read at a time; ranges, on the raw side")
	return cmd
}

func fillAnalytics(t *table, r *bench.AnalyticsReport) {
	t.row("MEASURED", "THIS", "AGAINST", "RATIO")
	rows := func(what string, rounds []bench.Round, ratio bench.Spread, unit func(float64) string) {
		for n, round := range rounds {
			t.row(fmt.Sprintf("%s, round %d", what, n+1), unit(round.FozBytesPerSecond),
				unit(round.RawBytesPerSecond), fmt.Sprintf("%.2f", round.Ratio))
		}
		t.row("  min / median / max", "", "",
			fmt.Sprintf("%.2f / %.2f / %.2f", ratio.Min, ratio.Median, ratio.Max))
	}
	perRow := func(n float64) string { return grouped(int64(n)) + " rows/s" }
	rows("2 of 20 columns, and all", r.Columns, r.ColumnsRatio, perRow)
	t.row("  bytes fetched, and stored of them", byteCount(r.ColumnsFetched),
		byteCount(r.ColumnsStored), share(r.ColumnsFetched, r.ColumnsStored))
	t.row("  of all that is stored", byteCount(r.ColumnsStored), byteCount(r.Stored),
		share(r.ColumnsStored, r.Stored))
	t.row("1 % of the time: bytes fetched, and 1 % and two batches",
		byteCount(r.FilterFetched), byteCount(r.PartitionBytes/100+2*r.BatchBytes),
		share(r.FilterFetched, r.PartitionBytes/100+2*r.BatchBytes))
	t.row("  records found, and bytes of the partition", grouped(r.FilterRows),
		byteCount(r.PartitionBytes), "")
	rows("by a plan, and ranged reads", r.Plan, r.PlanRatio, perSecond)
	rows("through the service, and ranged reads", r.Whole, r.WholeRatio, perSecond)
	produced := func(what string, rounds []bench.Round, ratio bench.Spread) {
		t.row(what+": records per CPU-s", "", "",
			fmt.Sprintf("%.2f / %.2f / %.2f", ratio.Min, ratio.Median, ratio.Max))
		for n, round := range rounds {
			t.row(fmt.Sprintf("  round %d, CPU-us per record", n+1),
				fmt.Sprintf("%.2f", round.FozCPUPerGB/1e3),
				fmt.Sprintf("%.2f", round.RawCPUPerGB/1e3), "")
		}
	}
	produced("values as Arrow, and as lines", r.Produce, r.ProduceRatio)
	produced("keyed records as Arrow, and as objects", r.ProduceKeyed, r.ProduceKeyedRatio)
}

func share(part, whole int64) string {
	return fmt.Sprintf("%.3f", float64(part)/float64(max(1, whole)))
}
