package filter

// How: filters against rows that are spelled out; random filters against an evaluator that has
// nothing in common with this one; stats of the same rows must never rule a match out.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

var typed = []foz.SchemaColumn{
	{Name: "i", Type: foz.TypeInt64}, {Name: "f", Type: foz.TypeFloat64},
	{Name: "b", Type: foz.TypeBool}, {Name: "s", Type: foz.TypeUTF8},
	{Name: "at", Type: foz.TypeTimestamp}, {Name: "day", Type: foz.TypeDate32},
}

// sample is four rows; every typed cell of the last is null, and so are its key and value.
func sample() Batch {
	rows := &foz.Rows{}
	for i, key := range []string{"skipped", "a", "ab", ""} {
		rows.Append(int64(1000*i), []byte(key), []byte("v"), nil)
	}
	rows.Append(4000, nil, nil, nil)
	nulls := []bool{false, false, false, true}
	cells := foz.Column{}
	for _, s := range []string{"x", "xy", "z", ""} {
		cells.Append([]byte(s))
	}
	return Batch{
		Partition: 2, Run: foz.Run{Base: 10, Rows: rows, From: 1, To: 5},
		Typed: map[string]*foz.Vector{
			"i":   {Type: foz.TypeInt64, Int64s: []int64{-1, 0, 1 << 60, 0}, Nulls: nulls},
			"f":   {Type: foz.TypeFloat64, Float64s: []float64{-0.5, 0, 1e18, 0}, Nulls: nulls},
			"b":   {Type: foz.TypeBool, Int64s: []int64{0, 1, 1, 0}, Nulls: nulls},
			"s":   {Type: foz.TypeUTF8, Cells: cells, Nulls: nulls},
			"at":  {Type: foz.TypeTimestamp, Int64s: []int64{0, 1, 86_400_000, 0}, Nulls: nulls},
			"day": {Type: foz.TypeDate32, Int64s: []int64{-1, 0, 1, 0}, Nulls: nulls},
		},
	}
}

