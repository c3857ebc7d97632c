package main

// Who reaches a node, and with what.
//
// How: command lines that must be refused, each with what it lacks; nodes in this process that
// share a tokens file, which is changed while requests come; canaries (made-up secrets) in
// every place where a node or the command line is given one, and a search of all that was said.

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/httpapi"
	"github.com/fozlog/foz/verify/loopback"
)

// TestS7OpenByAccident: whatever is missing for an address that others reach is said, and
// nothing is served.
func TestS7OpenByAccident(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tokens, junk := file("tokens", `{"tokens":[]}`), file("junk", "junk")
	none := filepath.Join(dir, "none")
	for line, says := range map[string]string{
		"serve --http 0.0.0.0:0":                                      "give --tokens",
		"serve --http :0":                                             "give --tokens",
		"serve --http [::]:0":                                         "give --tokens",
		"serve --http 192.0.2.1:0":                                    "give --tokens",
		"serve --http node.example:0":                                 "give --tokens",
		"serve --http 127.0.0.1.example:0":                            "give --tokens",
		"serve --http 0.0.0.0:0 --tokens " + tokens:                   "give --tls-cert",
		"serve --http 0.0.0.0:0 --tls-cert a --tls-key b":             "give --tokens",
		"serve --http 0.0.0.0:0 --tls-cert a":                         "without --tls-key",
		"serve --tls-key a":                                           "without --tls-cert",
		"serve --insecure --tls-key a":                                "without --tls-cert",
		"serve --tls-client-ca a --tokens " + tokens:                  "without --tls-cert",
		"serve --tls-client-ca a --tls-cert a --tls-key b":            "give --tokens",
		"serve --tls-client-ca a --tls-cert a --tls-key b --insecure": "give --tokens",
		"serve --http nonsense":                                       "want host:port",
		"serve --bus-listen 0.0.0.0:0":                                "--bus-listen",
		"serve --bus-cluster :0 --bus-listen 127.0.0.1:0":             "--bus-cluster",
		"serve --debug-http 0.0.0.0:0":                                "--debug-http",
		"serve --debug-http 0.0.0.0:0 --insecure":                     "--debug-http",
		"serve --advertise http://u:p@h":                              "--advertise",
		"serve --bus http://h":                                        "--bus: want",
		"serve --advertise http://h --tls-cert a --tls-key b":         "serves HTTPS",
		"serve --flight 0.0.0.0:0":                                    "--flight 0.0.0.0:0 is not",
		"serve --flight 0.0.0.0:0 --tokens " + tokens:                 "give --tls-cert",
		"serve --flight nonsense":                                     "want host:port",
		"dev --http 0.0.0.0:0":                                        "foz serve",
		"dev --flight 0.0.0.0:0":                                      "foz serve",
		"demo --http 0.0.0.0:0":                                       "foz serve",
		"serve --http 127.0.0.1:0 --tokens " + none + " exit 3":       "no such file",
		"serve --http 127.0.0.1:0 --tokens " + junk + " exit 1":       "invalid character",
		"serve --tls-cert " + junk + " --tls-key " + junk + " exit 1": "PEM",
	} {
		line, code, _ := strings.Cut(line, " exit ")
		args := strings.Fields(line)
		if args[0] == "serve" {
			args = append(args, "--bucket", "mem://")
		}
		got := runFoz(t.Context(), nil, nil, args...)
		want := exitUsage
		if code != "" {
			want = int(code[0] - '0')
		}
		if got.code != want || !strings.Contains(got.talk, says) || strings.Contains(got.talk, "is up") {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", line, got.code, want, says, got.talk)
		}
	}
}

