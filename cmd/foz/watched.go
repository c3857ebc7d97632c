package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
)

// watchedFiles are files that belong together and are used again when one changes.
type watchedFiles struct {
	paths []string
	take  func(contents [][]byte) error // uses all, or refuses all
	last  [][]byte                      // what was looked at, used or refused
	fault string                        // of the last look
}

// look reads the files and uses them if their contents are not those of the last look. An
// error is told once: until something changes again, or the error itself does.
func (f *watchedFiles) look() (changed bool, err error) {
	contents, err := readAll(f.paths)
	if err == nil && slices.EqualFunc(contents, f.last, bytes.Equal) {
		return false, nil
	}
	if err == nil {
		f.last = contents
		if err = f.take(contents); err == nil {
			f.fault = ""
			return true, nil
		}
		err = fmt.Errorf("use %s: %w", strings.Join(f.paths, ", "), err)
	}
	if err.Error() == f.fault {
		return false, nil
	}
	f.fault = err.Error()
	return false, err
}

// fileBytesMax bounds a file of tokens or certificates.
const fileBytesMax = 8 << 20

func readAll(paths []string) (contents [][]byte, err error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Size() > fileBytesMax {
			return nil, fmt.Errorf("read %s: over %d bytes", path, fileBytesMax)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		contents = append(contents, body)
	}
	return contents, nil
}
