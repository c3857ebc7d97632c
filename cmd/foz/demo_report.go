package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// demoReport is what the demo found.
type demoReport struct {
	URL      string        `json:"url"`
	Bucket   string        `json:"bucket"`
	Steps    []demoStep    `json:"steps"`
	Replay   demoReplay    `json:"replay"`
	Origins  []originDelay `json:"origins"` // busiest first
	Objects  []objectKind  `json:"objects"`
	Requests []requestKind `json:"requests"`
	CostUSD  float64       `json:"cost_usd"` // of the requests, at S3's list prices
}

// demoStep is one thing the demo did.
type demoStep struct {
	Name    string
	Took    time.Duration
	Records int64 // 0: it is not about records
	Bytes   int64
	Note    string
}

// MarshalJSON says milliseconds.
func (s demoStep) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name    string  `json:"name"`
		MS      float64 `json:"ms"`
		Records int64   `json:"records,omitempty"`
		Bytes   int64   `json:"bytes,omitempty"`
		Note    string  `json:"note"`
	}{s.Name, math.Round(s.Took.Seconds()*1e5) / 100, s.Records, s.Bytes, s.Note})
}

type demoReplay struct {
	Partition   int32 `json:"partition"`
	StartOffset int64 `json:"start_offset"`
	EndOffset   int64 `json:"end_offset"`
}

// originDelay is what the flights of one airport came to.
type originDelay struct {
	Origin   string
	Flights  int64
	DelaySum int64 // minutes
}

func (o originDelay) mean() float64 { return float64(o.DelaySum) / float64(o.Flights) }

// MarshalJSON says the mean.
func (o originDelay) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Origin    string  `json:"origin"`
		Flights   int64   `json:"flights"`
		MeanDelay float64 `json:"mean_delay"`
	}{o.Origin, o.Flights, o.mean()})
}

func ranked(sums map[string]*originDelay) []originDelay {
	all := make([]originDelay, 0, len(sums))
	for _, origin := range slices.Sorted(maps.Keys(sums)) {
		all = append(all, *sums[origin])
	}
	slices.SortStableFunc(all, func(a, b originDelay) int {
		return cmp.Compare(b.Flights, a.Flights)
	})
	return all
}

func (r *demoReport) total() originDelay {
	all := originDelay{Origin: "all"}
	for _, o := range r.Origins {
		all.Flights += o.Flights
		all.DelaySum += o.DelaySum
	}
	return all
}

// objectKind is what lies under one first part of the bucket's keys.
type objectKind struct {
	Kind    string `json:"kind"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// object counts one. Objects come in order of their keys.
func (r *demoReport) object(o objectstore.Info) {
	kind, _, _ := strings.Cut(o.Key, "/")
	if n := len(r.Objects); n == 0 || r.Objects[n-1].Kind != kind {
		r.Objects = append(r.Objects, objectKind{Kind: kind})
	}
	last := &r.Objects[len(r.Objects)-1]
	last.Objects++
	last.Bytes += o.Size
}

// requestKind is how often the store was asked for one thing.
type requestKind struct {
	Op       string `json:"op"`
	Cause    string `json:"cause"`
	Requests int64  `json:"requests"`
	Bytes    int64  `json:"bytes"`
}

// S3's list prices for requests, dollars per million. Deletes are free.
var s3USDPerMillion = map[string]float64{
	objectstore.OpCreate: 5, objectstore.OpList: 5, objectstore.OpGet: 0.40,
}

// charge takes over the node's counts and prices them.
func (r *demoReport) charge(counts []objectstore.Count) {
	for _, c := range counts {
		r.Requests = append(r.Requests, requestKind{c.Op, c.Cause, c.Requests, c.Bytes})
		r.CostUSD += float64(c.Requests) * s3USDPerMillion[c.Op] / 1e6
	}
}

// fetches is how many requests fetched records.
func (r *demoReport) fetches() (n int64) {
	for _, q := range r.Requests {
		if q.Op == objectstore.OpGet && q.Cause == "fetch" {
			n += q.Requests
		}
	}
	return n
}

// rate is so many per second, rounded to what one can remember.
func rate(n int64, took time.Duration) string {
	perSecond := float64(n) / max(took.Seconds(), 1e-6)
	switch {
	case perSecond >= 1e6:
		return fmt.Sprintf("%.1f M", perSecond/1e6)
	case perSecond >= 1e3:
		return fmt.Sprintf("%.0f k", perSecond/1e3)
	}
	return fmt.Sprintf("%.0f", perSecond)
}
