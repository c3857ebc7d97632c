package main

// Buses that nodes of other owners cannot speak on.
//
// How: command lines that cannot be meant are refused before a node starts; nodes in this
// process form buses with certificates of a test's CA, and of another, and say whom they see.

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/verify/loopback"
)

// TestS17BusFlags: half a secret is a mistake, and a secret in a URL is one, too.
func TestS17BusFlags(t *testing.T) {
	const formed = " --bus-cluster 127.0.0.1:0"
	const files = " --bus-ca a --bus-cert b --bus-key c"
	for line, says := range map[string]string{
		"--bus-cert a" + formed:                     "without --bus-key",
		"--bus-key a" + formed:                      "without --bus-cert",
		"--bus-ca a" + formed:                       "together",
		"--bus-cert a --bus-key b" + formed:         "together",
		"--bus-ca a":                                "give --bus",
		files:                                       "give --bus",
		"--bus tls://h:1" + formed:                  "give either",
		"--bus tls://h:1 --bus-listen 127.0.0.1:0":  "give either",
		"--bus-routes nats://h:1":                   "without --bus-cluster",
		"--bus-routes tls://h:1" + formed:           "takes --bus-ca",
		"--bus nats://u:secret@h:1":                 "no place for credentials",
		"--bus-routes nats://u:secret@h:1" + formed: "no place for credentials",
		"--bus-cluster 0.0.0.0:0":                   "give --bus-ca",
		"--bus-cluster 0.0.0.0:0 --bus-ca /none --bus-cert b --bus-key c exit3": "/none",
		"--bus nats://127.0.0.1:1 --bus-ca /none exit3":                         "--bus-ca /none",
	} {
		line, missing := strings.CutSuffix(line, " exit3")
		want := exitUsage
		if missing {
			want = exitNotFound
		}
		args := append([]string{"serve", "--bucket", "mem://", "--http", "127.0.0.1:0"},
			strings.Fields(line)...)
		got := runFoz(t.Context(), nil, nil, args...)
		if got.code != want || !strings.Contains(got.talk, says) ||
			strings.Contains(got.talk, "secret") || strings.Contains(got.talk, "is up") {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", line, got.code, want, says, got.talk)
		}
	}
	both := map[string]string{"NATS_CREDS": "/none", "NATS_USER": "u"}
	for says, env := range map[string]map[string]string{
		"which is it": both, "NATS_CREDS: open /none": {"NATS_CREDS": "/none"},
	} {
		got := runFoz(t.Context(), env, nil, "serve", "--bucket", "mem://", "--bus", "nats://127.0.0.1:1")
		if got.code == exitOK || !strings.Contains(got.talk, says) {
			t.Errorf("%v: exit code %d, want %q:\n%s", env, got.code, says, got.talk)
		}
	}
}

// TestS17NodesOverTLS: two nodes with certificates of one CA see each other; a third, whose
// certificate is somebody else's, sees nobody and is seen by nobody.
func TestS17NodesOverTLS(t *testing.T) {
	g := &guardedNode{dir: t.TempDir()}
	ca, other := newAuthority(t), newAuthority(t)
	roots := g.write(t, "ca.pem", ca.pem)
	cert, key := ca.sign(2, "127.0.0.1", time.Now().Add(time.Hour))
	good := busSettings{ca: roots, cert: g.write(t, "cert.pem", cert), key: g.write(t, "key.pem", key)}
	cert, key = other.sign(3, "127.0.0.1", time.Now().Add(time.Hour))
	bad := busSettings{ca: roots, cert: g.write(t, "bad.pem", cert), key: g.write(t, "bad.key", key)}

	bucket := (&url.URL{Scheme: "file", Path: t.TempDir()}).String()
	ports := []string{loopback.Address(t), loopback.Address(t), loopback.Address(t)}
	var nodes []*node
	for i, s := range []busSettings{good, good, bad} {
		s.cluster = ports[i]
		s.routes = []string{"nats://" + ports[0], "nats://" + ports[1]}
		if err := s.check(false); err != nil {
			t.Fatal(err)
		}
		d := &door{}
		config, err := s.open(func(string) string { return "" }, d)
		if err != nil {
			t.Fatal(err)
		}
		n, err := startNode(t.Context(), nodeConfig{Bucket: bucket, HTTP: "127.0.0.1:0", Door: d,
			Roles: allRoles, Bus: config, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		nodes = append(nodes, n)
	}
	seen := func(n *node) int { return len(n.replica.Members()) }
	for begun := time.Now(); seen(nodes[0]) < 2 || seen(nodes[1]) < 2; {
		time.Sleep(10 * time.Millisecond)
		if time.Since(begun) > shortly {
			t.Fatal("nodes with good certificates do not see each other")
		}
	}
	time.Sleep(2 * time.Second) // of heartbeats that the third could have heard, or be heard by
	for i, want := range []int{2, 2, 1} {
		if got := seen(nodes[i]); got != want {
			t.Errorf("node %d sees %d nodes, want %d", i, got, want)
		}
	}
}
