package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// The kinds of finding. Any finding is a broken promise.
const (
	Lost      = "lost"      // an acknowledged record is not where its ack said, nor elsewhere
	Moved     = "moved"     // an acknowledged record is at another offset than its ack said
	Duplicate = "duplicate" // a record is there more often than it was sent
	Phantom   = "phantom"   // nobody sent this record, or not to this partition
	Changed   = "changed"   // a record is not what was sent, or not what another read gave
	Aborted   = "aborted"   // a record of a request that was refused for good
	Order     = "order"     // acknowledged before the other was sent, but behind it
	Gap       = "gap"       // an offset without a record within the bounds
	Torn      = "torn"      // a request's records are not together, or not all there
	Skip      = "skip"      // a reader that followed did not get an offset
	Repeat    = "repeat"    // a reader that followed got an offset twice
	Back      = "back"      // a watermark or a log start went back
	Unseen    = "unseen"    // a reader that followed never got an acknowledged record
	Refused   = "refused"   // a valid request was refused, or the answer makes no sense
	CleanEnd  = "clean end" // a stream that broke looked like one that ended
)

// Finding is one broken promise.
type Finding struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

// Report is what a run came to.
type Report struct {
	Requests     int64            `json:"requests"`
	Acked        int64            `json:"acked"`   // requests
	Refused      int64            `json:"refused"` // requests: definite, nothing stored
	Unknown      int64            `json:"unknown"` // requests: no definite answer
	UnknownThere int64            `json:"unknown_there"`
	Retries      int64            `json:"retries"`    // attempts after a request's first
	Duplicates   int64            `json:"duplicates"` // acks that named an earlier attempt's offsets
	Failures     map[string]int64 `json:"failures"`   // attempts without an ack, by what was said
	RecordsAcked int64            `json:"records_acked"`
	RecordsRead  int64            `json:"records_read"` // in the log at the end
	Followed     int64            `json:"followed"`     // records that followers got
	Connections  int64            `json:"connections"`  // that followers made
	Counts       map[string]int64 `json:"counts"`       // findings by kind
	Findings     []Finding        `json:"findings"`     // the first of them
}

// OK says that no promise was broken.
func (r *Report) OK() bool { return len(r.Counts) == 0 }

func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests: %d acked (%d as duplicates), %d refused, %d unknown "+
		"(%d of them there), %d retries\n", r.Requests, r.Acked, r.Duplicates, r.Refused,
		r.Unknown, r.UnknownThere, r.Retries)
	for _, said := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(&b, "%d attempts: %s\n", r.Failures[said], said)
	}
	fmt.Fprintf(&b, "%d records acked, %d in the log, %d followed over %d connections\n",
		r.RecordsAcked, r.RecordsRead, r.Followed, r.Connections)
	if r.OK() {
		b.WriteString("0 lost, 0 duplicated, 0 reordered, 0 gaps, 0 torn")
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(&b, "%s: %d\n", kind, r.Counts[kind])
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s: %s\n", f.Kind, f.Detail)
	}
	return b.String()
}

const findingsMax = 50

// findings gathers from many goroutines.
type findings struct {
	mu     sync.Mutex
	counts map[string]int64
	first  []Finding
}

func (f *findings) add(kind, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[string]int64{}
	}
	f.counts[kind]++
	if f.counts[kind] <= 10 && len(f.first) < findingsMax {
		f.first = append(f.first, Finding{kind, fmt.Sprintf(format, args...)})
	}
}

func (f *findings) into(r *Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r.Counts, r.Findings = maps.Clone(f.counts), slices.Clone(f.first)
}
