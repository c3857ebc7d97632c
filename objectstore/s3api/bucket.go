// Package s3api knows what the S3 protocol says to a Store: the URL of a bucket, what a status
// and an error code mean, which bytes a range must bring, what a page of a listing must be, and
// how connections are kept. It refuses to know how requests are built and signed: that is the
// job of the client libraries behind the drivers, minio and s3, who share all of this.
package s3api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// Client is a driver: each method makes exactly one HTTP request, through a Transport, with the
// context it is given, and never tries again.
type Client interface {
	// Put stores data under key if no object is there (If-None-Match: *), in one PutObject that
	// carries the header x-amz-checksum-crc32c.
	Put(ctx context.Context, key string, data []byte, crc32c string) error
	// Get begins to read an object. byteRange is the Range header; "" asks for all.
	Get(ctx context.Context, key, byteRange string) (io.ReadCloser, error)
	// Page lists objects with a prefix after a key. Answer.Truncated says if there are more.
	Page(ctx context.Context, prefix, after string, limit int) ([]objectstore.Info, error)
	// Delete removes keys, at most 1000.
	Delete(ctx context.Context, keys []string) error
	// Make creates the bucket.
	Make(ctx context.Context) error
}

// Driver is what a Store needs of a client library.
type Driver interface {
	Client
	Inspector
	objectstore.Presigner
}

// Store is a bucket, or a prefix of one. Close it.
type Store struct {
	*objectstore.Prefixed
	prefix    string
	driver    Driver
	transport *Transport
}

// Presign is objectstore.Presigner's.
func (s *Store) Presign(
	ctx context.Context, key string, lifetime time.Duration,
) (string, error) {
	if err := objectstore.ValidateKey(key); err != nil {
		return "", err
	}
	return s.driver.Presign(ctx, s.prefix+key, lifetime)
}

// bucket is a Store on a Client: whole keys, without the URL's prefix.
type bucket struct{ client Client }

// Open returns the Store of what p names, after one request that shows that the bucket exists
// and may be listed. It makes a bucket that does not exist only if p.Create is set. transport
// is that of the driver, and closed with the Store.
func Open(ctx context.Context, d Driver, transport *Transport, p Place) (*Store, error) {
	b := &bucket{client: d}
	store, err := objectstore.NewPrefixed(b, p.Prefix)
	if err == nil {
		err = b.exists(ctx)
	}
	if errors.Is(err, errNoBucket) && p.Create {
		err = b.make(ctx)
	}
	if errors.Is(err, errNoBucket) {
		err = fmt.Errorf("bucket %q does not exist: make it, or add create=true to its URL: %w",
			p.Bucket, err)
	}
	if err != nil {
		transport.http.CloseIdleConnections()
		return nil, err
	}
	return &Store{store, p.Prefix, d, transport}, nil
}

// Close closes idle connections.
func (s *Store) Close() error {
	s.transport.http.CloseIdleConnections()
	return nil
}

func (b *bucket) exists(ctx context.Context) error {
	_, _, err := b.page(ctx, "", "", 1)
	return err
}

// make creates the bucket; another node may be faster.
func (b *bucket) make(ctx context.Context) error {
	ctx, a := withAnswer(ctx)
	if err := b.client.Make(ctx); err != nil && a.Code != "BucketAlreadyOwnedByYou" {
		return fmt.Errorf("make bucket: %w", a.explain(ctx, true, err))
	}
	return nil
}

// Create is Store.Create.
func (b *bucket) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if err := begin(ctx, "create", key, objectstore.ValidateKey(key)); err != nil {
		return time.Time{}, err
	}
	sum := Checksum(data)
	ctx, a := withAnswer(ctx)
	if err := b.client.Put(ctx, key, data, sum); err != nil {
		return time.Time{}, fmt.Errorf("create %s: %w", key, a.explain(ctx, true, err))
	}
	if stored := a.Header.Get("x-amz-checksum-crc32c"); stored != "" && stored != sum {
		return time.Time{}, fmt.Errorf("create %s: the store has crc32c %s of what was %s",
			key, stored, sum)
	}
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("create %s: the answer's Date: %w", key, err)
	}
	return date, nil
}

// Checksum is the value of x-amz-checksum-crc32c.
func Checksum(data []byte) string {
	sum := crc32.Checksum(data, castagnoli)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Get is Store.Get.
func (b *bucket) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	err := objectstore.ValidateKey(key)
	if offset < 0 {
		err = fmt.Errorf("%w: offset %d", objectstore.ErrRange, offset)
	}
	if err := begin(ctx, "get", key, err); err != nil {
		return nil, err
	}
	data, err := b.get(ctx, key, span{offset, length})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return data, nil
}

func (b *bucket) get(ctx context.Context, key string, s span) ([]byte, error) {
	ctx, a := withAnswer(ctx)
	body, err := b.client.Get(ctx, key, s.header())
	switch {
	case err == nil:
	case a.Status == http.StatusRequestedRangeNotSatisfiable && s.offset == 0:
		return []byte{}, nil // the object is empty
	default:
		return nil, a.explain(ctx, false, err)
	}
	defer body.Close()
	data, err := s.read(body, a)
	if err != nil {
		return nil, cutShort(ctx, err)
	}
	return data, nil
}

// Delete is Store.Delete.
func (b *bucket) Delete(ctx context.Context, keys ...string) error {
	what := fmt.Sprintf("%d objects", len(keys))
	if err := begin(ctx, "delete", what, objectstore.ValidateDelete(keys)); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil
	}
	ctx, a := withAnswer(ctx)
	if err := b.client.Delete(ctx, keys); err != nil {
		return fmt.Errorf("delete %s: %w", what, a.explain(ctx, true, err))
	}
	return nil
}

// begin refuses what is not to be sent.
func begin(ctx context.Context, op, what string, invalid error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", op, what, err)
	}
	if invalid != nil {
		return fmt.Errorf("%s: %w", op, invalid)
	}
	return nil
}
