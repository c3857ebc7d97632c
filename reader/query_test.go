package reader

// How: a typed topic, some of it merged with columns, some without, some fresh with rows that no
// placement names. Every query is compared with the same question asked of the values one by one;
// GETs and bytes are compared with the arithmetic beside the number.

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/schema"
	"github.com/fozlog/foz/segment"
)

var typedSchema = []foz.SchemaColumn{
	{Name: "n", Type: foz.TypeInt64, Pointer: "/n", Nullable: true},
	{Name: "s", Type: foz.TypeUTF8, Pointer: "/s", Nullable: true},
	{Name: "f", Type: foz.TypeFloat64, Pointer: "/f", Nullable: true},
	{Name: "day", Type: foz.TypeDate32, Pointer: "/day", Nullable: true},
}

// events makes an object of n records of partition 0, whose times follow those before.
func (w *world) events(n int) *object {
	w.made++
	rng := rand.New(rand.NewPCG(uint64(w.made), 1))
	rows := &foz.Rows{}
	for range n {
		w.at++
		value := fmt.Sprintf(`{"n":%d,"s":"s%d","f":%d.5,"day":"2001-02-%02d","text":"%x"}`,
			w.at, w.at%7, rng.IntN(100), 1+w.at%28, rng.Uint64())
		if w.at%11 == 0 {
			value = "no JSON"
		}
		rows.Append(int64(1000+w.at), fmt.Appendf(nil, "k%d", w.at%5), []byte(value), nil)
	}
	return w.encode([]segment.Part{{Partition: part(0), Rows: rows}})
}

