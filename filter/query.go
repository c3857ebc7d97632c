package filter

import (
	"iter"
	"slices"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/schema"
)

// Query says which records a read wants, and which of their columns. The zero value wants all of
// an untyped topic.
type Query struct {
	Schema  []foz.SchemaColumn // typed columns that there are
	Columns []string           // wanted; empty: those of every record, and all of Schema
	Filter  *Filter            // nil: all records
	// Stored: a run may be given as it is stored, where it has just the columns wanted, in this
	// order, and all its records match.
	Stored bool
}

// NewQuery checks a query's columns, and reads its filter; "" is none. The error is bad_request.
func NewQuery(columns []foz.SchemaColumn, wanted []string, where string) (q Query, err error) {
	q = Query{Schema: columns, Columns: wanted}
	for i, name := range wanted {
		switch {
		case slices.Contains(wanted[:i], name):
			return q, foz.Errorf(foz.CodeBadRequest, "column %.64q is asked for twice", name)
		case !q.has(name):
			return q, foz.Errorf(foz.CodeBadRequest, "no column %.64q, there are: %s", name,
				strings.Join(q.known(), ", "))
		}
	}
	if where != "" {
		q.Filter, err = Parse(where, columns)
	}
	return q, err
}

// names of the columns of every record, in their order.
var names = []string{
	foz.ColumnOffset, foz.ColumnTimestamp, foz.ColumnKey, foz.ColumnValue, foz.ColumnHeaders,
}

func (q *Query) has(name string) bool {
	return name == foz.ColumnPartition || slices.Contains(names, name) || q.typed(name) >= 0
}

func (q *Query) typed(name string) int {
	return slices.IndexFunc(q.Schema, func(c foz.SchemaColumn) bool { return c.Name == name })
}

func (q *Query) known() (known []string) {
	known = append(known, names...)
	for i, c := range q.Schema {
		if i == namesMax {
			return append(known, "...")
		}
		known = append(known, c.Name)
	}
	return known
}

// Wanted are the names of the columns wanted, in order; those of partitions are not among them
// unless they were asked for.
func (q *Query) Wanted() []string {
	if len(q.Columns) > 0 {
		return q.Columns
	}
	all := slices.Clone(names)
	for _, c := range q.Schema {
		all = append(all, c.Name)
	}
	return all
}

// Typed are the typed columns wanted, in order.
func (q *Query) Typed() (columns []foz.SchemaColumn) {
	for _, name := range q.Wanted() {
		if i := q.typed(name); i >= 0 {
			columns = append(columns, q.Schema[i])
		}
	}
	return columns
}

// Picker takes from runs what a query wants. It is for one goroutine at a time.
type Picker struct {
	query    Query
	typed    []foz.SchemaColumn // wanted, and then what else the filter looks at
	wanted   int                // of typed
	keep     map[string]bool    // columns of every record that are wanted
	shredder *schema.Shredder
}

// NewPicker makes a picker; nil for a query that wants all there is of an untyped topic.
func NewPicker(q Query) *Picker {
	if q.Filter == nil && len(q.Typed()) == 0 {
		return nil
	}
	p := &Picker{query: q, typed: q.Typed(), keep: map[string]bool{}}
	p.wanted = len(p.typed)
	for _, name := range q.Wanted() {
		p.keep[name] = true
	}
	if q.Filter != nil {
		for _, name := range q.Filter.Columns() {
			i := q.typed(name)
			if i >= 0 && !slices.Contains(p.typed, q.Schema[i]) {
				p.typed = append(p.typed, q.Schema[i])
			}
		}
	}
	p.shredder = schema.NewShredder(p.typed)
	return p
}

// Typed are the typed columns that Pick takes into account: those wanted, then what else the
// filter looks at.
func (p *Picker) Typed() []foz.SchemaColumn { return p.typed }

// cellsMax bounds how many cells are made up at once: a record of two bytes may have a thousand.
const cellsMax = 1 << 20

// Picks are what of a decoded run is wanted, in parts whose columns fit into memory: they tile
// what the run does.
func (p *Picker) Picks(partition int32, run foz.Run) iter.Seq[foz.Run] {
	return func(yield func(foz.Run) bool) {
		if p == nil || run.Columns != nil || run.Len()*len(p.typed) <= cellsMax {
			yield(p.Pick(partition, run))
			return
		}
		rows := max(cellsMax/len(p.typed), 1)
		for begin := run.Base; run.Len() > 0; {
			part := run
			part.Base, part.To = begin, min(run.From+rows, run.To)
			if part.To < run.To {
				part.End = 0
			}
			if n := part.Len(); run.Offsets != nil {
				part.Offsets, run.Offsets = run.Offsets[:n], run.Offsets[n:]
			}
			run.From, begin = part.To, part.Next()
			if !yield(p.Pick(partition, part)) {
				return
			}
		}
	}
}

// Pick is what of a decoded run is wanted: the records that match, with typed columns. A run
// that has no Columns has them made of its values; else they are those of Typed.
func (p *Picker) Pick(partition int32, run foz.Run) foz.Run {
	if p == nil || run.Len() == 0 {
		return run
	}
	vectors := run.Columns
	if vectors == nil && len(p.typed) > 0 {
		vectors, _ = p.shredder.Shred(&run.Rows.Values, run.From, run.To)
	}
	run.Columns = vectors[:p.wanted:p.wanted]
	if p.query.Filter == nil {
		return run
	}
	b := Batch{Partition: partition, Run: run, Typed: map[string]*foz.Vector{}}
	for i, c := range p.typed {
		b.Typed[c.Name] = &vectors[i]
	}
	matches := p.query.Filter.Select(b)
	if len(matches) == run.Len() {
		return run
	}
	return p.pick(run, matches)
}

// pick copies the records that match.
func (p *Picker) pick(run foz.Run, matches []int) foz.Run {
	picked := foz.Run{
		Base: run.Base, Rows: &foz.Rows{}, To: len(matches), End: run.Next(),
		Offsets: make([]int64, len(matches)), Columns: make([]foz.Vector, p.wanted),
	}
	for i, m := range matches {
		picked.Offsets[i] = run.Offset(m)
	}
	for i := range picked.Columns {
		picked.Columns[i].Type = p.typed[i].Type
	}
	for len(matches) > 0 {
		n := 1
		for n < len(matches) && matches[n] == matches[0]+n {
			n++
		}
		p.copy(&picked, run, matches[0], matches[0]+n)
		matches = matches[n:]
	}
	return picked
}

// copy appends records [from, to) of a run.
func (p *Picker) copy(picked *foz.Run, run foz.Run, from, to int) {
	for i := range picked.Columns {
		picked.Columns[i].AppendCells(&run.Columns[i], from, to)
	}
	from, to = run.From+from, run.From+to
	rows, all := picked.Rows, run.Rows
	if p.keep[foz.ColumnTimestamp] {
		rows.Timestamps = append(rows.Timestamps, all.Timestamps[from:to]...)
	}
	if p.keep[foz.ColumnKey] {
		rows.Keys.AppendCells(&all.Keys, from, to)
	}
	if p.keep[foz.ColumnValue] {
		rows.Values.AppendCells(&all.Values, from, to)
	}
	if p.keep[foz.ColumnHeaders] {
		rows.Headers.AppendCells(&all.Headers, from, to)
	}
}
