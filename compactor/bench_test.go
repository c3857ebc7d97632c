package compactor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// How: 32 MiB of log lines in 8 objects, of one partition or of 16, are merged; beside it, the
// same bytes are decoded and encoded without any of this package, and merged with columns for all
// members. In bytes of the fresh objects per second.

func benchLines(n int) []string {
	rng := rand.New(rand.NewPCG(3, 4))
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"id":%d,"host":"host-%d","ms":%d,"msg":"request %x from %s"}`,
			i, rng.IntN(500), rng.IntN(9999), rng.Uint64(), []string{"lhr", "fra", "lis"}[rng.IntN(3)])
	}
	return lines
}

// benchColumns are the columns of benchLines.
var benchColumns = []foz.SchemaColumn{
	{Name: "id", Type: foz.TypeInt64, Pointer: "/id"},
	{Name: "host", Type: foz.TypeUTF8, Pointer: "/host"},
	{Name: "ms", Type: foz.TypeInt64, Pointer: "/ms"},
	{Name: "msg", Type: foz.TypeUTF8, Pointer: "/msg"},
}

// benchMill has fresh objects of a topic.
func benchMill(b *testing.B, partitions int, columns []foz.SchemaColumn) *mill {
	const objects = 8
	lines := benchLines(48_000)
	m := newMill(b, Config{BytesPerSecond: 1 << 40, RequestsPerSecond: 1 << 30})
	topic := m.ledger.topic("t", int32(partitions), foz.TopicConfig{})
	m.ledger.next().topics[0].Schema.Columns = columns
	for range objects {
		flush := rows{}
		for n := range partitions {
			each := len(lines) / partitions
			flush[part0(topic, n)] = lines[n*each : (n+1)*each]
		}
		m.flush(flush)
	}
	return m
}

func BenchmarkMerge(b *testing.B) {
	for _, partitions := range []int{1, 16} {
		m := benchMill(b, partitions, nil)
		before := m.ledger.now
		b.Run(fmt.Sprintf("%d partitions", partitions), func(b *testing.B) {
			b.SetBytes(m.wrote)
			for b.Loop() {
				m.ledger.now = before
				m.maintain("merge")
			}
			if fresh, _ := m.levels(); fresh != 0 {
				b.Fatal("not merged")
			}
		})
		b.Run(fmt.Sprintf("%d partitions, codec alone", partitions), func(b *testing.B) {
			b.SetBytes(m.wrote)
			for b.Loop() {
				codecAlone(b, m, before)
			}
		})
	}
}

func BenchmarkMergeTyped(b *testing.B) {
	for _, columns := range [][]foz.SchemaColumn{benchColumns[:1], benchColumns} {
		m := benchMill(b, 1, columns)
		before := m.ledger.now
		b.Run(fmt.Sprintf("%d columns", len(columns)), func(b *testing.B) {
			b.SetBytes(m.wrote)
			for b.Loop() {
				m.ledger.now = before
				m.maintain("merge")
			}
			if fresh, _ := m.levels(); fresh != 0 {
				b.Fatal("not merged")
			}
		})
	}
}

// codecAlone decodes and encodes what is merged.
func codecAlone(b *testing.B, m *mill, c chart) {
	builder, objects := segment.NewMerged(segment.MergedOptions{}), map[string][]byte{}
	for n := range c.topics[0].Partitions {
		p := foz.Partition{Topic: c.topics[0].ID, Number: n}
		for _, pl := range c.parts[p].placements {
			object := objects[pl.Object]
			if object == nil {
				var err error
				if object, err = m.store.Get(b.Context(), pl.Object, 0, -1); err != nil {
					b.Fatal(err)
				}
				objects[pl.Object] = object
			}
			rows, err := segment.Decode(object[pl.Segment.ByteStart:pl.Segment.ByteEnd], pl.Segment)
			if err != nil {
				b.Fatal(err)
			}
			run := foz.Run{Base: pl.Base, Rows: rows, To: rows.Len()}
			if err := builder.Append(p, run); err != nil {
				b.Fatal(err)
			}
		}
		builder.Cut()
		if c.topics[0].Partitions == 1 || int(n)%16 == 15 {
			object, _, err := builder.Finish(nil)
			if err != nil || !bytes.HasPrefix(object, []byte("ARROW1")) {
				b.Fatal(err)
			}
		}
	}
}
