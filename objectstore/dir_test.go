//go:build unix && !aix && !solaris

// How: what Dir promises beyond a Store is looked at in the file system itself: what lies in
// the directory before and after, which locks are held, which links a file has.
package objectstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// temps are the files under .tmp, relative to it.
func temps(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(path, ".tmp/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestDirIsFilesAtTheirKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made/on/the/way")
	d := openDir(t, path)
	before := time.Now()
	date, err := d.Create(t.Context(), "data/7/a.arrow", []byte("bytes"))
	if err != nil || date.Sub(before).Abs() > time.Minute {
		t.Fatalf("create: %v, %v", date, err)
	}
	name := filepath.Join(path, "data/7/a.arrow")
	data, err := os.ReadFile(name)
	if err != nil || string(data) != "bytes" {
		t.Errorf("file holds %q, %v", data, err)
	}
	info, err := os.Stat(name)
	if err != nil || !info.ModTime().Equal(date) || info.Sys().(*syscall.Stat_t).Nlink != 1 {
		t.Errorf("file is %+v, %v, want the date %v and one link", info, err, date)
	}
	if left := temps(t, path); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := d.Delete(t.Context(), "data/7/a.arrow"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory stays: %v", err)
	}
}

// TestDirReopens opens the same directory again, twice at once too, with another Dir's object
// directories removed and made again under the first one's hands.
func TestDirReopens(t *testing.T) {
	path := t.TempDir()
	one, two := openDir(t, path), openDir(t, path)
	for i := range 3 {
		a, b := fmt.Sprintf("d/e/%da", i), fmt.Sprintf("d/e/%db", i)
		put(t, one, a)
		put(t, two, b)
		if _, err := one.Create(t.Context(), b, nil); !errors.Is(err, objectstore.ErrExists) {
			t.Errorf("create %s: %v", b, err)
		}
		if err := two.Delete(t.Context(), a, b); err != nil {
			t.Fatal(err)
		}
	}
	put(t, one, "a", "log/1")
	if got := list(t, openDir(t, path)); got != "[a log/1]" {
		t.Errorf("a third sees %s", got)
	}
}

// TestDirKeyBesideDirectory: a directory is no object, so that a key cannot be one.
func TestDirKeyBesideDirectory(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	put(t, d, "a/b", "c")
	for _, key := range []string{"a", "a/b/c", "c/d", "c/d/e"} {
		if _, err := d.Create(t.Context(), key, nil); !errors.Is(err, objectstore.ErrKey) {
			t.Errorf("create %s: %v, want ErrKey", key, err)
		}
		if _, err := d.Get(t.Context(), key, 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get %s: %v, want ErrNotFound", key, err)
		}
		if err := d.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	if got := list(t, d); got != "[a/b c]" {
		t.Errorf("list = %s", got)
	}
	if left := temps(t, path); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := os.MkdirAll(filepath.Join(path, "empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	put(t, d, "empty") // what a crash may leave is in nobody's way
}

// TestDirShowsObjectsOnly puts into the directory what others may: none of it is an object.
func TestDirShowsObjectsOnly(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	put(t, d, "a", "d/b")
	outside := filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret"), 0o600),
		os.Symlink(outside, filepath.Join(path, "link")),
		os.Symlink(filepath.Dir(outside), filepath.Join(path, "linked")),
		os.WriteFile(filepath.Join(path, ".hidden"), nil, 0o600),
		os.WriteFile(filepath.Join(path, "d/.DS_Store"), nil, 0o600),
		os.WriteFile(filepath.Join(path, "no key"), nil, 0o600),
		os.Mkdir(filepath.Join(path, "lost+found"), 0o700),
		os.WriteFile(filepath.Join(path, "lost+found/1"), nil, 0o600),
		os.Mkdir(filepath.Join(path, "empty"), 0o700),
		syscall.Mkfifo(filepath.Join(path, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, d); got != "[a d/b]" {
		t.Errorf("list = %s", got)
	}
	for _, key := range []string{"link", "fifo", "empty", "d"} {
		if data, err := d.Get(t.Context(), key, 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("get %s = %q, %v, want ErrNotFound", key, data, err)
		}
	}
}

// TestDirCleansUpAfterTheDead leaves what dead processes leave, beside a living one.
func TestDirCleansUpAfterTheDead(t *testing.T) {
	path := t.TempDir()
	alive := openDir(t, path)
	put(t, alive, "d/whole", "log/1")
	// A process died while it wrote, another between its link and the sync.
	dead := filepath.Join(path, ".tmp/dead")
	for _, err := range []error{
		os.Mkdir(dead, 0o777),
		os.WriteFile(filepath.Join(dead, "1"), []byte("hal"), 0o666),
		os.Link(filepath.Join(path, "d/whole"), filepath.Join(dead, "2")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Before anyone opens the bucket, what is not known to be durable is shown all the same.
	if got := list(t, alive); got != "[d/whole log/1]" {
		t.Errorf("list = %s", got)
	}
	if got, err := alive.Get(t.Context(), "d/whole", 0, -1); string(got) != "d/whole" {
		t.Errorf("get = %q, %v", got, err)
	}
	next := openDir(t, path)
	if left := temps(t, path); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of the dead stays: %v", err)
	}
	put(t, alive, "e") // it still has its own temporary directory
	put(t, next, "f")
	if got := list(t, alive); got != "[d/whole e f log/1]" {
		t.Errorf("list = %s", got)
	}
}

func TestDirCloseLeavesNothing(t *testing.T) {
	path := t.TempDir()
	d, err := objectstore.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "d/e/a")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(path, ".tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDirListExcludesDeletes holds the lock as another process would, for each way of holding
// it: a call that has to wait gives up at its deadline and has done nothing.
func TestDirListExcludesDeletes(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	put(t, d, "a")
	for _, c := range []struct {
		held                   int
		listWaits, deleteWaits bool
	}{
		{syscall.LOCK_EX, true, true},
		{syscall.LOCK_SH, false, true},
		{syscall.LOCK_UN, false, false},
	} {
		file, err := os.OpenFile(filepath.Join(path, ".lock"), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(file.Fd()), c.held); err != nil {
			t.Fatal(err)
		}
		within := func(waits bool) context.Context {
			patience := time.Minute
			if waits {
				patience = 30 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			return ctx
		}
		_, _, err = d.List(within(c.listWaits), "", "", 0)
		if errors.Is(err, context.DeadlineExceeded) != c.listWaits {
			t.Errorf("held %d: list: %v, want it to wait: %t", c.held, err, c.listWaits)
		}
		err = d.Delete(within(c.deleteWaits), "a")
		if errors.Is(err, context.DeadlineExceeded) != c.deleteWaits {
			t.Errorf("held %d: delete: %v, want it to wait: %t", c.held, err, c.deleteWaits)
		}
		if got, err := d.Get(t.Context(), "a", 0, -1); (err == nil) != c.deleteWaits {
			t.Errorf("held %d: get after the delete: %q, %v", c.held, got, err)
		}
		file.Close()
	}
}

// TestDirKeepsFewDirectoriesOpen creates in more directories than it keeps open.
func TestDirKeepsFewDirectoriesOpen(t *testing.T) {
	d := openDir(t, t.TempDir())
	before := openFiles(t)
	for i := range 150 {
		put(t, d, fmt.Sprintf("data/%d/x", i))
	}
	if after := openFiles(t); after > before+80 {
		t.Errorf("%d files open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(open)
}

func TestOpenDirRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below"), "/dev/null"} {
		if d, err := objectstore.OpenDir(path); err == nil {
			t.Errorf("open %s succeeded", path)
			d.Close()
		}
	}
}
