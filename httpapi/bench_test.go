package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/fozlog/foz"
)

// dropping is a producer that keeps nothing.
type dropping struct{}

func (dropping) Produce(context.Context, foz.Request) (foz.Ack, error) {
	return foz.Ack{Ranges: []foz.PartitionRange{{}}}, nil
}

// still reads rows without copying them.
type still struct {
	*house
	rows *foz.Rows
}

func (s still) Scan(
	_ context.Context, _ foz.Partition, rg foz.Range,
) iter.Seq2[foz.Run, error] {
	return func(yield func(foz.Run, error) bool) {
		yield(foz.Run{Base: rg.Base, Rows: s.rows, From: int(rg.Base), To: int(rg.Next)}, nil)
	}
}

// sizes of values that benchmarks use.
var sizes = []int{100, 1024, 16 << 10}

func value(size int) []byte {
	v := bytes.Repeat([]byte(`{"origin":"DFW","delay":12,"distance":1200},`), size/44+1)[:size-2]
	return append(append([]byte(`"`), bytes.ReplaceAll(v, []byte(`"`), []byte("'"))...), '"')
}

// How: 8 MiB bodies through the decoders, without HTTP.
func BenchmarkDecode(b *testing.B) {
	a := newHouse().api(Config{})
	for _, size := range sizes {
		v := value(size)
		n := 8 << 20 / size
		lines := bytes.Repeat(append(bytes.Clone(v), '\n'), n)
		record := []byte(`{"key":"k","value":` + string(v) + `}`)
		envelope := bytes.Repeat(append(bytes.Clone(record), '\n'), n)
		doc := append([]byte(`{"records":[`), bytes.Repeat(append(bytes.Clone(record), ','), n-1)...)
		doc = append(append(doc, record...), "]}"...)
		for name, c := range map[string]struct {
			body   []byte
			decode func(*batches, io.Reader) error
		}{
			"ndjson":   {lines, (*batches).decodeLines},
			"json":     {doc, buffered((*batches).decodeJSON)},
			"envelope": {envelope, buffered((*batches).decodeEnvelope)},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(c.body)))
				b.ReportAllocs()
				for b.Loop() {
					batch := a.newBatches(foz.Topic{Partitions: 1}, 0, 1)
					if err := c.decode(batch, bytes.NewReader(c.body)); err != nil {
						b.Fatal(err)
					}
					batch.release(true)
				}
			})
		}
	}
}

// How: a partition of 8 MiB through the whole handler to a client that throws bytes away.
func BenchmarkRead(b *testing.B) {
	for _, size := range sizes {
		h := newHouse()
		p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
		for range 8 << 20 / size {
			h.log(p).Append(1, []byte("k"), value(size), nil)
		}
		for _, media := range []string{mediaNDJSON, mediaJSON, mediaArrow} {
			for _, query := range []string{"", "?value=json"} {
				if query != "" && media == mediaArrow {
					continue
				}
				b.Run(fmt.Sprintf("%s%s/%d", media[12:], query, size), func(b *testing.B) {
					a := h.api(Config{})
					a.Reader = still{h, h.log(p)}
					api := a.Handler()
					w := &thrown{}
					r := httptest.NewRequest("GET", oneRead+query, nil)
					r.Header.Set("Accept", media)
					b.ReportAllocs()
					for b.Loop() {
						w.n, w.header = 0, http.Header{}
						api.ServeHTTP(w, r)
					}
					b.SetBytes(w.n)
				})
			}
		}
	}
}

// thrown is a response writer that counts.
type thrown struct {
	n      int64
	header http.Header
}

func (w *thrown) Header() http.Header { return w.header }
func (w *thrown) WriteHeader(int)     {}
func (w *thrown) Write(b []byte) (int, error) {
	w.n += int64(len(b))
	return len(b), nil
}

// How: 1 MiB of NDJSON per request over a loopback connection, to a producer that drops it.
func BenchmarkProduceOverHTTP(b *testing.B) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	a.Producer = dropping{}
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	body := bytes.Repeat(append(value(1024), '\n'), 1024)
	b.SetBytes(int64(len(body)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := http.Post(server.URL+"/v1/topics/t/records", mediaNDJSON, bytes.NewReader(body))
			if err != nil || resp.StatusCode != 200 {
				b.Fatal(resp, err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
