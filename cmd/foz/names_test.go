package main

// How: a node is given a topic, a group, a producer, a key and a header of a telling name; the
// keys of its bucket are looked at.

import (
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestS5KeysCarryNoNames(t *testing.T) {
	dir := t.TempDir()
	n, err := startNode(t.Context(), nodeConfig{Bucket: "file://" + dir, HTTP: "127.0.0.1:0",
		FlushInterval: time.Millisecond, Roles: allRoles, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	for i, request := range []struct{ method, path, body string }{
		{"PUT", "/topics/canary.topic", ""},
		{"POST", "/topics/canary.topic/records?key=canary", "canary"},
		{"PUT", "/groups/canary/offsets",
			`{"offsets":[{"topic":"canary.topic","partition":0,"offset":1}]}`},
	} {
		media := map[string]string{"Content-Type": "application/json"}
		if i == 1 {
			media = map[string]string{"Content-Type": "text/plain", "Foz-Header-Canary": "canary",
				"Producer-Id": "canary", "Producer-Epoch": "0", "Producer-Seq": "0"}
		}
		resp, text := call(t, request.method, n.URL+"/v1"+request.path, media,
			strings.NewReader(request.body))
		if resp.StatusCode/100 != 2 {
			t.Fatal(text)
		}
	}
	var keys []string
	err = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		keys = append(keys, name)
		return err
	})
	if all := fmt.Sprint(keys); err != nil || len(keys) < 6 || strings.Contains(all, "canary") {
		t.Errorf("%v: %s", err, all)
	}
}
