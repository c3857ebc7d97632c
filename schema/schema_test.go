package schema

// How: values of every kind against columns of every type; the wanted cells are spelled out.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

func col(name string, t foz.ColumnType, nullable bool) foz.SchemaColumn {
	return foz.SchemaColumn{Name: name, Type: t, Pointer: "/" + name, Nullable: nullable}
}

// show is cell i of a vector, "null", or its text.
func show(v *foz.Vector, i int) string {
	switch {
	case v.Null(i):
		return "null"
	case v.Type == foz.TypeFloat64:
		return fmt.Sprint(v.Float64s[i])
	case v.Type == foz.TypeUTF8 || v.Type == foz.TypeBinary:
		return fmt.Sprintf("%q", v.Cells.Cell(i))
	}
	return fmt.Sprint(v.Int64s[i])
}

func TestShred(t *testing.T) {
	const bad = "!" // a null that mismatches
	for _, c := range []struct {
		of    foz.ColumnType
		cells map[string]string // of {"x":...}
	}{
		{foz.TypeBool, map[string]string{"true": "1", "false": "0", "1": bad, `"true"`: bad}},
		{foz.TypeInt64, map[string]string{
			"7": "7", "-9223372036854775808": "-9223372036854775808", "3.0": "3", "1e3": "1000",
			"9223372036854775808": bad, "3.5": bad, "1e300": bad, `"7"`: bad, "true": bad, "nan": bad,
			"[7]": bad, "{}": bad, "01": bad, "-0": "0", "-0.0": "0", "0e99999999999999999999": "0",
			"0.3e1": "3", "10e-1": "1", "1e-1": bad, "1e19": bad, "1e99999999999999999999": bad,
			"9007199254740993.0": "9007199254740993", "3.0000000000000000001": bad,
			"-922337203685477580.8E+1": "-9223372036854775808", "922337203685477580.8e1": bad,
		}},
		{foz.TypeFloat64, map[string]string{
			"7": "7", "0.1": "0.1", "-1e-3": "-0.001", "1e999": bad, "inf": bad, `"1"`: bad,
		}},
		{foz.TypeUTF8, map[string]string{
			`"a"`: `"a"`, `""`: `""`, `"\u00e9\n"`: `"é\n"`, "7": bad, "\"\xff\"": bad, "[]": bad,
			`"\ud83d\ude00"`: `"😀"`, `"\ud83d"`: bad, "\"a\nb\"": bad,
		}},
		{foz.TypeBinary, map[string]string{
			`"AP8="`: `"\x00\xff"`, `"\u0041P8="`: `"\x00\xff"`, `""`: `""`, `"AP8"`: bad, "7": bad,
			`"AP9="`: bad, `"AP\n8="`: bad,
		}},
		{foz.TypeTimestamp, map[string]string{
			"1000": "1000", `"1970-01-01T00:00:01.5Z"`: "1500",
			`"1970-01-01T01:00:00+01:00"`: "0", `"soon"`: bad, "1.5": bad,
			`"1969-12-31T23:59:59.9999Z"`: "-1", `"1970-01-01"`: bad, `"1970-01-01T1:00:00Z"`: bad,
		}},
		{foz.TypeDate32, map[string]string{
			`"1970-01-02"`: "1", `"1969-12-31"`: "-1", "-1": "-1", "2147483648": bad, `"x"`: bad,
			`"2001-02-29"`: bad, `"2001-2-03"`: bad, `"2000-02-29"`: "11016", "1.0": "1",
		}},
	} {
		for text, want := range c.cells {
			for _, before := range []string{"", `{"x":null}`} {
				values := foz.Column{}
				values.Append([]byte("not read"))
				values.Append([]byte(before))
				values.Append([]byte(`{"w":[1,{"x":2}],"x":` + text + `}`))
				s := NewShredder([]foz.SchemaColumn{col("x", c.of, true)})
				got, mismatches := s.Shred(&values, 1, 3)
				cell, misses := want, 0
				if want == bad {
					cell, misses = "null", 1
				}
				if before == "" { // is no JSON
					misses++
				}
				if show(&got[0], 0) != "null" || show(&got[0], 1) != cell || mismatches[0] != misses ||
					got[0].Len() != 2 {
					t.Errorf("%s of %s: %s, %d mismatches; want %s, %d", c.of, text,
						show(&got[0], 1), mismatches[0], cell, misses)
				}
			}
		}
	}
}

