//go:build !unix || aix || solaris

package objectstore

import (
	"errors"
	"fmt"
)

// Dir is a bucket in a directory. It needs link(2) and flock(2), which are not here.
type Dir struct{ Store }

// OpenDir is an error on this system.
func OpenDir(path string) (*Dir, error) {
	return nil, fmt.Errorf("open bucket %s: %w", path, errors.ErrUnsupported)
}

// OpenDirReadOnly is an error on this system.
func OpenDirReadOnly(path string) (*Dir, error) { return OpenDir(path) }

// Close does nothing.
func (d *Dir) Close() error { return nil }
