// How: a file system of its own (ext4 in a file, where one may mount it) is shut down without
// flushing its journal, by the ioctl that file systems' own crash tests use, at the worst
// moments; then it is mounted again and must hold whatever had been answered or shown. It
// goes through everything but the loss of a disk's own cache.
package objectstore_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fozlog/foz/objectstore"
)

// cut is one situation in which the power fails.
type cut struct {
	*testing.T
	d       *objectstore.Dir
	path    string
	others  sync.WaitGroup // calls under way when the power fails
	there   []string       // keys that must be there afterwards
	absents []string       // keys that must not
}

// powerCuts are situations. Each runs until the moment at which the power fails.
var powerCuts = map[string]func(c *cut){
	"after a create": func(c *cut) {
		c.there = []string{"log/1", "log/2"}
		put(c.T, c.d, c.there...)
	},
	"after a create in new directories": func(c *cut) {
		c.there = []string{"a", "data/1/2/3/x"}
		put(c.T, c.d, c.there...)
	},
	"after a delete": func(c *cut) {
		put(c.T, c.d, "log/1", "log/2", "e/f/g")
		c.there, c.absents = []string{"log/2"}, []string{"log/1", "e/f/g"}
		if err := c.d.Delete(c.Context(), c.absents...); err != nil {
			c.Fatal(err)
		}
	},
	"after a get saw what is being created": func(c *cut) {
		c.there = []string{"log/1"}
		c.others.Go(func() { c.d.Create(c.Context(), "log/1", []byte("log/1")) })
		for {
			if _, err := c.d.Get(c.Context(), "log/1", 0, -1); err == nil {
				return
			}
		}
	},
	"after a get saw what a dead process linked": func(c *cut) {
		put(c.T, c.d, "log/0")
		diesAfterLink(c)
		if _, err := c.d.Get(c.Context(), "log/1", 0, 1); err != nil {
			c.Error(err)
		}
	},
	"after a list saw what a dead process linked": func(c *cut) {
		put(c.T, c.d, "log/0")
		diesAfterLink(c)
		list(c.T, c.d)
	},
	"after a get in a directory that was made again": func(c *cut) {
		put(c.T, c.d, "log/0")
		if err := os.RemoveAll(filepath.Join(c.path, "log")); err != nil {
			c.Fatal(err)
		}
		put(c.T, c.d, "a") // all of this is durable
		if err := os.Mkdir(filepath.Join(c.path, "log"), 0o777); err != nil {
			c.Fatal(err)
		}
		diesAfterLink(c)
		if _, err := c.d.Get(c.Context(), "log/1", 0, 1); err != nil {
			c.Error(err)
		}
		c.there = []string{"a", "log/1"}
	},
	"after a refused create": func(c *cut) {
		put(c.T, c.d, "log/0")
		diesAfterLink(c)
		if _, err := c.d.Create(c.Context(), "log/1", nil); err == nil {
			c.Error("it was not refused")
		}
	},
	"after opening what a dead process left": func(c *cut) {
		put(c.T, c.d, "log/0")
		diesAfterLink(c)
		d, err := objectstore.OpenDir(c.path)
		if err != nil {
			c.Fatal(err)
		}
		d.Close()
	},
}

// diesAfterLink does as a process that is killed between its link and the directory's sync.
func diesAfterLink(c *cut) {
	t := c.T
	t.Helper()
	dead := filepath.Join(c.path, ".tmp/dead")
	if err := os.Mkdir(dead, 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dead, "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("log/1"); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file.Name(), filepath.Join(c.path, "log/1")); err != nil {
		t.Fatal(err)
	}
	c.there = []string{"log/0", "log/1"}
}

func TestDirSurvivesPowerLoss(t *testing.T) {
	if os.Getenv(namespaceEnv) == "" {
		if os.Getuid() != 0 {
			t.Skip("only root may mount an image")
		}
		inNamespace(t, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS})
		return
	}
	for name, situation := range powerCuts {
		t.Run(name, func(t *testing.T) {
			disk := newDisk(t)
			c := &cut{T: t, path: filepath.Join(disk.mount, "b")}
			var err error
			if c.d, err = objectstore.OpenDir(c.path); err != nil {
				t.Fatal(err)
			}
			situation(c)
			disk.cutPower()
			c.others.Wait()
			c.d.Close() // whatever it says
			disk.mountAgain()

			t.Cleanup(disk.unmount)
			d := openDir(t, c.path)
			for _, key := range c.there {
				if data, err := d.Get(t.Context(), key, 0, -1); err != nil || string(data) != key {
					t.Errorf("get %s = %q, %v", key, data, err)
				}
			}
			if got := list(t, d); got != fmt.Sprint(c.there) {
				t.Errorf("list = %s, want %s without %s", got, c.there, c.absents)
			}
		})
	}
}

// disk is an ext4 file system in a file, mounted.
type disk struct {
	t            *testing.T
	image, mount string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), mount: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 16<<20); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"mkfs.ext4", "-q", d.image}, {"mount", "-o", "loop", d.image, d.mount},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s: %v %s", command[0], err, out)
		}
	}
	return d
}

// cutPower shuts the file system down. What it has not yet written it forgets.
func (d *disk) cutPower() {
	d.t.Helper()
	dir, err := os.Open(d.mount)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	const shutdown, noLogFlush = 0x8004587d, 2
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, noLogFlush); err != nil {
		d.t.Skip("shut the file system down: ", err)
	}
}

func (d *disk) mountAgain() {
	d.t.Helper()
	d.unmount()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		d.t.Fatalf("mount again: %v %s", err, out)
	}
}

func (d *disk) unmount() {
	if err := syscall.Unmount(d.mount, 0); err != nil {
		d.t.Error("unmount: ", err)
	}
}
