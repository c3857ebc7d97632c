package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/objectstore"
)

func (a *app) storageCommand() *cobra.Command {
	var b bucketFlags
	cmd := family("storage", "The object store itself, without a service", a.storageCheck(&b))
	b.flags(cmd.PersistentFlags())
	return cmd
}

// finding is one point of the check as it is printed.
type finding struct {
	Point   int     `json:"point"`
	What    string  `json:"what"`
	Verdict string  `json:"verdict"`
	Detail  string  `json:"detail,omitempty"`
	TookMS  float64 `json:"took_ms"`
}

func (a *app) storageCheck(b *bucketFlags) *cobra.Command {
	var also []string
	var config objectstore.FullConfig
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask a bucket whether a log can live in it; exit 1 if not",
		Long: "Ask the store itself for the ten things that foz relies on: that a key is created\n" +
			"only once, that what was written is seen at once, and so on. \"S3-compatible\" does not\n" +
			"promise them. It writes small objects below probe/ and removes them.",
		Example: "  foz storage check --bucket 'minio://127.0.0.1:9000/foz?secure=false'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config.Clients < 1 || config.Keys < 1 {
				return usagef("--clients and --keys are at least 1")
			}
			ctx := cmd.Context()
			var stores []objectstore.Store
			buckets := []bucketFlags{*b}
			for _, where := range also {
				buckets = append(buckets, bucketFlags{bucket: where})
			}
			for _, bucket := range buckets {
				s, err := bucket.openToWrite(ctx)
				if err != nil {
					return err
				}
				defer closeStore(s)
				stores = append(stores, s)
			}
			config.Also = stores[1:]
			return a.checkStorage(ctx, stores[0], config)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&also, "also", nil, "URL of the same bucket by another endpoint; may be repeated")
	f.IntVar(&config.Clients, "clients", 32, "how many clients race to create a key")
	f.IntVar(&config.Keys, "keys", 200, "how many keys they race for")
	return cmd
}

// checkStorage prints the findings as they come, or all at once for a program.
func (a *app) checkStorage(ctx context.Context, store objectstore.Store,
	config objectstore.FullConfig) error {
	var findings []finding
	var failed []string
	for f := range objectstore.CheckFull(ctx, store, config) {
		findings = append(findings, finding{f.Point, f.What, string(f.Verdict), f.Detail,
			float64(f.Took.Microseconds()) / 1000})
		if f.Verdict == objectstore.Fail {
			failed = append(failed, itoa(f.Point))
		}
		if a.output == "table" {
			if err := a.printFinding(f); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.output != "table" {
		if err := a.show(map[string]any{"findings": findings}, nil); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return errors.New("no log can live in this bucket: it fails at point " +
			strings.Join(failed, ", "))
	}
	return nil
}

func (a *app) printFinding(f objectstore.Finding) error {
	line := fmt.Sprintf("%2d  %-4s  %-42s  %9v", f.Point, f.Verdict, f.What,
		f.Took.Round(10*time.Microsecond))
	if f.Detail != "" {
		line += "  " + f.Detail
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}