func TestSelect(t *testing.T) {
	for text, want := range map[string]string{
		"i = 0":                               "1",
		"i<>0":                                "0 2",
		"not i = 0":                           "0 2",
		"i is null":                           "3",
		"i IS NOT NULL":                       "0 1 2",
		"i > -1":                              "1 2",
		"i >= -1":                             "0 1 2",
		"i < 0.5":                             "0 1",
		"i <= -0.5":                           "0",
		"i = 0.5":                             "",
		"i = 1152921504606846977":             "",
		"i = 1152921504606846976":             "2",
		"i < 1e300":                           "0 1 2",
		"i in (1, 0, -1)":                     "0 1",
		"i not in (0)":                        "0 2",
		"f < 0":                               "0",
		"f = 1000000000000000000":             "2",
		"b = true":                            "1 2",
		"b != TRUE":                           "0",
		"s = 'x'":                             "0",
		"s >= 'xy'":                           "1 2",
		"s like 'x%'":                         "0 1",
		"s not like 'x%'":                     "2",
		"starts_with(s, '')":                  "0 1 2",
		"starts_with ( s , 'xy' )":            "1",
		"s in ('z', 'it''s')":                 "2",
		"at = '1970-01-02'":                   "2",
		"at < '1970-01-01T00:00:00.001Z'":     "0",
		"at >= 1":                             "1 2",
		"day = '1969-12-31'":                  "0",
		"day >= 0":                            "1 2",
		"offset >= 12":                        "2 3",
		"timestamp = 2000":                    "1",
		"timestamp > '1970-01-01T00:00:03Z'":  "3",
		"partition = 2":                       "0 1 2 3",
		"partition = 1":                       "",
		"key = ''":                            "2",
		"key is null":                         "3",
		"key like 'a%' and value is not null": "0 1",
		"i = 0 or i is null":                  "1 3",
		"i = 0 and f = 0 or b = false":        "0 1",
		"i = 0 and (f = 0 or b = false)":      "1",
		"not (i = 0 or f < 0)":                "2",
		"not (i = 0 and f < 0)":               "0 1 2",
		"i = 0 or not i = 0":                  "0 1 2",
		"i < 7 and not s = 'x' or s is null":  "1 3",
	} {
		f, err := Parse(text, typed)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := strings.Trim(fmt.Sprint(f.Select(sample())), "[]")
		if got != want {
			t.Errorf("%s: rows %s, want %s", text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "at byte 0: its end, where a column is wanted",
		"i":                                "where a comparison is wanted",
		"i = ":                             "its end is nothing to compare",
		"i = 'x'":                          "column i with, which is int64",
		"i = true":                         "nothing to compare",
		"i = 1.2.3":                        "nothing to compare",
		"i = 1e999":                        "nothing to compare",
		"b < true":                         "has no order",
		"s = 1":                            "which is utf8",
		"at = 'soon'":                      "nothing to compare",
		"day = '1970-01-01T00:00:00Z'":     "nothing to compare",
		"headers is null":                  "no column headers",
		"nothing = 1":                      "at byte 0: there is no column nothing",
		"i = 1 i = 2":                      "where the filter could end",
		"i = 1)":                           "where the filter could end",
		"(i = 1":                           "where ) is wanted",
		"i in ()":                          "nothing to compare",
		"i in (1":                          "where ) is wanted",
		"s like '%x'":                      "ends in %",
		"s like 'a_%'":                     "ends in %",
		"i like '1%'":                      "in a column of bytes",
		"starts_with(i, 'x')":              "begins with no text",
		"s = 'x":                           "a text that has no end",
		"s = \"x\"":                        "means nothing here",
		"i = 1; drop":                      "at byte 5",
		strings.Repeat("(", 40) + "i = 1":  "more than 32 deep",
		strings.Repeat("not ", 40) + "i=1": "more than 32 deep",
		strings.Repeat("i=1 or ", 1000):    "at most 4096",
		"i in (" + strings.Repeat("1,", 300) + "1)": "more than 256 values",
	} {
		f, err := Parse(text, typed)
		if !errors.Is(err, &foz.Error{Code: foz.CodeBadRequest}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, %v; want %q", text, f, err, want)
		}
	}
}

func TestColumns(t *testing.T) {
	f, err := Parse("s = 'x' or (i = 1 and s is null) or offset > 5", typed)
	if want := []string{"s", "i", "offset"}; err != nil || !reflect.DeepEqual(f.Columns(), want) {
		t.Errorf("%v, %v; want %v", f.Columns(), err, want)
	}
}

// guess makes a random filter and what it says of row i of values, where nil is null.
func guess(r *rand.Rand, depth int) (text string, eval func(v *int64) *bool) {
	yes, no := true, false
	known := func(b bool) *bool {
		if b {
			return &yes
		}
		return &no
	}
	if depth > 0 && r.IntN(3) > 0 {
		a, evalA := guess(r, depth-1)
		if r.IntN(3) == 0 {
			return "not (" + a + ")", func(v *int64) *bool {
				if x := evalA(v); x != nil {
					return known(!*x)
				}
				return nil
			}
		}
		b, evalB := guess(r, depth-1)
		word, decides := "and", false
		if r.IntN(2) == 0 {
			word, decides = "or", true
		}
		return "(" + a + ") " + word + " (" + b + ")", func(v *int64) *bool {
			x, y := evalA(v), evalB(v)
			switch {
			case x != nil && *x == decides, y != nil && *y == decides:
				return known(decides)
			case x == nil || y == nil:
				return nil
			}
			return known(!decides)
		}
	}
	n := r.Int64N(5)
	ops := map[string]func(v int64) bool{
		"=": func(v int64) bool { return v == n }, "!=": func(v int64) bool { return v != n },
		"<": func(v int64) bool { return v < n }, "<=": func(v int64) bool { return v <= n },
		">": func(v int64) bool { return v > n }, ">=": func(v int64) bool { return v >= n },
	}
	if r.IntN(5) == 0 {
		return "i is null", func(v *int64) *bool { return known(v == nil) }
	}
	if r.IntN(5) == 0 {
		return fmt.Sprintf("i in (%d, %d)", n, n+2), func(v *int64) *bool {
			if v == nil {
				return nil
			}
			return known(*v == n || *v == n+2)
		}
	}
	op := comparisons[r.IntN(len(comparisons))]
	if op == "<>" {
		op = "!="
	}
	return fmt.Sprintf("i %s %d", op, n), func(v *int64) *bool {
		if v == nil {
			return nil
		}
		return known(ops[op](*v))
	}
}

func TestRandomFilters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pruned := 0
	for range 20_000 {
		text, eval := guess(r, r.IntN(4))
		f, err := Parse(text, typed)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v := &foz.Vector{Type: foz.TypeInt64, Nulls: []bool{}}
		stats := foz.ColumnStats{}
		var want []int
		for i := range 1 + r.IntN(4) {
			cell, null := r.Int64N(6), r.IntN(4) == 0
			v.Int64s, v.Nulls = append(v.Int64s, cell), append(v.Nulls, null)
			at := &cell
			if null {
				at = nil
				stats.Nulls++
			} else {
				if stats.Min == nil || cell < stats.Min.Int64 {
					stats.Min = &foz.Scalar{Int64: cell}
				}
				if stats.Max == nil || cell > stats.Max.Int64 {
					stats.Max = &foz.Scalar{Int64: cell}
				}
			}
			if got := eval(at); got != nil && *got {
				want = append(want, i)
			}
		}
		b := Batch{Run: foz.Run{Rows: &foz.Rows{}, To: v.Len()}, Typed: map[string]*foz.Vector{"i": v}}
		if got := f.Select(b); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s of %v, nulls %v: %v, want %v", text, v.Int64s, v.Nulls, got, want)
		}
		may := f.MayMatch(func(string) (foz.ColumnStats, bool) { return stats, true })
		if !may {
			pruned++
		}
		if !may && len(want) > 0 || !f.MayMatch(func(string) (foz.ColumnStats, bool) {
			return foz.ColumnStats{}, false
		}) && len(want) > 0 {
			t.Fatalf("%s of %v, nulls %v: ruled out", text, v.Int64s, v.Nulls)
		}
	}
	if pruned < 1000 {
		t.Errorf("%d of 20,000 were ruled out: stats are of no use", pruned)
	}
}

