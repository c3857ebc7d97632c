// How: one suite (storetest) says what a Store is; here every implementation of this package,
// and every wrapper around one, runs it.
package objectstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store { return objectstore.NewMemory() })
}

func TestDir(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store { return openDir(t, t.TempDir()) })
}

func TestCounted(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		return objectstore.NewCounted(objectstore.NewMemory())
	})
}

// TestPrefixed has neighbours on both sides that must stay out of sight.
func TestPrefixed(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		m := objectstore.NewMemory()
		for _, key := range []string{"p", "p-/x", "p0", "q/a"} {
			if _, err := m.Create(t.Context(), key, nil); err != nil {
				t.Fatal(err)
			}
		}
		p, err := objectstore.NewPrefixed(m, "p/")
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func TestGatedThatPasses(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		return objectstore.NewGated(objectstore.NewMemory(),
			func(context.Context, objectstore.Call) objectstore.Fate { return objectstore.Fate{} })
	})
}

func openDir(t testing.TB, path string) *objectstore.Dir {
	t.Helper()
	return openBy(t, objectstore.OpenDir, path)
}

// openBy opens a Dir until the test ends.
func openBy(
	t testing.TB, open func(path string) (*objectstore.Dir, error), path string,
) *objectstore.Dir {
	t.Helper()
	d, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// put creates objects that hold their own keys.
func put(t *testing.T, s objectstore.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := s.Create(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
}

// list is one page of all keys, printed.
func list(t *testing.T, s objectstore.Store) string {
	t.Helper()
	page, _, err := s.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, info := range page {
		keys = append(keys, info.Key)
	}
	return fmt.Sprint(keys)
}
