package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/bench"
)

func (a *app) benchLatencyCommand() *cobra.Command {
	s := benchDefaults()
	s.bytes, s.duration, s.uploads = 0, span(10*time.Second), 8
	cmd := &cobra.Command{
		Use:   "e2e",
		Short: "Latencies, from producer to consumer, under a part of full load",
		Long: "Latencies under --load of what the service takes when it is given all that it can.\n" +
			"Requests begin when they are due, whatever became of those before, and their times\n" +
			"count from then. The raw arm creates objects at the same rate of bytes. Beside the\n" +
			"load 20 single records a second go to a consumer that follows their topic.",
		Example: "  foz bench e2e --for 20s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.load <= 0 || s.load > 1 || s.duration <= 0 {
				return usagef("--load is above 0 and at most 1, and --for says how long")
			}
			var report bench.LatencyReport
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.EndToEnd(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillLatency(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.Var(&s.duration, "for", "how long each arm is")
	f.Float64Var(&s.load, "load", 0.5, "of what the service takes, 0 to 1")
	f.IntVar(&s.uploads, "uploads", 8, "raw creates under way at a time, as many as a node's")
	return cmd
}

func (a *app) benchPartitionsCommand() *cobra.Command {
	s := benchDefaults()
	cmd := &cobra.Command{
		Use:   "partitions",
		Short: "Durable ingest into many partitions against one",
		Long: "Durable ingest of keyed records into a topic of --partitions against the same into\n" +
			"a topic of one partition, on one service, in turns.",
		Example: "  foz bench partitions --partitions 1000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report bench.PartitionsReport
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.Partitions(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillPartitions(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	return cmd
}

func fillLatency(t *table, r *bench.LatencyReport) {
	t.row("MEASURED", "ACK", "FOLLOW", "RAW STORE")
	ms := func(v float64) string { return fmt.Sprintf("%.1f ms", v) }
	for n, l := range r.Rounds {
		t.row(fmt.Sprintf("round %d, p50", n+1), ms(l.Ack.P50MS), ms(l.Follow.P50MS), ms(l.Raw.P50MS))
		t.row("  p99", ms(l.Ack.P99MS), ms(l.Follow.P99MS), ms(l.Raw.P99MS))
		t.row("  max", ms(l.Ack.MaxMS), ms(l.Follow.MaxMS), ms(l.Raw.MaxMS))
	}
	t.row("ack p99 over interval and raw p99", fmt.Sprintf("%s / %s / %s",
		ms(r.OverMS.Min), ms(r.OverMS.Median), ms(r.OverMS.Max)), "", "")
	t.row("load", perSecond(r.LoadBytesPerSecond), "", "")
	t.row("what the service takes", perSecond(r.CapacityBytesPerSecond), "", "")
	t.row("produces refused", grouped(r.Refused), "", "")
}

func fillPartitions(t *table, r *bench.PartitionsReport) {
	t.row("MEASURED", fmt.Sprintf("%d PARTITIONS", r.Many.Partitions), "ONE", "RATIO")
	fillRounds(t, r.Rounds, r.Ratio)
	count := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	t.row("objects per GB", count(r.Many.UploadsGB), count(r.One.UploadsGB), "")
	t.row("log entries per GB", count(r.Many.AppendsGB), count(r.One.AppendsGB), "")
}
