package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

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
	f.StringVar(&b.dataDir, "data-dir", "./foz-data", "the bucket's directory, unless --bucket is set")
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

// open opens the bucket to look at it: one that is not there is not made.
func (b *bucketFlags) open(ctx context.Context) (objectstore.Store, error) {
	where, err := b.resolved()
	if err != nil {
		return nil, err
	}
	u, err := objectstore.ParseURL(where)
	if err != nil {
		return nil, &usageError{err: err}
	}
	if u.Scheme == "file" {
		if _, err := os.Stat(u.Path); err != nil && os.IsNotExist(err) {
			return nil, fmt.Errorf("open bucket %s: %w", where, fs.ErrNotExist)
		}
	}
	return objectstore.Open(ctx, where, drivers)
}

// withStore makes a command of what is done with the bucket.
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
