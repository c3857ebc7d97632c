// How: this test binary runs itself again in a mount namespace of its own, where it fills a
// file system of 2 MiB in memory.
package objectstore_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

const namespaceEnv = "FOZ_TEST_IN_NAMESPACE"

func TestDirFull(t *testing.T) {
	if os.Getenv(namespaceEnv) == "" {
		inNamespace(t, &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		})
		return
	}
	path := t.TempDir()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=2m,nr_inodes=32"); err != nil {
		t.Skip("mount: ", err)
	}
	defer syscall.Unmount(path, syscall.MNT_DETACH)
	d, err := objectstore.OpenDir(filepath.Join(path, "b"))
	if err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 3<<20)
	full := func(key string, data []byte) {
		t.Helper()
		before := everything(t, path)
		if _, err := d.Create(t.Context(), key, data); !errors.Is(err, objectstore.ErrFull) {
			t.Errorf("create %s: %v, want ErrFull", key, err)
		}
		if after := everything(t, path); len(after) != len(before) {
			t.Errorf("create %s left %q behind", key, after)
		}
	}
	full("new/a", big)
	put(t, d, "a")
	full("new/b", big)
	full("so/many/new/directories/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y", nil)
	if _, err := d.Create(t.Context(), "big", big[:1500<<10]); err != nil {
		t.Fatal(err)
	}
	full("c", big[:1000<<10])
	if got := list(t, d); got != "[a big]" {
		t.Errorf("list = %s", got)
	}
	if err := d.Delete(t.Context(), "big"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(t.Context(), "c", big[:1000<<10]); err != nil {
		t.Errorf("when there is space again: %v", err)
	}
}

func everything(t *testing.T, path string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		names = append(names, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

// inNamespace runs this test again in a process that may mount, or skips it.
func inNamespace(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skip("no namespaces here: ", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
