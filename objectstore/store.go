// Package objectstore knows what a bucket is: immutable objects under string keys, created
// if absent, read by range, listed in byte order, deleted. It refuses to know what a log,
// a segment or a topic is, and imports nothing of foz.
package objectstore

import (
	"context"
	"errors"
	"time"
)

// What went wrong, by what the caller should do. Any other error, a deadline among them,
// means that the outcome is unknown: a Create or Delete may have happened, or may still
// happen after the call has returned.
var (
	// ErrExists: Create found the key taken, perhaps by an earlier attempt of the caller.
	ErrExists = errors.New("object exists")
	// ErrNotFound: Get found no object.
	ErrNotFound = errors.New("object not found")
	// ErrRange: Get was asked for bytes that begin at or past the object's end.
	ErrRange = errors.New("range past the end of the object")
	// ErrThrottled: the store is busy and did nothing. Try again later.
	ErrThrottled = errors.New("store throttled the request")
	// ErrFull: the store has no space and did nothing.
	ErrFull = errors.New("store is full")
	// ErrKey: the key is not one a Store takes (see ValidateKey). Nothing was done.
	ErrKey = errors.New("invalid object key")
	// ErrReadOnly: the store was opened to be read. Nothing was done.
	ErrReadOnly = errors.New("the bucket is open to be read only")
)

// Presigner is what a Store may be, too.
type Presigner interface {
	// Presign makes a URL by which whoever has it may get the object of that key with HTTP's GET,
	// ranges included, for so long, and nothing else. It asks nothing of the store: there may
	// be no such object.
	Presign(ctx context.Context, key string, lifetime time.Duration) (url string, err error)
}

// Info is one line of a listing.
type Info struct {
	Key  string
	Size int64 // bytes
}

// Store is a bucket, or a prefix of one. Every method may be called from any number of
// goroutines and processes at once. There is no mutable object: a key is created once, read,
// and deleted; foz never relies on creating a key again after its deletion.
type Store interface {
	// Create makes key hold data if and only if no object has that key, atomically against
	// every other Create and Delete anywhere. When it returns nil the object is durable, is
	// whole, and is seen by every Get and List that begins afterwards; date is the store's
	// clock at about that moment. It is idempotent only through the caller: ErrExists may
	// mean that an earlier attempt of the same bytes succeeded, and Get tells. It never
	// retries by itself after an outcome that is unknown. data is not kept or changed.
	Create(ctx context.Context, key string, data []byte) (date time.Time, err error)

	// Get reads length bytes from offset (both in bytes, offset >= 0), or to the end if
	// length < 0. Fewer bytes than asked for come back only where the object ends. The
	// result is the caller's. ErrNotFound, or ErrRange when there is no byte at offset; only
	// offset 0 of an empty object is no error, and gives no bytes.
	Get(ctx context.Context, key string, offset, length int64) ([]byte, error)

	// List gives up to limit objects (at most 1000; limit <= 0 means 1000) whose keys begin
	// with prefix and are greater than startAfter, in byte order of the whole key. more says
	// that there may be others after the last. It is strongly consistent: it shows every
	// object whose Create returned before the call and was not deleted since, and none
	// whose Delete returned before the call. ErrKey if no key can begin with prefix.
	List(ctx context.Context, prefix, startAfter string, limit int) (page []Info, more bool, err error)

	// Delete removes objects, at most 1000; a key that is absent is no error. On an error
	// any subset may be gone. It is idempotent.
	Delete(ctx context.Context, keys ...string) error
}

type causeKey struct{}

// WithCause names what the requests made under ctx are for, in one word ("append",
// "fetch"): the label by which Counted counts them.
func WithCause(ctx context.Context, cause string) context.Context {
	return context.WithValue(ctx, causeKey{}, cause)
}

// Cause is what WithCause last set, or "other".
func Cause(ctx context.Context) string {
	if cause, ok := ctx.Value(causeKey{}).(string); ok {
		return cause
	}
	return "other"
}
