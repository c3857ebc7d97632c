package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/bench"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/objectstore"
)

func (a *app) benchCommand() *cobra.Command {
	return family("bench", "Measure it beside the raw store, in turns, as ratios",
		a.benchIngestCommand(), a.benchReplayCommand(),
		a.benchLatencyCommand(), a.benchPartitionsCommand(), a.benchCompactCommand(),
		a.benchAnalyticsCommand())
}

// benchSettings are the flags of `foz bench`.
type benchSettings struct {
	bucket   string
	profile  string
	interval span

	bytes, record, body, object byteCount
	duration, idle              span
	rounds, connections         int
	uploads, lone, readers      int
	partitions                  int32
	keyed, whole, process, text bool
	load                        float64
	compactor                   compactor.Config // of the service, if it is in this process
	coldRate                    byteCount        // of the same
}

func (a *app) benchIngestCommand() *cobra.Command {
	s := benchDefaults()
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Durable ingest against creates of objects of the same bytes",
		Long: "Durable ingest against creates of objects of the same bytes, in turns: raw, foz,\n" +
			"foz, raw is one round. A service is started in this process, on a bucket of its own.\n" +
			"The raw store gets bytes that lie ready and does nothing but create; foz gets HTTP\n" +
			"requests and answers when they are durable. CPU time is this process's, clients\n" +
			"included. Bytes are of records' values alone.\n" +
			"Each arm writes --bytes: with the defaults a run writes 8 GB. It writes to a temporary\n" +
			"directory, or below foz-bench-*/ of an empty --bucket, and removes that at its end. Only\n" +
			"a run that is killed leaves it.",
		Example: "  foz bench ingest --rounds 5 --bytes 256MiB",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report bench.IngestReport
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.Ingest(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillIngest(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.Var(&s.duration, "for", "how long each arm begins something new (0: until --bytes)")
	f.IntVar(&s.uploads, "uploads", 8, "raw creates under way at a time, as many as a node's")
	f.Var(&s.idle, "idle", "how long to count requests while nothing is asked")
	f.IntVar(&s.lone, "lone", 100, "requests of the lone producer, 10 a second")
	return cmd
}

func (a *app) benchReplayCommand() *cobra.Command {
	s := benchDefaults()
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Reading everything as Arrow against ranged reads of the same objects",
		Long: "Reading everything as Arrow streams, one of each partition, against ranged reads\n" +
			"of the same objects, in turns: raw, foz, foz, raw is one round. Records are produced\n" +
			"first; then each arm of foz is a service that has just started. Neither side reads\n" +
			"from a disk what the operating system still has in memory.",
		Example: "  foz bench replay --readers 4",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var report bench.ReplayReport
			err := a.bench(cmd.Context(), s, func(
				ctx context.Context, d bench.Deps, c bench.Config,
			) (err error) {
				report, err = bench.Replay(ctx, d, c)
				return err
			})
			if err != nil {
				return err
			}
			return a.show(report, func(t *table) { fillReplay(t, &report) })
		},
	}
	s.flags(cmd.Flags())
	f := cmd.Flags()
	f.IntVar(&s.readers, "readers", 4, "partitions read at a time; ranges, on the raw side")
	f.BoolVar(&s.whole, "whole", false, "read all partitions as one stream, at one reader a side")
	return cmd
}

// benchDefaults are the defaults of flags that have none where they are declared.
func benchDefaults() benchSettings {
	return benchSettings{interval: span(25 * time.Millisecond), bytes: 512 << 20, record: 1 << 10,
		body: 1 << 20, object: 8 << 20, partitions: 100, idle: span(5 * time.Second), uploads: 1,
		readers: 1, coldRate: coldRate()}
}

