package segment

// How: as in fuzz_test.go, for L1 objects. Checksums are made to fit: the fuzzer is a hostile
// index, too.

import (
	"hash/crc32"
	"math"
	"testing"

	"github.com/fozlog/foz"
)

// mergedAllocationMax is what a batch of n bytes may take: a claim is believed in proportion to
// what there is, and beyond it memory follows what a frame of zstd really has.
func mergedAllocationMax(n int, decoded int) int {
	return mergedBuffers*(2*zstdRatioUsual*n+readStepBytes) + 4*decoded + decoderBytes + slackBytes
}

func addMergedSeeds(f *testing.F, add func(msg []byte, b MergedBatch)) {
	for _, parts := range [][]part{sampleOwn(), sampleShared()} {
		object, _ := mergeSample(f, parts)
		file, err := Inspect(object)
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range file.Batches {
			add(object[b.ByteStart:b.ByteEnd], b)
		}
	}
}

// checkDecodedMerged asks what holds of rows that were read, and that arrow-go reads the same.
func checkDecodedMerged(t *testing.T, msg []byte, n int32, offsets []int64, rows *foz.Rows) {
	t.Helper()
	if rows.Len() != int(n) || len(offsets) != int(n) {
		t.Fatalf("%d rows, %d offsets, want %d", rows.Len(), len(offsets), n)
	}
	last := int64(-1)
	for _, offset := range offsets {
		if offset <= last {
			t.Fatalf("offset %d after %d", offset, last)
		}
		last = offset
	}
	var want []map[string]any
	for i := range rows.Len() {
		r, err := rows.Record(i, offsets[i])
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, map[string]any{"offset": r.Offset, "timestamp": r.Timestamp,
			"key": r.Key, "value": r.Value, "headers": r.Headers})
	}
	batch, err := libraryBatchOf(plainLayout.schema, msg)
	if err != nil {
		t.Fatalf("arrow-go does not read what DecodeMerged does: %v", err)
	}
	sameMaps(t, "arrow-go", batchMaps(t, batch), want)
}

func FuzzDecodeMerged(f *testing.F) {
	addMergedSeeds(f, func(msg []byte, b MergedBatch) { f.Add(msg, b.Rows) })
	f.Fuzz(func(t *testing.T, msg []byte, n int32) {
		msg = withNumbers(plainLayout.shape, msg)
		s := foz.Segment{Rows: n, ByteEnd: int64(len(msg)), Level: 1, Batches: 1,
			CRC32C: crc32.Checksum(msg, castagnoli)}
		var offsets []int64
		var rows *foz.Rows
		var err error
		checkAllocated(t, mergedAllocationMax(len(msg), 0), func() {
			offsets, rows, err = DecodeMerged(msg, s)
		})
		if err == nil {
			checkDecodedMerged(t, msg, n, offsets, rows)
		}
	})
}

func FuzzDecodeMergedBatch(f *testing.F) {
	addMergedSeeds(f, func(msg []byte, b MergedBatch) { f.Add(msg, b.Rows, b.First, b.Last) })
	f.Fuzz(func(t *testing.T, msg []byte, n int32, first, last int64) {
		msg = withNumbers(plainLayout.shape, msg)
		b := MergedBatch{Rows: n, First: first, Last: last, ByteEnd: int64(len(msg)),
			CRC32C: crc32.Checksum(msg, castagnoli)}
		offsets, rows, err := DecodeMergedBatch(msg, b)
		if err != nil {
			return
		}
		checkDecodedMerged(t, msg, n, offsets, rows)
		if n > 0 && (offsets[0] != first || offsets[n-1] != last) {
			t.Errorf("offsets %d to %d, want %d to %d", offsets[0], offsets[n-1], first, last)
		}
	})
}

// FuzzInspectMerged is given a footer, or the texts of one.
func FuzzInspectMerged(f *testing.F) {
	for _, parts := range [][]part{sampleOwn(), sampleShared()} {
		object, _ := mergeSample(f, parts)
		file, err := Inspect(object)
		if err != nil {
			f.Fatal(err)
		}
		inputs, err := appendInputs(nil, file.Inputs)
		if err != nil {
			f.Fatal(err)
		}
		end := file.streamEnd()
		asVersion1(file.Batches)
		if !file.own() {
			file.Batches[0].Buffers = nil
		}
		batches := string(appendBatches(nil, file.Batches, 1))
		f.Add(object[end:], end, batches, string(inputs), false)
		f.Add(object[end:], end, batches, string(inputs), true)
	}
	f.Fuzz(func(t *testing.T, tail []byte, start int64, batches, inputs string, made bool) {
		if made {
			tail = mergedFooter([3]string{"1", batches, inputs}, blocksOfText(batches))
		}
		s := foz.Segment{ByteEnd: start, CRC32C: crc32.Checksum(tail, castagnoli)}
		limit := 128*(len(tail)+len(batches)+len(inputs)) + slackBytes
		checkAllocated(t, limit, func() { InspectMerged(tail, s) })
		if start < 0 || start > math.MaxInt64/2 {
			return
		}
		file, err := InspectTail(tail, start+int64(len(tail)))
		if err != nil || len(file.Segments) == 0 || file.Segments[0].Batches < 2 {
			return
		}
		s = file.Segments[0]
		if s.ByteEnd != start {
			return
		}
		got, err := InspectMerged(tail, s)
		if err != nil {
			t.Fatalf("what InspectTail reads is refused: %v", err)
		}
		rows, last := int64(0), int64(-1)
		for _, b := range got {
			if b.First <= last || b.Last < b.First || b.ByteStart < s.ByteStart ||
				b.ByteEnd > s.ByteEnd || b.Partition != s.Partition {
				t.Fatalf("batch %+v after offset %d in %+v", b, last, s)
			}
			rows, last = rows+int64(b.Rows), b.Last
		}
		if rows != int64(s.Rows) || len(got) != int(s.Batches) {
			t.Errorf("%d rows in %d batches, want %+v", rows, len(got), s)
		}
	})
}

// blocksOfText are the blocks that fit a text, if it is one.
func blocksOfText(text string) []block {
	batches, _, err := parseBatches([]byte(text), plainLayout)
	if err != nil {
		return nil
	}
	return blocksOf(batchSegments(batches), int64(len(plainLayout.shape.metadata)))
}
