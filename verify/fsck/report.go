package fsck

import (
	"cmp"
	"slices"

	"github.com/fozlog/foz"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	Missing  Kind = "missing"  // an object that the log names is not there
	Damaged  Kind = "damaged"  // it is there, and its bytes are not what was written
	Mismatch Kind = "mismatch" // it is whole, and not what the index says of it
	Gap      Kind = "gap"      // offsets that no placement of the partition covers, or two do
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind   Kind   `json:"kind"`
	Object string `json:"object,omitempty"`
	Detail string `json:"detail"`
	// Lost are the records that can no longer be read; those of the object's other segments can.
	Lost []Lost `json:"lost,omitempty"`
}

// Lost is a range of offsets of one partition.
type Lost struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start_offset"`
	End       int64  `json:"end_offset"`
}

// Tally counts objects and their bytes.
type Tally struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (t *Tally) add(bytes int64) {
	t.Objects++
	t.Bytes += bytes
}

// Unnamed is an object that nothing names.
type Unnamed struct {
	Object     string `json:"object"`
	Bytes      int64  `json:"bytes"`
	BelowFloor bool   `json:"below_floor"`
}

// Report is what a check has found.
type Report struct {
	Slot       uint64 `json:"slot"` // of the log, that was compared with
	Floor      uint64 `json:"floor"`
	Topics     int    `json:"topics"`
	Partitions int64  `json:"partitions"`
	Placements int64  `json:"placements"`
	Records    int64  `json:"records"`
	Named      Tally  `json:"named"`       // as far as they are there
	BelowFloor Tally  `json:"below_floor"` // unnamed: dead, the sweeper's
	AboveFloor Tally  `json:"above_floor"` // unnamed: may still be named, or is dead
	Foreign    Tally  `json:"foreign"`     // below data/, and no object of foz

	Unnamed  []Unnamed `json:"unnamed"`
	Findings []Finding `json:"findings"`
}

// OK says that nothing is wrong.
func (r *Report) OK() bool { return len(r.Findings) == 0 }

// LostRecords counts the offsets that can no longer be read.
func (r *Report) LostRecords() (n int64) {
	for _, f := range r.Findings {
		for _, l := range f.Lost {
			n += l.End - l.Start
		}
	}
	return n
}

func (r *Report) sort() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Detail, b.Detail))
	})
	slices.SortFunc(r.Unnamed, func(a, b Unnamed) int { return cmp.Compare(a.Object, b.Object) })
}

// lost is the part of a placement that readers are given: what lies below the log start is not.
func (p named) lost() Lost {
	return Lost{p.topic, p.Segment.Partition.Number, max(p.Base, p.earliest), p.Next()}
}

// named is a placement, and what its partition is called.
type named struct {
	foz.Placement
	topic    string
	earliest int64
}
