//go:build unix && !aix && !solaris

package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tempFolder = ".tmp"  // one directory for each process that has the bucket open
	lockFile   = ".lock" // shared by who lists, held alone by who deletes
	openFile   = ".open" // held alone by who opens
)

// openTimeout bounds how long OpenDir waits for another process that opens the bucket.
const openTimeout = time.Minute

// OpenDir opens the bucket in directory path, which is made if it is not there. It cleans up
// after processes that died, and leaves alone what living ones write. Close it.
func OpenDir(path string) (*Dir, error) {
	d, err := openDir(path)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", path, err)
	}
	return d, nil
}

func openDir(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(path, tempFolder), 0o777); err != nil {
		return nil, err
	}
	if err := syncAbove(path); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	root := newFolder(".", file, nil)
	root.durable.Store(true)
	d := &Dir{path: path, root: root}
	d.folders = folders{root: root, opened: make(map[string]*folder)}
	if err := d.moveIn(); err != nil {
		file.Close()
		return nil, err
	}
	return d, nil
}

// moveIn cleans up after the dead and makes our own temporary directory. Nobody else opens
// the bucket meanwhile, so that no directory is taken for a dead process's before it is locked.
func (d *Dir) moveIn() error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	unlock, err := lockAt(ctx, d.root.fd, openFile, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.clean(); err != nil {
		return err
	}
	name, err := os.MkdirTemp(filepath.Join(d.path, tempFolder), "")
	if err != nil {
		return err
	}
	if d.temp, err = os.Open(name); err != nil {
		return err
	}
	d.tempName = name
	return flock(d.temp, unix.LOCK_EX)
}

// clean removes what processes that are no more have left under .tmp.
func (d *Dir) clean() error {
	all, err := os.ReadDir(filepath.Join(d.path, tempFolder))
	if err != nil {
		return err
	}
	var dead []string
	linked := false
	for _, entry := range all {
		name := filepath.Join(d.path, tempFolder, entry.Name())
		dir, err := os.Open(name)
		if err != nil {
			continue // its process has just closed the bucket
		}
		defer dir.Close()
		if flock(dir, unix.LOCK_EX) != nil {
			continue // alive
		}
		dead = append(dead, name)
		linked = linked || anyLinked(name)
	}
	if linked {
		// Someone died between a link and the sync of its directory.
		if err := syncBelow(d.path); err != nil {
			return err
		}
	}
	// A crash here leaves them to the next who opens.
	for _, name := range dead {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// anyLinked says whether a temporary file in the directory has been linked to a key.
func anyLinked(dir string) bool {
	all, err := os.ReadDir(dir)
	for _, entry := range all {
		var st unix.Stat_t
		if unix.Lstat(filepath.Join(dir, entry.Name()), &st) != nil || st.Nlink > 1 {
			return true
		}
	}
	return err != nil
}

// syncBelow syncs the directories of the bucket.
func syncBelow(path string) error {
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !entry.IsDir():
			return nil
		case name != path && segmentFault(entry.Name()) != "":
			return fs.SkipDir
		}
		if err := syncDir(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// syncAbove makes the directory's own name durable, and those of the directories above it.
// What we may not read above it was not made by us.
func syncAbove(path string) error {
	for ; path != filepath.Dir(path); path = filepath.Dir(path) {
		err := syncDir(filepath.Dir(path))
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EINVAL) ||
			errors.Is(err, unix.EROFS) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Close gives back what the process holds of the bucket, once no call is under way.
func (d *Dir) Close() error {
	d.folders.mu.Lock()
	names := make([]string, 0, len(d.folders.opened))
	for name := range d.folders.opened {
		names = append(names, name)
	}
	d.folders.mu.Unlock()
	for _, name := range names {
		d.folders.forget(name)
	}
	if d.readOnly {
		return d.root.file.Close()
	}
	// If files are in it, the next who opens the bucket deals with them.
	unix.Rmdir(d.tempName)
	return errors.Join(d.temp.Close(), d.root.file.Close())
}

// lock takes the bucket's lock: shared for those who list, alone for those who delete,
// because a directory is not listed at one instant. Creates need none.
func (d *Dir) lock(ctx context.Context, how int) (unlock func(), err error) {
	if d.readOnly {
		return d.lockToRead(ctx)
	}
	return lockAt(ctx, d.root.fd, lockFile, how)
}

// lockAt locks a file of the bucket against other processes and other calls of this one.
func lockAt(ctx context.Context, at int, name string, how int) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := openAt(at, name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return lockOpen(ctx, file, how)
}

// lockOpen locks an open file, which unlock closes. It asks again and again, because a lock
// that is waited for in the kernel outlives a deadline.
func lockOpen(ctx context.Context, file *os.File, how int) (unlock func(), err error) {
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		err := flock(file, how)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if err == unix.EWOULDBLOCK {
			err = sleep(ctx, wait)
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
		}
	}
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// flock locks an open file, which closing it ends, if nobody else has it locked.
func flock(file *os.File, how int) error {
	return again(func() error { return unix.Flock(int(file.Fd()), how|unix.LOCK_NB) })
}
