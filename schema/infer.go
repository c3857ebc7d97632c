package schema

import (
	"bytes"
	"slices"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// inferDepthMax is how deep objects in objects become columns.
const inferDepthMax = 5

// Inference finds out which columns values have. It is for one goroutine at a time.
type Inference struct {
	seen  int // JSON objects
	other int // what is none
	found []*finding
	at    map[string]*finding // by pointer
}

// finding is a place at which some values have something.
type finding struct {
	steps   []string
	seen    int // values that have something there that is not null
	types   map[foz.ColumnType]int
	objects int
}

// Add takes a value into account. Tombstones say nothing.
func (n *Inference) Add(value []byte) {
	if value == nil {
		return
	}
	var s jsonscan.Scanner
	err := s.Begin(value)
	if err == nil {
		_, err = s.Value(0)
	}
	if err != nil || s.End() != nil || bytes.TrimLeft(value, " \t\r\n")[0] != '{' {
		n.other++
		return
	}
	n.seen++
	n.visit(nil, value)
}

// visit notes the members of an object, which is known to be one.
func (n *Inference) visit(steps []string, object []byte) {
	for _, m := range membersOf(object) {
		at := append(slices.Clone(steps), m.name)
		n.note(at, m.raw)
		if m.raw[0] == '{' && len(at) < inferDepthMax {
			n.visit(at, m.raw)
		}
	}
}

type rawMember struct {
	name string
	raw  []byte
}

// membersOf are an object's members in their order; of two with one name the last counts.
func membersOf(object []byte) (members []rawMember) {
	at := map[string]int{}
	s := jsonscan.New(object)
	s.Peek()
	more, _ := s.Enter('}')
	for ; more; more, _ = s.Next('}') {
		quoted, _ := s.Name()
		name := string(quoted[1 : len(quoted)-1])
		i, again := at[name]
		if !again {
			i, at[name] = len(members), len(members)
			members = append(members, rawMember{name: name})
		}
		members[i].raw, _ = s.Value(0)
	}
	return members
}

func (n *Inference) note(steps []string, raw []byte) {
	pointer := pointerOf(steps)
	f := n.at[pointer]
	if f == nil {
		if len(n.found) == ColumnsMax {
			return
		}
		f = &finding{steps: steps, types: map[foz.ColumnType]int{}}
		if n.at == nil {
			n.at = map[string]*finding{}
		}
		n.at[pointer] = f
		n.found = append(n.found, f)
	}
	if jsonscan.IsNull(raw) {
		return
	}
	f.seen++
	if raw[0] == '{' {
		f.objects++
	} else if t := typeOf(raw); t != "" {
		f.types[t]++
	}
}

func pointerOf(steps []string) string {
	var b strings.Builder
	for _, step := range steps {
		b.WriteString(foz.PointerTo(step))
	}
	return b.String()
}

// typeOf is the narrowest type of a JSON value; "": it has none.
func typeOf(raw []byte) foz.ColumnType {
	switch {
	case raw[0] == 't' || raw[0] == 'f':
		return foz.TypeBool
	case isNumber(raw):
		if _, ok := jsonscan.Integer(raw); ok {
			return foz.TypeInt64
		}
		if _, ok := float(raw); ok {
			return foz.TypeFloat64
		}
	case jsonscan.IsString(raw):
		text, _, ok := jsonscan.Unescape(raw, nil)
		if !ok {
			return ""
		}
		if _, ok := ParseDate(text); ok {
			return foz.TypeDate32
		}
		if _, ok := ParseTimestamp(text); ok {
			return foz.TypeTimestamp
		}
		return foz.TypeUTF8
	}
	return ""
}

// Schema is what the values so far suggest: the columns of old, and then others in the order in
// which they appeared, of the narrowest types that all values fit, nullable where a value lacked
// them. Places that hold different things, or whose name is taken, are left out, and named.
func (n *Inference) Schema(old foz.Schema) (s foz.Schema, left []string) {
	s = foz.Schema{Columns: slices.Clone(old.Columns), OnMismatch: old.OnMismatch}
	names, pointers := map[string]bool{}, map[string]bool{}
	for _, c := range old.Columns {
		names[c.Name], pointers[c.Pointer] = true, true
	}
	for _, f := range n.found {
		visited := len(f.steps) < inferDepthMax
		pointer, name, t := pointerOf(f.steps), columnNameOf(f.steps), f.widest()
		switch {
		case pointers[pointer]:
		case visited && f.objects > 0 && f.objects == f.seen: // what is in them has columns
		case t == "" || names[name] || len(pointer) > pointerBytesMax || len(s.Columns) == ColumnsMax:
			left = append(left, pointer)
		default:
			names[name] = true
			s.Columns = append(s.Columns, foz.SchemaColumn{
				Name: name, Type: t, Pointer: pointer, Nullable: f.seen < n.seen+n.other,
			})
		}
	}
	return s, left
}

// Counts are how many values were JSON objects, and how many were something else.
func (n *Inference) Counts() (objects, others int) { return n.seen, n.other }

// widest is the type that all values at a place fit; "": there is none.
func (f *finding) widest() foz.ColumnType {
	all := func(types ...foz.ColumnType) bool {
		n := 0
		for _, t := range types {
			n += f.types[t]
		}
		return n == f.seen && n > 0
	}
	switch {
	case all(foz.TypeInt64, foz.TypeFloat64) && !all(foz.TypeInt64):
		return foz.TypeFloat64
	case all(foz.TypeUTF8, foz.TypeDate32, foz.TypeTimestamp) &&
		!all(foz.TypeDate32) && !all(foz.TypeTimestamp):
		return foz.TypeUTF8
	}
	for t := range f.types {
		if all(t) {
			return t
		}
	}
	return ""
}

// columnNameOf makes a column's name of where it is.
func columnNameOf(steps []string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, strings.Join(steps, "_"))
	if name == "" || name[0] >= '0' && name[0] <= '9' || slices.Contains(envelope, name) {
		name = "value_" + name
	}
	return name[:min(len(name), 128)]
}
