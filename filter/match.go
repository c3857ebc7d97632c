package filter

import (
	stdbytes "bytes"
	"cmp"
	"math"

	"github.com/fozlog/foz"
)

// Batch is rows of one partition as a filter sees them.
type Batch struct {
	Partition int32
	Run       foz.Run                // with the columns that the filter looks at
	Typed     map[string]*foz.Vector // the typed ones by name; cell i is of the run's i-th row
}

// truth is one of SQL's three values.
type truth int8

const (
	no truth = iota - 1
	unknown
	yes
)

// Select gives the rows of a batch that match, as indexes into its run.
func (f *Filter) Select(b Batch) (matches []int) {
	for i, t := range f.root.eval(&b) {
		if t == yes {
			matches = append(matches, i)
		}
	}
	return matches
}

func (n *node) eval(b *Batch) []truth {
	switch n.op {
	case and, or:
		all := n.kids[0].eval(b)
		for _, kid := range n.kids[1:] {
			for i, t := range kid.eval(b) {
				if n.op == and {
					all[i] = min(all[i], t)
				} else {
					all[i] = max(all[i], t)
				}
			}
		}
		return all
	case not:
		all := n.kids[0].eval(b)
		for i := range all {
			all[i] = -all[i]
		}
		return all
	}
	out := make([]truth, b.Run.Len())
	n.test(b, out)
	return out
}

// test compares the cells of a column.
func (n *node) test(b *Batch, out []truth) {
	if v := b.Typed[n.column]; v != nil {
		for i := range out {
			cell := foz.Scalar{}
			null := v.Null(i)
			switch {
			case null:
			case n.class == floats:
				cell.Float64 = v.Float64s[i]
			case n.class == bytes:
				cell.Bytes = v.Cells.Cell(i)
			default:
				cell.Int64 = v.Int64s[i]
			}
			out[i] = n.ask(cell, null)
		}
		return
	}
	run := &b.Run
	for i := range out {
		cell := foz.Scalar{}
		switch n.column {
		case foz.ColumnPartition:
			cell.Int64 = int64(b.Partition)
		case foz.ColumnOffset:
			cell.Int64 = run.Offset(i)
		case foz.ColumnTimestamp:
			cell.Int64 = run.Rows.Timestamps[run.From+i]
		case foz.ColumnKey:
			cell.Bytes = run.Rows.Keys.Cell(run.From + i)
		case foz.ColumnValue:
			cell.Bytes = run.Rows.Values.Cell(run.From + i)
		}
		out[i] = n.ask(cell, n.class == bytes && cell.Bytes == nil)
	}
}

// ask is what a test says of one cell.
func (n *node) ask(cell foz.Scalar, null bool) truth {
	switch {
	case n.op == isNull:
		return truthOf(null)
	case null:
		return unknown
	case n.op == prefix:
		return truthOf(stdbytes.HasPrefix(cell.Bytes, n.values[0].Bytes))
	}
	for i := range n.values {
		c := n.compare(cell, i)
		if c == 0 && n.op != less || c < 0 && (n.op == less || n.op == lessEqual) {
			return yes
		}
	}
	return no
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// compare orders a cell and the i-th value, exactly.
func (n *node) compare(cell foz.Scalar, i int) int {
	v := n.values[i]
	switch {
	case n.class == floats:
		return cmp.Compare(cell.Float64, v.Float64)
	case n.class == bytes:
		return stdbytes.Compare(cell.Bytes, v.Bytes)
	case n.fuzzy[i]:
		return compareIntFloat(cell.Int64, v.Float64)
	}
	return cmp.Compare(cell.Int64, v.Int64)
}

// compareIntFloat orders numbers without rounding either.
func compareIntFloat(i int64, f float64) int {
	switch whole := math.Floor(f); {
	case whole >= 1<<63:
		return -1
	case whole < -1<<63:
		return 1
	case i != int64(whole):
		return cmp.Compare(i, int64(whole))
	case f > whole:
		return -1
	}
	return 0
}

// outcomes are what a filter can say of some rows.
type outcomes struct{ yes, no, unknown bool }

var anything = outcomes{true, true, true}

// MayMatch says whether rows can match of which stats are known: false is certain. stats gives
// what is known of a column; Min and Max of numbers are exact bounds, those of bytes may be wider.
func (f *Filter) MayMatch(stats func(column string) (foz.ColumnStats, bool)) bool {
	return f.root.may(stats).yes
}

func (n *node) may(stats func(string) (foz.ColumnStats, bool)) outcomes {
	switch n.op {
	case not:
		o := n.kids[0].may(stats)
		return outcomes{o.no, o.yes, o.unknown}
	case and, or:
		all := n.kids[0].may(stats)
		for _, kid := range n.kids[1:] {
			o := kid.may(stats)
			if n.op == and {
				all = outcomes{all.yes && o.yes, all.no || o.no,
					all.unknown && (o.yes || o.unknown) || o.unknown && (all.yes || all.unknown)}
			} else {
				all = outcomes{all.yes || o.yes, all.no && o.no,
					all.unknown && (o.no || o.unknown) || o.unknown && (all.no || all.unknown)}
			}
		}
		return all
	}
	s, known := stats(n.column)
	if !known {
		return anything
	}
	if n.op == isNull {
		return outcomes{yes: s.Nulls > 0, no: true}
	}
	if s.Min == nil || s.Max == nil {
		return anything
	}
	return n.within(s)
}

// within is what a comparison can say of cells between two bounds.
func (n *node) within(s foz.ColumnStats) outcomes {
	o := outcomes{unknown: s.Nulls > 0}
	if n.op == prefix {
		p := n.values[0].Bytes
		low := s.Min.Bytes[:min(len(p), len(s.Min.Bytes))]
		o.yes = stdbytes.Compare(s.Max.Bytes, p) >= 0 && stdbytes.Compare(low, p) <= 0
		o.no = !stdbytes.HasPrefix(s.Min.Bytes, p) || !stdbytes.HasPrefix(s.Max.Bytes, p)
		return o
	}
	for i := range n.values {
		low, high := n.compare(*s.Min, i), n.compare(*s.Max, i)
		switch n.op {
		case less:
			o.yes, o.no = low < 0, high >= 0
		case lessEqual:
			o.yes, o.no = low <= 0, high > 0
		default: // equal, in
			o.yes = o.yes || low <= 0 && high >= 0
			o.no = o.no || low != 0 || high != 0 || n.class == bytes
		}
	}
	return o
}
