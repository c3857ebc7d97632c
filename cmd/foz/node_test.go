package main

// A node in this process, on a store that has bad days.
//
// How: the node's bucket is a directory behind a gate (objectstore.NewFaulty) that a test
// opens and closes while requests come in over HTTP.

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// nodeOn starts a node whose store is wrapped. It is closed when the test ends.
func nodeOn(t *testing.T, wrap func(objectstore.Store) objectstore.Store) *node {
	t.Helper()
	n, err := startNode(t.Context(), nodeConfig{
		Bucket: (&url.URL{Scheme: "file", Path: t.TempDir()}).String(), HTTP: "127.0.0.1:0",
		FlushInterval: time.Millisecond, Roles: allRoles, Logger: slog.New(slog.DiscardHandler),
		wrap: wrap,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// wireProblem is a problem as it travels.
type wireProblem struct {
	Status      int
	Code        string
	Detail      string
	Retryable   bool
	SideEffects string `json:"side_effects"`
	Errors      []struct{ Pointer, Detail string }
}

func problemOf(t *testing.T, resp *http.Response, text string) (p wireProblem) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.Status != resp.StatusCode ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s is no problem: %.300s", resp.StatusCode, resp.Header.Get("Content-Type"), text)
	}
	return p
}

func produceText(t *testing.T, base, text string) (*http.Response, string) {
	t.Helper()
	return call(t, "POST", base+"/v1/topics/t/partitions/0/records",
		map[string]string{"Content-Type": "text/plain"}, strings.NewReader(text))
}

// full checks that a produce is refused for want of space.
func full(t *testing.T, base string, size int) {
	t.Helper()
	resp, text := produceText(t, base, strings.Repeat("x", size))
	p := problemOf(t, resp, text)
	if resp.StatusCode != 503 || p.Code != "unavailable" || !p.Retryable || p.SideEffects != "none" ||
		resp.Header.Get("Retry-After") == "" {
		t.Errorf("a full store: %d %v %s", resp.StatusCode, resp.Header, text)
	}
}

// holds checks what partition 0 holds, from its cache or not.
func holds(t *testing.T, base string, want ...string) {
	t.Helper()
	resp, text := call(t, "GET", base+"/v1/topics/t/partitions/0/records", nil, nil)
	var page struct {
		Records []struct{ Value string }
		Next    int `json:"next_offset"`
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || resp.StatusCode != 200 {
		t.Errorf("read: %d %.300s", resp.StatusCode, text)
	}
	var got []string
	for _, r := range page.Records {
		got = append(got, r.Value)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || page.Next != len(want) {
		t.Errorf("it holds %.300s and next_offset %d, want %.300s", got, page.Next, want)
	}
}

func TestFullStore(t *testing.T) {
	t.Parallel()
	var isFull atomic.Bool
	var prefix atomic.Value
	prefix.Store("")
	n := nodeOn(t, func(s objectstore.Store) objectstore.Store {
		return objectstore.NewFaulty(s, func(op, key string) objectstore.Fate {
			if isFull.Load() && strings.HasPrefix(key, prefix.Load().(string)) {
				return objectstore.Fate{Outcome: objectstore.Full}
			}
			return objectstore.Fate{}
		})
	})
	call(t, "PUT", n.URL+"/v1/topics/t", nil, nil)
	produceText(t, n.URL, "before")
	isFull.Store(true)
	for range 3 {
		full(t, n.URL, 10)
		holds(t, n.URL, "before")
	}
	if resp, text := call(t, "GET", n.URL+"/readyz", nil, nil); resp.StatusCode != 200 {
		t.Errorf("ready: %d %s", resp.StatusCode, text)
	}
	isFull.Store(false)
	if resp, text := produceText(t, n.URL, "after"); resp.StatusCode != 200 {
		t.Errorf("space again: %d %s", resp.StatusCode, text)
	}
	holds(t, n.URL, "before", "after")

	// Space for the records, and none for the log entry that would name them: the request is
	// under way until there is.
	prefix.Store("log/")
	isFull.Store(true)
	time.AfterFunc(300*time.Millisecond, func() { isFull.Store(false) })
	begun := time.Now()
	resp, text := produceText(t, n.URL, "slow")
	if took := time.Since(begun); resp.StatusCode != 200 || took < 300*time.Millisecond {
		t.Errorf("after %s: %d %s", took, resp.StatusCode, text)
	}
	holds(t, n.URL, "before", "after", "slow")
}

// TestCloseDoesNotWaitForSilence: how: connections that never send anything are open, and one
// in the middle of its header.
func TestCloseDoesNotWaitForSilence(t *testing.T) {
	n := nodeOn(t, nil)
	for _, text := range []string{"", "", "GET /livez HTTP/1.1\r\nHost"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	call(t, "GET", n.URL+"/livez", nil, nil) // they have been accepted before this one
	begun := time.Now()
	n.Close()
	if took := time.Since(begun); took > 4*time.Second { // net/http's own Shutdown takes 5
		t.Errorf("it took %s", took)
	}
}
