//go:build unix && !aix && !solaris

package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OpenDirReadOnly opens the bucket in directory path to look at it, be it a living one, a
// backup, or on a file system that is mounted read-only. It makes no file and no directory,
// and needs no permission but to read: Create and Delete are ErrReadOnly. Close it.
//
// What it reads it has made durable first, as every Dir does: syncing a directory takes no
// more than reading it. Where the system refuses even that, because nothing can be written
// there at all, what is shown is what is on the disk, or what the owner of another mount of
// it has yet to sync.
//
// It shares .lock with those who write if that file is there, so that nothing is deleted while
// it lists. A bucket without one, such as a copy that left it out, is listed without: an
// object that is deleted for the first time ever meanwhile can hide another one from the page.
func OpenDirReadOnly(path string) (*Dir, error) {
	d, err := openDirReadOnly(path)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", path, err)
	}
	return d, nil
}

func openDirReadOnly(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	root, err := openAt(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist // the path is said already
	}
	if err != nil {
		return nil, err
	}
	if err := syncAbove(path); err != nil {
		root.Close()
		return nil, err
	}
	// There is nothing to clean up: what the dead have left under .tmp is no object, and what
	// they have linked but not synced has two links, and is synced by whoever reads it.
	d := &Dir{path: path, root: newFolder(".", root, nil), readOnly: true}
	d.root.durable.Store(true)
	d.folders = folders{root: d.root, opened: make(map[string]*folder)}
	return d, nil
}

// lockToRead takes the bucket's lock as far as it is there.
func (d *Dir) lockToRead(ctx context.Context) (unlock func(), err error) {
	file, err := openAt(d.root.fd, lockFile, unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", lockFile, err)
	}
	return lockOpen(ctx, file, unix.LOCK_SH)
}

// unsyncable: err is what a file system says that writes nothing.
func unsyncable(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL)
}
