package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/fozlog/foz/metadata"
)

// allRoles are what one process does when nobody says otherwise.
var allRoles = []string{roleIngest, metadata.RoleMetadata, roleReader, roleCompactor}

// devSettings are the flags of `foz dev`.
type devSettings struct {
	bucketFlags
	http     string
	flight   string
	interval span
	verbose  bool
	compact  compactFlags
}

func (a *app) devCommand() *cobra.Command {
	s := devSettings{interval: spanUnset}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole service in this process, on a directory",
		Long: "Run a whole service in this process: all roles, the bus inside, the bucket a\n" +
			"directory. It listens on this machine only, and stops at an interrupt.",
		Example: "  foz dev --data-dir ./foz-data --http 127.0.0.1:7080",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.dev(cmd.Context(), s) },
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&s.http, "http", "127.0.0.1:7080", "where to listen")
	f.StringVar(&s.flight, "flight", "", flightUsage)
	f.Var(&s.interval, "flush-interval", flushIntervalUsage)
	s.compact.flags(f)
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log more")
	return cmd
}

func (a *app) dev(ctx context.Context, s devSettings) error {
	if err := loopbackOnly("http", s.http); err != nil {
		return err
	}
	if s.flight != "" {
		if err := loopbackOnly("flight", s.flight); err != nil {
			return err
		}
	}
	bucket, err := s.resolved()
	if err != nil {
		return err
	}
	n, err := startNode(ctx, nodeConfig{Bucket: bucket, HTTP: s.http, Flight: s.flight,
		Roles: allRoles, FlushInterval: flushInterval(s.interval, bucket), Logger: a.logger(s.verbose),
		Compactor: s.compact.config(), ColdRate: int64(coldRate())})
	if err != nil {
		return err
	}
	defer n.Close()
	where := "\n"
	if n.Flight != "" {
		where = "\n  flight   " + n.Flight + "\n"
	}
	a.say("foz is up\n\n  service  %s"+where+"  bucket   %s\n\nTry:\n\n"+
		"  curl -X PUT %[1]s/v1/topics/hello\n"+
		"  echo 'hello, foz' | curl %[1]s/v1/topics/hello/records "+
		"-H 'Content-Type: application/x-ndjson' --data-binary @-\n"+
		"  curl '%[1]s/v1/topics/hello/partitions/0/records?value=json'\n", n.URL, bucket)
	err = n.Wait(ctx)
	a.say("stopping")
	return err
}

// logger logs to stderr: with colour and short times on a terminal, else as plain text.
func (a *app) logger(verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	if a.talkTerminal {
		return slog.New(tint.NewTextHandler(a.talk, &tint.Options{Level: level,
			TimeFormat: time.TimeOnly, NoColor: !a.colored(a.talkTerminal)}))
	}
	return slog.New(slog.NewTextHandler(a.talk, &slog.HandlerOptions{Level: level}))
}
