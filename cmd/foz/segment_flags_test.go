package main

import (
	"net/http"
	"strings"
	"testing"
)

// How: command lines that make no sense, run in this process against a service that gives
// nothing: what they say and their exit code.

func TestFlagsThatWouldDoNothingAreRefused(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request, int) {})
	for args, talk := range map[string]string{
		"segment list -p 1":                     "--partition is of a --plan",
		"segment list --from 1":                 "--from is of a --plan",
		"segment list --to 1":                   "--to is of a --plan",
		"segment list --presign":                "--presign is of a --plan",
		"segment list --plan t data/":           `PREFIX "data/"`,
		"segment list --plan t --bucket mem://": "--bucket is not of --plan",
		"segment list --plan t --data-dir x":    "--data-dir is not of --plan",
		"segment list log/":                     `PREFIX "log/": segments are in objects under`,
		"log list -n -1":                        "-n -1: want how many",
		"topic infer t --sample 0":              "--sample 0: want at least one",
		"topic infer t --sample -5":             "--sample -5: want at least one",
	} {
		got := s.run(t, "", strings.Fields(args)...)
		if got.code != exitUsage || !strings.Contains(got.talk, talk) {
			t.Errorf("foz %s: exit %d, %q; want %d, %q", args, got.code, got.talk, exitUsage, talk)
		}
	}
	env := map[string]string{"FOZ_URL": s.URL, "FOZ_DATA_DIR": t.TempDir(), "FOZ_FROM": "1"}
	for _, args := range []string{"segment list", "segment list d"} {
		if got := runFoz(t.Context(), env, nil, strings.Fields(args)...); got.code != exitOK {
			t.Errorf("foz %s, with variables that are for others: %+v", args, got)
		}
	}
}