// TestS7Allowed: what is enough is not refused.
func TestS7Allowed(t *testing.T) {
	for addr, s := range map[string]doorSettings{
		"127.0.0.1:0": {}, "localhost:0": {}, "[::1]:0": {}, "127.9.9.9:0": {tokens: "t"},
		"0.0.0.0:0": {insecure: true}, ":0": {insecure: true, tokens: "t"},
		"192.0.2.1:0": {tokens: "t", cert: "c", key: "k"},
		"192.0.2.2:0": {tokens: "t", cert: "c", key: "k", clientCA: "a"},
	} {
		if err := s.check("http", addr); err != nil {
			t.Errorf("%s %+v: %v", addr, s, err)
		}
	}
}

// tokensOf is a tokens file with everything allowed to each name's token.
func tokensOf(t *testing.T, tokens map[string]string) []byte {
	t.Helper()
	file := []byte(`{"tokens":[]}`)
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		var err error
		file, err = appendEntry(file, httpapi.Credential{
			Name: name, SHA256: tokens[name], Grants: anything})
		if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestS8RevokedOnAllNodes: two nodes of a cluster share a file. A token that is not in it any
// more is refused by both within 5 s; one that is new is known to both. A file that is no
// tokens file, or that is gone, changes nothing.
func TestS8RevokedOnAllNodes(t *testing.T) {
	t.Parallel()
	first, firstHash := httpapi.NewToken()
	second, secondHash := httpapi.NewToken()
	hub := loopback.Address(t)
	g := &guardedNode{dir: t.TempDir()}
	g.door.tokens = g.write(t, "tokens.json", tokensOf(t, map[string]string{"a": firstHash}))
	bucket := "file://" + t.TempDir()
	g.start(t, nodeConfig{Bucket: bucket, Bus: bus.Config{Listen: hub}})
	other := &guardedNode{dir: g.dir, door: g.door}
	other.start(t, nodeConfig{Bucket: bucket, Bus: bus.Config{URLs: []string{"nats://" + hub}}})
	both := func(token string, want int) bool {
		a, _ := status(t, http.DefaultClient, g.URL+"/v1/topics", token)
		b, _ := status(t, http.DefaultClient, other.URL+"/v1/topics", token)
		return a == want && b == want
	}
	within := func(what string, limit time.Duration, ok func() bool) {
		t.Helper()
		for begin := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > limit {
				t.Fatalf("%s: not within %s", what, limit)
			}
		}
	}
	if !both(first, 200) || !both(second, 401) || !both("", 401) {
		t.Fatal("the file is not used")
	}
	g.write(t, "tokens.json", tokensOf(t, map[string]string{"a": firstHash, "b": secondHash}))
	within("a new token", 5*time.Second, func() bool { return both(second, 200) })
	g.write(t, "tokens.json", tokensOf(t, map[string]string{"b": secondHash}))
	within("a revoked token", 5*time.Second, func() bool { return both(first, 401) })
	g.write(t, "tokens.json", []byte(`{"tokens":[`))
	time.Sleep(lookEvery + lookEvery/2)
	if err := os.Remove(g.door.tokens); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lookEvery + lookEvery/2)
	if !both(first, 401) || !both(second, 200) {
		t.Error("a file that cannot be used changed something")
	}
}

