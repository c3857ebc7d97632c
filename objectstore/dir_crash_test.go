//go:build unix && !aix && !solaris

// How: this test binary runs itself again as processes that create objects in one directory
// and say so on their standard output, one line per answer; they are killed with SIGKILL at
// random moments and replaced, while others live. Whatever was said must be there, whole, once;
// whatever is there must be whole, whether it was said or not.
package objectstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

const childEnv = "FOZ_TEST_DIR_CHILD"

// TestMain becomes a child if the environment says so.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := createUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// body is what an object of that key must hold: 0 to 64 KiB.
func body(key string) []byte {
	size := 0
	for _, b := range []byte(key) {
		size = (size*31 + int(b)) % (64 << 10)
	}
	return bytes.Repeat([]byte(key), size/len(key))
}

// createUntilKilled runs four workers, who compete with other processes for the keys.
func createUntilKilled(path string) error {
	d, err := objectstore.OpenDir(path)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	failed := make(chan error, 4)
	for range 4 {
		all.Go(func() {
			for i := 0; ; i++ { // those who come later meet what is there, and catch up
				key := fmt.Sprintf("data/%d/%d", i/8, i)
				_, err := d.Create(context.Background(), key, body(key))
				switch {
				case err == nil:
					fmt.Println(key)
				case !errors.Is(err, objectstore.ErrExists):
					failed <- err
					return
				}
			}
		})
	}
	return <-failed
}

// child is a process that creates objects.
type child struct {
	*exec.Cmd
	said chan []string // once, when it is dead
}

func startChild(t *testing.T, path string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0]), said: make(chan []string, 1)}
	c.Env = append(os.Environ(), childEnv+"="+path)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		var said []string
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if err != nil { // and a half line is nothing said
				c.said <- said
				return
			}
			said = append(said, strings.TrimSpace(line))
		}
	}()
	return c
}

func (c *child) kill(t *testing.T) []string {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	said := <-c.said
	if err := c.Wait(); c.ProcessState.ExitCode() != -1 {
		t.Errorf("a child ended by itself: %v", err)
	}
	return said
}

func TestDirSurvivesKill(t *testing.T) {
	path := t.TempDir()
	said := make(map[string]bool)
	hear := func(keys []string) {
		d, err := objectstore.OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, key := range keys {
			if said[key] {
				t.Errorf("%s was created twice", key)
			}
			said[key] = true
			readWhole(t, d, key)
		}
	}
	living := startChild(t, path)
	for round := 0; round < 6 || len(said) < 20 && round < 100; round++ { // a slow machine
		next := startChild(t, path)
		time.Sleep(time.Duration(30+rand.IntN(90)) * time.Millisecond)
		hear(living.kill(t))
		living = next
	}
	hear(living.kill(t))
	if len(said) < 20 {
		t.Errorf("only %d objects were created: this has tested nothing", len(said))
	}
	d := openDir(t, path)
	t.Logf("%d objects said to be created, %d there", len(said), wholeDir(t, d, said))
	put(t, d, "after")
	left, err := os.ReadDir(filepath.Join(path, ".tmp"))
	if err != nil || len(left) != 1 || len(temps(t, path)) > 0 {
		t.Errorf("the dead have left %v, %q, %v", left, temps(t, path), err)
	}
}

// wholeDir reads all of the bucket, which must hold what was said, and returns the number.
func wholeDir(t *testing.T, d *objectstore.Dir, said map[string]bool) (whole int) {
	t.Helper()
	missing := len(said)
	for after, more := "", true; more; {
		var page []objectstore.Info
		var err error
		if page, more, err = d.List(t.Context(), "", after, 0); err != nil {
			t.Fatal(err)
		}
		for _, info := range page {
			readWhole(t, d, info.Key)
			after = info.Key
			whole++
			if said[info.Key] {
				missing--
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d objects that were said to be created are not listed", missing)
	}
	return whole
}

func readWhole(t *testing.T, d *objectstore.Dir, key string) {
	t.Helper()
	got, err := d.Get(t.Context(), key, 0, -1)
	if err != nil || !bytes.Equal(got, body(key)) {
		t.Errorf("get %s: %d bytes, %v, want %d bytes", key, len(got), err, len(body(key)))
	}
}
