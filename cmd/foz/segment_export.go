package main

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/segment/parquet"
)

var exportFormats = []string{"parquet", "arrow", "ndjson"}

// exportSettings are the flags of `foz segment export`.
type exportSettings struct {
	read consumeSettings
	to   string
	out  string
}

func (a *app) segmentExport() *cobra.Command {
	s := exportSettings{}
	cmd := &cobra.Command{
		Use:   "export TOPIC",
		Short: "Write a topic's records, or some of them, to a Parquet, Arrow or NDJSON file",
		Long: "Write a topic's records, or some of them, to a file, typed columns included. The file\n" +
			"appears when it is complete, under its name; - is stdout. It is read from the service.",
		Example: "  foz segment export flights --to parquet --out flights.parquet\n" +
			"  foz segment export flights --columns origin,delay --where 'delay > 60' --to arrow --out -",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.read.topic, s.read.format = args[0], "arrow"
			if s.to == "ndjson" {
				s.read.format = "ndjson"
			}
			if !slices.Contains(exportFormats, s.to) {
				return usagef("--to %q: want %s", s.to, strings.Join(exportFormats, ", "))
			}
			if err := s.read.settle(); err != nil {
				return err
			}
			return a.export(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.to, "to", "parquet", strings.Join(exportFormats, ", "))
	f.StringVar(&s.out, "out", "", "the file to write; - is stdout")
	f.Int32VarP(&s.read.partition, "partition", "p", client.AllPartitions, "the partition (-1: all)")
	f.StringVarP(&s.read.offset, "offset", "o", "", "where: "+positionForms+" (default start)")
	f.StringSliceVar(&s.read.columns, "columns", nil, "only these")
	f.StringVar(&s.read.where, "where", "", "only records for which this is true")
	cmd.MarkFlagRequired("out")
	return cmd
}

func (a *app) export(ctx context.Context, s exportSettings) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	var bar *progressbar.ProgressBar
	if a.talkTerminal {
		bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.talk),
			progressbar.OptionSetDescription("export"), progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish())
		defer bar.Exit()
	}
	if s.out == "-" {
		_, err := a.exportTo(ctx, c, s, a.out, bar)
		return err
	}
	rows := int64(-1)
	err = toFile(ctx, s.out, func(w io.Writer) (err error) {
		rows, err = a.exportTo(ctx, c, s, w, bar)
		return err
	})
	if err == nil && rows >= 0 {
		a.say("%s to %s", counted(rows, "record"), s.out)
	}
	return err
}

// exportTo reads and writes; rows is -1 where nobody counts.
func (a *app) exportTo(
	ctx context.Context, c *client.Client, s exportSettings, w io.Writer,
	bar *progressbar.ProgressBar,
) (rows int64, err error) {
	out := bufio.NewWriterSize(watching(w, bar), 256<<10)
	if s.to == "ndjson" {
		records := &recordWriter{w: out, s: &s.read}
		err := a.consumeBounded(ctx, c, records)
		return records.count, orLater(err, out.Flush())
	}
	stream, err := c.Arrow(ctx, s.read.read(s.read.partition))
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	if s.to == "arrow" {
		rows = -1
		_, err = io.Copy(out, stream)
	} else {
		rows, err = parquet.Convert(out, stream)
	}
	return rows, orLater(err, out.Flush())
}

// watching tells a progress bar, if there is one, what is written.
func watching(w io.Writer, bar *progressbar.ProgressBar) io.Writer {
	if bar == nil {
		return w
	}
	return io.MultiWriter(w, bar)
}
