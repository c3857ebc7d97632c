package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// How: command lines that make no sense, run in this process against a service that gives
// nothing: what they say and their exit code. That a terminal is there is said to the app.

func TestFlagsThatWouldDoNothingAreRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request, int) {})
	for args, talk := range map[string]string{
		"segment list -p 1":                           "--partition is of a --plan",
		"segment list --from 1":                       "--from is of a --plan",
		"segment list --to 1":                         "--to is of a --plan",
		"segment list --presign":                      "--presign is of a --plan",
		"segment list --plan t data/":                 `PREFIX "data/"`,
		"segment list --plan t --bucket mem://":       "--bucket is not of --plan",
		"segment list --plan t --data-dir x":          "--data-dir is not of --plan",
		"segment list log/":                           `PREFIX "log/": segments are in objects under`,
		"segment export t --bucket mem:// --out x":    "--bucket is not of export",
		"segment export t --data-dir x --out x":       "--data-dir is not of export",
		"segment export t --out=":                     "--out: want a file",
		"segment export t --to parquet -o -1 --out x": "say which partition",
		"segment export t --to arrow -o 3-4 --out x":  "say which partition",
		"segment export t --out x.arrow -o -1":        "say which partition",
		"segment export t --out y.PARQUET -o -1":      "say which partition",
		"log list -n -1":                              "-n -1: want how many",
		"topic infer t --sample 0":                    "--sample 0: want at least one",
		"topic infer t --sample -5":                   "--sample -5: want at least one",
	} {
		got := s.run(t, "", strings.Fields(args)...)
		if got.code != exitUsage || !strings.Contains(got.talk, talk) {
			t.Errorf("foz %s: exit %d, %q; want %d, %q", args, got.code, got.talk, exitUsage, talk)
		}
	}
	env := map[string]string{"FOZ_URL": s.URL, "FOZ_DATA_DIR": t.TempDir(), "FOZ_FROM": "1"}
	for _, args := range []string{"segment list", "segment list d",
		"segment export t --to ndjson --out -"} {
		if got := runFoz(t.Context(), env, nil, strings.Fields(args)...); got.code != exitOK {
			t.Errorf("foz %s, with variables that are for others: %+v", args, got)
		}
	}
}

func TestBytesAreNotForTerminals(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request, int) {})
	for args, want := range map[string]int{
		"consume t --format arrow":             exitUsage,
		"segment export t --out -":             exitUsage,
		"segment export t --out - --to arrow":  exitUsage,
		"segment export t --out - --to ndjson": exitOK,
		"consume t":                            exitOK,
	} {
		a := &app{out: io.Discard, talk: io.Discard, outTerminal: true,
			getenv: func(string) string { return "" }}
		root := a.root()
		root.SetArgs(append(strings.Fields(args), "--url", s.URL))
		if err := root.ExecuteContext(t.Context()); exitCode(err) != want {
			t.Errorf("foz %s, on a terminal: exit %d, %v; want %d", args, exitCode(err), err, want)
		}
	}
}
