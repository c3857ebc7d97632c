// Package minio knows how to ask MinIO, and stores like it, for one S3 request at a time with
// the minio-go library. It refuses to know what the answers mean: s3api does.
package minio

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/s3api"
)

// The library sleeps about this long after a failure, even before the attempt that it has been
// told not to make.
func init() { minio.DefaultRetryUnit = time.Nanosecond }

// Open opens the bucket that a URL names:
//
//	minio://host:9000/bucket/prefix?region=us-east-1&secure=false&create=true
//
// over TLS unless secure is false; a bucket that does not exist is made if create is true.
// Credentials come from MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, MINIO_ACCESS_KEY and
// MINIO_SECRET_KEY, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
// It is an objectstore.Opener.
func Open(ctx context.Context, u *url.URL) (objectstore.Store, error) {
	place, err := s3api.ParseHosted(u)
	if err != nil {
		return nil, objectstore.BadURL(err)
	}
	s, err := open(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", u.Redacted(), err)
	}
	return s, nil
}

func open(ctx context.Context, place s3api.Place) (*s3api.Store, error) {
	keys := credentials.NewChainCredentials(
		[]credentials.Provider{&credentials.EnvMinio{}, &credentials.EnvAWS{}})
	value, err := keys.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	if value.SignerType.IsAnonymous() {
		return nil, errors.New("no credentials: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY, " +
			"or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	region := place.Region
	if region == "" {
		region = "us-east-1" // what MinIO is in unless told otherwise; "" would cost a request
	}
	transport := s3api.NewTransport(s3api.Stall)
	c := &client{bucket: place.Bucket, region: region}
	c.api, err = minio.NewCore(place.Endpoint.Host, &minio.Options{
		Creds: keys, Secure: place.Endpoint.Scheme == "https", Transport: transport,
		Region: region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
		TrailingHeaders: true, // else it refuses a checksum, which goes in a plain header
	})
	if err != nil {
		return nil, err
	}
	return s3api.Open(ctx, c, transport, place)
}

// client is an s3api.Driver.
type client struct {
	api            *minio.Core
	bucket, region string
}

func (c *client) Put(ctx context.Context, key string, data []byte, crc32c string) error {
	options := minio.PutObjectOptions{
		DisableMultipart: true, DisableContentSha256: true,
		UserMetadata: map[string]string{"x-amz-checksum-crc32c": crc32c},
	}
	options.SetMatchETagExcept("*")
	_, err := c.api.Client.PutObject(ctx, c.bucket, key, bytes.NewReader(data), int64(len(data)),
		options)
	return err
}

func (c *client) Get(ctx context.Context, key, byteRange string) (io.ReadCloser, error) {
	options := minio.GetObjectOptions{}
	if byteRange != "" {
		options.Set("Range", byteRange)
	}
	body, _, _, err := c.api.GetObject(ctx, c.bucket, key, options)
	return body, err
}

// Page stops the library's listing where its first page ends.
func (c *client) Presign(
	ctx context.Context, key string, lifetime time.Duration,
) (string, error) {
	u, err := c.api.PresignedGetObject(ctx, c.bucket, key, lifetime, nil)
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", key, err)
	}
	return u.String(), nil
}

func (c *client) Page(ctx context.Context, prefix, after string, limit int) (
	page []objectstore.Info, err error) {
	options := minio.ListObjectsOptions{
		Prefix: prefix, StartAfter: after, MaxKeys: limit, Recursive: true,
	}
	for o := range c.api.ListObjectsIter(ctx, c.bucket, options) {
		if errors.Is(o.Err, s3api.ErrSecond) {
			break
		}
		if o.Err != nil {
			return nil, o.Err
		}
		page = append(page, objectstore.Info{Key: o.Key, Size: o.Size})
		if len(page) == limit {
			break
		}
	}
	return page, ctx.Err()
}

func (c *client) Delete(ctx context.Context, keys []string) error {
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, key := range keys {
			if !yield(minio.ObjectInfo{Key: key}) {
				return
			}
		}
	}
	results, err := c.api.RemoveObjectsWithIter(ctx, c.bucket, objects,
		minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	gone := make(map[string]bool, len(keys))
	for r := range results {
		if r.Err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", r.ObjectName, r.Err))
			continue
		}
		gone[r.ObjectName] = true
	}
	for _, key := range keys {
		if err == nil && !gone[key] {
			return fmt.Errorf("the answer does not name %s", key)
		}
	}
	return err
}

func (c *client) Make(ctx context.Context) error {
	return c.api.MakeBucket(ctx, c.bucket, minio.MakeBucketOptions{Region: c.region})
}

func (c *client) Versioned(ctx context.Context) (bool, error) {
	v, err := c.api.GetBucketVersioning(ctx, c.bucket)
	return v.Enabled(), err
}

func (c *client) Locked(ctx context.Context) (bool, error) {
	_, mode, _, _, err := c.api.GetObjectLockConfig(ctx, c.bucket)
	return mode != nil, err
}

func (c *client) Rules(ctx context.Context) (rules []s3api.Rule, err error) {
	config, err := c.api.GetBucketLifecycle(ctx, c.bucket)
	if err != nil {
		return nil, err
	}
	for _, r := range config.Rules {
		rules = append(rules, rule(r))
	}
	return rules, nil
}

func rule(r lifecycle.Rule) s3api.Rule {
	f := r.RuleFilter
	return s3api.Rule{
		ID: r.ID, Active: r.Status == "Enabled", Prefix: cmp.Or(f.Prefix, f.And.Prefix, r.Prefix),
		Tagged: !f.Tag.IsEmpty() || len(f.And.Tags) > 0,
		Takes: !r.Expiration.IsDaysNull() || !r.Expiration.IsDateNull() || !r.Transition.IsNull() ||
			!r.AllVersionsExpiration.IsNull(),
	}
}
