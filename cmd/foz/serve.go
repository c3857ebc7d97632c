package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

// serveSettings are the flags of `foz serve`.
type serveSettings struct {
	bucket    string
	http      string
	flight    string
	advertise string
	cluster   string
	roles     []string
	interval  span
	verbose   bool
	door      doorSettings
	debugHTTP string
	compact   compactFlags
	coldRate  byteCount
	bus       busSettings
}

const flightUsage = "where to listen for Arrow Flight, behind the same door (default nowhere)"

const flushIntervalUsage = "how long a record may wait for others, 0: not at all " +
	"(default 250ms on s3://, else 25ms)"

func (a *app) serveCommand() *cobra.Command {
	s := serveSettings{interval: spanUnset}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node of a service, on a bucket that others share",
		Long: "Run one node of a service. Nodes share nothing but the bucket, and find each other\n" +
			"on a bus: NATS servers of yours (--bus), or one that the nodes form themselves\n" +
			"(--bus-listen, --bus-cluster, --bus-routes). With neither, the node is alone.\n" +
			"Any node may be killed at any time.",
		Example: "  foz serve --bucket s3://events/prod?region=eu-central-1 " +
			"--roles ingest,metadata --bus nats://10.0.0.1:4222",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), s) },
	}
	f := cmd.Flags()
	f.String(configFlag, "", "file of flags and their values, YAML (see infra/foz.yaml)")
	f.StringVar(&s.bucket, "bucket", "", "the bucket's URL: s3://, minio://, file:///path")
	f.StringVar(&s.http, "http", "127.0.0.1:7080", "where to listen")
	f.StringVar(&s.flight, "flight", "", flightUsage)
	f.StringVar(&s.advertise, "advertise", "", "the base URL at which others reach this node")
	f.StringVar(&s.cluster, "cluster", "", "refuse a bucket of any other cluster than this UUID's")
	f.StringSliceVar(&s.roles, "roles", allRoles, "what this node does")
	f.Var(&s.interval, "flush-interval", flushIntervalUsage)
	s.compact.flags(f)
	s.coldRate = coldRate()
	f.Var(&s.coldRate, "cold-rate", coldRateUsage)
	s.door.flags(f)
	f.StringVar(&s.debugHTTP, "debug-http", "", "a loopback address to serve profiles at")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "log more")
	s.bus.flags(f)
	_ = cmd.MarkFlagRequired("bucket")
	return cmd
}

func (a *app) serve(ctx context.Context, s serveSettings) error {
	if err := s.check(); err != nil {
		return &usageError{err: err}
	}
	d, err := s.door.open()
	if err != nil {
		return err
	}
	busConfig, err := s.bus.open(a.getenv, d)
	if err != nil {
		return err
	}
	busConfig.Logger = a.logger(s.verbose)
	if clear := s.bus.inTheClear(); len(clear) > 0 {
		a.say("foz: the bus at %s is in the clear, and believed: want tls://",
			strings.Join(clear, ", "))
	}
	if s.debugHTTP != "" {
		url, stop, err := serveDebug(ctx, s.debugHTTP)
		if err != nil {
			return err
		}
		defer stop()
		a.say("profiles at %s", url)
	}
	n, err := startNode(ctx, nodeConfig{
		Bucket: s.bucket, HTTP: s.http, Flight: s.flight, Advertise: s.advertise,
		Roles: s.roles, ClusterID: s.cluster,
		FlushInterval: flushInterval(s.interval, s.bucket), Logger: busConfig.Logger, Door: d,
		Compactor: s.compact.config(), ColdRate: int64(s.coldRate),
		Bus: busConfig,
	})
	if err != nil {
		return err
	}
	defer n.Close()
	a.say("foz %s is up at %s with the roles %s", n.id, n.URL, strings.Join(s.roles, ", "))
	if n.Flight != "" {
		a.say("Arrow Flight at %s", n.Flight)
	}
	err = n.Wait(ctx)
	a.say("stopping")
	return err
}

// check refuses settings that cannot be meant.
func (s serveSettings) check() error {
	for _, role := range s.roles {
		if !slices.Contains(allRoles, role) {
			return fmt.Errorf("--roles: no role is called %q; there are %s",
				role, strings.Join(allRoles, ", "))
		}
	}
	if len(s.roles) == 0 {
		return fmt.Errorf("--roles: a node without a role has nothing to do")
	}
	if _, err := uuid.Parse(s.cluster); s.cluster != "" && err != nil {
		return fmt.Errorf("--cluster %q: want a UUID", s.cluster)
	}
	if err := s.door.checkAdvertised(s.advertise); err != nil {
		return err
	}
	if err := s.door.check("http", s.http); err != nil {
		return err
	}
	if s.flight != "" {
		if err := s.door.check("flight", s.flight); err != nil {
			return err
		}
	}
	if s.debugHTTP != "" {
		if err := loopbackOnly("debug-http", s.debugHTTP); err != nil {
			return err
		}
	}
	return s.bus.check(s.door.insecure)
}

// flushInterval is what was set, or the default of the bucket's scheme.
func flushInterval(set span, bucket string) time.Duration {
	switch {
	case set != spanUnset:
		return time.Duration(set)
	case strings.HasPrefix(bucket, "s3://"):
		return 250 * time.Millisecond
	}
	return 25 * time.Millisecond
}
