package flight

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
	"github.com/fozlog/foz/segment"
)

// serve serves a handler of the contract as Flight, on loopback, until the test ends.
func serve(t *testing.T, c Config, contract http.HandlerFunc) *flighttest.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(New(Deps{Handler: contract}, c))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.Protocols.SetHTTP1(true)
	server.Start()
	client, err := flighttest.Dial(strings.TrimPrefix(server.URL, "http://"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client
}

// streamOf is an Arrow stream of batches with so many rows each, "v0", "v1" and so on.
func streamOf(t testing.TB, batches ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := segment.NewStreamWriter(&b, segment.StreamOptions{Columns: []string{"key", "value"}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, rows := range batches {
		r := foz.Rows{}
		for range rows {
			r.Append(int64(n), nil, fmt.Appendf(nil, "v%d", n), nil)
			n++
		}
		if err := w.Write(0, foz.Run{Rows: &r, To: rows}); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// valuesOf are the values in a whole Arrow stream, joined.
func valuesOf(t testing.TB, stream []byte) string {
	t.Helper()
	r, err := segment.NewStreamReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for {
		_, _, rows, err := r.Next()
		if err == io.EOF {
			return strings.Join(values, " ")
		}
		if err != nil {
			t.Fatalf("after %d values: %v", len(values), err)
		}
		for i := range rows.Len() {
			values = append(values, string(rows.Values.Cell(i)))
		}
	}
}

// problem answers as the contract does.
func problem(w http.ResponseWriter, status int, code foz.Code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":%q}`, status, code, detail)
}