func TestShredNothing(t *testing.T) {
	values := foz.Column{}
	for _, v := range []string{`{}`, `{"x":null}`, `7`, `nonsense`, ``, `{"x":1`} {
		values.Append([]byte(v))
	}
	values.Append(nil)
	s := NewShredder([]foz.SchemaColumn{col("x", foz.TypeInt64, true), col("x", foz.TypeInt64, false)})
	got, mismatches := s.Shred(&values, 0, values.Len())
	for i := range values.Len() {
		if !got[0].Null(i) || !got[1].Null(i) {
			t.Errorf("value %q has a cell", values.Cell(i))
		}
	}
	if want := []int{3, 6}; !reflect.DeepEqual(mismatches, want) {
		t.Errorf("mismatches %v, want %v", mismatches, want)
	}
}

// How: columns as a later version may have them.
func TestShredUnknown(t *testing.T) {
	values := foz.Column{}
	values.Append([]byte(`{"x":1}`))
	for _, c := range []foz.SchemaColumn{
		{Name: "x", Type: "decimal", Pointer: "/x"}, {Name: "x", Type: foz.TypeInt64, Pointer: "$.x"},
	} {
		got, mismatches := NewShredder([]foz.SchemaColumn{c}).Shred(&values, 0, 1)
		if !got[0].Null(0) || mismatches[0] != 1 {
			t.Errorf("%s: %s, %d mismatches", c, show(&got[0], 0), mismatches[0])
		}
	}
}

func TestShredPointers(t *testing.T) {
	values := foz.Column{}
	values.Append([]byte(`{"a":{"b":[5,6]},"c/d":7,"e~f":8,"":9,"\u0067":{"0":10},` +
		`"twice":11,"twice":12,"h":{"i":1},"h":{}}`))
	for pointer, want := range map[string]string{
		"/a/b/1": "6", "/a/b/2": "null", "/c~1d": "7", "/e~0f": "8", "/": "9", "/a": "null",
		"/a/b/01": "null", "/a/b/-": "null", "/g/0": "10", "/twice": "12", "/h/i": "null",
	} {
		c := foz.SchemaColumn{Name: "x", Type: foz.TypeInt64, Pointer: pointer, Nullable: true}
		got, _ := NewShredder([]foz.SchemaColumn{c}).Shred(&values, 0, 1)
		if show(&got[0], 0) != want {
			t.Errorf("%s: %s, want %s", pointer, show(&got[0], 0), want)
		}
	}
}

func TestShredLong(t *testing.T) {
	for n, null := range map[int]bool{CellBytesMax: false, CellBytesMax + 1: true} {
		values := foz.Column{}
		values.Append([]byte(`{"x":"` + strings.Repeat("a", n) + `"}`))
		s := NewShredder([]foz.SchemaColumn{col("x", foz.TypeUTF8, true)})
		got, mismatches := s.Shred(&values, 0, 1)
		if got[0].Null(0) != null || (mismatches[0] > 0) != null {
			t.Errorf("%d bytes: null %v, %d mismatches", n, got[0].Null(0), mismatches[0])
		}
	}
}

