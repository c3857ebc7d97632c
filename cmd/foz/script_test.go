package main

// The command line against a real node: scripts under testdata/script.
//
// How: each script runs the commands as processes of their own (this test binary, which is
// foz when it is called so) against a node of its own in this process, with its bucket in
// $FOZ_DATA_DIR. What a script needs beyond testscript's commands: `freeport VAR` finds a
// port, `until foz ...` repeats a command until it succeeds, `flip FILE` damages a file in
// its middle.

import (
	"context"
	"flag"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fozlog/foz/verify/loopback"
	"github.com/rogpeppe/go-internal/testscript"
)

// Most tests here wait for processes of their own: more of them than processors go side by side.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil { // a -parallel of the command line wins
		panic(err)
	}
	testscript.Main(m, map[string]func(){"foz": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   filepath.Join("testdata", "script"),
		Setup: setupNode,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"freeport": freePort, "until": until, "flip": flip,
		},
	})
}

func setupNode(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, "bucket")
	n, err := startNode(context.Background(), nodeConfig{
		Bucket: (&url.URL{Scheme: "file", Path: dir}).String(), HTTP: "127.0.0.1:0",
		FlushInterval: time.Millisecond, Roles: allRoles, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	env.Defer(n.Close)
	env.Setenv("FOZ_URL", n.URL)
	env.Setenv("FOZ_DATA_DIR", dir)
	return nil
}

func freePort(ts *testscript.TestScript, _ bool, args []string) {
	at, err := loopback.FreeAddress()
	ts.Check(err)
	ts.Setenv(args[0], at)
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	for begin := time.Now(); ts.Exec(args[0], args[1:]...) != nil; {
		if time.Since(begin) > shortly {
			ts.Fatalf("it did not come to pass: %q", args)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.Chmod(path, 0o644))
	ts.Check(os.WriteFile(path, data, 0o644))
}
