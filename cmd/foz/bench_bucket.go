package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fozlog/foz/objectstore"
)

// makeBucket makes a bucket that only this run knows, and remove takes away again: a folder of
// the bucket that the flags name, or a directory.
func (s *benchSettings) makeBucket(ctx context.Context) (
	bucket string, remove func() error, err error,
) {
	if s.bucket == "" {
		return makeBenchDir()
	}
	u, err := objectstore.ParseURL(s.bucket)
	if err != nil {
		return "", nil, err
	}
	if u.Scheme == "mem" {
		return "", nil, usagef("--bucket %s: a bench opens it more than once, and each is "+
			"a new one", s.bucket)
	}
	if err := refuseUsed(ctx, s.bucket); err != nil {
		return "", nil, err
	}
	u = u.JoinPath("foz-bench-" + strings.ToLower(rand.Text()[:12]))
	if u.Scheme == "file" {
		return u.String(), func() error { return os.RemoveAll(u.Path) }, nil
	}
	// An interrupt ends the run, and is no reason to leave what it has made.
	ctx = context.WithoutCancel(ctx)
	return u.String(), func() error { return emptyBucket(ctx, u.String()) }, nil
}

// makeBenchDir makes a bucket in the directory for temporary files, or in the working directory
// if that one is in memory, where nothing is ever durable.
func makeBenchDir() (bucket string, remove func() error, err error) {
	parent := os.TempDir()
	if inMemory(parent) {
		if parent, err = os.Getwd(); err != nil {
			return "", nil, err
		}
	}
	dir, err := os.MkdirTemp(parent, "foz-bench-")
	if err != nil {
		return "", nil, err
	}
	bucket = (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String()
	return bucket, func() error { return os.RemoveAll(dir) }, nil
}

// refuseUsed is an error if the bucket holds anything at all: whose it is would be disturbed,
// and what is measured would be too.
func refuseUsed(ctx context.Context, bucket string) error {
	store, err := objectstore.OpenReadOnly(ctx, bucket, drivers)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeStore(store)
	page, _, err := store.List(ctx, "", "", 1)
	if err == nil && len(page) > 0 {
		err = fmt.Errorf("the bucket is in use, and a bench takes an empty one: it holds %s",
			page[0].Key)
	}
	return err
}

// emptyBucket deletes all there is.
func emptyBucket(ctx context.Context, bucket string) error {
	store, err := objectstore.Open(ctx, bucket, drivers)
	if err != nil {
		return err
	}
	defer closeStore(store)
	for {
		page, more, err := store.List(ctx, "", "", objectstore.DeleteMax)
		if err != nil {
			return err
		}
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		if err := store.Delete(ctx, keys...); err != nil || !more {
			return err
		}
	}
}
