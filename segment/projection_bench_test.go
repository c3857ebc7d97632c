package segment

// How: a topic of twenty columns of all kinds, merged in batches of several sizes, is read whole
// and by two of its columns; throughput is in rows. Beside it is how many ranges must be fetched
// for each GB of the object.

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/fozlog/foz"
)

// wideTopic are rows with twenty members, and their columns.
func wideTopic(n int) (columns []foz.SchemaColumn, rows *foz.Rows, typed []foz.Vector) {
	rng := rand.New(rand.NewPCG(1, 2))
	types := []foz.ColumnType{foz.TypeInt64, foz.TypeFloat64, foz.TypeUTF8, foz.TypeTimestamp}
	for i := range 20 {
		c := foz.SchemaColumn{Name: fmt.Sprintf("c%d", i), Type: types[i%4], Nullable: true}
		c.Pointer = foz.PointerTo(c.Name)
		columns = append(columns, c)
		typed = append(typed, foz.Vector{Type: c.Type})
	}
	rows = &foz.Rows{}
	var value []byte
	for i := range n {
		value = append(value[:0], '{')
		for at, c := range columns {
			v, number := &typed[at], rng.Int64N(10_000)
			value = append(strconv.AppendQuote(value, c.Name), ':')
			switch c.Type {
			case foz.TypeFloat64:
				v.Float64s = append(v.Float64s, float64(number)/100)
				value = strconv.AppendFloat(value, float64(number)/100, 'g', -1, 64)
			case foz.TypeUTF8:
				text := fmt.Sprintf("host-%d", number%500)
				v.Cells.Append([]byte(text))
				value = strconv.AppendQuote(value, text)
			default:
				v.Int64s = append(v.Int64s, number)
				value = strconv.AppendInt(value, number, 10)
			}
			value = append(value, ',')
		}
		value[len(value)-1] = '}'
		rows.Append(int64(i), []byte(strconv.Itoa(i%1000)), value, nil)
	}
	return columns, rows, typed
}

func BenchmarkProjection(b *testing.B) {
	columns, rows, typed := wideTopic(100_000)
	run := foz.Run{Rows: rows, To: rows.Len(), Columns: typed}
	for _, size := range []int{1 << 20, 4 << 20, 8 << 20, 16 << 20} {
		m := NewMerged(MergedOptions{BatchBytes: size / 2})
		if err := m.Type(columns); err != nil {
			b.Fatal(err)
		}
		object, segments := mergeRuns(b, m, []foz.Run{run})
		batches, err := InspectMerged(object[segments[0].ByteEnd:], segments[0])
		if err != nil {
			b.Fatal(err)
		}
		for _, names := range [][]string{{"c5", "c10"}, nil} {
			b.Run(fmt.Sprintf("%d MiB %v", size>>20, names), func(b *testing.B) {
				var ranges, bytes int64
				for b.Loop() {
					ranges, bytes = readColumns(b, object, batches, names)
				}
				b.ReportMetric(float64(b.N*rows.Len())/b.Elapsed().Seconds()/1e6, "Mrows/s")
				b.ReportMetric(float64(ranges)*1e9/float64(len(object)), "ranges/GB")
				b.ReportMetric(100*float64(bytes)/float64(len(object)), "%bytes")
			})
		}
	}
}

// readColumns reads all batches; no names: whole.
func readColumns(
	b *testing.B, object []byte, batches []MergedBatch, names []string,
) (n, bytes int64) {
	for i := range batches {
		at := &batches[i]
		if names == nil {
			if _, _, _, err := DecodeTypedBatch(object[at.ByteStart:at.ByteEnd], *at); err != nil {
				b.Fatal(err)
			}
			n, bytes = n+1, bytes+at.ByteEnd-at.ByteStart
			continue
		}
		p, ok := NewProjection(at, names, at.Typed())
		if !ok {
			b.Fatal("no such columns")
		}
		if _, err := p.Decode(at, projectedOf(object, nil)); err != nil {
			b.Fatal(err)
		}
		for _, r := range p.Ranges(at) {
			n, bytes = n+1, bytes+r.End-r.Start
		}
	}
	return n, bytes
}

func BenchmarkMergeTyped(b *testing.B) {
	columns, rows, typed := wideTopic(50_000)
	run := foz.Run{Rows: rows, To: rows.Len()}
	for _, columns := range [][]foz.SchemaColumn{nil, columns} {
		m := NewMerged(MergedOptions{})
		if err := m.Type(columns); err != nil {
			b.Fatal(err)
		}
		if run.Columns = nil; columns != nil {
			run.Columns = typed
		}
		b.Run(fmt.Sprintf("%d columns", len(columns)), func(b *testing.B) {
			b.SetBytes(int64(DecodedBytes(run)))
			for b.Loop() {
				object, _ := mergeRuns(b, m, []foz.Run{run})
				b.ReportMetric(float64(len(object))/float64(rows.Len()), "bytes/row")
				if err := m.Type(columns); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