// TestWatchedFiles: changes are used once, faults told once, and what is right again used.
func TestWatchedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var taken []string
	f := &watchedFiles{paths: []string{path}, take: func(contents [][]byte) error {
		if string(contents[0]) == "bad" {
			return io.ErrUnexpectedEOF
		}
		taken = append(taken, string(contents[0]))
		return nil
	}}
	for _, step := range []struct {
		text    string // "": remove
		changed bool
		fails   bool
	}{
		{"", false, true}, {"", false, false}, {"one", true, false}, {"one", false, false},
		{"bad", false, true}, {"bad", false, false}, {"", false, true}, {"bad", false, false},
		{"two", true, false}, {"one", true, false},
	} {
		_ = os.Remove(path)
		if step.text != "" {
			if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if changed, err := f.look(); changed != step.changed || (err != nil) != step.fails {
			t.Errorf("%q: %v %v", step.text, changed, err)
		}
	}
	if got := strings.Join(taken, " "); got != "one two one" {
		t.Errorf("taken: %s", got)
	}
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestS15Canaries: a node whose environment has credentials of a store, and clients that show
// good and bad tokens, over good and bad requests. Nothing says them again: no log at any
// level, no answer, no metric, no profile.
func TestS15Canaries(t *testing.T) {
	const canary = "canary0123456789"
	for _, name := range []string{"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MINIO_SECRET_KEY",
		"FOZ_TOKEN"} {
		t.Setenv(name, canary)
	}
	ca := newAuthority(t)
	cert, key := ca.sign(2, "127.0.0.1", time.Now().Add(time.Hour))
	var said lockedBuffer
	g := &guardedNode{dir: t.TempDir()}
	g.door.cert, g.door.key = g.write(t, "cert.pem", cert), g.write(t, "key.pem", key)
	token, hash := httpapi.NewToken()
	g.door.tokens = g.write(t, "tokens.json", tokensOf(t, map[string]string{"n": hash}))
	g.start(t, nodeConfig{
		Logger: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	debug, stop, err := serveDebug(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := trusting(t, ca, nil)
	for _, shown := range []string{token, canary} {
		for _, path := range []string{"/v1/topics", "/v1/topics/none", "/v1/topics/%00",
			"/v1/topics/t/records?from=x", "/metrics", "/v1/cluster", "/nothing", "/readyz"} {
			for _, method := range []string{"GET", "PUT", "POST", "OPTIONS"} {
				r, _ := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader("{"))
				r.Header.Set("Authorization", "Bearer "+shown)
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				_ = resp.Header.Write(&said)
				_, _ = said.Write(text)
			}
		}
	}
	for _, name := range []string{"", "goroutine?debug=2", "heap?debug=1", "cmdline"} {
		_, text := call(t, "GET", debug+name, nil, nil)
		_, _ = said.Write([]byte(text))
	}
	g.write(t, "tokens.json", []byte(`{"tokens":[{"name":"n","sha256":"`+canary+`"}]}`))
	g.write(t, "key.pem", []byte(canary))
	time.Sleep(lookEvery + lookEvery/2)
	if !strings.Contains(said.String(), "changed file is not used") {
		t.Error("the bad files were not looked at")
	}
	sayCommands(t, &said, canary, g.URL)
	for _, secret := range []string{canary, token, hash, strings.TrimPrefix(token, "foz_")} {
		if before, after, ok := strings.Cut(said.String(), secret); ok {
			t.Errorf("it says a secret: %q HERE %q", before[max(0, len(before)-200):],
				after[:min(80, len(after))])
		}
	}
	if n := len(said.String()); n < 20_000 {
		t.Errorf("only %d bytes were said", n)
	}
}

// sayCommands runs commands that are given secrets and mostly fail.
func sayCommands(t *testing.T, said io.Writer, canary, url string) {
	for _, line := range []string{
		"topic list --url " + url, "topic list --url http://u:" + canary + "@127.0.0.1:1",
		"topic list --url http://127.0.0.1:1", "topic list --url " + url + " --ca /none",
		"cluster info --url " + url + " --token " + canary,
		"serve --bucket s3://u:" + canary + "@none/x?%zz",
		"serve --bucket minio://u:" + canary + "@127.0.0.1:1/b",
		"serve --bucket file://u:" + canary + "@h/b",
		"serve --bucket mem:// --advertise http://u:" + canary + "@h",
		"serve --bucket mem:// --bus nats://u:" + canary + "@h:%zz",
		"serve --bucket mem:// --bus-listen 127.0.0.1:0 --bus-routes nats://u:" + canary + "@h:%zz",
		"--help", "serve --help", "produce --help",
	} {
		got := runFoz(t.Context(), map[string]string{"FOZ_TOKEN": canary}, strings.NewReader(""),
			strings.Fields(line)...)
		_, _ = io.WriteString(said, got.out+got.talk)
	}
	options := client.Options{URL: url, Token: client.Secret(canary)}
	slog.New(slog.NewTextHandler(said, nil)).Info("options", "token", options.Token)
}
