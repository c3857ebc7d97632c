package foz

// How: vectors of each type are made of others piece by piece; nulls appear half-way.

import (
	"errors"
	"reflect"
	"testing"
)

func TestVectorAppendCells(t *testing.T) {
	cells := Column{}
	for _, cell := range []string{"a", "", "ccc"} {
		cells.Append([]byte(cell))
	}
	for _, v := range []Vector{
		{Type: TypeBool, Int64s: []int64{1, 0, 1}},
		{Type: TypeInt64, Int64s: []int64{-1, 0, 1}},
		{Type: TypeTimestamp, Int64s: []int64{1, 2, 3}},
		{Type: TypeDate32, Int64s: []int64{1, 2, 3}},
		{Type: TypeFloat64, Float64s: []float64{1, 0.5, 2}},
		{Type: TypeUTF8, Cells: cells},
		{Type: TypeBinary, Cells: cells},
	} {
		null := v
		null.Nulls = []bool{false, true, false}
		got := Vector{Type: v.Type}
		got.AppendCells(&v, 0, 3)
		got.AppendCells(&v, 1, 1)
		got.AppendCells(&null, 1, 3)
		got.AppendCells(&v, 2, 3)
		want := []bool{false, false, false, true, false, false}
		if got.Len() != 6 || !reflect.DeepEqual(got.Nulls, want) {
			t.Errorf("%s: %d cells, nulls %v, want 6, %v", v.Type, got.Len(), got.Nulls, want)
		}
		for i, from := range []int{0, 1, 2, 1, 2, 2} {
			if g, w := cell(&got, i), cell(&v, from); g != w || got.Null(i) != want[i] {
				t.Errorf("%s: cell %d is %v, want %v", v.Type, i, g, w)
			}
		}
		if got.Reset(); got.Len() != 0 || got.Nulls != nil {
			t.Errorf("%s: %d cells after a reset", v.Type, got.Len())
		}
	}
}

func TestSchemaGrow(t *testing.T) {
	a := SchemaColumn{Name: "a", Type: TypeInt64, Pointer: "/a"}
	b := SchemaColumn{Name: "b", Type: TypeUTF8, Pointer: "/b", Nullable: true}
	schema := func(columns ...SchemaColumn) Schema { return Schema{Columns: columns} }
	strict := b
	strict.Nullable = false
	other := func(change func(*SchemaColumn)) Schema {
		c := a
		change(&c)
		return schema(c, b)
	}
	for name, c := range map[string]struct {
		from, to Schema
		ok       bool
	}{
		"typed for the first time": {Schema{}, schema(a, b), true},
		"the same":                 {schema(a, b), schema(a, b), true},
		"another mismatch rule":    {schema(a), Schema{[]SchemaColumn{a}, MismatchReject}, true},
		"one more":                 {schema(a), schema(a, b), true},
		"one less":                 {schema(a, b), schema(a), false},
		"untyped again":            {schema(a), Schema{}, false},
		"another order":            {schema(a, b), schema(b, a), false},
		"renamed":                  {schema(a), other(func(c *SchemaColumn) { c.Name = "x" }), false},
		"retyped":                  {schema(a), other(func(c *SchemaColumn) { c.Type = "" }), false},
		"moved":                    {schema(a), other(func(c *SchemaColumn) { c.Pointer = "" }), false},
		"nullable":                 {schema(b), schema(strict), false},
	} {
		err := c.from.Grow(c.to)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, &Error{Code: CodeTopicExists}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func cell(v *Vector, i int) any {
	switch v.Type {
	case TypeFloat64:
		return v.Float64s[i]
	case TypeUTF8, TypeBinary:
		return string(v.Cells.Cell(i))
	}
	return v.Int64s[i]
}
