package compactor

import (
	"fmt"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/schema"
	"github.com/fozlog/foz/segment"
)

// How: the mill of mill_test.go, with a typed topic. What is stored in columns is compared with
// what the values say, in every batch.

var typedColumns = []foz.SchemaColumn{
	{Name: "n", Type: foz.TypeInt64, Pointer: "/n", Nullable: true},
	{Name: "s", Type: foz.TypeUTF8, Pointer: "/s", Nullable: true},
}

func (m *mill) typed(columns ...foz.SchemaColumn) foz.Topic {
	topic := m.ledger.topic("t", 2, foz.TopicConfig{})
	c := m.ledger.next()
	for i := range c.topics {
		if c.topics[i].ID == topic.ID {
			c.topics[i].Schema.Columns = columns
		}
	}
	return topic
}

// settle steps until what there is has been merged.
func (m *mill) settle() {
	m.step()
	time.Sleep(time.Minute)
	m.step()
}

// columns reads an own object and says how many rows have typed columns, and how many values
// mismatched.
func (m *mill) columns(pl foz.Placement, want []foz.SchemaColumn) (rows, mismatches int) {
	m.t.Helper()
	object, err := m.store.Get(m.t.Context(), pl.Object, 0, 1<<30)
	if err != nil {
		m.t.Fatal(err)
	}
	f, err := segment.Verify(object)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, b := range f.Batches {
		_, decoded, typed, err := segment.DecodeTypedBatch(object[b.ByteStart:b.ByteEnd], b)
		if err != nil || fmt.Sprint(b.Typed()) != fmt.Sprint(want) {
			m.t.Fatalf("columns %v, %v", b.Typed(), err)
		}
		expected, _ := schema.NewShredder(want).Shred(&decoded.Values, 0, decoded.Len())
		for i := range typed {
			for row := range decoded.Len() {
				if cell(&typed[i], row) != cell(&expected[i], row) {
					m.t.Fatalf("column %s, row %d: %s, want %s", want[i].Name, row,
						cell(&typed[i], row), cell(&expected[i], row))
				}
			}
			mismatches += b.Mismatches[i]
		}
		rows += decoded.Len()
	}
	return rows, mismatches
}

func cell(v *foz.Vector, i int) string {
	switch {
	case v.Null(i):
		return "null"
	case v.Type == foz.TypeUTF8:
		return fmt.Sprintf("%q", v.Cells.Cell(i))
	}
	return fmt.Sprint(v.Int64s[i])
}

func TestMergeTyped(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.typed(typedColumns...)
		n := 0
		for range 10 {
			var big []string
			for range 100 {
				big = append(big, fmt.Sprintf(`{"n":%d,"s":"%x"}`, n, m.noise(20)))
				n++
			}
			big = append(big, "no JSON", `{"n":"x"}`)
			m.flush(rows{part0(topic, 0): big, part0(topic, 1): {`{"n":1}`}})
		}
		m.settle()
		own, shared := m.all(part0(topic, 0)), m.all(part0(topic, 1))
		if len(own) != 1 || own[0].Segment.Batches < 2 || len(shared) != 1 {
			t.Fatalf("placements %+v, %+v", own, shared)
		}
		rows, mismatches := m.columns(own[0], typedColumns)
		if rows != 1020 || mismatches != 10*3 { // no JSON is none in either column
			t.Errorf("%d rows, %d mismatches", rows, mismatches)
		}
		if got := m.metrics.mismatches.n.Load(); got != 30 {
			t.Errorf("%d mismatches counted", got)
		}
		object, err := m.store.Get(t.Context(), shared[0].Object, 0, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := segment.Verify(object); err != nil || len(f.Batches[0].Typed()) > 0 {
			t.Errorf("the shared object has columns %v, %v", f.Batches[0].Typed(), err)
		}
		m.same()
	})
}

// A record that is longer than a batch, alone in its stretch: a batch by itself, without columns.
func TestMergeTypedLong(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.typed(typedColumns...)
		m.flush(rows{part0(topic, 0): {fmt.Sprintf(`{"n":1,"s":"%x"}`, m.noise(30<<10))}})
		m.settle()
		if pl := m.all(part0(topic, 0)); len(pl) != 1 || pl[0].Segment.Level != 1 ||
			pl[0].Segment.Batches != 1 {
			t.Errorf("placements %+v", pl)
		}
		m.same()
	})
}

// A column is added: what is merged from then on has it, what was merged is left as it is.
func TestMergeTypedGrows(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.typed(typedColumns[:1]...)
		flush := func() {
			var values []string
			for i := range 400 {
				values = append(values, fmt.Sprintf(`{"n":%d,"s":"%x"}`, i, m.noise(100)))
			}
			m.flush(rows{part0(topic, 0): values})
			m.settle()
		}
		flush()
		c := m.ledger.next()
		for i := range c.topics {
			c.topics[i].Schema.Columns = typedColumns
		}
		flush()
		all := m.all(part0(topic, 0))
		if len(all) < 1 {
			t.Fatal("nothing is merged")
		}
		m.columns(all[len(all)-1], typedColumns)
		m.same()
	})
}

// TestMergeTypedUnknown: a later version's log may have types that this one does not know. Such a
// column is not stored, nor are those after it: what is stored is a version of the schema.
func TestMergeTypedUnknown(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		later := foz.SchemaColumn{Name: "d", Type: "decimal", Pointer: "/n", Nullable: true}
		topic := m.typed(typedColumns[0], later, typedColumns[1])
		var values []string
		for i := range 1000 {
			values = append(values, fmt.Sprintf(`{"n":%d,"s":"%x"}`, i, m.noise(20)))
		}
		m.flush(rows{part0(topic, 0): values})
		m.settle()
		own := m.all(part0(topic, 0))
		if len(own) != 1 || own[0].Segment.Batches < 2 {
			t.Fatalf("placements %+v", own)
		}
		if rows, mismatches := m.columns(own[0], typedColumns[:1]); rows != 1000 || mismatches > 0 {
			t.Errorf("%d rows, %d mismatches", rows, mismatches)
		}
		m.same()
	})
}
