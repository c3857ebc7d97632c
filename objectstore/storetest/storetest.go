// Package storetest knows what a Store is, as one suite that every implementation and every
// wrapper of one passes. It refuses to know how any of them does it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// Run runs the suite. open returns an empty bucket for each test, and closes it by t.Cleanup.
// A driver of a remote store gives a new prefix of a bucket instead.
func Run(t *testing.T, open func(t *testing.T) objectstore.Store) {
	for _, test := range []struct {
		name string
		run  func(*bucket)
	}{
		{"create if absent", createIfAbsent},
		{"one of 32 creates wins", oneWinner},
		{"read after write", readAfterWrite},
		{"ranges", ranges},
		{"empty object", emptyObject},
		{"object of 16 MiB", largeObject},
		{"data is not kept", dataIsNotKept},
		{"date", date},
		{"keys", keys},
		{"list in order of whole keys", listOrder},
		{"list by prefix", listPrefix},
		{"list after", listAfter},
		{"list in pages", listPages},
		{"delete", deleteObjects},
		{"delete 1000", deleteMany},
		{"create after delete", recreate},
		{"cancelled before it starts", cancelled},
		{"many at once", concurrent},
		{"list beside deletes", listBesideDeletes},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&bucket{t: t, ctx: t.Context(), s: open(t)})
		})
	}
}

// bucket is a Store under test, with the words in which its tests are written.
type bucket struct {
	t   *testing.T
	ctx context.Context
	s   objectstore.Store
}

func (b *bucket) create(key, data string) {
	b.t.Helper()
	if _, err := b.s.Create(b.ctx, key, []byte(data)); err != nil {
		b.t.Fatalf("create %s: %v", key, err)
	}
}

func (b *bucket) createAll(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.create(key, "x")
	}
}

// createMany creates objects side by side, as many as a store may need to be quick.
func (b *bucket) createMany(keys ...string) {
	b.t.Helper()
	const workers = 16
	parallel(workers, func(worker int) {
		for i := worker; i < len(keys); i += workers {
			if _, err := b.s.Create(b.ctx, keys[i], []byte("x")); err != nil {
				b.t.Errorf("create %s: %v", keys[i], err)
			}
		}
	})
}

func (b *bucket) holds(key, want string) {
	b.t.Helper()
	if got, err := b.s.Get(b.ctx, key, 0, -1); err != nil || string(got) != want {
		b.t.Fatalf("get %s = %.40q, %v, want %.40q", key, got, err, want)
	}
}

func (b *bucket) lacks(key string) {
	b.t.Helper()
	got, err := b.s.Get(b.ctx, key, 0, -1)
	if !errors.Is(err, objectstore.ErrNotFound) || got != nil {
		b.t.Fatalf("get %s = %.40q, %v, want nil, ErrNotFound", key, got, err)
	}
}

func (b *bucket) delete(keys ...string) {
	b.t.Helper()
	if err := b.s.Delete(b.ctx, keys...); err != nil {
		b.t.Fatalf("delete %.200q: %v", keys, err)
	}
}

// page lists one page, and asserts that it is in order and what more says of it.
func (b *bucket) page(prefix, after string, limit int, wantMore bool) (keys []string) {
	b.t.Helper()
	page, more, err := b.s.List(b.ctx, prefix, after, limit)
	if err != nil || more != wantMore {
		b.t.Fatalf("list %q after %q limit %d: more = %t, %v, want %t",
			prefix, after, limit, more, err, wantMore)
	}
	for _, info := range page {
		keys = append(keys, info.Key)
	}
	if !slices.IsSorted(keys) {
		b.t.Fatalf("list %q after %q: not in order: %q", prefix, after, keys)
	}
	return keys
}

// lists asserts what one page without limit holds.
func (b *bucket) lists(prefix, after string, want ...string) {
	b.t.Helper()
	if got := b.page(prefix, after, 0, false); !slices.Equal(got, want) {
		b.t.Fatalf("list %q after %q = %q, want %q", prefix, after, got, want)
	}
}

func (b *bucket) is(err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Fatalf("error is %v, want %v", err, want)
	}
}

func createIfAbsent(b *bucket) {
	b.create("a", "one")
	for _, data := range []string{"two", "one"} {
		date, err := b.s.Create(b.ctx, "a", []byte(data))
		b.is(err, objectstore.ErrExists)
		if !date.IsZero() {
			b.t.Errorf("a refused create has date %v", date)
		}
	}
	b.holds("a", "one")
}

func readAfterWrite(b *bucket) {
	b.lacks("log/1")
	b.lists("log/", "")
	b.create("log/1", "one")
	b.holds("log/1", "one")
	b.lists("log/", "", "log/1")
	b.delete("log/1")
	b.lacks("log/1")
	b.lists("log/", "")
}

// ranges reads parts of an object of ten bytes.
func ranges(b *bucket) {
	b.create("a", "0123456789")
	for _, r := range []struct {
		offset, length int64
		want           string
		err            error
	}{
		{0, -1, "0123456789", nil},
		{0, 10, "0123456789", nil},
		{0, 11, "0123456789", nil},
		{3, 4, "3456", nil},
		{3, -1, "3456789", nil},
		{9, 1, "9", nil},
		{9, 1 << 40, "9", nil}, // nothing is allocated for a length that is not there
		{3, 0, "", nil},
		{10, -1, "", objectstore.ErrRange},
		{10, 1, "", objectstore.ErrRange},
		{10, 0, "", objectstore.ErrRange},
		{11, 1, "", objectstore.ErrRange},
		{1 << 40, 1, "", objectstore.ErrRange},
	} {
		got, err := b.s.Get(b.ctx, "a", r.offset, r.length)
		if !errors.Is(err, r.err) || string(got) != r.want {
			b.t.Errorf("get [%d +%d] = %q, %v, want %q, %v", r.offset, r.length, got, err,
				r.want, r.err)
		}
	}
	_, err := b.s.Get(b.ctx, "nothing", 10, 10)
	b.is(err, objectstore.ErrNotFound)
}

