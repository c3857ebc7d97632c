package httpapi

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/klauspost/compress/zstd"
)

// weighing is a producer that only weighs what it is given.
type weighing struct{ records, bytes int }

func (w *weighing) Produce(_ context.Context, r foz.Request) (foz.Ack, error) {
	w.records, w.bytes = 0, 0
	for _, b := range r.Batches {
		w.records += b.Rows.Len()
		w.bytes += b.Rows.Bytes()
	}
	return foz.Ack{Ranges: []foz.PartitionRange{{}}}, nil
}

// How: bodies of exactly the size that a body may have, with as many records as a request may
// have, large ones, and ones that do not compress, go through with the limits that a node has by
// default; a record more, or a byte, does not. Their rows take no more than ingest counts on.
func TestLargestBodies(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("bodies of 64 MiB")
	}
	const size, records = foz.BodyBytesMax, 4 << 20
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	w := &weighing{}
	a.Producer = w
	small := `{"value":"xy"},` + "\n"
	large := `{"value":"` + strings.Repeat("x", 1<<20-14) + `"},` + "\n"
	for _, c := range []struct {
		name, media, encoding, body string
		records                     int // 0: refused
	}{
		{"lines", mediaNDJSON, "", strings.Repeat("fifteen bytes..\n", records), records},
		{"a record more", mediaNDJSON, "", strings.Repeat("a\n", records+1), 0},
		{"a byte more", mediaNDJSON, "", strings.Repeat("a", 1<<20) + "\n" +
			strings.Repeat(strings.Repeat("a", 1<<20-1)+"\n", size>>20-1) + "\n", 0},
		{"JSON, small", mediaJSON, "", array(size, small), records - 1},
		{"JSON, large", mediaJSON, "", array(size, large), size >> 20},
		{"JSON, zstd", mediaJSON, "zstd", pressed(t, noise(array(size, large))), size >> 20},
	} {
		debug.FreeOSMemory()
		got := do(a.Handler(), "POST", "/v1/topics/t/records", c.body,
			"Content-Type: "+c.media, "Content-Encoding: "+c.encoding)
		if c.records == 0 {
			checkProblem(t, c.name, got, foz.CodeBatchTooLarge)
			continue
		}
		if got.status != 200 {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		if w.records != c.records || w.bytes > size+23*records {
			t.Errorf("%s: %d records of %d bytes", c.name, w.records, w.bytes)
		}
		wantEqual(t, "held in the end", a.decoding.used.Load(), 0)
	}
}

// array is a body of exactly so many bytes: an element repeated, and spaces.
func array(size int, element string) string {
	const head, tail = `{"records":[`, `{"value":1}]}`
	n := (size - len(head) - len(tail)) / len(element)
	body := head + strings.Repeat(element, n) + tail
	return body + strings.Repeat(" ", size-len(body))
}

// noise puts letters that zstd can make but a quarter smaller in the place of every x.
func noise(body string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	random := rand.New(rand.NewPCG(1, 2))
	b := []byte(body)
	for i := range b {
		if b[i] == 'x' {
			b[i] = letters[random.IntN(len(letters))]
		}
	}
	return string(b)
}

func pressed(t *testing.T, body string) string {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err == nil {
		_, err = z.Write([]byte(body))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
