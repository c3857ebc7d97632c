package main

// Files of configuration.
//
// How: the command tree is made with a service that is not started: what foz serve would have
// been told is read back from its flags, after a file, an environment and a command line.

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settled gives the flags of foz serve as they are when it begins, or the error that comes first.
func settled(t *testing.T, env map[string]string, args ...string) (*pflag.FlagSet, error) {
	t.Helper()
	a := &app{in: strings.NewReader(""), out: io.Discard, talk: io.Discard,
		getenv: func(name string) string { return env[name] }}
	root := a.root()
	serve, _, err := root.Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	serve.RunE = func(*cobra.Command, []string) error { return nil }
	root.SetArgs(append([]string{"serve"}, args...))
	return serve.Flags(), root.ExecuteContext(t.Context())
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "foz.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfigPrecedence: a flag wins over its variable, that over the file, that over the
// default, each of them for itself.
func TestConfigPrecedence(t *testing.T) {
	file := written(t, "bucket: file:///of-file\nhttp: 127.0.0.1:1\nadvertise: http://file:1\n"+
		"verbose: true\nroles: [reader, ingest]\nflush-interval: 7s\n")
	flags, err := settled(t, map[string]string{"FOZ_CONFIG": file, "FOZ_HTTP": "127.0.0.1:2",
		"FOZ_ADVERTISE": "http://env:2"}, "--advertise", "http://flag:3")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bucket": "file:///of-file", "http": "127.0.0.1:2", "advertise": "http://flag:3",
		"verbose": "true", "roles": "[reader,ingest]", "flush-interval": "7s", "insecure": "false",
		"bus-listen": "",
	} {
		if got := flags.Lookup(name).Value.String(); got != want {
			t.Errorf("--%s is %s, want %s", name, got, want)
		}
	}
}

// TestConfigRefused: what is wrong in a file is told with the file and the key, as a mistake in
// how foz was called, and nothing is started.
func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		"bukcet: file:///x\n":                   `"bukcet" is no flag of foz serve`,
		"bucket: file:///x\nconfig: y\n":        `"config" is no flag`,
		"url: http://x\n":                       `"url" is no flag`, // of clients
		"bucket: 5\n":                           "bucket: want a string",
		"bucket: [a]\n":                         "bucket: want a string",
		"bucket:\n":                             "bucket: want a string",
		"verbose: 1\n":                          "verbose: want true or false",
		"verbose: perhaps\n":                    "verbose: ",
		"flush-interval: soon\n":                "flush-interval: ",
		"flush-interval: true\n":                "flush-interval: want a duration",
		"roles: {a: b}\n":                       "roles: want a list of strings",
		"roles: [1]\n":                          "roles: want a list of strings",
		"roles: [reader\n":                      "yaml",
		"- bucket\n":                            "yaml",
		"bucket: a\nbucket: b\n":                "already defined",
		"bucket: file:///x\nroles: [nothing]\n": "",
	} {
		file := written(t, text)
		_, err := settled(t, nil, "--config", file)
		if want == "" && err != nil || want != "" && (err == nil ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file)) {
			t.Errorf("%q: %v, want the file and %q", text, err, want)
		}
		if want != "" && exitCode(err) != exitUsage {
			t.Errorf("%q: exit code %d", text, exitCode(err))
		}
	}
	if _, err := settled(t, nil, "--config", "nowhere.yaml"); exitCode(err) != exitUsage ||
		!strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestConfigOverridden: a value that a flag wins over is still looked at.
func TestConfigOverridden(t *testing.T) {
	file := written(t, "bucket: file:///x\nhttp: [1]\n")
	if _, err := settled(t, nil, "--config", file, "--http", "127.0.0.1:1"); err == nil {
		t.Error("a list is taken for --http because a flag wins over it")
	}
}

// TestConfigExample: infra/foz.yaml is taken as it is, and names every flag of foz serve, some
// of them behind a #.
func TestConfigExample(t *testing.T) {
	path := filepath.Join("..", "..", "infra", "foz.yaml")
	flags, err := settled(t, nil, "--config", path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^# ([a-z-]+: )`).ReplaceAllString(string(text), "$1")
	global := []string{"ca", "config", "help", "output", "profile", "token", "url"}
	flags.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(global, f.Name) && !strings.Contains(all, "\n"+f.Name+": ") {
			t.Errorf("infra/foz.yaml does not name %s", f.Name)
		}
	})
	uncommented := written(t, all)
	if _, err := settled(t, nil, "--config", uncommented); err != nil {
		t.Errorf("with every line in force: %v", err)
	}
}
