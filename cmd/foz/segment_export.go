package main

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"path/filepath"
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
			s.read.topic = args[0]
			err := a.idle(cmd, "is not of export, which asks the service", bucketFlagNames...)
			if err == nil {
				err = s.settle(a.outTerminal)
			}
			if err != nil {
				return err
			}
			return a.export(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.to, "to", "", strings.Join(exportFormats, ", ")+
		" (default by the name's ending, else parquet)")
	f.StringVar(&s.out, "out", "", "the file to write; - is stdout")
	f.Int32VarP(&s.read.partition, "partition", "p", client.AllPartitions, "the partition (-1: all)")
	f.StringVarP(&s.read.offset, "offset", "o", "", "where: "+positionForms+" (default start)")
	f.StringSliceVar(&s.read.columns, "columns", nil, "only these")
	f.StringVar(&s.read.where, "where", "", "only records for which this is true")
	cmd.MarkFlagRequired("out")
	return cmd
}

// formatOf is the format that files of an ending have; others have none.
var formatOf = map[string]string{
	".parquet": "parquet", ".arrow": "arrow", ".arrows": "arrow",
	".ndjson": "ndjson", ".jsonl": "ndjson",
}

// settle finds the format and refuses what does not go together.
func (s *exportSettings) settle(terminal bool) error {
	if s.to == "" {
		s.to = cmp.Or(formatOf[strings.ToLower(filepath.Ext(s.out))], "parquet")
	}
	switch {
	case s.out == "":
		return usagef("--out: want a file, or - for stdout")
	case !slices.Contains(exportFormats, s.to):
		return usagef("--to %q: want %s", s.to, strings.Join(exportFormats, ", "))
	case s.to != "ndjson" && s.out == "-" && terminal:
		return usagef("--to %s is not for terminals: name a file with --out, or redirect stdout", s.to)
	}
	s.read.format = "arrow" // which the service makes Parquet's columns of, too
	if s.to == "ndjson" {
		s.read.format = "ndjson"
	}
	return s.read.settle()
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
