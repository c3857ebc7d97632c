package schema

import (
	"bytes"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fozlog/foz"
)

// flights are the values of the demo: objects of five members, 88 bytes each.
func flights(b *testing.B) *foz.Column {
	b.Helper()
	packed, err := os.ReadFile("../cmd/foz/demo/flights.ndjson.zst")
	if err != nil {
		b.Fatal(err)
	}
	unpack, err := zstd.NewReader(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer unpack.Close()
	text, err := unpack.DecodeAll(packed, nil)
	if err != nil {
		b.Fatal(err)
	}
	var values foz.Column
	for line := range bytes.Lines(text) {
		values.Append(bytes.TrimSuffix(line, []byte("\n")))
	}
	return &values
}

func BenchmarkShred(b *testing.B) {
	values := flights(b)
	all := []foz.SchemaColumn{
		col("date", foz.TypeUTF8, false), col("delay", foz.TypeInt64, false),
		col("distance", foz.TypeInt64, false), col("origin", foz.TypeUTF8, false),
		col("destination", foz.TypeUTF8, false),
	}
	for _, c := range []struct {
		name    string
		columns []foz.SchemaColumn
	}{{"one", all[1:2]}, {"two", all[1:3]}, {"five", all}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(values.Data)))
			b.ReportAllocs()
			for b.Loop() {
				_, mismatches := NewShredder(c.columns).Shred(values, 0, values.Len())
				if mismatches[0] > 0 {
					b.Fatal("the flights do not fit")
				}
			}
		})
	}
}
