package segment

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// How: every byte of the golden objects, flipped one at a time, is found.

func TestVerifyFindsEveryFlip(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.arrow"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("golden objects: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			object, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(object); err != nil {
				t.Fatalf("whole: %v", err)
			}
			for i := range object {
				object[i] ^= 0x10
				_, err := Verify(object)
				object[i] ^= 0x10
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
					t.Errorf("byte %d flipped: %v", i, err)
				}
			}
			for n := range object {
				if _, err := Verify(object[:n]); !errors.Is(err, ErrDamaged) {
					t.Errorf("cut to %d bytes: %v", n, err)
				}
			}
		})
	}
}
