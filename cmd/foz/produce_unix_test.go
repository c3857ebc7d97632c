//go:build unix

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// How: the command runs in this process, as in cli_test.go, and its file is a pipe that nobody
// writes to: opening it waits for a writer.

func TestAnInterruptEndsTheWaitForAWriter(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() { // lets go of what still waits
		if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	}()
	s := serve(t, func(http.ResponseWriter, *http.Request, int) {})
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	got := runFoz(ctx, map[string]string{"FOZ_URL": s.URL}, nil, "produce", "t", pipe)
	if got.code != exitFailure || !strings.Contains(got.talk, "interrupted") {
		t.Errorf("%+v", got)
	}
}
