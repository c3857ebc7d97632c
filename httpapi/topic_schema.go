package httpapi

import (
	"slices"
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
	"github.com/fozlog/foz/schema"
)

// schemaSettings are what a body says of a topic's schema.
type schemaSettings struct {
	given      bool
	reset      bool               // "schema":null
	columns    []foz.SchemaColumn // nil: not said
	onMismatch *string            // nil: not said
}

// apply changes a schema as the body says.
func (s *schemaSettings) apply(old foz.Schema) foz.Schema {
	if s.reset {
		return foz.Schema{}
	}
	if s.columns != nil {
		old.Columns = s.columns
	}
	if s.onMismatch != nil {
		old.OnMismatch = *s.onMismatch
	}
	return old
}

// grown is what the body makes of a schema; an error if that cannot be.
func (s *schemaSettings) grown(old foz.Schema) (foz.Schema, error) {
	if !s.given {
		return old, nil
	}
	next := s.apply(old)
	if len(next.Columns) == 0 && len(old.Columns) == 0 && s.reset {
		return next, nil
	}
	if err := old.Grow(next); err != nil {
		return old, err
	}
	if wrong := schema.Check(next); len(wrong) > 0 {
		d := document{}
		for _, w := range wrong {
			d.note("/schema"+w.Pointer, w.Detail)
		}
		return old, d.verdict()
	}
	return next, nil
}

// agree says whether a schema has all that the body says.
func (s *schemaSettings) agree(have foz.Schema) bool {
	want := s.apply(have)
	return slices.Equal(want.Columns, have.Columns) && want.OnMismatch == have.OnMismatch
}

func (s *schemaSettings) read(d *document, raw []byte) {
	s.given = true
	if jsonscan.IsNull(raw) {
		s.reset = true
		return
	}
	d.members(raw, "/schema", func(name string, value []byte) bool {
		switch name {
		case "columns":
			s.columns = []foz.SchemaColumn{}
			d.elements(value, "/schema/columns", func(i int, value []byte) {
				if i < schema.ColumnsMax+1 { // Check says that there are too many
					s.columns = append(s.columns, readColumn(d, value, "/schema/columns/"+strconv.Itoa(i)))
				}
			})
		case "on_mismatch":
			rule := ""
			if !jsonscan.IsNull(value) {
				rule = d.text(value, "/schema/on_mismatch")
			}
			if rule == foz.MismatchNull {
				rule = "" // the default
			}
			s.onMismatch = &rule
		default:
			return false
		}
		return true
	})
}

// readColumn reads a column; its pointer defaults to the member of its name.
func readColumn(d *document, raw []byte, at string) foz.SchemaColumn {
	c := foz.SchemaColumn{Nullable: true}
	pointed := false
	d.members(raw, at, func(name string, value []byte) bool {
		switch name {
		case "name":
			c.Name = d.text(value, at+"/name")
		case "type":
			c.Type = foz.ColumnType(d.text(value, at+"/type"))
		case "pointer":
			c.Pointer, pointed = d.text(value, at+"/pointer"), true
		case "nullable":
			switch string(value) {
			case "true":
			case "false":
				c.Nullable = false
			default:
				d.note(at+"/nullable", "neither true nor false")
			}
		default:
			return false
		}
		return true
	})
	if !pointed {
		c.Pointer = foz.PointerTo(c.Name)
	}
	return c
}

// appendSchema writes a schema as a body may have it.
func appendSchema(b []byte, s foz.Schema) []byte {
	b = append(b, `{"columns":[`...)
	for i, c := range s.Columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), c.Name)
		b = appendString(append(b, `,"type":`...), string(c.Type))
		b = appendString(append(b, `,"pointer":`...), c.Pointer)
		b = append(strconv.AppendBool(append(b, `,"nullable":`...), c.Nullable), '}')
	}
	rule := s.OnMismatch
	if rule == "" {
		rule = foz.MismatchNull
	}
	return append(appendString(append(b, `],"on_mismatch":`...), rule), '}')
}

// mismatch refuses a value that a topic's schema does not fit, if it is to be refused.
func (b *batches) mismatch(value []byte) error {
	if b.shredder == nil {
		return nil
	}
	if _, detail := b.shredder.Reject(value); detail != "" {
		return foz.Errorf(foz.CodeInvalidRecord, "the value does not fit the topic's schema: %s", detail)
	}
	return nil
}

// shredderOf is nil for a topic that takes any value.
func shredderOf(t foz.Topic) *schema.Shredder {
	if t.Schema.OnMismatch != foz.MismatchReject {
		return nil
	}
	return schema.NewShredder(t.Schema.Columns)
}

// atRecord adds which record of the body an error is about.
func atRecord(err error, i int) error {
	if e, ok := err.(*foz.Error); ok && len(e.Invalid) == 0 { //nolint:errorlint // ours, not wrapped
		e.Invalid = []foz.InvalidRecord{{Pointer: "/" + strconv.Itoa(i), Detail: e.Detail}}
	}
	return err
}
