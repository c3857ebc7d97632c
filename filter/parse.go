package filter

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// Limits of a filter, beside the length of its text.
const (
	depthMax    = 32  // of parentheses and nots
	literalsMax = 256 // after one in
)

// Filter says which records are wanted. It does not change, and is for many goroutines.
type Filter struct {
	text    string
	root    *node
	columns []string
}

// node is a filter or a part of one.
type node struct {
	op     op
	kids   []*node // of and, or, not
	column string  // of a test
	class  class
	values []foz.Scalar // of a test: one, but for in
	fuzzy  []bool       // of class ints: the value is a Float64
}

type op int

const (
	and op = iota
	or
	not
	equal
	less      // than the value
	lessEqual // than the value
	in
	isNull
	prefix
)

// class is how the cells of a column are compared.
type class int

const (
	ints class = iota
	floats
	bytes
)

// Parse reads a filter over the columns that every record has and these typed ones. The error
// is bad_request, and says what is wrong where.
func Parse(s string, columns []foz.SchemaColumn) (*Filter, error) {
	tokens, err := scan(s)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens, typed: columns}
	root, err := p.filter(0)
	if err == nil && p.peek().kind != end {
		err = wrong(p.peek().at, "%s, where the filter could end", p.peek())
	}
	if err != nil {
		return nil, err
	}
	return &Filter{s, root, p.used}, nil
}

// Columns are the columns that the filter looks at.
func (f *Filter) Columns() []string { return f.columns }

// String is the filter's text.
func (f *Filter) String() string { return f.text }