func emptyObject(b *bucket) {
	b.create("a", "")
	b.holds("a", "")
	for _, length := range []int64{0, 1, 100} {
		if got, err := b.s.Get(b.ctx, "a", 0, length); err != nil || len(got) != 0 {
			b.t.Errorf("get [0 +%d] = %q, %v, want nothing", length, got, err)
		}
	}
	_, err := b.s.Get(b.ctx, "a", 1, 1)
	b.is(err, objectstore.ErrRange)
	_, err = b.s.Create(b.ctx, "a", []byte("b"))
	b.is(err, objectstore.ErrExists)
	b.lists("", "", "a")
}

func largeObject(b *bucket) {
	const size = 16 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	b.create("a", string(data))
	b.holds("a", string(data))
	got, err := b.s.Get(b.ctx, "a", size-1000, 2000)
	if err != nil || !bytes.Equal(got, data[size-1000:]) {
		b.t.Errorf("the last 1000 bytes: %d bytes, %v", len(got), err)
	}
	page, _, err := b.s.List(b.ctx, "", "", 0)
	if err != nil || len(page) != 1 || page[0].Size != size {
		b.t.Errorf("list = %v, %v, want a size of %d", page, err, size)
	}
}

// dataIsNotKept changes what it gave to Create, and what Get gave to it.
func dataIsNotKept(b *bucket) {
	data := []byte("data")
	if _, err := b.s.Create(b.ctx, "a", data); err != nil || string(data) != "data" {
		b.t.Fatalf("create: %v, and data is now %q", err, data)
	}
	data[0] = 'X'
	b.holds("a", "data")
	got, err := b.s.Get(b.ctx, "a", 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	got[0] = 'X'
	b.holds("a", "data")
}

// date allows a store whose clock is a day off: only that it answers one, and goes on.
func date(b *bucket) {
	first, err := b.s.Create(b.ctx, "a", nil)
	if err != nil || time.Since(first).Abs() > 24*time.Hour {
		b.t.Fatalf("create: date %v, %v", first, err)
	}
	second, err := b.s.Create(b.ctx, "b", nil)
	if err != nil || second.Before(first.Add(-2*time.Second)) {
		b.t.Errorf("create: date %v, %v, after %v", second, err, first)
	}
}

func keys(b *bucket) {
	segment := strings.Repeat("s", objectstore.SegmentBytesMax)
	valid := []string{"v", "Z/b.c-d_e/0", "a...", "a/b/c/d/e/f/g/h", "-", segment, "x/" + segment}
	for _, key := range valid {
		b.create(key, key)
		b.holds(key, key)
	}
	for _, key := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.",
		".hidden", "a/.hidden", "a b", "a\x00", "a\n", "a*", "a\\b", "é", "\xff", segment + "s",
		strings.Repeat("a/", 256) + "a"} {
		_, err := b.s.Create(b.ctx, key, nil)
		b.is(err, objectstore.ErrKey)
		_, err = b.s.Get(b.ctx, key, 0, -1)
		b.is(err, objectstore.ErrKey)
		b.is(b.s.Delete(b.ctx, "v", key), objectstore.ErrKey) // and "v" stays
	}
	for _, prefix := range []string{"/", "../", "a//", ".", "a/.", "a b"} {
		_, _, err := b.s.List(b.ctx, prefix, "", 0)
		b.is(err, objectstore.ErrKey)
	}
	b.holds("v", "v")
	if got := b.page("", "", 0, false); len(got) != len(valid) {
		b.t.Errorf("list = %d keys, want %d: %q", len(got), len(valid), got)
	}
}

func deleteObjects(b *bucket) {
	b.createAll("a", "d/1", "d/2", "e/f/g")
	b.delete()
	b.delete("nothing", "nothing/at/all", "d/3")
	b.delete("a", "d/1", "a")
	b.delete("a", "d/1")
	b.lacks("a")
	b.lists("", "", "d/2", "e/f/g")
	b.delete("d/2", "e/f/g")
	b.lists("", "")
}

func deleteMany(b *bucket) {
	keys := make([]string, objectstore.DeleteMax)
	for i := range keys {
		keys[i] = fmt.Sprintf("d/%d/%d", i%7, i)
	}
	b.createAll(keys[:20]...)
	b.create("d/1/stays", "")
	b.delete(keys...)
	b.lists("", "", "d/1/stays")
}

func recreate(b *bucket) {
	for i := range 3 {
		data := fmt.Sprint("data ", i)
		b.create("d/e/a", data)
		b.holds("d/e/a", data)
		b.delete("d/e/a")
		b.lacks("d/e/a")
	}
}

// cancelled calls with a context that has ended: nothing may happen.
func cancelled(b *bucket) {
	b.create("a", "one")
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := b.s.Create(ended, "b", nil)
	b.is(err, context.Canceled)
	_, err = b.s.Get(ended, "a", 0, -1)
	b.is(err, context.Canceled)
	_, _, err = b.s.List(ended, "", "", 0)
	b.is(err, context.Canceled)
	b.is(b.s.Delete(ended, "a"), context.Canceled)
	b.lists("", "", "a")
}
