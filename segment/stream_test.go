package segment

// How: streams are written from drawn and tabled runs and read back by ReadStream, which takes
// the four columns of a produce body. What it must refuse is in stream_read_test.go; the tests
// with the Arrow libraries are in foreign_test.go.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

var produced = []string{columnHeaders, columnKey, columnValue, columnTimestamp}

func checkStreamError(t rapid.TB, name string, err error, code foz.Code, want string) {
	t.Helper()
	var e *foz.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Detail, want) {
		t.Errorf("%s: error %v, want %s with %q", name, err, code, want)
	}
}

func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		w, err := NewStreamWriter(&stream, StreamOptions{
			Columns: produced, BatchBytesMax: rapid.IntRange(1, 5000).Draw(t, "batch"),
		})
		if err != nil {
			t.Fatal(err)
		}
		want := &foz.Rows{}
		for range rapid.IntRange(0, 6).Draw(t, "runs") {
			rows := drawRows(t)
			for i := range rows.Len() { // cells that are headers
				rows.Headers.Nulls = nil
				rows.Headers.Ends[i] = int32(len(headerCell("k", "v")) * (i + 1))
			}
			rows.Headers.Data = bytes.Repeat(headerCell("k", "v"), rows.Len())
			from := rapid.IntRange(0, rows.Len()).Draw(t, "from")
			to := rapid.IntRange(from, rows.Len()).Draw(t, "to")
			if err := w.Write(1, foz.Run{Rows: rows, From: from, To: to}); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "flush") {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			want.AppendRows(rows, from, to)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := ReadStream(iotest.OneByteReader(&stream), StreamLimits{})
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, got, want)
	})
}

// batchSizes gives the number of rows and the whole length of each record batch.
func batchSizes(t testing.TB, stream []byte) (rows, sizes []int) {
	t.Helper()
	m := &messages{r: bytes.NewReader(stream), bytesMax: 1 << 30}
	if _, _, err := m.next(headerSchema); err != nil {
		t.Fatal(err)
	}
	for {
		header, body, err := m.next(headerRecordBatch)
		if err != nil {
			t.Fatal(err)
		}
		if header == nil {
			return rows, sizes
		}
		rows = append(rows, int(header.int64(0, 0)))
		sizes = append(sizes, len(body))
	}
}

func TestStreamBatches(t *testing.T) {
	rows := &foz.Rows{}
	for range 1000 {
		rows.Append(1, nil, make([]byte, 1000), nil)
	}
	rows.Append(2, nil, make([]byte, 500_000), nil)
	for _, c := range []struct {
		name    string
		max     int
		columns []string
		runs    [][2]int
		batches int
	}{
		{"small runs are gathered", 0, nil, [][2]int{{0, 10}, {10, 20}, {20, 30}}, 1},
		{"a large run is cut", 100_000, nil, [][2]int{{0, 1000}}, 11},
		{"a long record is a batch", 100_000, nil, [][2]int{{999, 1001}}, 2},
		{"values that are not wanted do not count", 100_000, []string{"offset"}, [][2]int{{0, 1001}}, 1},
		{"nothing", 0, nil, [][2]int{{5, 5}}, 0},
	} {
		var stream bytes.Buffer
		w, err := NewStreamWriter(&stream, StreamOptions{Columns: c.columns, BatchBytesMax: c.max})
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, r := range c.runs {
			total += r[1] - r[0]
			if err := w.Write(0, foz.Run{Rows: rows, From: r[0], To: r[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		counts, sizes := batchSizes(t, stream.Bytes())
		for i, n := range counts {
			total -= n
			if c.max > 0 && n > 1 && sizes[i] > c.max+200 { // 200: padding
				t.Errorf("%s: a batch of %d bytes", c.name, sizes[i])
			}
		}
		if total != 0 || len(counts) != c.batches {
			t.Errorf("%s: rows %v, %d missing, want %d batches", c.name, counts, total, c.batches)
		}
	}
}

func TestStreamColumns(t *testing.T) {
	for _, c := range []struct {
		columns   []string
		partition bool
		want      string // columns, or the error
	}{
		{nil, false, "offset, timestamp, key, value, headers"},
		{nil, true, "partition, offset, timestamp, key, value, headers"},
		{[]string{"value", "offset"}, false, "value, offset"},
		{[]string{"value"}, true, "partition, value"},
		{[]string{"value", "partition"}, true, "value, partition"},
		{[]string{"partition"}, false, `no column "partition"`},
		{[]string{"value", "delay"}, false, `no column "delay"`},
		{[]string{"key", "key"}, false, "twice"},
	} {
		w, err := NewStreamWriter(io.Discard, StreamOptions{Columns: c.columns, Partition: c.partition})
		if err != nil {
			checkStreamError(t, fmt.Sprint(c.columns), err, foz.CodeBadRequest, c.want)
		} else if got := columnNames(w); got != c.want {
			t.Errorf("%v: columns %s, want %s", c.columns, got, c.want)
		}
	}
}

func columnNames(w *StreamWriter) string {
	var names []string
	for _, c := range w.columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// TestStreamBreaks: a stream whose writer failed, or that was not closed, has no end.
func TestStreamBreaks(t *testing.T) {
	row := foz.Run{Rows: makeRows(record{1, nil, []byte("v"), nil}), To: 1}
	newWriter := func(out io.Writer) *StreamWriter {
		w, err := NewStreamWriter(out, StreamOptions{Columns: produced})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}

	var open bytes.Buffer
	w := newWriter(&open)
	if err := errors.Join(w.Write(0, row), w.Flush()); err != nil {
		t.Fatal(err)
	}
	_, err := ReadStream(&open, StreamLimits{})
	checkStreamError(t, "not closed", err, foz.CodeBadRequest, "end-of-stream")

	broken := errors.New("gone")
	pipe, out := io.Pipe()
	pipe.CloseWithError(broken)
	w = newWriter(out)
	for _, err := range []error{w.Write(0, row), w.Flush(), w.Close(), w.Write(0, row)} {
		if err != nil && !errors.Is(err, broken) {
			t.Errorf("error %v, want %v", err, broken)
		}
	}
	if w.Close() == nil {
		t.Error("a broken stream was closed cleanly")
	}

	w = newWriter(io.Discard)
	bad := foz.Run{Base: 7, Rows: makeRows(record{1, nil, nil, []byte{9}}), To: 1}
	if err := errors.Join(w.Write(0, bad), w.Close()); !errors.Is(err, ErrDamaged) ||
		!strings.Contains(err.Error(), "offset 7") {
		t.Errorf("broken headers: error %v", err)
	}

	w = newWriter(io.Discard)
	if err := errors.Join(w.Write(0, row), w.Close()); err != nil {
		t.Error(err)
	}
	if w.Write(0, row) == nil {
		t.Error("a closed stream took a row")
	}
}