type parser struct {
	tokens []token // not yet read
	typed  []foz.SchemaColumn
	used   []string
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != end {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes a token if it is this one.
func (p *parser) accept(want string) bool {
	ok := p.peek().is(want)
	if ok {
		p.take()
	}
	return ok
}

func (p *parser) expect(want string) error {
	if !p.accept(want) {
		return wrong(p.peek().at, "%s, where %s is wanted", p.peek(), want)
	}
	return nil
}

func (p *parser) filter(depth int) (*node, error) { return p.list("or", or, depth, p.term) }

func (p *parser) term(depth int) (*node, error) { return p.list("and", and, depth, p.factor) }

// list reads parts with a word between them.
func (p *parser) list(
	between string, o op, depth int, part func(depth int) (*node, error),
) (*node, error) {
	n := &node{op: o}
	for {
		kid, err := part(depth)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, kid)
		if !p.accept(between) {
			break
		}
	}
	if len(n.kids) == 1 {
		return n.kids[0], nil
	}
	return n, nil
}

func (p *parser) factor(depth int) (*node, error) {
	at := p.peek().at
	switch {
	case depth > depthMax:
		return nil, wrong(at, "it is more than %d deep", depthMax)
	case p.accept("not"):
		kid, err := p.factor(depth + 1)
		return negated(kid), err
	case p.accept("("):
		n, err := p.filter(depth + 1)
		if err == nil {
			err = p.expect(")")
		}
		return n, err
	case p.accept("starts_with"):
		return p.startsWith()
	}
	return p.test()
}

func negated(n *node) *node { return &node{op: not, kids: []*node{n}} }

func (p *parser) startsWith() (*node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	n, column, err := p.column()
	if err == nil {
		err = p.expect(",")
	}
	if err != nil {
		return nil, err
	}
	t := p.take()
	if t.kind != text {
		return nil, wrong(t.at, "%s, where a text is wanted", t)
	}
	if n.class != bytes {
		return nil, wrong(t.at, "column %s is %s, and begins with no text", column.Name, column.Type)
	}
	n.op, n.values = prefix, []foz.Scalar{{Bytes: []byte(t.text)}}
	return n, p.expect(")")
}

// column reads a column's name, and begins a test of it.
func (p *parser) column() (*node, foz.SchemaColumn, error) {
	t := p.take()
	if t.kind != word {
		return nil, foz.SchemaColumn{}, wrong(t.at, "%s, where a column is wanted", t)
	}
	c, ok := p.find(t.text)
	if !ok {
		return nil, c, wrong(t.at, "there is no column %s to compare, there are: %s", t,
			strings.Join(p.names(), ", "))
	}
	if !slices.Contains(p.used, c.Name) {
		p.used = append(p.used, c.Name)
	}
	n := &node{column: c.Name}
	switch c.Type {
	case foz.TypeFloat64:
		n.class = floats
	case foz.TypeUTF8, foz.TypeBinary:
		n.class = bytes
	}
	return n, c, nil
}

// envelope are the columns of every record that can be compared.
var envelope = []foz.SchemaColumn{
	{Name: foz.ColumnPartition, Type: foz.TypeInt64},
	{Name: foz.ColumnOffset, Type: foz.TypeInt64},
	{Name: foz.ColumnTimestamp, Type: foz.TypeTimestamp},
	{Name: foz.ColumnKey, Type: foz.TypeBinary},
	{Name: foz.ColumnValue, Type: foz.TypeBinary},
}

func (p *parser) find(name string) (foz.SchemaColumn, bool) {
	for _, c := range append(slices.Clip(envelope), p.typed...) {
		if c.Name == name {
			return c, true
		}
	}
	return foz.SchemaColumn{}, false
}

const namesMax = 20 // in an error

func (p *parser) names() (names []string) {
	for _, c := range append(slices.Clip(envelope), p.typed...) {
		if len(names) == namesMax {
			return append(names, "...")
		}
		names = append(names, c.Name)
	}
	return names
}

// test reads what is asked of a column.
func (p *parser) test() (*node, error) {
	n, column, err := p.column()
	if err != nil {
		return nil, err
	}
	t := p.take()
	switch {
	case t.is("is"):
		n.op = isNull
		no := p.accept("not")
		if err := p.expect("null"); err != nil || !no {
			return n, err
		}
		return negated(n), nil
	case t.is("not") && (p.peek().is("in") || p.peek().is("like")):
		n, err = p.member(n, column, p.take())
		return negated(n), err
	case t.is("in"), t.is("like"):
		return p.member(n, column, t)
	case t.kind != symbol || !slices.Contains(comparisons, t.text):
		return nil, wrong(t.at, "%s, where a comparison is wanted", t)
	}
	return p.compare(n, column, t)
}

var comparisons = []string{"=", "!=", "<>", "<", "<=", ">", ">="}

func (p *parser) compare(n *node, column foz.SchemaColumn, t token) (*node, error) {
	if column.Type == foz.TypeBool && t.text != "=" && t.text != "!=" && t.text != "<>" {
		return nil, wrong(t.at, "column %s is bool, which has no order", column.Name)
	}
	if err := p.literal(n, column); err != nil {
		return nil, err
	}
	switch t.text {
	case "=":
		n.op = equal
	case "!=", "<>":
		n.op = equal
		return negated(n), nil
	case "<":
		n.op = less
	case "<=":
		n.op = lessEqual
	case ">":
		n.op = lessEqual
		return negated(n), nil
	case ">=":
		n.op = less
		return negated(n), nil
	}
	return n, nil
}

// member reads what follows in or like.
func (p *parser) member(n *node, column foz.SchemaColumn, t token) (*node, error) {
	if t.is("like") {
		pattern := p.take()
		bare, ok := strings.CutSuffix(pattern.text, "%")
		if pattern.kind != text || !ok || strings.ContainsAny(bare, "%_") || n.class != bytes {
			return nil, wrong(pattern.at,
				"like is for text that ends in %%, without another and without _, in a column of bytes")
		}
		n.op, n.values = prefix, []foz.Scalar{{Bytes: []byte(bare)}}
		return n, nil
	}
	n.op = in
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for {
		if err := p.literal(n, column); err != nil {
			return nil, err
		}
		if len(n.values) > literalsMax {
			return nil, wrong(t.at, "more than %d values", literalsMax)
		}
		if !p.accept(",") {
			return n, p.expect(")")
		}
	}
}

// literal reads a value that the column's cells can be compared with.
func (p *parser) literal(n *node, column foz.SchemaColumn) error {
	t := p.take()
	v, fuzzy, ok := scalar(t, column.Type)
	if !ok {
		return wrong(t.at, "%s is nothing to compare column %s with, which is %s",
			t, column.Name, column.Type)
	}
	n.values, n.fuzzy = append(n.values, v), append(n.fuzzy, fuzzy)
	return nil
}

// scalar is a literal as a cell of a type; fuzzy: a number of class ints that is no int64.
func scalar(t token, of foz.ColumnType) (v foz.Scalar, fuzzy, ok bool) {
	switch of {
	case foz.TypeUTF8, foz.TypeBinary:
		return foz.Scalar{Bytes: []byte(t.text)}, false, t.kind == text
	case foz.TypeBool:
		if t.is("true") {
			v.Int64 = 1
		}
		return v, false, t.is("true") || t.is("false")
	case foz.TypeTimestamp, foz.TypeDate32:
		if t.kind == text {
			v.Int64, ok = moment(t.text, of)
			return v, false, ok
		}
	}
	if t.kind != number {
		return v, false, false
	}
	f, err := strconv.ParseFloat(t.text, 64)
	if err != nil || math.IsInf(f, 0) {
		return v, false, false
	}
	if of == foz.TypeFloat64 {
		return foz.Scalar{Float64: f}, false, true
	}
	if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
		return foz.Scalar{Int64: n}, false, true
	}
	return foz.Scalar{Float64: f}, true, true
}

// moment reads a time or a date.
func moment(s string, of foz.ColumnType) (int64, bool) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		if of == foz.TypeDate32 {
			return day.Unix() / (24 * 60 * 60), true
		}
		return day.UnixMilli(), true
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return at.UnixMilli(), err == nil && of == foz.TypeTimestamp
}
