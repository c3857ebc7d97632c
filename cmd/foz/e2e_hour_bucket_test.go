package main

// What an hour's flushes and their maintenance leave in the bucket, and asked of it.

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/verify/fsck"
)

// state is what the log says, read by nobody else's help.
func (h *hour) state() *metadata.State {
	h.t.Helper()
	s, err := metadata.Load(h.t.Context(), h.store)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// placements gives those of a partition, and its bounds.
func (h *hour) placements(s *metadata.State, at hourPlace) ([]foz.Placement, foz.Bounds) {
	h.t.Helper()
	topic, ok := s.Topic(at.topic)
	if !ok {
		h.t.Fatalf("there is no topic %s", at.topic)
	}
	all, bounds, err := s.Locate(foz.Partition{Topic: topic.ID, Number: at.partition}, 0, 1<<30)
	if err != nil {
		h.t.Fatal(err)
	}
	return all, bounds
}

func (h *hour) fsck() *fsck.Report {
	h.t.Helper()
	check := fsck.Check{Store: h.store}
	r, err := check.Run(context.WithoutCancel(h.t.Context()))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// objects looks at what was made: nothing of level 0 is left, and all but the youngest object
// of a busy partition that keeps everything is at least 80 % of the target.
func (h *hour) objects() {
	h.t.Helper()
	s := h.state()
	count, full := map[uint8]int{}, 0
	for _, at := range slices.SortedFunc(maps.Keys(h.sums), hourPlace.compare) {
		placements, _ := h.placements(s, at)
		for i, pl := range placements {
			count[pl.Segment.Level]++
			bytes := pl.Segment.ByteEnd - pl.Segment.ByteStart
			if at.partition >= hourBusy || i == len(placements)-1 {
				continue
			}
			if bytes >= h.target*8/10 {
				full++
			} else if _, retained := hourConfigs[at.number()]; !retained {
				h.t.Errorf("piece %d of %d of %v has %d bytes of %d", i, len(placements), at, bytes,
					h.target)
			}
		}
	}
	if count[0] > 0 || full < hourTopics {
		h.t.Errorf("%d placements of level 0 are left; %d full objects", count[0], full)
	}
	h.t.Logf("%d placements, %d of them full objects", count[1], full)
}

// check has fsck look: all that is named is there and whole, nothing is left below the floor.
// What compactors released a moment ago is given its time.
func (h *hour) check() {
	h.t.Helper()
	r := h.fsck()
	for turn := 0; r.BelowFloor.Objects > 0 && turn < 100; turn++ {
		h.compactOnce()
		time.Sleep(300 * time.Millisecond)
		r = h.fsck()
	}
	for _, f := range r.Findings {
		h.t.Errorf("fsck: %+v", f)
	}
	if r.BelowFloor.Objects > 0 {
		h.t.Errorf("%d objects below the floor that nothing names", r.BelowFloor.Objects)
	}
	h.t.Logf("fsck: %d objects with %s are named and whole, %d records", r.Named.Objects,
		byteCount(r.Named.Bytes), r.Records)
}

// tell prints what all nodes have asked of the bucket.
func (h *hour) tell() {
	h.t.Helper()
	requests, moved := map[string]int64{}, map[string]int64{}
	for i := range h.fleet.nodes {
		_, text := call(h.t, "GET", h.fleet.node(i).URL+"/v1/cluster", nil, nil)
		var cluster struct {
			Requests map[string]map[string]struct{ Requests, Bytes int64 }
		}
		if err := json.Unmarshal([]byte(text), &cluster); err != nil {
			h.t.Fatal(err)
		}
		for op, causes := range cluster.Requests {
			for cause, n := range causes {
				requests[op+" "+cause] += n.Requests
				moved[op+" "+cause] += n.Bytes
			}
		}
	}
	perGB := func(n int64) int64 { return int64(float64(n) * 1e9 / float64(h.bytes)) }
	all, lines := int64(0), ""
	for _, what := range slices.Sorted(maps.Keys(requests)) {
		all += requests[what]
		lines += fmt.Sprintf("\n%-16s %6d requests, %7d per GB, %s", what, requests[what],
			perGB(requests[what]), byteCount(moved[what]))
	}
	h.t.Logf("the bucket was asked %d times, %d per GB of values:%s\nwritten by merging per byte "+
		"flushed: %.2f", all, perGB(all), lines,
		float64(moved["create merge"])/float64(max(1, moved["create upload"])))
}
