//go:build unix && !aix && !solaris

package objectstore

import (
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errUnsettled: a name is there, and it is unknown whether that is durable.
var errUnsettled = errors.New("sync the directory")

// folder is an open directory of a Dir. A link is made relative to an open directory, so that
// it fails when that directory was removed meanwhile, and never lands in another one of the
// same name whose own entry is not yet durable.
type folder struct {
	name    string // the keys' part before the last slash; "." is the bucket itself
	file    *os.File
	fd      int
	parent  *folder     // held by this one; nil above the bucket itself
	durable atomic.Bool // its entry in parent, and parent's above it, are known to be on disk
	users   int         // guarded by folders.mu: calls and children that hold it
	gone    bool        // guarded by folders.mu: no longer in folders.open

	mu   sync.Mutex    // guards next; never held across I/O
	next *syncing      // what the next sync will cover; nil if nobody waits for it
	turn chan struct{} // holds one token: whoever has it syncs
}

// syncing is one sync of a directory, with all who wait for it.
type syncing struct {
	done chan struct{}
	err  error
}

func newFolder(name string, file *os.File, parent *folder) *folder {
	f := &folder{name: name, file: file, fd: int(file.Fd()), parent: parent,
		turn: make(chan struct{}, 1)}
	f.turn <- struct{}{}
	return f
}

// settle makes durable whatever is in f now, and f itself.
func (f *folder) settle() error {
	if err := f.sync(); err != nil {
		return fmt.Errorf("%w %s: %w", errUnsettled, f.name, err)
	}
	if f.durable.Load() {
		return nil
	}
	if err := f.parent.settle(); err != nil {
		return err
	}
	f.durable.Store(true)
	return nil
}

// sync syncs the directory. Those who come while one sync runs share the next.
func (f *folder) sync() error {
	f.mu.Lock()
	s := f.next
	if s != nil {
		f.mu.Unlock()
		<-s.done
		return s.err
	}
	s = &syncing{done: make(chan struct{})}
	f.next = s
	f.mu.Unlock()

	<-f.turn
	f.mu.Lock()
	f.next = nil // from here on, too late to share this one
	f.mu.Unlock()
	s.err = f.file.Sync()
	f.turn <- struct{}{}
	close(s.done)
	return s.err
}

// foldersMax is how many directories stay open while nobody uses them.
const foldersMax = 64

// folders are the open directories of a Dir, by name.
type folders struct {
	root   *folder
	mu     sync.Mutex // guards what follows and the folders' users; never held across I/O
	opened map[string]*folder
}

// open returns the directory, made if asked. Its caller releases it.
func (s *folders) open(name string, create bool) (*folder, error) {
	if name == "." {
		return s.root, nil
	}
	if f := s.held(name); f != nil {
		// A link finds out by itself that its directory was removed. A sync does not.
		if create || s.current(f) {
			return f, nil
		}
		s.forget(name)
		s.release(f)
	}
	parent, err := s.open(path.Dir(name), create)
	if err != nil {
		return nil, err
	}
	file, err := openFolder(parent.fd, path.Base(name), create)
	if err != nil {
		if create && err == unix.ENOENT {
			s.forget(parent.name)
		}
		s.release(parent)
		return nil, err
	}
	return s.keep(newFolder(name, file, parent)), nil
}

func openFolder(at int, base string, create bool) (*os.File, error) {
	if create {
		// A crash here leaves an empty directory, which the next Create below it uses.
		err := again(func() error { return unix.Mkdirat(at, base, 0o777) })
		if err != nil && err != unix.EEXIST {
			return nil, err
		}
	}
	return openAt(at, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

// current says whether f is still the directory of its name: it may have been removed, by
// another process, and another made. While f is open no other has its inode number.
func (s *folders) current(f *folder) bool {
	var open, named unix.Stat_t
	return unix.Fstat(f.fd, &open) == nil &&
		unix.Fstatat(s.root.fd, f.name, &named, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		open.Ino == named.Ino && open.Dev == named.Dev
}

func (s *folders) held(name string) *folder {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.opened[name]
	if f != nil {
		f.users++
	}
	return f
}

// keep remembers f for the next caller, unless another call was faster, and makes room.
func (s *folders) keep(f *folder) *folder {
	s.mu.Lock()
	f.users++
	kept := f
	var idle []*folder
	if other := s.opened[f.name]; other != nil {
		other.users++
		kept = other
		f.gone = true
		idle = append(idle, s.drop(f)...)
	} else {
		s.opened[f.name] = f
	}
	for name, old := range s.opened {
		if len(s.opened) <= foldersMax {
			break
		}
		if old.users == 0 {
			delete(s.opened, name)
			old.gone = true
			old.users++
			idle = append(idle, s.drop(old)...)
		}
	}
	s.mu.Unlock()
	closeAll(idle)
	return kept
}

// release gives back what open returned.
func (s *folders) release(f *folder) {
	if f == s.root {
		return
	}
	s.mu.Lock()
	idle := s.drop(f)
	s.mu.Unlock()
	closeAll(idle)
}

// drop takes one user from f and returns what is to be closed. The lock is held.
func (s *folders) drop(f *folder) (idle []*folder) {
	for ; f != s.root; f = f.parent {
		if f.users--; f.users > 0 || !f.gone {
			break
		}
		idle = append(idle, f)
	}
	return idle
}

// forget makes the next open of name look at the file system again.
func (s *folders) forget(name string) {
	s.mu.Lock()
	var idle []*folder
	if f := s.opened[name]; f != nil {
		delete(s.opened, name)
		f.gone = true
		f.users++
		idle = s.drop(f)
	}
	s.mu.Unlock()
	closeAll(idle)
}

func closeAll(idle []*folder) {
	for _, f := range idle {
		f.file.Close() // a directory that was only read: nothing can be lost
	}
}
