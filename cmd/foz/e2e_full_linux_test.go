package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const namespaceEnv = "FOZ_TEST_IN_NAMESPACE"

// TestFullDisk: how: this test binary runs itself again in a mount namespace of its own, with
// a file system of 16 MiB in memory, and a node on it. A file beside the bucket takes all the
// space, and gives it back.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getenv(namespaceEnv) == "" {
		inNamespace(t)
		return
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skip("mount: ", err)
	}
	defer syscall.Unmount(disk, syscall.MNT_DETACH)
	p := startDev(t, filepath.Join(disk, "bucket"))
	defer p.kill()
	call(t, "PUT", p.URL+"/v1/topics/t", nil, nil)
	produceText(t, p.URL, "before")

	filler := filepath.Join(disk, "filler")
	fill := func(leave int) {
		t.Helper()
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(bytes.Repeat([]byte("f"), 4096))
		}
		st, statErr := f.Stat()
		if !errors.Is(err, syscall.ENOSPC) || statErr != nil {
			t.Fatal(err, statErr)
		}
		if err := f.Truncate(st.Size() - int64(leave)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"before"}
	for _, leave := range []int{0, 64 << 10, 0} {
		fill(leave)
		for range 2 {
			full(t, p.URL, leave+100_000)
			holds(t, p.URL, want...)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		after := strings.Repeat("a", leave+100_000) // the very size that was refused
		if resp, text := produceText(t, p.URL, after); resp.StatusCode != 200 {
			t.Errorf("space again: %d %s", resp.StatusCode, text)
		}
		want = append(want, after)
		holds(t, p.URL, want...)
	}
	// A node that starts on a full disk says what is wrong; one that starts afterwards has all.
	p.kill()
	fill(0)
	refused := launch(t, "dev", "--data-dir", filepath.Join(disk, "bucket"), "--http", "127.0.0.1:0")
	if code := refused.ended(shortly); code != 1 || !strings.Contains(refused.talk(), "full") {
		t.Errorf("exit code %d: %s", code, refused.talk())
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	p = startDev(t, filepath.Join(disk, "bucket"))
	holds(t, p.URL, want...)
	p.kill()
}

// inNamespace runs this test again in a process that may mount, or skips it.
func inNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skip("no namespaces here: ", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skip("it was skipped there")
	}
}
