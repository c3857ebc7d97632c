package main

// Nodes that nobody asks for anything ask nothing of the store.
//
// How: three processes that form their bus, with all roles each or split, with records in a
// topic and one follower of it, are left alone, and each says before and after what it asked
// of its bucket. Start-up may ask for what it likes: the measure begins when the counts have
// stood still.

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// idleFor is how long they are watched: 15 s, or $FOZ_TEST_IDLE.
func idleFor(t *testing.T) time.Duration {
	d, err := time.ParseDuration(cmp.Or(os.Getenv("FOZ_TEST_IDLE"), "15s"))
	if err != nil {
		t.Fatal("FOZ_TEST_IDLE: ", err)
	}
	return d
}

func TestIdleNodesAskNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it watches for 15 s")
	}
	t.Parallel()
	all := strings.Join(allRoles, ",")
	buckets(t, func(t *testing.T, bucket string) {
		at, err := url.Parse(bucket)
		if err != nil {
			t.Fatal(err)
		}
		path := at.Path
		at.Path = path + "-all"
		same := newFleet(t, at.String(), all, all, all)
		at.Path = path + "-split"
		split := newFleet(t, at.String(), "metadata,compactor", "ingest", "metadata,reader")
		idle(t, same, split)
	})
}

// idle leaves fleets alone, whose nodes 1 ingest and whose nodes 2 read.
func idle(t *testing.T, fleets ...*fleet) {
	followers, before := make([]func() string, len(fleets)), make([]map[string]int64, len(fleets))
	for i, f := range fleets {
		call(t, "PUT", f.node(1).URL+"/v1/topics/t", nil, strings.NewReader(`{"partitions":3}`))
		followers[i] = follow(t, f.node(2).URL+"/v1/topics/t/records?from=earliest")
		produceAndSee(t, f.node(1).URL, followers[i], "before")
	}
	for i, f := range fleets {
		before[i] = f.settled()
	}
	time.Sleep(idleFor(t))
	for i, f := range fleets {
		after := f.storeRequests()
		for _, counter := range slices.Sorted(maps.Keys(after)) {
			if n := after[counter] - before[i][counter]; n != 0 {
				t.Errorf("idle for %v: %d requests: fleet %d, %s", idleFor(t), n, i, counter)
			}
		}
		produceAndSee(t, f.node(1).URL, followers[i], "after") // they were idle, not dead
		if woken := f.storeRequests(); maps.Equal(woken, after) {
			t.Errorf("a produce request is not counted: the measure sees nothing of fleet %d", i)
		}
	}
}

// follow opens an event stream and gives what comes next of its data.
func follow(t *testing.T, url string) (next func() string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := newHTTPClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatalf("the follower's stream ended: %v", lines.Err())
		return ""
	}
}

func produceAndSee(t *testing.T, url string, next func() string, value string) {
	t.Helper()
	if resp, text := produceText(t, url, value); resp.StatusCode != 200 {
		t.Fatal(text)
	}
	for !strings.Contains(next(), `"`+value+`"`) { // past the event that says where it begins
	}
}

// settled waits until no node has asked anything for three seconds, and gives the counts.
func (f *fleet) settled() map[string]int64 {
	f.t.Helper()
	last, since := f.storeRequests(), time.Now()
	for begin := since; time.Since(since) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
		if now := f.storeRequests(); !maps.Equal(now, last) {
			last, since = now, time.Now()
		}
		if time.Since(begin) > time.Minute {
			f.t.Fatalf("the nodes do not come to rest: %v", last)
		}
	}
	return last
}

// storeRequests are the requests of all nodes to the store so far, by node and kind.
func (f *fleet) storeRequests() map[string]int64 {
	f.t.Helper()
	counts := map[string]int64{}
	for i := range f.nodes {
		_, text := call(f.t, "GET", f.node(i).URL+"/metrics", nil, nil)
		for line := range strings.Lines(text) {
			var n int64
			series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !strings.HasPrefix(series, "foz_store_requests_total{") {
				continue
			}
			if _, err := fmt.Sscan(value, &n); err != nil {
				f.t.Fatalf("metrics of node %d: %v in %s", i, err, line)
			}
			counts[fmt.Sprint("node ", i, " ", series)] = n
		}
	}
	if len(counts) == 0 {
		f.t.Fatal("no node counts its requests")
	}
	return counts
}
