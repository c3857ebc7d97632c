package segment

// How: 8 MiB objects as ingest makes them, encoded into a buffer that is reused; throughput is
// of the bytes that the object has without compression. Compare with the memory's own copy.

import (
	"fmt"
	"hash/crc32"
	"io"
	"testing"

	"github.com/fozlog/foz"
)

func benchParts(partitions, rows, valueBytes int) []Part {
	value := make([]byte, valueBytes)
	for i := range value {
		value[i] = byte(i * 7)
	}
	parts := make([]Part, 0, partitions)
	for p := range partitions {
		r := &foz.Rows{}
		for i := range rows {
			r.Append(int64(i), fmt.Appendf(nil, "key-%d", i), value, nil)
		}
		parts = append(parts, Part{foz.Partition{Topic: topicA, Number: int32(p)}, r})
	}
	return parts
}

var benchShapes = []struct{ partitions, rows, valueBytes int }{
	{100, 80, 1024}, {1000, 8, 1024}, {100, 800, 100}, {1000, 1, 100},
}

func BenchmarkEncode(b *testing.B) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		for _, s := range benchShapes {
			name := fmt.Sprintf("%s/%dx%dx%d", codec, s.partitions, s.rows, s.valueBytes)
			b.Run(name, func(b *testing.B) {
				parts := benchParts(s.partitions, s.rows, s.valueBytes)
				e := &Encoder{Codec: codec}
				var dst []byte
				for b.Loop() {
					object, _, err := e.Encode(dst[:0], parts, nil)
					if err != nil {
						b.Fatal(err)
					}
					dst = object
				}
				b.SetBytes(int64(objectBytes(parts, nil)))
				b.ReportAllocs()
			})
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	from, to := make([]byte, 8<<20), make([]byte, 8<<20)
	b.SetBytes(8 << 20)
	for b.Loop() {
		copy(to, from)
	}
}

func BenchmarkDecode(b *testing.B) {
	benchDecode(b, func(msg []byte, s foz.Segment) error {
		_, err := Decode(msg, s)
		return err
	})
}

// BenchmarkDecodeLibrary is what Decode would cost if arrow-go read segments, with the limits
// and the validation that hostile bytes need. Rows are not even made of its arrays.
func BenchmarkDecodeLibrary(b *testing.B) {
	benchDecode(b, func(msg []byte, s foz.Segment) error {
		if crc32.Checksum(msg, castagnoli) != s.CRC32C {
			return ErrDamaged
		}
		_, err := libraryBatch(msg)
		return err
	})
}

func benchDecode(b *testing.B, decode func(msg []byte, s foz.Segment) error) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		for _, s := range benchShapes {
			name := fmt.Sprintf("%s/%dx%dx%d", codec, s.partitions, s.rows, s.valueBytes)
			b.Run(name, func(b *testing.B) {
				parts := benchParts(s.partitions, s.rows, s.valueBytes)
				object, segments, err := (&Encoder{Codec: codec}).Encode(nil, parts, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(objectBytes(parts, nil)))
				b.ReportAllocs()
				for b.Loop() {
					for _, s := range segments {
						if err := decode(object[s.ByteStart:s.ByteEnd], s); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	object, _, err := Encode(nil, benchParts(1000, 1, 100), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Inspect(object); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStreamWrite(b *testing.B) {
	for _, columns := range [][]string{nil, {columnOffset, columnKey}} {
		for _, s := range benchShapes[:3] {
			name := fmt.Sprintf("%d columns/%dx%dx%d",
				len(columns), s.partitions, s.rows, s.valueBytes)
			b.Run(name, func(b *testing.B) {
				parts := benchParts(s.partitions, s.rows, s.valueBytes)
				b.SetBytes(int64(s.partitions * s.rows * s.valueBytes))
				b.ReportAllocs()
				for b.Loop() {
					w, err := NewStreamWriter(io.Discard, StreamOptions{Columns: columns})
					if err != nil {
						b.Fatal(err)
					}
					for _, p := range parts {
						run := foz.Run{Rows: p.Rows, To: p.Rows.Len()}
						if err := w.Write(p.Partition.Number, run); err != nil {
							b.Fatal(err)
						}
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkStreamReader(b *testing.B) {
	stream := benchStream(b)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewStreamReader(&sliceReader{stream})
		for err == nil {
			_, _, _, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadStream(b *testing.B) {
	stream := benchStream(b)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadStream(&sliceReader{stream}, StreamLimits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchStream(b *testing.B) []byte {
	b.Helper()
	var stream appender
	w, err := NewStreamWriter(&stream, StreamOptions{Columns: produced, BatchBytesMax: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range benchParts(100, 80, 1024) {
		if err := w.Write(0, foz.Run{Rows: p.Rows, To: p.Rows.Len()}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return stream
}
