package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
)

// consumeSettings are the flags of `foz consume`.
type consumeSettings struct {
	topic     string
	partition int32
	offset    string
	limit     int64
	follow    bool
	format    string
	columns   []string
	where     string
	embed     bool
	at        position // offset, read
}

var consumeFormats = []string{"ndjson", "json", "raw", "arrow"}

func (a *app) consumeCommand() *cobra.Command {
	s := consumeSettings{}
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print records: of one partition or all, a range or whatever comes",
		Long: "Print records: of one partition or all, a range or whatever comes.\n\n" +
			"-o says where: start, end, N (from offset N), -N (the last N), N-M (from N up to, not\n" +
			"including, M), @TIME (from the first record at or after TIME) or @t1:t2 (from t1 up\n" +
			"to, not including, t2). TIME is milliseconds, a date (2001-02-03), a date and time\n" +
			"(2001-02-03T04:05:06Z; UTC unless it says otherwise), or how long ago (-15m).\n" +
			"Without --follow it ends at the records that there are. Of all partitions, those that\n" +
			"end before N have nothing to print; it is an error if all do, or if one begins behind N.",
		Example: "  foz consume flights -p 3 -o 100-200 | jq .value\n" +
			"  foz consume flights --follow --format raw\n" +
			"  foz consume flights --format arrow > flights.arrows\n" +
			"  foz consume flights --columns origin,delay --where 'delay > 600'",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.topic = args[0]
			if err := s.settle(); err != nil {
				return err
			}
			if s.format == "arrow" && a.outTerminal {
				return usagef("--format arrow is not for terminals: redirect stdout, "+
					"as in > %s.arrows", s.topic)
			}
			return a.consume(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.Int32VarP(&s.partition, "partition", "p", client.AllPartitions, "the partition (-1: all)")
	f.StringVarP(&s.offset, "offset", "o", "", "where: "+positionForms+
		" (default start; with --follow end)")
	f.Int64VarP(&s.limit, "limit", "n", 0, "stop after so many records (0: no limit)")
	f.BoolVar(&s.follow, "follow", false, "go on with records as they are committed")
	f.StringVar(&s.format, "format", "ndjson", strings.Join(consumeFormats, ", "))
	f.StringSliceVar(&s.columns, "columns", nil, "only these, of ndjson, json or arrow")
	f.StringVar(&s.where, "where", "", "only records for which this is true: "+
		"delay > 60 and origin in ('LAX', 'SFO')")
	f.BoolVar(&s.embed, "embed", false, "print values that are JSON as JSON, not as strings")
	return cmd
}

// settle refuses what does not go together and reads the position.
func (s *consumeSettings) settle() (err error) {
	if s.offset == "" {
		s.offset = "start"
		if s.follow {
			s.offset = "end"
		}
	}
	if s.at, err = parsePosition(s.offset, time.Now()); err != nil {
		return err
	}
	all := s.partition == client.AllPartitions
	switch {
	case !slices.Contains(consumeFormats, s.format):
		return usagef("--format %q: want %s", s.format, strings.Join(consumeFormats, ", "))
	case s.format == "raw" && len(s.columns) > 0:
		return usagef("--format raw is the value alone: --columns is of ndjson, json and arrow")
	case s.partition < client.AllPartitions:
		return usagef("-p %d: want a partition, or -1 for all", s.partition)
	case s.limit < 0:
		return usagef("-n %d: want how many records, or 0 for no limit", s.limit)
	case s.follow && (s.format == "json" || s.format == "arrow"):
		return usagef("--follow has no end: want --format ndjson or raw, not %s", s.format)
	case s.follow && (s.at.end != nil || s.at.until != nil):
		return usagef("-o %s ends and --follow does not", s.offset)
	case s.follow && all && (s.at.kind == "offset" || s.at.kind == "tail"):
		return usagef("-o %s is of one partition: say which with -p", s.offset)
	case s.format == "arrow" && all && (!s.at.everywhere() || s.limit > 0):
		return usagef("one Arrow stream of all partitions begins at start or @TIME and " +
			"has no limit: say which partition with -p")
	}
	return nil
}

// everywhere says whether one read of all partitions can begin at the position.
func (p position) everywhere() bool {
	return p.until == nil && (p.kind == "start" || p.kind == "time")
}

// read is what to ask the service for.
func (s *consumeSettings) read(partition int32) client.Read {
	r := client.Read{Topic: s.topic, Partition: partition, From: s.at.from, EndOffset: s.at.end,
		Until: s.at.until, Columns: s.columns, Where: s.where, JSON: s.embed}
	if s.format == "raw" {
		r.Columns, r.JSON = []string{"offset", "value"}, false
	}
	if partition != client.AllPartitions {
		r.Limit = s.limit
	}
	return r
}

func (a *app) consume(ctx context.Context, s consumeSettings) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	if s.format == "arrow" {
		stream, err := c.Arrow(ctx, s.read(s.partition))
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(a.out, stream)
		return err
	}
	out := &recordWriter{w: bufio.NewWriterSize(a.out, 64<<10), s: &s}
	if s.follow {
		return a.follow(ctx, out)
	}
	if err := a.consumeBounded(ctx, c, out); err != nil {
		return orLater(err, out.w.Flush())
	}
	return out.end()
}

// consumeBounded prints what there is: by one read of all partitions if the position allows
// it, else partition by partition.
func (a *app) consumeBounded(ctx context.Context, c *client.Client, out *recordWriter) error {
	s := out.s
	if s.partition == client.AllPartitions && s.at.everywhere() {
		return out.scan(ctx, c, s.read(client.AllPartitions))
	}
	if s.partition != client.AllPartitions {
		return out.scan(ctx, c, s.read(s.partition))
	}
	partitions, err := a.consumed(ctx, c, s)
	if err != nil {
		return err
	}
	out.mark = !slices.Contains(s.columns, "partition") // else the records say it
	for _, p := range partitions {
		out.partition = p
		if err := out.scan(ctx, c, s.read(p)); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		if out.full() {
			return nil
		}
	}
	return nil
}

// consumed are the partitions that have something at the position. Those that end before an
// offset have not, and the talk says how many they are.
func (a *app) consumed(ctx context.Context, c *client.Client, s *consumeSettings) ([]int32, error) {
	if s.at.kind != "offset" {
		return partitionsOf(ctx, c, s.topic, s.partition)
	}
	t, err := c.Topic(ctx, s.topic)
	if err != nil {
		return nil, err
	}
	reached, err := reaching(t, s.at.offset)
	if short := len(t.Bounds) - len(reached); err == nil && short > 0 {
		a.say("%d of %d partitions end before offset %d", short, len(t.Bounds), s.at.offset)
	}
	return reached, err
}

// follow prints records as they come, until interrupted or nobody reads them: that is its good end.
func (a *app) follow(ctx context.Context, out *recordWriter) error {
	if err := a.seek(ctx, out.s.topic); err != nil {
		return err
	}
	c, err := a.clientOf(attemptsPatient)
	if err != nil {
		return err
	}
	ctx, stop := whileRead(ctx, a.out)
	defer stop()
	for e, err := range c.Follow(ctx, out.s.read(out.s.partition), "") {
		if err != nil {
			return err
		}
		if e.Line == nil {
			if a.talkTerminal {
				a.say("following %s behind %s; interrupt to end", out.s.topic, e.ID)
			}
			continue
		}
		if err := out.record(e.Line); err != nil {
			return err
		}
		if err := out.w.Flush(); err != nil || out.full() {
			return err
		}
	}
	return nil
}

func orLater(err, later error) error {
	if err != nil {
		return err
	}
	return later
}
