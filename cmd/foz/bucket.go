package main

import (
	"context"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/minio"
	"github.com/fozlog/foz/objectstore/s3"
)

// bucketFlags say which bucket: by URL, or by the directory that `foz dev` keeps it in.
type bucketFlags struct {
	bucket  string
	dataDir string
}

func (b *bucketFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&b.bucket, "bucket", "", "the bucket's URL: file:///path, mem://, ...")
	f.StringVar(&b.dataDir, "data-dir", "./foz-data",
		"the bucket's directory: short for --bucket file://DIR")
	eitherFlag(f, "bucket", "data-dir")
}

// resolved is the bucket's URL. A relative directory becomes an absolute one.
func (b *bucketFlags) resolved() (string, error) {
	if b.bucket != "" {
		return b.bucket, nil
	}
	dir, err := filepath.Abs(b.dataDir)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String(), nil
}

// drivers open the buckets whose schemes objectstore itself does not know.
var drivers = map[string]objectstore.Opener{"minio": minio.Open, "s3": s3.Open}

// open opens the bucket to look at it: nothing is made or written there.
func (b *bucketFlags) open(ctx context.Context) (objectstore.Store, error) {
	return b.openBy(ctx, objectstore.OpenReadOnly)
}

// openToWrite opens the bucket whole. One that is not there is not made all the same.
func (b *bucketFlags) openToWrite(ctx context.Context) (objectstore.Store, error) {
	where, err := b.resolved()
	if err == nil && strings.HasPrefix(where, "file:") {
		there, err := b.open(ctx)
		if err != nil {
			return nil, err
		}
		closeStore(there)
	}
	return b.openBy(ctx, objectstore.Open)
}

func (b *bucketFlags) openBy(
	ctx context.Context,
	open func(context.Context, string, map[string]objectstore.Opener) (objectstore.Store, error),
) (objectstore.Store, error) {
	where, err := b.resolved()
	if err != nil {
		return nil, err
	}
	return open(ctx, where, drivers)
}

// withStore makes a command of what is seen in the bucket.
func (b *bucketFlags) withStore(
	do func(ctx context.Context, store objectstore.Store, args []string) error,
) (run func(cmd *cobra.Command, args []string) error) {
	return func(cmd *cobra.Command, args []string) error {
		store, err := b.open(cmd.Context())
		if err != nil {
			return err
		}
		defer closeStore(store)
		return do(cmd.Context(), store, args)
	}
}

// closeStore gives back what a store holds, if it holds something.
func closeStore(s objectstore.Store) {
	if c, ok := s.(io.Closer); ok {
		c.Close()
	}
}
