package segment

// How: streams that relay record batches of a merged object, between rows that are written as
// usual, are read with arrow-go and by StreamReader: cell by cell the rows that were merged.

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fozlog/foz"
)

func TestStreamRelays(t *testing.T) {
	object, segments := mergeParts(t, NewMerged(MergedOptions{BatchBytes: 100}), sampleOwn())
	batches, err := InspectMerged(object[segments[0].ByteEnd:], segments[0])
	if err != nil || len(batches) < 4 {
		t.Fatalf("%d batches, %v", len(batches), err)
	}
	for _, pattern := range []string{"rrrr", "wwrr", "rwrw", "wrwr", "rwww"} {
		var stream bytes.Buffer
		w, err := NewStreamWriter(&stream, StreamOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var want []map[string]any
		var wantOffsets []int64
		for i, b := range batches[:4] {
			msg := object[b.ByteStart:b.ByteEnd]
			offsets, rows, err := DecodeMergedBatch(msg, b)
			if err != nil {
				t.Fatal(err)
			}
			run := wholeRun(0, rows, offsets...)
			want = append(want, runMaps(t, w, 0, run)...)
			wantOffsets = append(wantOffsets, offsets...)
			if pattern[i] == 'r' {
				run = foz.Run{Base: b.First, End: b.Last + 1, To: rows.Len(), Stored: msg}
			}
			if err := w.Write(0, run); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, foreignMaps(t, bytes.NewReader(stream.Bytes()))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
		if got := streamOffsets(t, &stream); !slices.Equal(got, wantOffsets) {
			t.Errorf("%s: offsets %v, want %v", pattern, got, wantOffsets)
		}
	}
}

func streamOffsets(t *testing.T, stream io.Reader) (all []int64) {
	r, err := NewStreamReader(stream)
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, offsets, _, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, offsets...)
	}
}

func TestStreamRelaysOnlyAllColumns(t *testing.T) {
	run := foz.Run{To: 1, End: 1, Stored: []byte("a message")}
	for _, o := range []StreamOptions{{Partition: true}, {Columns: []string{"offset", "value"}}} {
		var stream bytes.Buffer
		w, err := NewStreamWriter(&stream, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(0, run); err == nil || stream.Len() > 0 {
			t.Errorf("%+v: %v, %d bytes", o, err, stream.Len())
		}
	}
	w, err := NewStreamWriter(brokenPipe{}, StreamOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(0, run); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to a broken pipe: %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
