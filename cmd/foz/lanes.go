package main

import (
	"context"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// lanes is one bucket by two clients: what compaction asks for travels on connections of its
// own, so that an upload of 64 MiB is in nobody's way. To who counts requests it is one store.
type lanes struct{ hot, cold objectstore.Store }

// openCold opens a bucket once more, if that gives connections of its own.
func openCold(ctx context.Context, bucket string, hot objectstore.Store) (
	objectstore.Store, error,
) {
	u, err := objectstore.ParseURL(bucket)
	if err != nil || drivers[u.Scheme] == nil {
		return hot, err
	}
	return objectstore.Open(ctx, bucket, drivers)
}

func (l lanes) of(ctx context.Context) objectstore.Store {
	switch objectstore.Cause(ctx) {
	case "merge", "compact", "retain", "sweep":
		return l.cold
	}
	return l.hot
}

// Create is Store.Create.
func (l lanes) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	return l.of(ctx).Create(ctx, key, data)
}

// Get is Store.Get.
func (l lanes) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	return l.of(ctx).Get(ctx, key, offset, length)
}

// List is Store.List.
func (l lanes) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]objectstore.Info, bool, error,
) {
	return l.of(ctx).List(ctx, prefix, startAfter, limit)
}

// Delete is Store.Delete.
func (l lanes) Delete(ctx context.Context, keys ...string) error {
	return l.of(ctx).Delete(ctx, keys...)
}
