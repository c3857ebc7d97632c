package main

// Merging on bad days, with real processes.
//
// How: `foz dev` on a directory merges and sweeps all the time, because it is asked to again
// and again, while writers write and followers follow; it is killed at moments of chance. In
// the end package verify compares what was acknowledged with what is there, and fsck what is
// named with what is there.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
	check "github.com/fozlog/foz/verify"
	"github.com/fozlog/foz/verify/fsck"
)

// mergeAlways asks for maintenance until stop is closed. A node that is dead, or busy with the
// last request, says so, and is asked again.
func mergeAlways(client *http.Client, at *address, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
		resp, err := client.Post(at.URL()+"/v1/maintenance", "application/json", nil)
		if err == nil {
			resp.Body.Close()
		}
	}
}

// lookOver checks a directory with fsck: nothing is wrong in it. The state is older than the
// report.
func lookOver(t *testing.T, dir string) (*fsck.Report, *metadata.State) {
	t.Helper()
	store, err := objectstore.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(store)
	state, err := metadata.Load(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	c := fsck.Check{Store: store}
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("fsck: %+v", f)
	}
	return r, state
}

// TestKilledWhileMerging: a node that merges and sweeps is killed eight times; every
// acknowledged record is there, every named object is whole, and nothing is left over.
func TestKilledWhileMerging(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	flags := []string{"--flush-interval", "0s", "--segment-bytes", "16KiB", "--floor-age", "1s",
		"--sweep-grace", "500ms"}
	var at address
	p := startDev(t, dir, flags...)
	at.move(p)
	client := newHTTPClient(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); mergeAlways(client, &at, stop) }()
	run := &check.Run{
		Service: &check.Service{URL: at.URL, Topic: "merged", Client: client},
		Shape:   check.Shape{Partitions: 5, Pause: time.Millisecond}, Writers: 6, Tails: 3,
	}
	report := loaded(t, run, func(more func(int)) {
		for range kills(t, 8) {
			more(40)
			time.Sleep(rand.N(60 * time.Millisecond))
			p.kill()
			p = startDev(t, dir, flags...)
			at.move(p)
		}
		more(40)
	})
	close(stop)
	<-done
	if report.Acked < 300 {
		t.Errorf("only %d requests were acknowledged", report.Acked)
	}
	r := leftNothing(t, p, dir)
	t.Logf("%d records in %d placements of %d objects; %d objects are unnamed above the floor",
		r.Records, r.Placements, r.Named.Objects, r.AboveFloor.Objects)
	if r.Placements > 50 {
		t.Errorf("%d placements are left: nothing was merged", r.Placements)
	}
}

// leftNothing asks for maintenance until the floor has passed the last commit and the last
// release, and nothing is left below it that nothing names.
func leftNothing(t *testing.T, p *process, dir string) (r *fsck.Report) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		call(t, "POST", p.URL+"/v1/maintenance", nil, nil)
		var state *metadata.State
		r, state = lookOver(t, dir)
		last := max(state.CommittedSlot(), state.ReleasedSlot())
		if t.Failed() || state.Floor() >= last && r.BelowFloor.Objects == 0 {
			return r
		}
		if time.Since(begun) > shortly {
			t.Fatalf("the floor is at %d, what happened last at %d, and %d objects are left below it",
				r.Floor, last, r.BelowFloor.Objects)
		}
	}
}

// TestMergeRecreatedTopic: a topic is deleted and made again under its name while it is merged,
// again and again; each has its own records and no other's.
func TestMergeRecreatedTopic(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	p := startDev(t, dir, "--flush-interval", "0s", "--segment-bytes", "16KiB", "--floor-age", "3s",
		"--sweep-grace", "500ms")
	var at address
	at.move(p)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); mergeAlways(newHTTPClient(t), &at, stop) }()
	for life := range 15 {
		call(t, "PUT", p.URL+"/v1/topics/t", nil, nil)
		var want []string
		for n := range 6 {
			want = append(want, fmt.Sprintf("life %d record %d %s", life, n, strings.Repeat("x", 3000)))
			if resp, text := produceText(t, p.URL, want[n]); resp.StatusCode != 200 {
				t.Fatal(text)
			}
		}
		holds(t, p.URL, want...)
		time.Sleep(rand.N(30 * time.Millisecond))
		holds(t, p.URL, want...)
		if resp, text := call(t, "DELETE", p.URL+"/v1/topics/t", nil, nil); resp.StatusCode != 204 {
			t.Fatal(text)
		}
	}
	close(stop)
	<-done
	if r := leftNothing(t, p, dir); r.Named.Objects != 0 {
		t.Errorf("%d objects are named, and there is no topic", r.Named.Objects)
	}
}

// TestMergeOnBadDays: how: the store is full, throttles, loses answers or is slow, to all that
// merging asks of it. Producers and readers notice nothing; when it is well again, what was due
// is done.
func TestMergeOnBadDays(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]objectstore.Fate{
		"full":         {Outcome: objectstore.Full},
		"throttled":    {Outcome: objectstore.Throttle},
		"lost":         {Outcome: objectstore.Drop},
		"answers lost": {Outcome: objectstore.ApplyThenFail},
		"slow":         {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ill atomic.Bool
			ill.Store(true)
			var hit atomic.Int64
			n := nodeOn(t, func(s objectstore.Store) objectstore.Store {
				return objectstore.NewGated(s, func(_ context.Context, c objectstore.Call) objectstore.Fate {
					if c.Cause != "merge" || !ill.Load() {
						return objectstore.Fate{}
					}
					hit.Add(1)
					if name == "slow" {
						time.Sleep(200 * time.Millisecond)
					}
					return fate
				})
			})
			call(t, "PUT", n.URL+"/v1/topics/t", nil, nil)
			want := []string{"a", "b", "c"}
			for _, value := range want {
				produceText(t, n.URL, value)
			}
			merged := make(chan struct{})
			go func() {
				defer close(merged)
				post(n.URL + "/v1/maintenance")
			}()
			for begun := time.Now(); hit.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Since(begun) > shortly {
					t.Fatal("merging does not begin")
				}
			}
			for i := range 5 {
				want = append(want, fmt.Sprint("meanwhile ", i))
				if resp, text := produceText(t, n.URL, want[len(want)-1]); resp.StatusCode != 200 {
					t.Errorf("meanwhile: %d %s", resp.StatusCode, text)
				}
			}
			holds(t, n.URL, want...)
			ill.Store(false)
			<-merged
			if status := post(n.URL + "/v1/maintenance"); status != 200 {
				t.Errorf("maintenance, when the store is well: %d", status)
			}
			for _, pl := range n.replica.State().Placements(partitionZero(t, n, "t")) {
				if pl.Segment.Level == 0 {
					t.Errorf("it was not merged: %+v", pl)
				}
			}
			holds(t, n.URL, want...)
		})
	}
}

// post asks for something with a body of nothing, and gives the status, 0 if there is none.
func post(url string) int {
	resp, err := http.Post(url, "application/json", nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func partitionZero(t *testing.T, n *node, topic string) foz.Partition {
	t.Helper()
	found, ok := n.replica.State().Topic(topic)
	if !ok {
		t.Fatalf("there is no topic %s", topic)
	}
	return foz.Partition{Topic: found.ID}
}
