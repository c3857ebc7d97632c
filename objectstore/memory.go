package objectstore

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"
)

// Memory is a bucket in memory, and a judge of its callers: what would be a bug in whoever
// calls a Store (data changed while Create has it, an offset below zero, too many keys to
// delete) panics here, so that it fails the test instead of a bucket. It starts no goroutine,
// never blocks for long, and works inside a testing/synctest bubble. It loses nothing but
// by the end of its process.
type Memory struct {
	mu      sync.Mutex // guards what follows; never held across I/O
	objects btree.Map[string, []byte]
	bytes   int64
	full    int64 // bytes from which on Create answers ErrFull; 0 is no limit
	now     func() time.Time
}

// NewMemory returns an empty bucket, whose clock is time.Now.
func NewMemory() *Memory { return &Memory{now: time.Now} }

// SetClock replaces the clock from which Create takes the date it returns.
func (m *Memory) SetClock(now func() time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// SetBytesMax makes every Create that would take the bucket over max bytes answer ErrFull.
// max <= 0 takes the limit away.
func (m *Memory) SetBytesMax(max int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = max
}

// Create is Store.Create. It panics if data changes meanwhile.
func (m *Memory) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("create %s: %w", key, err)
	}
	if err := ValidateKey(key); err != nil {
		return time.Time{}, err
	}
	before := crc32.Checksum(data, castagnoli)
	kept := make([]byte, len(data))
	copy(kept, data)
	date, err := m.create(key, kept)
	if crc32.Checksum(kept, castagnoli) != before || crc32.Checksum(data, castagnoli) != before {
		panic("objectstore: data of " + key + " changed while Create had it")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("create %s: %w", key, err)
	}
	return date, nil
}

func (m *Memory) create(key string, data []byte) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects.Get(key); ok {
		return time.Time{}, ErrExists
	}
	if m.full > 0 && m.bytes+int64(len(data)) > m.full {
		return time.Time{}, ErrFull
	}
	m.objects.Set(key, data)
	m.bytes += int64(len(data))
	return m.now(), nil
}

// Get is Store.Get. It panics on an offset below zero.
func (m *Memory) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if offset < 0 {
		panic(fmt.Sprintf("objectstore: get %s from offset %d", key, offset))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if err := ValidateKey(key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	data, ok := m.objects.Get(key)
	m.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
	}
	length, err := clip(int64(len(data)), offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	part := make([]byte, length)
	copy(part, data[offset:])
	return part, nil
}

// clip is how many bytes a Get of length from offset gives of an object of size bytes.
func clip(size, offset, length int64) (int64, error) {
	if offset < 0 || offset >= size && offset > 0 {
		return 0, fmt.Errorf("%w: offset %d of %d bytes", ErrRange, offset, size)
	}
	if length < 0 {
		return size - offset, nil
	}
	return min(length, size-offset), nil
}

// List is Store.List.
func (m *Memory) List(ctx context.Context, prefix, startAfter string, limit int) (
	page []Info, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	if err := ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	limit = pageLimit(limit)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects.Ascend(max(prefix, startAfter), func(key string, data []byte) bool {
		if key == startAfter {
			return true
		}
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if more = len(page) == limit; !more {
			page = append(page, Info{Key: key, Size: int64(len(data))})
		}
		return !more
	})
	return page, more, nil
}

func pageLimit(limit int) int {
	if limit <= 0 || limit > PageMax {
		return PageMax
	}
	return limit
}

// Delete is Store.Delete. It panics on more than 1000 keys.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if len(keys) > DeleteMax {
		panic(fmt.Sprintf("objectstore: delete %d keys at once", len(keys)))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %d objects: %w", len(keys), err)
	}
	if err := ValidateDelete(keys); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		data, _ := m.objects.Delete(key)
		m.bytes -= int64(len(data))
	}
	return nil
}
