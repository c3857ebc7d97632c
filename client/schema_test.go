package client

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/fozlog/foz"
)

// How: a schema as short as it may be written, and the same with all that the service says.
func TestSchema(t *testing.T) {
	want := foz.Schema{Columns: []foz.SchemaColumn{
		{Name: "a", Type: foz.TypeInt64, Pointer: "/a", Nullable: true},
		{Name: "b", Type: foz.TypeUTF8, Pointer: ""},
	}}
	const short = `{"columns":[{"name":"a","type":"int64"},` +
		`{"name":"b","type":"utf8","pointer":"","nullable":false}]}`
	var s Schema
	if err := json.Unmarshal([]byte(short), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.Foz(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	full, err := json.Marshal(SchemaOf(want))
	const spelled = `{"columns":[{"name":"a","type":"int64","pointer":"/a","nullable":true},` +
		`{"name":"b","type":"utf8","pointer":"","nullable":false}]}`
	if err != nil || string(full) != spelled {
		t.Errorf("%s, %v; want %s", full, err, spelled)
	}
	if got := (*Schema)(nil).Foz(); len(got.Columns) != 0 {
		t.Errorf("a topic that is not typed has %+v", got)
	}
}
