package objectstore

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Prefixed is the part of a Store whose keys begin with a prefix, as a Store of its own. Its
// keys are shorter by the prefix, in results as in arguments.
type Prefixed struct {
	store  Store
	prefix string
}

// NewPrefixed returns the part of s below prefix, which ends with a slash or is empty. ErrKey
// if no key can begin with it. Keys are limited to 512 bytes with the prefix.
func NewPrefixed(s Store, prefix string) (*Prefixed, error) {
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		return nil, fmt.Errorf("%w: prefix %q does not end with a slash", ErrKey, prefix)
	}
	if err := ValidatePrefix(prefix); err != nil {
		return nil, err
	}
	return &Prefixed{store: s, prefix: prefix}, nil
}

// Create is Store.Create.
func (p *Prefixed) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	return p.store.Create(ctx, p.prefix+key, data)
}

// Get is Store.Get.
func (p *Prefixed) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	return p.store.Get(ctx, p.prefix+key, offset, length)
}

// List is Store.List.
func (p *Prefixed) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]Info, bool, error) {
	if startAfter != "" {
		startAfter = p.prefix + startAfter
	}
	page, more, err := p.store.List(ctx, p.prefix+prefix, startAfter, limit)
	for i := range page {
		page[i].Key = page[i].Key[len(p.prefix):]
	}
	return page, more, err
}

// Delete is Store.Delete.
func (p *Prefixed) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = p.prefix + key
	}
	return p.store.Delete(ctx, full...)
}
