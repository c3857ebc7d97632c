package main

// What things cost, in requests to the store.
//
// How: GET /v1/cluster of a real node before and after, which itself costs nothing. All that
// is counted is compared, so that nothing else may have been asked of the store.

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// costs asks a node what it has asked of its store: requests by "<op> <cause>".
func costs(t *testing.T, p *process) map[string]int64 {
	t.Helper()
	_, text := call(t, "GET", p.URL+"/v1/cluster", nil, nil)
	var cluster struct {
		Requests map[string]map[string]struct{ Requests, Errors int64 }
	}
	if err := json.Unmarshal([]byte(text), &cluster); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	all := map[string]int64{}
	for op, causes := range cluster.Requests {
		for cause, n := range causes {
			all[op+" "+cause] = n.Requests
		}
	}
	return all
}

// cost is what a step costs: "1 create append, 1 create upload".
func cost(t *testing.T, p *process, step func()) string {
	t.Helper()
	before := costs(t, p)
	step()
	after := costs(t, p)
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(after)) {
		if n := after[what] - before[what]; n != 0 {
			parts = append(parts, fmt.Sprint(n, " ", what))
		}
	}
	return strings.Join(parts, ", ")
}

func costing(t *testing.T, p *process, want, what string, step func()) {
	t.Helper()
	if got := cost(t, p, step); got != want {
		t.Errorf("%s costs %q, want %q", what, got, want)
	}
}

func TestRequestsCounted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	p := startDev(t, dir)
	topic := func() string { return p.URL + "/v1/topics/t" }
	send := func(body string) func() {
		return func() {
			resp, text := call(t, "POST", topic()+"/records",
				map[string]string{"Content-Type": "application/json"}, strings.NewReader(body))
			if resp.StatusCode != 200 {
				t.Error(text)
			}
		}
	}
	get := func(path string, status int) func() {
		return func() {
			if resp, text := call(t, "GET", topic()+path, nil, nil); resp.StatusCode != status {
				t.Error(path, resp.StatusCode, text)
			}
		}
	}
	one := `{"records":[{"partition":0,"value":"a"},{"partition":1,"value":"b"}]}`
	call(t, "PUT", topic(), nil, strings.NewReader(`{"partitions":4}`))
	send(one)() // the leader is found

	// The object with the segments of both partitions, and the log entry.
	costing(t, p, "1 create append, 1 create upload", "a lone produce", send(one))
	costing(t, p, "", "a read of what was just written", get("/partitions/0/records?offset=0", 200))
	costing(t, p, "", "a read of all partitions", get("/records?from=earliest", 200))
	costing(t, p, "", "an empty read at the head", get("/partitions/0/records?offset=2", 200))
	costing(t, p, "", "a long poll that ends empty",
		get("/partitions/0/records?offset=2&wait=1", 200))
	// A negative answer must not be stale: one LIST of the log's tail.
	costing(t, p, "1 list tail", "an offset past the end", get("/partitions/0/records?offset=3", 416))
	costing(t, p, "1 list tail", "an unknown topic", get("-none", 404))
	costing(t, p, "1 list tail", "the latest offset", get("/partitions/0/offsets?at=latest", 200))
	costing(t, p, "", "an invalid request", func() {
		call(t, "POST", topic()+"/records", nil, strings.NewReader("{"))
	})
	costing(t, p, "", "a scrape", func() { call(t, "GET", p.URL+"/metrics", nil, nil) })
	idle := 3 * time.Second
	if os.Getenv("FOZ_TEST_LONG") != "" {
		idle = time.Minute
	}
	costing(t, p, "", fmt.Sprint(idle, " of nothing"), func() { time.Sleep(idle) })

	costing(t, p, "", "an event stream that gets nothing", func() {
		resp, err := http.DefaultClient.Do(eventRequest(t, topic()+"/records?from=now"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		resp.Body.Close()
	})
	p.kill()
}

// TestColdReadsCounted: how: objects of two partitions are written, one for each request, and
// a new node, which has nothing in memory, reads them.
func TestColdReadsCounted(t *testing.T) {
	t.Parallel()
	const objects = 12
	dir, _ := damagedTopic(t, objects)
	p := startDev(t, dir)
	defer p.kill()
	read := func(partition int, query string) func() {
		return func() {
			url := fmt.Sprintf("%s/v1/topics/t/partitions/%d/records%s", p.URL, partition, query)
			if resp, text := call(t, "GET", url, nil, nil); resp.StatusCode != 200 {
				t.Error(resp.StatusCode, text)
			}
		}
	}
	// One segment of the partition in each object: one GET each, of its bytes.
	one := fmt.Sprintf("?offset=%d&end_offset=%d", 2*damageRows+1, 2*damageRows+3)
	costing(t, p, "1 get fetch", "two records of one segment", read(0, one))
	costing(t, p, "", "the same again", read(0, one))
	three := fmt.Sprintf("?offset=%d&end_offset=%d", 4*damageRows, 7*damageRows)
	costing(t, p, "3 get fetch", "three segments", read(0, three))
	costing(t, p, "", "three segments, only a HEAD", func() {
		url := fmt.Sprintf("%s/v1/topics/t/partitions/1/records%s", p.URL, three)
		call(t, "HEAD", url, map[string]string{"Accept": "application/x-ndjson"}, nil)
	})
	costing(t, p, fmt.Sprint(objects-1-3, " get fetch"), "the rest of the partition", read(0, ""))
	costing(t, p, fmt.Sprint(objects, " get fetch"), "the other partition", read(1, ""))
	costing(t, p, "", "all of it again", func() { read(0, "")(); read(1, "")() })
}
