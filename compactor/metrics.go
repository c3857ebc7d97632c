package compactor

import (
	"sync/atomic"
	"time"
)

// Metric is one number a Compactor knows, as it stands: Name ends in _total where it only
// grows.
type Metric struct {
	Name  string
	Level string // "0" or "1" where there is one of each; else ""
	Help  string
	Value float64
}

// number is written by the goroutine that does the jobs and read by any.
type number struct{ n atomic.Int64 }

func (n *number) Add(d int64)   { n.n.Add(d) }
func (n *number) Store(v int64) { n.n.Store(v) }

// metrics is what a Compactor counts. Requests to the store are counted at the store, under
// the causes merge, compact, retain and sweep.
type metrics struct {
	bytesIn, bytesOut          number
	accepted, refused, unknown number // outputs; swaps
	expired, dropped           number
	damaged, avoided           number
	deleted, pending           number
	debt                       number
	objects, placements        [2]number // by level
	floorNanos                 number
	mismatches                 number
}

// saw notes what a look at all partitions of this node has found.
func (m *metrics) saw(seen census, debt int64) {
	m.debt.Store(debt)
	for level := range m.objects {
		m.placements[level].Store(seen.placements[level])
		m.objects[level].Store(int64(len(seen.shared[level])))
	}
	m.objects[1].Add(seen.alone)
}

// floorAge notes how long ago the log was where its floor is now, as far as this node was
// there: what is older than all marks is as old as the oldest.
func (m *metrics) floorAge(now time.Time, marks []mark, floor uint64) {
	for i := len(marks) - 1; i >= 0; i-- {
		if marks[i].slot <= floor || i == 0 {
			m.floorNanos.Store(int64(now.Sub(marks[i].at)))
			return
		}
	}
}

// Metrics gives what has been counted since New, in a fixed order. Any goroutine may ask.
func (c *Compactor) Metrics() []Metric {
	m := &c.metrics
	one := func(name string, n *number, help string) Metric {
		return Metric{"foz_compactor_" + name, "", help, float64(n.n.Load())}
	}
	all := []Metric{
		one("debt_bytes", &m.debt, "Bytes as ingest wrote them that are to be merged here."),
		one("read_bytes_total", &m.bytesIn, "Bytes read from the store to be rewritten."),
		one("written_bytes_total", &m.bytesOut, "Bytes of merged objects created."),
		one("outputs_accepted_total", &m.accepted, "Merged segments that took their inputs' place."),
		one("outputs_refused_total", &m.refused, "Merged segments whose inputs were no longer there."),
		one("swaps_unknown_total", &m.unknown, "Swaps whose outcome is unknown."),
		one("placements_expired_total", &m.expired, "Placements that retention has taken."),
		one("records_dropped_total", &m.dropped, "Records that key compaction has dropped."),
		one("mismatches_total", &m.mismatches, "Cells left null where a value does not fit a schema."),
		one("damaged_total", &m.damaged, "Placements that could not be read when they were met."),
		one("damaged_ranges", &m.avoided, "Placements left alone because they cannot be read."),
		one("objects_deleted_total", &m.deleted, "Objects deleted."),
		one("objects_dead", &m.pending, "Dead objects whose grace is not over."),
		{"foz_compactor_floor_age_seconds", "", "How far the floor is behind the log.",
			time.Duration(m.floorNanos.n.Load()).Seconds()},
	}
	for level, name := range []string{"0", "1"} {
		all = append(all,
			Metric{"foz_compactor_objects", name, "Objects of this node's partitions.",
				float64(m.objects[level].n.Load())},
			Metric{"foz_compactor_placements", name, "Placements of this node's partitions.",
				float64(m.placements[level].n.Load())})
	}
	return all
}
