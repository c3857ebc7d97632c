package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// toFile has a file written under another name, and gives it its own when it is complete: an error,
// or an interrupt, leaves nothing, or what was there before. What is no file, a pipe or a device,
// is written as it is.
func toFile(ctx context.Context, name string, write func(io.Writer) error) error {
	err := func() error {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return replace(linked(name), nil, write)
		case err != nil:
			return err
		case info.IsDir():
			return syscall.EISDIR
		case info.Mode().IsRegular():
			return replace(linked(name), info, write)
		}
		f, err := openPatiently(ctx, name, os.O_WRONLY)
		if err != nil {
			return err
		}
		err = write(f)
		return orLater(err, f.Close())
	}()
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// replace writes a file beside the one of this name and renames it. It is as private as the one
// it takes the place of, or as the umask has it.
func replace(name string, old fs.FileInfo, write func(io.Writer) error) (err error) {
	mode := fs.FileMode(0o666)
	if old != nil {
		mode = old.Mode().Perm()
	}
	folder, base := filepath.Split(name)
	beside := folder + "." + base + "." + strconv.FormatUint(rand.Uint64(), 36)
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(beside) // what there is of it is of no use
		}
	}()
	if old != nil {
		err = f.Chmod(mode) // what the umask took from it
	}
	if err == nil {
		err = write(f)
	}
	if err = orLater(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(beside, name)
}

// linked is what a name stands for at the end of all links, whether it is there or not.
func linked(name string) string {
	const linksMax = 40 // as many as Linux follows
	for range linksMax {
		to, err := os.Readlink(name)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) { // not joined: "..", behind a link to a folder, is that folder's
			folder, _ := filepath.Split(name)
			to = folder + to
		}
		name = to
	}
	return name
}
