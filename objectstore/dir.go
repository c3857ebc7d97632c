//go:build unix && !aix && !solaris

package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Dir is a bucket in a directory of a local file system: one file per object, at its key.
// Any number of processes may have the same directory open. What foz needs of its own there
// begins with a dot, which no key does: ".lock", ".open", and ".tmp/<one per process>/".
//
// An object is written and synced under a temporary name, then linked to its key, which
// fails if the key is taken, then the directory is synced, then the temporary name goes.
//
// Invariant: a file with one link is durable under its key. A file with two is not known to
// be: whoever meets one, to read, list or create, syncs its directory first. So nothing is
// ever shown that a power loss can take back, although the link is seen before it is durable.
// (Hard links that others make of objects cost a sync at each read, and are safe.)
//
// Because a directory is no object, a key cannot be a directory of another key: with "a/b"
// present, Create of "a" is an ErrKey, and the other way round. Where the file system folds
// case, keys that differ in case alone are one key. The date of Create is the file's
// modification time, by the file system's clock.
type Dir struct {
	path     string
	root     *folder
	folders  folders
	readOnly bool     // nothing is made or changed, and there is no temp
	temp     *os.File // our directory under .tmp, locked as long as we live
	tempName string
	names    atomic.Uint64 // the last temporary name
}

// linkTries bounds how often Create begins again because a Delete took a directory away
// as it became empty. A key has fewer directories than this.
const linkTries = 300

// Create is Store.Create.
func (d *Dir) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("create %s: %w", key, err)
	}
	if err := ValidateKey(key); err != nil {
		return time.Time{}, err
	}
	if d.readOnly {
		return time.Time{}, fmt.Errorf("create %s: %w", key, ErrReadOnly)
	}
	date, err := d.create(ctx, key, data)
	if err != nil {
		return time.Time{}, fmt.Errorf("create %s: %w", key, err)
	}
	return date, nil
}

func (d *Dir) create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if taken, err := d.taken(key); taken || err != nil {
		return time.Time{}, d.refuse(key, err)
	}
	temp, date, err := d.write(data)
	if err != nil {
		return time.Time{}, noRoom(err)
	}
	// A crash here leaves a temporary file with one link, which the next open removes.
	if err = ctx.Err(); err == nil {
		err = d.link(temp, key)
	}
	if errors.Is(err, errUnsettled) {
		return time.Time{}, err // the second link must stay: it says "not known to be durable"
	}
	if gone := d.dropTemp(temp); err == nil {
		err = gone
	}
	if err != nil {
		d.prune(path.Dir(key))
		return time.Time{}, err
	}
	return date, nil
}

