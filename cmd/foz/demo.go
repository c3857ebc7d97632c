package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
)

func (a *app) demoCommand() *cobra.Command {
	var once bool
	var http string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work: real events in, any range back out, and what it cost",
		Long: "Start a service on a temporary directory, produce 20,000 real US flights over HTTP,\n" +
			"replay a range of offsets, read all partitions as Arrow, and print what came of it:\n" +
			"mean delays by airport, what each step took, what lies in the bucket, and what the\n" +
			"requests would cost on S3. Then serve until interrupted, with curl lines to try.",
		Example: "  foz demo --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), http, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "exit after the report")
	cmd.Flags().StringVar(&http, "http", "127.0.0.1:7080", "where to listen; another port if taken")
	return cmd
}

func (a *app) demo(ctx context.Context, http string, once bool) (err error) {
	if err := loopbackOnly("http", http); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "foz-demo-")
	if err != nil {
		return err
	}
	defer func() { err = orLater(err, os.RemoveAll(dir)) }()
	if once {
		http = "127.0.0.1:0"
	}
	begin := time.Now()
	n, err := startDemoNode(ctx, filepath.Join(dir, "bucket"), http)
	if err != nil {
		return err
	}
	defer n.Close()
	c, err := client.New(client.Options{URL: n.URL, UserAgent: "foz-demo"})
	if err != nil {
		return err
	}
	d := &demo{c: c, report: demoReport{Bucket: filepath.Join(dir, "bucket"), URL: n.URL}}
	d.step("start a node on an empty bucket", begin, demoStep{Note: d.report.Bucket})
	if err := d.run(ctx); err != nil {
		return err
	}
	d.report.charge(n.Counts())
	if err := a.showDemo(&d.report); err != nil || once {
		return err
	}
	a.say("%s", demoHints(n.URL, d.report.Replay))
	err = n.Wait(ctx)
	a.say("\n  Bye. %s goes with me.", dir)
	return err
}

// startDemoNode listens where it was told, or anywhere if that is taken.
func startDemoNode(ctx context.Context, dir, http string) (*node, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	config := nodeConfig{
		Bucket: (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String(), HTTP: http,
		FlushInterval: 25 * time.Millisecond, Roles: allRoles,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	n, err := startNode(ctx, config)
	if errors.Is(err, syscall.EADDRINUSE) {
		config.HTTP = "127.0.0.1:0"
		n, err = startNode(ctx, config)
	}
	if err != nil {
		return nil, fmt.Errorf("start the demo's node: %w", err)
	}
	return n, nil
}