func (s *benchSettings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.bucket, "bucket", "", "an empty bucket's URL (a temporary directory), which is\n"+
		"empty again afterwards; its file system must really sync")
	f.IntVar(&s.rounds, "rounds", 3, "how many rounds of four arms")
	f.Var(&s.bytes, "bytes", "records' bytes in each arm (0: as many as fit into --for)")
	f.Int32Var(&s.partitions, "partitions", s.partitions, "of the topic; requests go round them")
	f.Var(&s.record, "record-bytes", "one record")
	f.Var(&s.body, "body-bytes", "the records of one produce request")
	f.BoolVar(&s.keyed, "keyed", false, "records have keys, which spread each request over all\n"+
		"partitions; without, a request is lines for one partition")
	f.Var(&s.object, "object-bytes", "one object of the raw arm")
	f.IntVar(&s.connections, "connections", 96, "HTTP connections, one request on each")
	f.Var(&s.interval, "flush-interval", "of the service")
	f.BoolVar(&s.process, "process", false, "run the service as a process of its own, so that\n"+
		"CPU time is the service's alone")
	f.StringVar(&s.profile, "cpu-profile", "", "write a CPU profile of the run to this file")
}

func (s *benchSettings) config() (bench.Config, error) {
	c := bench.Config{Rounds: s.rounds, Bytes: int64(s.bytes), For: time.Duration(s.duration),
		RecordBytes: int(s.record), BodyBytes: int(s.body), ObjectBytes: int(s.object),
		Keyed: s.keyed, Text: s.text, Partitions: s.partitions, Connections: s.connections,
		Uploads: s.uploads, Readers: s.readers, Whole: s.whole,
		Idle: time.Duration(s.idle), Lone: s.lone,
		Load: s.load, FlushInterval: time.Duration(s.interval)}
	switch {
	case c.Bytes == 0 && c.For == 0:
		return c, usagef("--bytes or --for must say when an arm ends")
	case min(c.Rounds, c.RecordBytes, c.BodyBytes, c.ObjectBytes, int(c.Partitions),
		c.Connections, c.Uploads, c.Readers) < 1 || c.Lone < 0:
		return c, usagef("sizes and numbers are positive")
	}
	return c, nil
}

// bench measures with a bucket and a service, both of its own.
func (a *app) bench(
	ctx context.Context, s benchSettings,
	measure func(context.Context, bench.Deps, bench.Config) error,
) (err error) {
	c, err := s.config()
	if err != nil {
		return err
	}
	bucket, remove, err := s.makeBucket(ctx)
	if err != nil {
		return err
	}
	defer func() { err = orLater(err, remove()) }()
	store, err := objectstore.Open(ctx, bucket, drivers)
	if err != nil {
		return err
	}
	defer closeStore(store)
	stop, err := startProfile(s.profile)
	if err != nil {
		return err
	}
	defer func() { err = orLater(err, stop()) }()
	start := a.benchService(bucket, s)
	if s.process {
		start = a.benchProcess(bucket, time.Duration(s.interval))
	}
	return measure(ctx, bench.Deps{
		Store: store, Start: start,
		Entropy: rand.Reader, Progress: func(line string) { a.say("%s", line) },
	}, c)
}

// benchService starts a node in this process.
func (a *app) benchService(
	bucket string, s benchSettings,
) func(ctx context.Context) (*bench.Service, error) {
	return func(ctx context.Context) (*bench.Service, error) {
		warnings := &slog.HandlerOptions{Level: slog.LevelWarn}
		n, err := startNode(ctx, nodeConfig{Bucket: bucket, HTTP: "127.0.0.1:0", Roles: allRoles,
			FlushInterval: time.Duration(s.interval), Compactor: s.compactor,
			ColdRate: int64(s.coldRate), Logger: slog.New(slog.NewTextHandler(a.talk, warnings))})
		if err != nil {
			return nil, err
		}
		return &bench.Service{URL: n.URL, Counts: n.Counts, Close: n.Close}, nil
	}
}

// startProfile profiles this process until stop is called; "" is no profile.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(io.Writer(file)); err != nil {
		return nil, orLater(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
