package ingest

import (
	"slices"

	"github.com/fozlog/foz"
)

// shelf keeps buffers for the next object: memory that was touched before costs a fraction
// of fresh memory. What it may hold is bounded; the rest is left to the collector.
type shelf struct {
	rowsBytesMax int
	bodiesMax    int // how many bodies, and between which capacities
	bodyBytesMin int
	bodyBytesMax int

	rows      []*foz.Rows
	rowsBytes int // capacity of rows
	bodies    [][]byte
}

// newShelf holds what the objects under way need: rows are back as soon as they are encoded,
// bodies only when they are committed, or the cache has no use for them. Small bodies are not
// worth a place.
func newShelf(c Config) shelf {
	return shelf{
		rowsBytesMax: c.UploadsMax * c.FlushBytesMax,
		bodiesMax:    c.UploadsMax + 1,
		bodyBytesMin: c.FlushBytesMax / 8,
		bodyBytesMax: 2 * c.FlushBytesMax,
	}
}

func (s *shelf) takeRows() *foz.Rows {
	last := len(s.rows) - 1
	if last < 0 {
		return new(foz.Rows)
	}
	rows := s.rows[last]
	s.rows[last], s.rows = nil, s.rows[:last]
	s.rowsBytes -= rowsCapacity(rows)
	return rows
}

func (s *shelf) putRows(rows *foz.Rows) {
	size := rowsCapacity(rows)
	if s.rowsBytes+size > s.rowsBytesMax {
		return
	}
	rows.Reset()
	s.rowsBytes += size
	s.rows = append(s.rows, rows)
}

// takeBody gives the smallest empty buffer with room for size bytes, or nil if there is none.
func (s *shelf) takeBody(size int) []byte {
	at := -1
	for n, body := range s.bodies {
		if cap(body) >= size && (at < 0 || cap(body) < cap(s.bodies[at])) {
			at = n
		}
	}
	if at < 0 {
		return nil
	}
	body := s.bodies[at]
	s.bodies = slices.Delete(s.bodies, at, at+1)
	return body[:0]
}

func (s *shelf) putBody(body []byte) {
	if cap(body) < s.bodyBytesMin || cap(body) > s.bodyBytesMax {
		return
	}
	if len(s.bodies) < s.bodiesMax {
		s.bodies = append(s.bodies, body)
		return
	}
	for n, kept := range s.bodies { // a larger one is of use more often
		if cap(kept) < cap(body) {
			s.bodies[n] = body
			return
		}
	}
}

// rowsCapacity is the memory that empty rows hold on to.
func rowsCapacity(r *foz.Rows) int {
	const structs = 320
	return structs + 8*cap(r.Timestamps) +
		columnCapacity(&r.Keys) + columnCapacity(&r.Values) + columnCapacity(&r.Headers)
}

func columnCapacity(c *foz.Column) int { return cap(c.Data) + 4*cap(c.Ends) + cap(c.Nulls) }