// mergeTyped is merge of what partition 0 holds, with columns.
func (w *world) mergeTyped(columns []foz.SchemaColumn, keep func(int64) bool) *object {
	w.t.Helper()
	w.made++
	o := &object{key: fmt.Sprintf("data/%020d/m%d.arrow", w.made, w.made), appendedMS: int64(w.made)}
	m := segment.NewMerged(segment.MergedOptions{BatchBytes: cmp.Or(w.batchBytes, 16<<10)})
	if err := m.Type(columns); err != nil {
		w.t.Fatal(err)
	}
	run := foz.Run{Rows: &foz.Rows{}, Offsets: []int64{}}
	w.want[part(0)] = slices.DeleteFunc(w.want[part(0)], func(r foz.Record) bool {
		return !keep(r.Offset)
	})
	for _, r := range w.want[part(0)] {
		run.Rows.Append(r.Timestamp, r.Key, r.Value, nil)
		run.Offsets = append(run.Offsets, r.Offset)
	}
	run.To = run.Rows.Len()
	run.Columns, _ = schema.NewShredder(columns).Shred(&run.Rows.Values, 0, run.To)
	err := m.Append(part(0), run)
	if err == nil {
		o.data, o.segments, err = m.Finish(nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.create(o)
	w.index.apply(func() { w.index.log(part(0)).replace(o, o.segments[0]) })
	return o
}

// typedWorld has 2,000 records merged with two columns stored, and 300 that are not merged, of
// which every other hundred is named by no placement.
func typedWorld(t *testing.T, c Config, keep func(int64) bool) (*world, *object) {
	w := newWorld(t, c)
	w.placeAll(w.events(2000))
	o := w.mergeTyped(typedSchema[:2], keep)
	fresh := w.events(300)
	w.place(fresh, 0, 0, 100)
	w.place(fresh, 0, 200, 300)
	return w, o
}

// ask makes a query and gives its records as text.
func (w *world) ask(q filter.Query, rg foz.Range) (lines []string, err error) {
	position := rg.Base
	parts := []foz.PartitionRange{{Partition: 0, Range: rg}}
	err = w.reader.Query(w.t.Context(), topic, parts, q, func(_ int32, run foz.Run) error {
		if run.Base != position {
			return fmt.Errorf("a run begins at %d, after %d", run.Base, position)
		}
		position = run.Next()
		if run.Stored != nil {
			return fmt.Errorf("a run of %d is stored", run.Base)
		}
		for i := range run.Len() {
			lines = append(lines, describe(q, &run, i))
		}
		return nil
	})
	return lines, err
}

// describe is a record as a query gives it.
func describe(q filter.Query, run *foz.Run, i int) string {
	var cells []string
	typed := 0
	for _, name := range q.Wanted() {
		switch name {
		case foz.ColumnOffset:
			cells = append(cells, fmt.Sprint(run.Offset(i)))
		case foz.ColumnTimestamp:
			cells = append(cells, fmt.Sprint(run.Rows.Timestamps[run.From+i]))
		case foz.ColumnKey:
			cells = append(cells, string(run.Rows.Keys.Cell(run.From+i)))
		case foz.ColumnValue:
			cells = append(cells, string(run.Rows.Values.Cell(run.From+i)))
		case foz.ColumnHeaders:
		default:
			cells = append(cells, cellText(&run.Columns[typed], i))
			typed++
		}
	}
	return strings.Join(cells, " ")
}

func cellText(v *foz.Vector, i int) string {
	switch {
	case v.Null(i):
		return "null"
	case v.Type == foz.TypeUTF8:
		return string(v.Cells.Cell(i))
	case v.Type == foz.TypeFloat64:
		return fmt.Sprint(v.Float64s[i])
	}
	return fmt.Sprint(v.Int64s[i])
}

// answer is what ask should give.
func (w *world) answer(q filter.Query, rg foz.Range) (lines []string) {
	picker := filter.NewPicker(q)
	for _, r := range w.want[part(0)] {
		if r.Offset < rg.Base || r.Offset >= rg.Next {
			continue
		}
		rows := &foz.Rows{}
		rows.Append(r.Timestamp, r.Key, r.Value, nil)
		run := picker.Pick(0, foz.Run{Rows: rows, To: 1, Offsets: []int64{r.Offset}})
		if run.Len() > 0 {
			lines = append(lines, describe(q, &run, 0))
		}
	}
	return lines
}

func TestQuery(t *testing.T) {
	for name, keep := range map[string]func(int64) bool{
		"dense": all, "compacted": func(offset int64) bool { return offset%13 != 5 },
	} {
		w, _ := typedWorld(t, Config{}, keep)
		for _, columns := range []string{"n", "s,offset", "f", "key,n", "timestamp", "value,day", ""} {
			for _, where := range []string{
				"", "n > 1990", "n in (3, 500, 2250)", "s = 's3' and n < 100", "f > 98", "n is null",
				"timestamp < 1050", "offset >= 1995 and offset < 2010", "key = 'k1' and f < 10",
				"not (n > 5)", "s like 's1%' or day = '2001-02-03'", "n > 100000", "partition = 1",
				"timestamp >= 2000 and timestamp < 2003",
			} {
				for _, rg := range []foz.Range{{Next: end}, {Base: 700, Next: 1100}, {Base: 1999, Next: 2001}} {
					var wanted []string
					if columns != "" {
						wanted = strings.Split(columns, ",")
					}
					q, err := filter.NewQuery(typedSchema, wanted, where)
					if err != nil {
						t.Fatal(err)
					}
					got, err := w.ask(q, rg)
					if err != nil {
						t.Fatalf("%s: %s where %s of %v: %v", name, columns, where, rg, err)
					}
					if want := w.answer(q, rg); !slices.Equal(got, want) {
						t.Fatalf("%s: %s where %s of %v: %d lines, want %d", name, columns, where, rg,
							len(got), len(want))
					}
				}
			}
		}
	}
}

// bytesOf are those of an object's columns, as they are stored.
func bytesOf(t *testing.T, w *world, o *object, names ...string) (bytes int64) {
	for _, b := range w.batchesOf(o) {
		p, ok := segment.NewProjection(&b, names, typedSchema)
		if !ok {
			t.Fatal("not stored")
		}
		for _, r := range p.Ranges(&b) {
			bytes += r.End - r.Start
		}
	}
	return bytes
}

// One column of the merged part: a GET of the footer, and one of the column for each batch, which
// is fetched to the byte, but for the padding and small gaps between buffers. A filter on a time in
// one batch asks for that one only; one that no batch can match asks for none.
func TestQueryFetches(t *testing.T) {
	for _, c := range []struct {
		columns, where string
		batches        int // -1: all
	}{
		{"s", "", -1}, {"n", "", -1}, {"s", "timestamp >= 1500 and timestamp < 1502", 1},
		{"n", "n = 1234", 1}, {"n", "n > 1000000", 0}, {"n", "timestamp < 5", 0},
	} {
		w, o := typedWorld(t, Config{}, all)
		q, err := filter.NewQuery(typedSchema, []string{c.columns}, c.where)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.ask(q, foz.Range{Next: 2000})
		if err != nil {
			t.Fatal(err)
		}
		if want := w.answer(q, foz.Range{Next: 2000}); !slices.Equal(got, want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		batches := len(w.batchesOf(o))
		if c.batches >= 0 {
			batches = c.batches
		}
		gets, fetched := w.bucket.counts()
		footer := int64(len(o.data)) - o.segments[0].ByteEnd
		if c.where == "timestamp < 5" {
			footer = 0 // the index knows
		}
		most := footer
		if c.batches < 0 {
			most += bytesOf(t, w, o, c.columns) * 105 / 100
		} else {
			most += int64(batches) * int64(len(o.data)) / int64(len(w.batchesOf(o)))
		}
		if fetched > most || gets > 1+2*batches {
			t.Errorf("%s where %s: %d GETs of %d bytes; most %d GETs of %d bytes", c.columns, c.where,
				gets, fetched, 1+2*batches, most)
		}
	}
}

// A damaged column is fetched again; damaged twice, it is an error that names the object, and
// nothing of the batch is told.
func TestQueryDamage(t *testing.T) {
	w, o := typedWorld(t, Config{}, all)
	b := w.batchesOf(o)[1]
	p, _ := segment.NewProjection(&b, []string{"s"}, typedSchema)
	at := p.Ranges(&b)[0].Start + 4
	q, err := filter.NewQuery(typedSchema, []string{"s"}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.bucket.spoil = func(
		_ context.Context, _ int, key string, data []byte, err error,
	) ([]byte, error) {
		start := int64(bytes.Index(o.data, data))
		if key == o.key && start <= at && at < start+int64(len(data)) {
			data = bytes.Clone(data)
			data[at-start] ^= 1
		}
		return data, err
	}
	lines, err := w.ask(q, foz.Range{Next: end})
	before := int(w.batchesOf(o)[0].Rows)
	if err == nil || !strings.Contains(err.Error(), o.key) || len(lines) != before {
		t.Errorf("%d lines, error %v", len(lines), err)
	}
	other, err := filter.NewQuery(typedSchema, []string{"n"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.ask(other, foz.Range{Next: end}); err != nil ||
		!slices.Equal(got, w.answer(other, foz.Range{Next: end})) {
		t.Errorf("a column beside it: %d lines, %v", len(got), err)
	}
}

// What is stored with all the columns asked for is relayed, and only that.
func TestQueryRelays(t *testing.T) {
	w, o := typedWorld(t, Config{}, all)
	for _, c := range []struct {
		columns string
		relayed bool
	}{{"s,n", true}, {"offset,n", true}, {"partition,s", true}, {"f", false}} {
		q, err := filter.NewQuery(typedSchema, strings.Split(c.columns, ","), "")
		if err != nil {
			t.Fatal(err)
		}
		q.Stored = true
		stored, rows := 0, 0
		parts := []foz.PartitionRange{{Partition: 0, Range: foz.Range{Next: end}}}
		err = w.reader.Query(t.Context(), topic, parts, q, func(_ int32, run foz.Run) error {
			rows += run.Len()
			if run.Stored != nil {
				stored += run.Len()
			}
			return nil
		})
		if err != nil || rows != 2200 || (stored == int(o.segments[0].Rows)) != c.relayed {
			t.Errorf("%s: %d rows, %d stored, %v", c.columns, rows, stored, err)
		}
	}
}

// Whoever wants just the columns that batches have gets them as their object has them: one GET for
// all, after the footer's.
func TestQueryRelaysWholeBatches(t *testing.T) {
	columns := typedSchema[:2]
	for _, c := range []struct {
		wanted []string
		whole  bool
	}{
		{nil, true},
		{[]string{"offset", "timestamp", "key", "value", "headers", "n", "s"}, true},
		{[]string{"offset", "timestamp", "key", "value", "headers", "s", "n"}, false},
		{[]string{"offset", "timestamp", "key", "value", "headers", "n"}, false},
	} {
		w := newWorld(t, Config{})
		w.batchBytes = 512 << 10
		w.placeAll(w.events(12_000))
		o := w.mergeTyped(columns, all)
		q, err := filter.NewQuery(columns, c.wanted, "")
		if err != nil {
			t.Fatal(err)
		}
		q.Stored = true
		var stored [][]byte
		parts := []foz.PartitionRange{{Partition: 0, Range: foz.Range{Next: end}}}
		err = w.reader.Query(t.Context(), topic, parts, q, func(_ int32, run foz.Run) error {
			stored = append(stored, run.Stored)
			return nil
		})
		batches := w.batchesOf(o)
		if err != nil || len(batches) < 2 || len(stored) != len(batches) {
			t.Fatalf("%v: %d stored runs of %d, %v", c.wanted, len(stored), len(batches), err)
		}
		for i, b := range batches {
			if bytes.Equal(stored[i], o.data[b.ByteStart:b.ByteEnd]) != c.whole {
				t.Errorf("%v: batch %d is as it is stored: %v", c.wanted, i, !c.whole)
			}
		}
		if gets, _ := w.bucket.counts(); c.whole && gets != 2 {
			t.Errorf("%v: %d GETs", c.wanted, gets)
		}
	}
}
