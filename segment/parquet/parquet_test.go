package parquet

// How: streams as a read gives them become files, which the library reads back, and other tools in
// the interop task; a stream that is cut anywhere is an error.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// stream has n records with headers and two typed columns, some of them null.
func stream(t *testing.T, n int) []byte {
	t.Helper()
	rows := &foz.Rows{}
	typed := []foz.Vector{{Type: foz.TypeInt64}, {Type: foz.TypeUTF8}}
	for i := range n {
		headers := foz.AppendHeaders(nil, []foz.Header{{Key: "h", Value: []byte("v")}})
		if i%2 == 0 {
			headers = nil
		}
		rows.Append(int64(i), fmt.Appendf(nil, "k%d", i), []byte("value"), headers)
		typed[0].Int64s = append(typed[0].Int64s, int64(i))
		typed[1].Cells.Append(fmt.Appendf(nil, "s%d", i))
		typed[1].Nulls = append(typed[1].Nulls, i%3 == 0)
	}
	var out bytes.Buffer
	w, err := segment.NewStreamWriter(&out, segment.StreamOptions{BatchBytesMax: 10_000,
		Schema: []foz.SchemaColumn{{Name: "n", Type: foz.TypeInt64}, {Name: "s", Type: foz.TypeUTF8}}})
	if err == nil {
		err = w.Write(0, foz.Run{Rows: rows, To: n, Columns: typed})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestConvert(t *testing.T) {
	for _, n := range []int{0, 1, 1000} {
		var out bytes.Buffer
		rows, err := Convert(&out, bytes.NewReader(stream(t, n)))
		if err != nil || rows != int64(n) {
			t.Fatalf("%d rows, %v", rows, err)
		}
		file, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil || file.NumRows() != int64(n) {
			t.Fatalf("read back: %v", err)
		}
		var names []string
		for _, c := range file.Root().Columns() {
			names = append(names, c.Name())
		}
		if got := strings.Join(names, " "); got != "offset timestamp key value headers n s" {
			t.Fatalf("columns %s", got)
		}
		checkRows(t, file, n)
	}
}

// checkRows reads every row: offset, timestamp, key, value, two leaves of headers, n, s.
func checkRows(t *testing.T, file *parquet.File, n int) {
	t.Helper()
	i := 0
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		defer rows.Close()
		for buffer := make([]parquet.Row, 64); ; {
			got, err := rows.ReadRows(buffer)
			for _, row := range buffer[:got] {
				want := fmt.Sprintf("%d %d k%d value h v %d s%d", i, i, i, i, i)
				if i%2 == 0 {
					want = strings.Replace(want, "h v", "<null> <null>", 1)
				}
				if i%3 == 0 {
					want = strings.TrimSuffix(want, fmt.Sprint("s", i)) + "<null>"
				}
				var cells []string
				for _, v := range row {
					cells = append(cells, v.String())
				}
				if text := strings.Join(cells, " "); text != want {
					t.Fatalf("row %d: %s, want %s", i, text, want)
				}
				i++
			}
			if err != nil {
				break
			}
		}
	}
	if i != n {
		t.Errorf("%d rows of %d", i, n)
	}
}

func TestConvertCut(t *testing.T) {
	whole := stream(t, 300)
	for n := 0; n < len(whole); n += 97 {
		if _, err := Convert(io.Discard, bytes.NewReader(whole[:n])); err == nil {
			t.Fatalf("cut at %d of %d: no error", n, len(whole))
		}
	}
	_, err := Convert(io.Discard, bytes.NewReader(whole[:len(whole)-8]))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without its end: %v", err)
	}
}
