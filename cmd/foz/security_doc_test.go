package main

// What docs/security.md says is true.
//
// How: its first block of commands is run by a shell, and a node is started with what they
// made; every test it names must exist.

import (
	"crypto/tls"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func securityPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestS11DocumentedLines(t *testing.T) {
	if version, err := exec.Command("openssl", "version").Output(); err != nil ||
		!strings.HasPrefix(string(version), "OpenSSL 3") {
		t.Skipf("no OpenSSL 3 here: %s", version)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(securityPage(t))
	g := &guardedNode{dir: t.TempDir()}
	shell := exec.Command("sh", "-e", "-c", block[1])
	shell.Dir = g.dir
	if said, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	file := func(name string) string { return filepath.Join(g.dir, name) }
	g.door = doorSettings{tokens: file("tokens.json"), cert: file("cert.pem"), key: file("key.pem"),
		clientCA: file("ca.pem")}
	g.start(t, nodeConfig{})
	contents, err := readAll([]string{file("ca.pem"), file("token")})
	if err != nil {
		t.Fatal(err)
	}
	ca, token := &authority{pem: contents[0]}, strings.TrimSpace(string(contents[1]))
	pair, err := tls.LoadX509KeyPair(file("worker.pem"), file("worker.key"))
	if err != nil {
		t.Fatal(err)
	}
	worker := trusting(t, ca, func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} })
	if got, fault := status(t, trusting(t, ca, nil), g.URL+"/v1/topics/t", token); got != 404 {
		t.Errorf("with the token: %d %s", got, fault)
	}
	if got, fault := status(t, worker, g.URL+"/v1/topics/t/records", ""); got != 404 {
		t.Errorf("with the worker's certificate: %d %s", got, fault)
	}
	if got, fault := status(t, trusting(t, ca, nil), g.URL+"/v1/topics/t", ""); got != 401 {
		t.Errorf("with nothing: %d %s", got, fault)
	}
}

func TestSecurityPageNamesTests(t *testing.T) {
	var tests strings.Builder
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		tests.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	names := named.FindAllStringSubmatch(securityPage(t), -1)
	for _, name := range names {
		if !strings.Contains(tests.String(), "\nfunc "+name[1]+"(") {
			t.Errorf("%s is no test", name[1])
		}
	}
	for row := range strings.SplitSeq("S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 S14 S15 S17", " ") {
		if !strings.Contains(securityPage(t), "\n| "+row+" |") {
			t.Errorf("%s has no row", row)
		}
	}
	if len(names) < 40 {
		t.Errorf("%d tests are named", len(names))
	}
}