// taken says whether key is taken. An ErrKey says that it, or a directory of it, is taken by
// what no object can share it with.
func (d *Dir) taken(key string) (bool, error) {
	var st unix.Stat_t
	err := again(func() error {
		return unix.Fstatat(d.root.fd, key, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	switch {
	case err == unix.ENOENT:
		return false, nil
	case err == unix.ENOTDIR:
		return false, fmt.Errorf("%w: a part of %s is an object", ErrKey, key)
	case err != nil:
		return false, fmt.Errorf("stat: %w", err)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return true, nil
	case unix.Unlinkat(d.root.fd, key, unix.AT_REMOVEDIR) == nil:
		d.folders.forget(key)
		return false, nil // a directory that a crash left empty
	}
	return false, fmt.Errorf("%w: %s is a directory of other objects", ErrKey, key)
}

// refuse answers a Create whose key is taken, once it is durable that it is: the link may be
// from a process that died before it synced the directory.
func (d *Dir) refuse(key string, err error) error {
	if err == nil {
		if err = d.settle(key); err == nil {
			err = ErrExists
		}
	}
	return err
}

// write puts data into a new temporary file and makes that durable.
func (d *Dir) write(data []byte) (name string, date time.Time, err error) {
	name = strconv.FormatUint(d.names.Add(1), 10)
	file, err := openAt(int(d.temp.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return "", date, fmt.Errorf("open a temporary file: %w", err)
	}
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	if err == nil {
		var st os.FileInfo
		if st, err = file.Stat(); err == nil {
			date = st.ModTime()
		}
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", date, errors.Join(err, d.dropTemp(name))
	}
	return name, date, nil
}

func (d *Dir) dropTemp(name string) error {
	if err := again(func() error {
		return unix.Unlinkat(int(d.temp.Fd()), name, 0)
	}); err != nil {
		return fmt.Errorf("remove a temporary file: %w", err)
	}
	return nil
}

// link gives the temporary file the name key, unless that is taken, durably.
func (d *Dir) link(temp, key string) error {
	for range linkTries {
		f, err := d.folders.open(path.Dir(key), true)
		if err == nil {
			err = again(func() error {
				return unix.Linkat(int(d.temp.Fd()), temp, f.fd, path.Base(key), 0)
			})
			if err == nil {
				// A crash here leaves the object whole, with two links: seen, and made
				// durable by whoever sees it. Its creator's caller had no answer.
				err = f.settle()
			} else if err == unix.ENOENT {
				d.folders.forget(f.name)
			}
			d.folders.release(f)
		}
		switch {
		case errors.Is(err, unix.ENOENT): // a Delete took the directory: begin again
		case errors.Is(err, unix.ENOTDIR):
			return fmt.Errorf("%w: a part of %s is an object", ErrKey, key)
		case errors.Is(err, unix.EEXIST):
			if taken, err := d.taken(key); taken || err != nil {
				return d.refuse(key, err)
			}
		case err == nil, errors.Is(err, errUnsettled):
			return err
		default:
			return noRoom(fmt.Errorf("link: %w", err))
		}
	}
	return fmt.Errorf("link: its directory was removed %d times", linkTries)
}

// settle makes durable that key is, or is not, in its directory, and that directory in those
// above it.
func (d *Dir) settle(key string) error {
	for name := path.Dir(key); ; name = path.Dir(name) {
		f, err := d.folders.open(name, false)
		if name != "." && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)) {
			continue // no such directory: the one above it says so
		}
		if err != nil {
			return err
		}
		err = f.settle()
		d.folders.release(f)
		if d.readOnly && unsyncable(err) {
			return nil
		}
		return err
	}
}

// Get is Store.Get.
func (d *Dir) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if err := ValidateKey(key); err != nil {
		return nil, err
	}
	data, err := d.read(key, offset, length)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return data, nil
}

func (d *Dir) read(key string, offset, length int64) ([]byte, error) {
	// NONBLOCK is for the named pipe that somebody has put there.
	file, err := openAt(d.root.fd, key, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, ErrNotFound
	}
	if length, err = clip(st.Size, offset, length); err != nil {
		return nil, err
	}
	if st.Nlink > 1 {
		if err := d.settle(key); err != nil {
			return nil, err
		}
	}
	data := make([]byte, length)
	_, err = file.ReadAt(data, offset)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody has cut the file meanwhile
	}
	return data, err
}

// Delete is Store.Delete. Every directory that becomes empty goes too.
func (d *Dir) Delete(ctx context.Context, keys ...string) error {
	if err := ValidateDelete(keys); err != nil {
		return err
	}
	if d.readOnly {
		return fmt.Errorf("delete objects: %w", ErrReadOnly)
	}
	touched := make(map[string]string) // a directory -> a key in it
	for _, key := range keys {
		if err := d.unlink(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		touched[path.Dir(key)] = key
	}
	// A crash here leaves any of the objects, whole: the caller had no answer.
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		d.prune(name)
		if err := d.settle(touched[name]); err != nil {
			return fmt.Errorf("delete in %s: %w", name, err)
		}
	}
	return nil
}

// unlink removes one name while nobody lists.
func (d *Dir) unlink(ctx context.Context, key string) error {
	unlock, err := d.lock(ctx, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	err = again(func() error { return unix.Unlinkat(d.root.fd, key, 0) })
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.EISDIR:
		return nil
	case unix.EPERM: // what some systems say of a directory
		if info, err := os.Lstat(filepath.Join(d.path, key)); err == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

// prune removes a directory if it is empty, then the one above it, and so on.
func (d *Dir) prune(name string) {
	for ; name != "."; name = path.Dir(name) {
		err := unix.Unlinkat(d.root.fd, name, unix.AT_REMOVEDIR)
		if err != nil && err != unix.ENOENT {
			return
		}
		d.folders.forget(name)
	}
}

func noRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// openAt opens name below the directory at. Its errors are bare, as those of package unix.
func openAt(at int, name string, flags int) (*os.File, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(at, name, flags|unix.O_CLOEXEC, 0o666)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// again calls a system call until no signal interrupts it.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
