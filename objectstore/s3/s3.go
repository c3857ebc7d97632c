// Package s3 knows how to ask Amazon S3, and stores like it, for one request at a time with the
// AWS SDK. It refuses to know what the answers mean: s3api does.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/s3api"
)

// Open opens the bucket that a URL names:
//
//	s3://bucket/prefix?region=eu-central-1
//	s3://bucket/prefix?endpoint=https://host:9000&region=us-east-1&create=true
//
// with the region and the credentials that the AWS SDK finds in the environment, in its
// files and on the machine. An endpoint may also be host:port, over TLS unless secure=false;
// a bucket that does not exist is made if create is true. It is an objectstore.Opener.
func Open(ctx context.Context, u *url.URL) (objectstore.Store, error) {
	place, err := s3api.ParseNamed(u)
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
	settings, err := config.LoadDefaultConfig(ctx, func(o *config.LoadOptions) error {
		o.Region = place.Region
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the settings of the AWS SDK: %w", err)
	}
	if settings.Region == "" && place.Endpoint == nil {
		return nil, errors.New("no region: set AWS_REGION, or add region= to the URL")
	}
	transport := s3api.NewTransport(s3api.Stall)
	c := &client{bucket: place.Bucket}
	c.api = s3.NewFromConfig(settings, func(o *s3.Options) {
		configure(o, place)
		o.HTTPClient = &http.Client{Transport: transport, CheckRedirect: noRedirect}
		c.region = o.Region
	})
	return s3api.Open(ctx, c, transport, place)
}

// configure makes each call one request: no second attempt, no redirect, no 100-continue. The
// crc32c that Put brings stands for the hash of the body in the signature.
func configure(o *s3.Options, place s3api.Place) {
	if place.Endpoint != nil {
		o.BaseEndpoint = aws.String(place.Endpoint.String())
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	o.UsePathStyle = o.BaseEndpoint != nil
	o.Retryer = aws.NopRetryer{}
	o.ContinueHeaderThresholdBytes = -1
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// client is an s3api.Driver.
type client struct {
	api            *s3.Client
	bucket, region string
}

func (c *client) Put(ctx context.Context, key string, data []byte, crc32c string) error {
	_, err := c.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &c.bucket, Key: &key, Body: bytes.NewReader(data),
		ContentLength: aws.Int64(int64(len(data))),
		IfNoneMatch:   aws.String("*"), ChecksumCRC32C: &crc32c,
	}, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	return err
}

func (c *client) Get(ctx context.Context, key, byteRange string) (io.ReadCloser, error) {
	input := &s3.GetObjectInput{Bucket: &c.bucket, Key: &key}
	if byteRange != "" {
		input.Range = &byteRange
	}
	output, err := c.api.GetObject(ctx, input)
	if err != nil {
		return nil, err
	}
	return output.Body, nil
}

func (c *client) Presign(
	ctx context.Context, key string, lifetime time.Duration,
) (string, error) {
	signed, err := s3.NewPresignClient(c.api).PresignGetObject(ctx,
		&s3.GetObjectInput{Bucket: &c.bucket, Key: &key}, s3.WithPresignExpires(lifetime))
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", key, err)
	}
	return signed.URL, nil
}

func (c *client) Page(ctx context.Context, prefix, after string, limit int) (
	[]objectstore.Info, error) {
	input := &s3.ListObjectsV2Input{
		Bucket: &c.bucket, Prefix: &prefix, MaxKeys: aws.Int32(int32(limit)),
		EncodingType: types.EncodingTypeUrl,
	}
	if after != "" {
		input.StartAfter = &after
	}
	output, err := c.api.ListObjectsV2(ctx, input)
	if err != nil {
		return nil, err
	}
	var page []objectstore.Info
	for _, o := range output.Contents {
		key := aws.ToString(o.Key)
		if output.EncodingType == types.EncodingTypeUrl {
			if key, err = url.QueryUnescape(key); err != nil {
				return nil, fmt.Errorf("decode a listed key: %w", err)
			}
		}
		page = append(page, objectstore.Info{Key: key, Size: aws.ToInt64(o.Size)})
	}
	return page, nil
}

func (c *client) Delete(ctx context.Context, keys []string) error {
	objects := make([]types.ObjectIdentifier, len(keys))
	for i := range keys {
		objects[i].Key = &keys[i]
	}
	output, err := c.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{
		Bucket: &c.bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return err
	}
	for _, e := range output.Errors {
		err = errors.Join(err, fmt.Errorf("%s: %s: %s", aws.ToString(e.Key), aws.ToString(e.Code),
			aws.ToString(e.Message)))
	}
	return err
}

func (c *client) Make(ctx context.Context) error {
	input := &s3.CreateBucketInput{Bucket: &c.bucket}
	if c.region != "us-east-1" {
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{
			LocationConstraint: types.BucketLocationConstraint(c.region),
		}
	}
	_, err := c.api.CreateBucket(ctx, input)
	return err
}

func (c *client) Versioned(ctx context.Context) (bool, error) {
	v, err := c.api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.bucket})
	return err == nil && v.Status == types.BucketVersioningStatusEnabled, err
}

func (c *client) Locked(ctx context.Context) (bool, error) {
	l, err := c.api.GetObjectLockConfiguration(ctx,
		&s3.GetObjectLockConfigurationInput{Bucket: &c.bucket})
	return err == nil && l.ObjectLockConfiguration != nil &&
		l.ObjectLockConfiguration.Rule != nil, err
}

func (c *client) Rules(ctx context.Context) (rules []s3api.Rule, err error) {
	config, err := c.api.GetBucketLifecycleConfiguration(ctx,
		&s3.GetBucketLifecycleConfigurationInput{Bucket: &c.bucket})
	if err != nil {
		return nil, err
	}
	for _, r := range config.Rules {
		rules = append(rules, rule(r))
	}
	return rules, nil
}

func rule(r types.LifecycleRule) s3api.Rule {
	filter := types.LifecycleRuleFilter{}
	if r.Filter != nil {
		filter = *r.Filter
	}
	and := types.LifecycleRuleAndOperator{}
	if filter.And != nil {
		and = *filter.And
	}
	old := aws.ToString(r.Prefix) //nolint:staticcheck // rules of old have their prefix there
	return s3api.Rule{
		ID: aws.ToString(r.ID), Active: r.Status == types.ExpirationStatusEnabled,
		Prefix: cmp.Or(aws.ToString(filter.Prefix), aws.ToString(and.Prefix), old),
		Tagged: filter.Tag != nil || len(and.Tags) > 0,
		Takes: len(r.Transitions) > 0 || r.Expiration != nil &&
			(r.Expiration.Days != nil || r.Expiration.Date != nil),
	}
}
