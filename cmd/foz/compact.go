package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/compactor"
)

// compactFlags are what a node's compactor is told, on the command line of who runs one.
type compactFlags struct {
	segmentBytes byteCount
	floorAge     span
	sweepGrace   span
}

func (c *compactFlags) flags(f *pflag.FlagSet) {
	c.segmentBytes, c.floorAge, c.sweepGrace = 64<<20, span(10*time.Minute), span(20*time.Minute)
	f.Var(&c.segmentBytes, "segment-bytes", "how large objects become by merging")
	f.Var(&c.floorAge, "floor-age", "how late a commit may arrive, and unnamed objects stay at least")
	f.Var(&c.sweepGrace, "sweep-grace", "how long dead objects stay, for readers on their way to them")
}

func (c *compactFlags) config() compactor.Config {
	return compactor.Config{
		SegmentBytes: max(1, int64(c.segmentBytes)), FloorAge: max(1, time.Duration(c.floorAge)),
		Grace: max(1, time.Duration(c.sweepGrace)),
	}
}

// compactTurn is how long one request to compact may take: then there is progress to show.
// compactIdleTurns is after how many of them without any it is given up.
const (
	compactTurn      = 2 * time.Second
	compactIdleTurns = 100
)

func (a *app) compactCommand() *cobra.Command {
	var once bool
	var run []string
	cmd := &cobra.Command{
		Use:   "compact --once",
		Short: "Merge, expire, compact and sweep all that is due now",
		Long: "Ask the service to merge, expire, compact and sweep all that is due now, wait, and\n" +
			"report. Nodes with the role compactor do all of it by themselves in time. What has to\n" +
			"wait, for the floor or for readers, is left. Exits 1 if something could not be read.",
		Example: "  foz compact --once --run merge,sweep",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			if !once {
				return usagef("compact: say --once; nodes with the role compactor do the rest")
			}
			return a.compact(ctx, c, run)
		}),
	}
	cmd.Flags().BoolVar(&once, "once", false, "do it once, wait, and report")
	cmd.Flags().StringSliceVar(&run, "run", nil,
		"only these jobs: retain, merge, compact, sweep (default all)")
	return cmd
}

// compactJobs are the jobs, in the order they are done.
var compactJobs = []string{"retain", "merge", "compact", "sweep"}

// compact asks again and again until nothing more is done.
func (a *app) compact(ctx context.Context, c *client.Client, run []string) error {
	sum := client.Maintenance{Jobs: map[string]client.MaintenanceJob{}}
	began := time.Now()
	for idle := 0; idle < compactIdleTurns; {
		m, err := c.Maintain(ctx, run, compactTurn)
		if err != nil {
			a.progress("")
			return err
		}
		switch {
		case m.Done > 0:
			idle = 0
		case m.BytesIn > 0: // it is at something that takes longer than a turn
			idle++
		default:
			idle = compactIdleTurns
		}
		added(&sum, m)
		a.progress(fmt.Sprintf("%s read, %s written, %s done, %s left, %s", byteCount(sum.BytesIn),
			byteCount(sum.BytesOut), grouped(sum.Done), grouped(sum.Left),
			time.Since(began).Round(time.Second)))
	}
	a.progress("")
	err := a.show(sum, func(out *table) {
		out.row("JOB", "DUE", "DONE", "LEFT", "READ", "WRITTEN")
		for _, name := range compactJobs {
			if j, done := sum.Jobs[name]; done {
				out.row(name, j.Due, j.Done, j.Left, byteCount(j.BytesIn), byteCount(j.BytesOut))
			}
		}
	})
	for _, d := range sum.Damaged {
		a.say("cannot read [%d,%d) of partition %d of topic %s in %s: %s",
			d.StartOffset, d.EndOffset, d.Partition, d.TopicID, d.Object, d.Detail)
	}
	if err == nil && len(sum.Damaged) > 0 {
		return fmt.Errorf("%s cannot be read", counted(len(sum.Damaged), "range"))
	}
	return err
}

// added adds what one turn did. What is left is what its last turn left.
func added(sum *client.Maintenance, m client.Maintenance) {
	add := func(sum *client.MaintenanceJob, j client.MaintenanceJob) {
		sum.Done += j.Done
		sum.Left = j.Left
		sum.Due = sum.Done + sum.Left
		sum.BytesIn += j.BytesIn
		sum.BytesOut += j.BytesOut
	}
	for name, j := range m.Jobs {
		total := sum.Jobs[name]
		add(&total, j)
		sum.Jobs[name] = total
	}
	add(&sum.MaintenanceJob, m.MaintenanceJob)
	sum.Requests = addRequests(sum.Requests, m.Requests)
	sum.Damaged = m.Damaged
}

// addRequests adds counts by operation and cause.
func addRequests(a, b json.RawMessage) json.RawMessage {
	var sum, more map[string]map[string]map[string]int64
	if json.Unmarshal(b, &more) != nil || len(a) == 0 || json.Unmarshal(a, &sum) != nil {
		return b
	}
	for op, causes := range more {
		if sum[op] == nil {
			sum[op] = map[string]map[string]int64{}
		}
		for cause, counts := range causes {
			if sum[op][cause] == nil {
				sum[op][cause] = map[string]int64{}
			}
			for name, n := range counts {
				sum[op][cause][name] += n
			}
		}
	}
	text, _ := json.Marshal(sum) // of numbers
	return text
}

// progress shows a line on a terminal, in the place of the last one; "" takes it away.
func (a *app) progress(line string) {
	if a.talkTerminal {
		fmt.Fprintf(a.talk, "\r\x1b[K%s", line)
	}
}