func TestMayMatchBytes(t *testing.T) {
	stats := foz.ColumnStats{ // of cells between "dab" and "dzz...", the bounds cut
		Min: &foz.Scalar{Bytes: []byte("da")}, Max: &foz.Scalar{Bytes: []byte("e")},
	}
	for text, want := range map[string]bool{
		"s = 'd'": false, "s = 'dab'": true, "s = 'f'": false, "s < 'd'": false, "s < 'dab'": true,
		"s > 'e'": false, "s > 'dz'": true, "s like 'd%'": true, "s like 'c%'": false,
		"s like 'f%'": false, "s like 'dzz%'": true, "not s like 'd%'": true, "s != 'dab'": true,
		"s in ('a', 'b')": false, "s in ('a', 'dd')": true, "s is null": false,
	} {
		f, err := Parse(text, typed)
		if err != nil {
			t.Fatal(err)
		}
		got := f.MayMatch(func(string) (foz.ColumnStats, bool) { return stats, true })
		if got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// FuzzParse: whatever the text is, there is an error, or a filter that can be asked.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"i = 1", "not (s like 'a%') or at < '2001-02-03'", "i in (1,2.5)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		filter, err := Parse(s, typed)
		if err != nil {
			return
		}
		for _, i := range filter.Select(sample()) {
			if i < 0 || i > 3 {
				t.Fatalf("row %d", i)
			}
		}
	})
}
