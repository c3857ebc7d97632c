package metadata

import (
	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// validSchema holds what is kept to a size: a schema is in every answer about its topic, and
// answers are kept until the floor passes them. What a schema means is checked by who takes it in:
// Apply must decide the same for ever.
func validSchema(s *logpb.Schema) bool {
	for _, c := range s.GetColumns() {
		if c.Name == "" || c.Type == "" {
			return false
		}
	}
	return schemaFromWire(s).Bytes() <= foz.SchemaBytesMax
}

func badSchema(topic string) *foz.Error {
	return foz.Errorf(foz.CodeBadRequest,
		"topic %q: the schema has over %d bytes, or a column without name or type",
		topic, foz.SchemaBytesMax)
}

// schemaToWire gives nil for a topic that is not typed.
func schemaToWire(s foz.Schema) *logpb.Schema {
	if len(s.Columns) == 0 {
		return nil
	}
	w := &logpb.Schema{OnMismatch: s.OnMismatch}
	for _, c := range s.Columns {
		w.Columns = append(w.Columns, &logpb.SchemaColumn{
			Name: c.Name, Type: string(c.Type), Pointer: c.Pointer, Nullable: c.Nullable,
		})
	}
	return w
}

// schemaFromWire gives the zero schema for one without columns, as a snapshot would.
func schemaFromWire(w *logpb.Schema) foz.Schema {
	if len(w.GetColumns()) == 0 {
		return foz.Schema{}
	}
	s := foz.Schema{OnMismatch: w.GetOnMismatch()}
	for _, c := range w.GetColumns() {
		s.Columns = append(s.Columns, foz.SchemaColumn{
			Name: c.Name, Type: foz.ColumnType(c.Type), Pointer: c.Pointer, Nullable: c.Nullable,
		})
	}
	return s
}
