package main

// Which bucket a command takes.
//
// How: `segment list` in this process, on directories in which nothing lies, or which are not
// there: the error names the one it looked at.

import (
	"os"
	"strings"
	"testing"
)

// TestBucketOrDirectory: they are two names of one thing. The command line wins over the
// environment, whichever it uses; of two at one place neither is believed.
func TestBucketOrDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		env  map[string]string
		args string
		code int
		talk string
	}{
		{map[string]string{"FOZ_BUCKET": "file:///not/env"}, "", exitNotFound, "/not/env"},
		{map[string]string{"FOZ_BUCKET": "file:///not/env"}, "--data-dir " + dir, exitOK, ""},
		{map[string]string{"FOZ_DATA_DIR": "/not/env"}, "--bucket file://" + dir, exitOK, ""},
		{map[string]string{"FOZ_DATA_DIR": "/not/env"}, "--data-dir " + dir, exitOK, ""},
		{nil, "--bucket file://" + dir + " --data-dir " + dir, exitUsage, "give one"},
		{map[string]string{"FOZ_BUCKET": "file:///a", "FOZ_DATA_DIR": dir}, "", exitUsage,
			"$FOZ_BUCKET and $FOZ_DATA_DIR"},
	} {
		args := append([]string{"segment", "list"}, strings.Fields(c.args)...)
		got := runFoz(t.Context(), c.env, nil, args...)
		if got.code != c.code || !strings.Contains(got.talk, c.talk) {
			t.Errorf("%v %s: exit %d, %q; want %d, %q", c.env, c.args, got.code, got.talk, c.code,
				c.talk)
		}
	}
}

// TestBucketURLRefused: what is no URL of a bucket is a mistake in the command line, whatever
// the command.
func TestBucketURLRefused(t *testing.T) {
	for _, bucket := range []string{
		"foo", "ftp://x", "file://relative", "minio://h/b?nope=1", "s3://b?endpoint=x%20y",
	} {
		for _, command := range []string{
			"segment list", "fsck", "storage check", "serve --http 127.0.0.1:0",
			"dev --http 127.0.0.1:0",
		} {
			args := append(strings.Fields(command), "--bucket", bucket)
			if got := runFoz(t.Context(), nil, nil, args...); got.code != exitUsage {
				t.Errorf("%s --bucket %s: exit %d: %s", command, bucket, got.code, got.talk)
			}
		}
	}
}

// TestBucketIsOnlyLookedAt: what looks leaves nothing behind, and needs no more than to read.
func TestBucketIsOnlyLookedAt(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"fsck", "segment list", "segment verify", "log list"} {
		args := append(strings.Fields(command), "--data-dir", dir)
		got := runFoz(t.Context(), nil, nil, args...)
		if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
			t.Errorf("%s left %v, %v", command, left, err)
		}
		if strings.Contains(got.talk, "permission") {
			t.Errorf("%s: %s", command, got.talk)
		}
	}
}

// TestStorageCheckRefusesNoRace: a race of nobody, or for nothing, would be won.
func TestStorageCheckRefusesNoRace(t *testing.T) {
	for _, flag := range []string{"--keys=-1", "--keys=0", "--clients=0", "--clients=-3"} {
		got := runFoz(t.Context(), nil, nil, "storage", "check", "--bucket", "mem://", flag)
		if got.code != exitUsage || !strings.Contains(got.talk, "at least 1") {
			t.Errorf("%s: exit %d: %s%s", flag, got.code, got.out, got.talk)
		}
	}
}
