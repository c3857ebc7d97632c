//go:build unix && !aix && !solaris

package objectstore_test

// A bucket that is opened to be looked at.
//
// How: a bucket is made by a Dir that writes, then its directory is made one that nobody may
// write to, and read. What must not happen shows as a file that was not there.

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fozlog/foz/objectstore"
)

func openReadOnly(t *testing.T, path string) *objectstore.Dir {
	t.Helper()
	return openBy(t, objectstore.OpenDirReadOnly, path)
}

// files are all there are below a directory.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDirReadOnly(t *testing.T) {
	whole, foreign := t.TempDir(), t.TempDir()
	w := openDir(t, whole)
	put(t, w, "a", "b/c")
	list(t, w) // makes .lock
	if err := os.CopyFS(filepath.Join(foreign, "copy"), os.DirFS(whole)); err != nil {
		t.Fatal(err)
	}
	// As if its creator had died before it synced the directory.
	if err := os.Link(filepath.Join(whole, "a"), filepath.Join(t.TempDir(), "a")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		whole: "[a b/c]", foreign: "[copy/a copy/b/c]", t.TempDir(): "[]",
	} {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		before := files(t, dir)
		d := openReadOnly(t, dir)
		if got := list(t, d); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
		_, created := d.Create(t.Context(), "new", nil)
		if deleted := d.Delete(t.Context(), "a"); !errors.Is(created, objectstore.ErrReadOnly) ||
			!errors.Is(deleted, objectstore.ErrReadOnly) {
			t.Errorf("create: %v, delete: %v", created, deleted)
		}
		if after := files(t, dir); len(after) != len(before) {
			t.Errorf("%v became %v", before, after)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data, err := openReadOnly(t, whole).Get(t.Context(), "b/c", 1, -1)
	if string(data) != "/c" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	for _, none := range []string{filepath.Join(whole, "none"), filepath.Join(whole, "a")} {
		if d, err := objectstore.OpenDirReadOnly(none); err == nil {
			d.Close()
			t.Errorf("%s was opened", none)
		}
	}
}

// TestDirReadOnlyWaitsForDeletes: who looks waits for who deletes, as everybody does.
func TestDirReadOnlyWaitsForDeletes(t *testing.T) {
	dir := t.TempDir()
	list(t, openDir(t, dir))
	lock, err := os.Open(filepath.Join(dir, ".lock"))
	if err == nil {
		defer lock.Close()
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := openReadOnly(t, dir).List(ctx, "", "", 1); !errors.Is(err, ctx.Err()) {
		t.Errorf("listed beside a delete: %v", err)
	}
}
