package schema

import (
	"slices"
	"strconv"
)

// place is where some pointers lead, or lead through. All columns' places are a tree, so that
// one pass over a value finds them all.
type place struct {
	columns []int // whose pointers end here
	within  []int // whose pointers end here or below
	members []member
	byName  map[string]int // of members, if there are many
	// elements are in the order of their indexes.
	elements []element
	shape    []habit
}

// habit is which member an object had the last time, and where. Most values of a topic are of
// one shape, and then names need not be read: they need only be the same.
type habit struct {
	text []byte // name and colon, as they were written
	at   *place // nil: no pointer leads there
}

// habitsMax bounds what a place remembers: this many members, with names of as many bytes.
const habitsMax = 64

type member struct {
	name string // with quotes, as the scanner gives it
	place
}

type element struct {
	index int
	place
}

// membersFew is up to how many members are looked through one by one.
const membersFew = 8

// add makes a column's place.
func (p *place) add(steps []string, column int) {
	p.within = append(p.within, column)
	if len(steps) == 0 {
		p.columns = append(p.columns, column)
		return
	}
	p.member(`"`+steps[0]+`"`).add(steps[1:], column)
	if i, ok := arrayIndex(steps[0]); ok {
		p.element(i).add(steps[1:], column)
	}
}

// member is the place of a name, made if need be.
func (p *place) member(name string) *place {
	i := slices.IndexFunc(p.members, func(m member) bool { return m.name == name })
	if i < 0 {
		i = len(p.members)
		p.members = append(p.members, member{name: name})
	}
	if p.byName == nil {
		p.byName = map[string]int{}
	}
	p.byName[name] = i
	return &p.members[i].place
}

// element is the place of an index, made if need be.
func (p *place) element(index int) *place {
	i, there := slices.BinarySearchFunc(p.elements, index, func(e element, index int) int {
		return e.index - index
	})
	if !there {
		p.elements = slices.Insert(p.elements, i, element{index: index})
	}
	return &p.elements[i].place
}

// named finds the place of a member; nil if no pointer leads there.
func (p *place) named(name []byte) *place {
	if len(p.members) > membersFew {
		if i, ok := p.byName[string(name)]; ok {
			return &p.members[i].place
		}
		return nil
	}
	for i := range p.members {
		if p.members[i].name == string(name) {
			return &p.members[i].place
		}
	}
	return nil
}

// arrayIndex reads a step as an index, which has no sign and no zeros in front.
func arrayIndex(step string) (int, bool) {
	i, err := strconv.Atoi(step)
	return i, err == nil && i >= 0 && strconv.Itoa(i) == step
}

// span is a part of a value; to is 0 if there is none.
type span struct{ from, to int }

// find notes what each column's pointer leads to in a value. The
// error says why the value is no JSON, and does not depend on the columns. Of two members of
// one name the last counts.
func (s *Shredder) find(value []byte) error {
	s.value = value
	err := s.scan.Begin(value)
	if err == nil {
		err = s.pass(&s.root, 0)
	}
	if err == nil {
		err = s.scan.End()
	}
	if err != nil {
		clear(s.found)
	}
	return err
}

// pass passes a value that is at a place. depth is how many brackets are open, which is less
// than the scanner allows: pointers are short.
func (s *Shredder) pass(p *place, depth int) (err error) {
	for _, column := range p.within {
		s.found[column] = span{}
	}
	bracket, from := s.scan.Peek(), s.scan.At()
	switch {
	case bracket == '{' && len(p.members) > 0:
		err = s.passObject(p, depth+1)
	case bracket == '[' && len(p.elements) > 0:
		err = s.passArray(p, depth+1)
	default:
		_, err = s.scan.Value(depth)
	}
	for _, column := range p.columns {
		s.found[column] = span{from, s.scan.At()}
	}
	return err
}

func (s *Shredder) passObject(p *place, depth int) error {
	more, err := s.scan.Enter('}')
	for nth := 0; more && err == nil; nth++ {
		var at *place
		if at, err = s.passName(p, nth); err != nil {
			return err
		}
		if at != nil {
			err = s.pass(at, depth)
		} else {
			_, err = s.scan.Value(depth)
		}
		if err == nil {
			more, err = s.scan.Next('}')
		}
	}
	return err
}

// passName passes the name of an object's nth member, and gives the member's place.
func (s *Shredder) passName(p *place, nth int) (*place, error) {
	if nth < len(p.shape) && s.scan.Pass(p.shape[nth].text) {
		return p.shape[nth].at, nil
	}
	from := s.scan.At()
	name, err := s.scan.Name()
	if err != nil {
		return nil, err
	}
	at, text := p.named(name), s.value[from:s.scan.At()]
	if nth <= len(p.shape) && nth < habitsMax && len(text) <= habitsMax {
		if nth == len(p.shape) {
			p.shape = append(p.shape, habit{})
		}
		p.shape[nth] = habit{append(p.shape[nth].text[:0], text...), at}
	}
	return at, nil
}

func (s *Shredder) passArray(p *place, depth int) error {
	left := p.elements
	more, err := s.scan.Enter(']')
	for i := 0; more && err == nil; i++ {
		if len(left) > 0 && left[0].index == i {
			err = s.pass(&left[0].place, depth)
			left = left[1:]
		} else {
			_, err = s.scan.Value(depth)
		}
		if err == nil {
			more, err = s.scan.Next(']')
		}
	}
	return err
}
