package client

import "github.com/fozlog/foz"

// Schema is which columns a topic's JSON values have. It grows at its end, and else stays.
type Schema struct {
	Columns    []SchemaColumn `json:"columns,omitempty"`     // none: as they are
	OnMismatch string         `json:"on_mismatch,omitempty"` // null or reject; empty: as it is
}

// SchemaColumn is a typed column. A nil member gets its default.
type SchemaColumn struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`              // a foz.ColumnType
	Pointer  *string `json:"pointer,omitempty"` // RFC 6901; by default to the member of this name
	Nullable *bool   `json:"nullable,omitempty"`
}

// SchemaOf is how the contract spells a schema.
func SchemaOf(s foz.Schema) *Schema {
	spelled := &Schema{OnMismatch: s.OnMismatch}
	for _, c := range s.Columns {
		spelled.Columns = append(spelled.Columns, SchemaColumn{
			Name: c.Name, Type: string(c.Type), Pointer: &c.Pointer, Nullable: &c.Nullable,
		})
	}
	return spelled
}

// Foz is the schema with its defaults filled in; nil is that of a topic that is not typed.
func (s *Schema) Foz() foz.Schema {
	if s == nil {
		return foz.Schema{}
	}
	full := foz.Schema{OnMismatch: s.OnMismatch}
	for _, c := range s.Columns {
		column := foz.SchemaColumn{
			Name: c.Name, Type: foz.ColumnType(c.Type), Pointer: foz.PointerTo(c.Name),
			Nullable: c.Nullable == nil || *c.Nullable,
		}
		if c.Pointer != nil {
			column.Pointer = *c.Pointer
		}
		full.Columns = append(full.Columns, column)
	}
	return full
}
