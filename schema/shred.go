package schema

import (
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// Shredder takes cells out of JSON values. It is for one goroutine at a time.
type Shredder struct {
	columns []foz.SchemaColumn
	root    place
	scan    jsonscan.Scanner
	value   []byte     // the one at hand
	found   []span     // in it, by column
	trial   foz.Vector // of Reject
	scratch []byte
}

// NewShredder makes a shredder of a topic's columns, or of some of them. A column that [Check]
// refuses (the log may be of a later version) has nothing anywhere, or nothing of its type.
func NewShredder(columns []foz.SchemaColumn) *Shredder {
	s := &Shredder{columns: columns, found: make([]span, len(columns))}
	for i, c := range columns {
		if steps, err := parsePointer(c.Pointer); err == nil {
			s.root.add(steps, i)
		}
	}
	return s
}

// Shred takes the cells of values [from, to): a vector for each column, in which cell i is of
// value from+i, and how many values mismatched in it. The result is the caller's. It takes 8
// bytes or so for each cell, whatever is in the values, and the text of strings.
func (s *Shredder) Shred(values *foz.Column, from, to int) (
	vectors []foz.Vector, mismatches []int,
) {
	vectors = make([]foz.Vector, len(s.columns))
	mismatches = make([]int, len(s.columns))
	for i, c := range s.columns {
		vectors[i] = newVector(c.Type, to-from)
	}
	for row := from; row < to; row++ {
		value := values.Cell(row)
		var err error
		if value == nil {
			clear(s.found)
		} else {
			err = s.find(value)
		}
		for i := range s.columns {
			ok := s.appendCell(i, &vectors[i])
			if value != nil && (!ok || err != nil) {
				mismatches[i]++
			}
		}
	}
	return vectors, mismatches
}

// Reject says where a value mismatches first, and why; "" if it does not.
func (s *Shredder) Reject(value []byte) (pointer, detail string) {
	if value == nil {
		return "", ""
	}
	if err := s.find(value); err != nil {
		return "", "the value is not JSON: " + err.Error()
	}
	for i, c := range s.columns {
		s.trial.Type = c.Type
		s.trial.Reset()
		if !s.appendCell(i, &s.trial) {
			return c.Pointer, "column " + c.Name + ": " + complaint(c, s.raw(i))
		}
	}
	return "", ""
}

// raw is what was found for a column, as it is written; nil: nothing.
func (s *Shredder) raw(column int) []byte {
	at := s.found[column]
	if at.to == 0 {
		return nil
	}
	return s.value[at.from:at.to]
}

func complaint(c foz.SchemaColumn, raw []byte) string {
	at := strconv.Quote(c.Pointer)
	switch {
	case raw == nil:
		return "nothing is at " + at + ", and it is not nullable"
	case jsonscan.IsNull(raw):
		return "null is at " + at + ", and it is not nullable"
	}
	return "what is at " + at + " is no " + string(c.Type)
}

func newVector(t foz.ColumnType, rows int) foz.Vector {
	v := foz.Vector{Type: t}
	switch t {
	case foz.TypeFloat64:
		v.Float64s = make([]float64, 0, rows)
	case foz.TypeUTF8, foz.TypeBinary:
		v.Cells.Ends = make([]int32, 0, rows)
	default:
		v.Int64s = make([]int64, 0, rows)
	}
	return v
}