func TestReject(t *testing.T) {
	s := NewShredder([]foz.SchemaColumn{col("a", foz.TypeInt64, true), col("b", foz.TypeUTF8, false)})
	for value, want := range map[string]string{
		`{"b":""}`:          "",
		`{"a":1,"b":"x"}`:   "",
		`{"a":"1","b":"x"}`: "/a: column a: what is at \"/a\" is no int64",
		`{"a":1}`:           "/b: column b: nothing is at \"/b\", and it is not nullable",
		`{"b":null}`:        "/b: column b: null is at \"/b\", and it is not nullable",
		`no`:                ": the value is not JSON: no value at byte 0",
	} {
		pointer, detail := s.Reject([]byte(value))
		got := ""
		if detail != "" {
			got = pointer + ": " + detail
		}
		if got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
	if _, detail := s.Reject(nil); detail != "" {
		t.Errorf("a tombstone is refused: %s", detail)
	}
}

func TestCheck(t *testing.T) {
	at := func(pointer string) foz.Schema {
		c := foz.SchemaColumn{Name: "a", Type: foz.TypeInt64, Pointer: pointer}
		return foz.Schema{Columns: []foz.SchemaColumn{c}}
	}
	ok := foz.Schema{Columns: []foz.SchemaColumn{col("a", foz.TypeInt64, true)}}
	if wrong := Check(ok); wrong != nil {
		t.Errorf("refused: %v", wrong)
	}
	for want, s := range map[string]foz.Schema{
		"/columns":           {},
		"/on_mismatch":       {Columns: ok.Columns, OnMismatch: "drop"},
		"/columns/0/name":    {Columns: []foz.SchemaColumn{col("a b", foz.TypeInt64, true)}},
		"/columns/1/name":    {Columns: []foz.SchemaColumn{ok.Columns[0], ok.Columns[0]}},
		"/columns/0/type":    {Columns: []foz.SchemaColumn{col("a", "decimal", true)}},
		"/columns/0/pointer": at("a"),
	} {
		if wrong := Check(s); len(wrong) != 1 || wrong[0].Pointer != want {
			t.Errorf("%v, want one at %s", wrong, want)
		}
	}
	for _, pointer := range []string{
		"/~", "/~2", strings.Repeat("/a", 101), "/" + strings.Repeat("a", 1024),
	} {
		if Check(at(pointer)) == nil {
			t.Errorf("a pointer may be %s", pointer)
		}
	}
	for pointer, n := range map[string]int{"/a": ColumnsMax + 1, "/" + strings.Repeat("a", 1000): 66} {
		var many foz.Schema
		for i := range n {
			c := foz.SchemaColumn{Name: fmt.Sprint("c", i), Type: foz.TypeInt64, Pointer: pointer}
			many.Columns = append(many.Columns, c)
		}
		if wrong := Check(many); len(wrong) != 1 || wrong[0].Pointer != "/columns" {
			t.Errorf("%d columns: %v", n, wrong)
		}
		many.Columns = many.Columns[:n/2]
		if wrong := Check(many); wrong != nil {
			t.Errorf("%d columns: %v", n/2, wrong)
		}
	}
	for _, name := range []string{
		"partition", "offset", "timestamp", "key", "value", "headers", "encoding",
	} {
		if Check(foz.Schema{Columns: []foz.SchemaColumn{col(name, foz.TypeInt64, true)}}) == nil {
			t.Errorf("a column may be called %s", name)
		}
	}
}

func TestInfer(t *testing.T) {
	var n Inference
	for _, v := range []string{
		`{"id":1,"x":1,"s":"2001-02-03","at":"2001-02-03T04:05:06Z","m":1,"in":{"deep":true}}`,
		`{"id":2,"x":0.5,"s":"no date","at":"2001-02-03T04:05:07Z","m":"1","key":"k","l":[1]}`,
		`{"id":3,"x":2,"s":"","at":"2001-02-04T00:00:00Z","in":{"deep":null},"n":null}`,
	} {
		n.Add([]byte(v))
	}
	n.Add(nil)
	s, left := n.Schema(foz.Schema{})
	var got []string
	for _, c := range s.Columns {
		got = append(got, fmt.Sprintf("%s %s %s %v", c.Name, c.Type, c.Pointer, c.Nullable))
	}
	want := []string{
		"id int64 /id false", "x float64 /x false", "s utf8 /s false", "at timestamp_ms /at false",
		"in_deep bool /in/deep true", "value_key utf8 /key true",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !reflect.DeepEqual(left, []string{"/m", "/l", "/n"}) {
		t.Errorf("left out: %v", left)
	}
	old := foz.Schema{OnMismatch: foz.MismatchReject, Columns: []foz.SchemaColumn{
		col("x", foz.TypeInt64, true), col("s", foz.TypeUTF8, true)}}
	old.Columns[0].Pointer = "/id" // its name is that of another place
	grown, left := n.Schema(old)
	if err := old.Grow(grown); err != nil || len(grown.Columns) != len(s.Columns)-1 ||
		grown.OnMismatch != old.OnMismatch || !slices.Contains(left, "/x") {
		t.Errorf("grown to %v, %v left, %v", grown, left, err)
	}
	if wrong := Check(s); wrong != nil {
		t.Errorf("it suggests what is refused: %v", wrong)
	}
}

// How: values that would take memory or stack, were they believed; what is allocated for each is
// counted.
func TestShredHostile(t *testing.T) {
	const size = 1 << 20
	s := NewShredder([]foz.SchemaColumn{col("x", foz.TypeInt64, true)})
	for name, value := range map[string]string{
		"deep":   strings.Repeat("[", size),
		"deeper": strings.Repeat(`{"x":`, size/5),
		"wide":   `{"w":[` + strings.Repeat("0,", size/2) + `0]}`,
		"long":   `{"` + strings.Repeat("x", size) + `":1}`,
		"junk":   strings.Repeat("[", 200) + "t" + strings.Repeat("x", size),
		"digits": `{"x":1` + strings.Repeat("0", size) + `}`,
	} {
		var values foz.Column
		values.Append([]byte(value))
		_, _ = s.Shred(&values, 0, 1)
		if n := testing.AllocsPerRun(3, func() { s.Shred(&values, 0, 1) }); n > 12 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if _, detail := s.Reject([]byte(value)); len(detail) > 100 {
			t.Errorf("%s: a complaint of %d bytes", name, len(detail))
		}
	}
}

// How: whatever values are, there is one cell for each in each column, a value alone gives what it
// gives among others, the standard library agrees on what is JSON, and Reject on what mismatches.
func FuzzShred(f *testing.F) {
	for _, v := range []string{
		"{\"a\":1}\n{\"a\":{\"b\":2}}\n{ \"a\":{}}", `{"a":"x","b":[1,2]}`, `[[[[`, `{"a":1e999}`,
		`"\ud800"`, `[{"b":1},[5,{"b":"2001-02-03"}]]`, `{"a":1,"a":{"b":1},"a":2}`,
		"{\"b\":1,\"a\":2}\n{\"a\":2,\"b\":1}\n{\"b\" :1}\n{\"\\u0062\":1}\n{\"b\":1,\"a\":2}",
	} {
		f.Add([]byte(v))
	}
	var columns []foz.SchemaColumn
	for i, pointer := range []string{"/a", "/b", "/a/b", "", "/1/1/b"} {
		for j, t := range Types {
			columns = append(columns, foz.SchemaColumn{
				Name: fmt.Sprintf("c%d_%d", i, j), Type: t, Pointer: pointer, Nullable: j%2 == 0,
			})
		}
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		var values foz.Column
		for _, value := range bytes.Split(lines, []byte("\n")) {
			values.Append(value)
		}
		together := NewShredder(columns)
		vectors, mismatches := together.Shred(&values, 0, values.Len())
		alone := make([]int, len(columns))
		for row := range values.Len() {
			for i, n := range shredAlone(t, columns, &values, row, vectors) {
				alone[i] += n
			}
		}
		if !slices.Equal(alone, mismatches) {
			t.Fatalf("mismatches %v, of values alone %v", mismatches, alone)
		}
	})
}

// shredAlone shreds one value anew, compares, and gives its mismatches.
func shredAlone(t *testing.T, columns []foz.SchemaColumn, values *foz.Column, row int,
	together []foz.Vector,
) []int {
	value := values.Cell(row)
	s := NewShredder(columns)
	vectors, mismatches := s.Shred(values, row, row+1)
	total := 0
	for i := range vectors {
		if vectors[i].Len() != 1 || show(&vectors[i], 0) != show(&together[i], row) {
			t.Fatalf("%q, column %d: %s, among others %s", value, i,
				show(&vectors[i], 0), show(&together[i], row))
		}
		total += mismatches[i]
	}
	if _, detail := s.Reject(value); (detail != "") != (total > 0) {
		t.Fatalf("%q: %d mismatches, rejected: %q", value, total, detail)
	}
	shallow := bytes.Count(value, []byte("["))+bytes.Count(value, []byte("{")) < jsonscan.DepthMax
	if isJSON := s.find(value) == nil; shallow && isJSON != (json.Valid(value) && utf8.Valid(value)) {
		t.Fatalf("%q: JSON is %v", value, isJSON)
	}
	var n Inference
	n.Add(value)
	if s, _ := n.Schema(foz.Schema{}); len(s.Columns) > 0 && Check(s) != nil {
		t.Fatalf("it suggests what is refused: %v", Check(s))
	}
	return mismatches
}

// How: whatever schema some values suggest, they fit it.
func FuzzInfer(f *testing.F) {
	f.Add([]byte("{\"a\":1,\"b\":{\"c\":\"2001-02-03\"}}\n{\"a\":1.5}\n{\"b\":{}}"))
	f.Add([]byte("{\"a\":1}\n[]\n{\"a\":{\"b\":true}}\n{\"a\":null,\"a\":1}"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		var n Inference
		var values foz.Column
		for _, value := range bytes.Split(lines, []byte("\n")) {
			var s jsonscan.Scanner
			if s.Begin(value) == nil && jsonscan.Whole(value) {
				values.Append(value)
				n.Add(value)
			}
		}
		suggested, _ := n.Schema(foz.Schema{})
		_, mismatches := NewShredder(suggested.Columns).Shred(&values, 0, values.Len())
		for i, misses := range mismatches {
			if misses > 0 {
				t.Fatalf("%d values do not fit %s", misses, suggested.Columns[i])
			}
		}
	})
}
