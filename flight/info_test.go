package flight

// How: the contract is a few canned answers; what an info says is compared with them. That the
// endpoints of a real node give every record once is cmd's to test.

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
)

// library is a contract of three topics.
func library(stream []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch r.URL.Path {
		case "/v1/topics":
			io.WriteString(w, map[string]string{
				"":  `{"topics":[{"name":"a"},{"name":"b"}],"has_more":true}`,
				"b": `{"topics":[{"name":"c"}],"has_more":false}`,
			}[q.Get("start_after")])
		case "/v1/topics/a":
			io.WriteString(w, `{"name":"a","partitions":3,"partition_bounds":[
				{"partition":0,"earliest_offset":5,"next_offset":9,"records":3},
				{"partition":1,"earliest_offset":7,"next_offset":7,"records":0},
				{"partition":2,"earliest_offset":0,"next_offset":1,"records":1}]}`)
		case "/v1/topics/b/records":
			problem(w, 403, foz.CodeForbidden, "not b")
		case "/v1/topics/a/records", "/v1/topics/c/records", "/v1/topics/a/partitions/0/records",
			"/v1/topics/a/partitions/2/records":
			if q.Get("tail") != "0" && q.Get("from") != "now" {
				problem(w, 400, foz.CodeBadRequest, "a read of records, for a schema")
				return
			}
			if q.Get("columns") == "nope" {
				problem(w, 400, foz.CodeBadRequest, "no column nope")
				return
			}
			w.Write(stream)
		default:
			problem(w, 404, foz.CodeTopicNotFound, r.URL.Path)
		}
	}
}

func TestInfo(t *testing.T) {
	stream := streamOf(t)
	client := serve(t, Config{}, library(stream))
	for name, c := range map[string]struct {
		path    []string
		command string
		tickets []string
		records int64
		ordered bool
	}{
		"topic": {path: []string{"a"}, records: 4, tickets: []string{
			"/v1/topics/a/partitions/0/records?columns=key%2Cvalue&end_offset=9&offset=5",
			"/v1/topics/a/partitions/2/records?columns=key%2Cvalue&end_offset=1&offset=0"}},
		"partition": {path: []string{"a", "2"}, records: 1, ordered: true, tickets: []string{
			"/v1/topics/a/partitions/2/records?end_offset=1&offset=0"}},
		"command": {command: "/v1/topics/a/records?columns=key&where=key='x'", records: -1,
			tickets: []string{
				"/v1/topics/a/partitions/0/records?columns=key&end_offset=9&offset=5&where=key%3D%27x%27",
				"/v1/topics/a/partitions/2/records?columns=key&end_offset=1&offset=0&where=key%3D%27x%27"}},
	} {
		d := flighttest.Path(c.path...)
		if c.command != "" {
			d = flighttest.Command(c.command)
		}
		info, err := client.Ask(t.Context(), d)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var tickets []string
		for _, e := range info.Endpoint {
			tickets = append(tickets, string(e.Ticket.Ticket))
		}
		if !slices.Equal(tickets, c.tickets) || info.TotalRecords != c.records ||
			info.TotalBytes != -1 || info.Ordered != c.ordered ||
			info.FlightDescriptor.String() != d.String() ||
			!strings.HasPrefix(string(stream), string(info.Schema)) || len(info.Schema) < 100 {
			t.Errorf("%s: %v", name, info)
		}
		schema, err := client.Schema(t.Context(), d)
		if err != nil || string(schema) != string(info.Schema) {
			t.Errorf("%s: schema %v, %q", name, err, schema)
		}
	}
}

func TestInfoRefused(t *testing.T) {
	client := serve(t, Config{}, library(streamOf(t)))
	for want, descriptors := range map[string][]string{
		"InvalidArgument": {"", "/v1/cluster", "/v1/topics/a/records?from=earliest",
			"/v1/topics/a/partitions/0/records?tail=1", "/v1/topics/a/records?columns=nope"},
		"NotFound": {"/v1/topics/x/records", "/v1/topics/a/partitions/3/records"},
	} {
		for _, command := range descriptors {
			_, err := client.Ask(t.Context(), flighttest.Command(command))
			if flighttest.Code(err) != want {
				t.Errorf("%q: %v, want %s", command, err, want)
			}
		}
	}
	for _, path := range [][]string{nil, {""}, {".."}, {"a", "x"}, {"a", "0", "0"}} {
		_, err := client.Ask(t.Context(), flighttest.Path(path...))
		if flighttest.Code(err) != "InvalidArgument" {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestList: a topic that may be seen and not read has no schema.
func TestList(t *testing.T) {
	client := serve(t, Config{}, library(streamOf(t)))
	infos, err := client.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range infos {
		got = append(got, fmt.Sprintf("%s %t %s", i.FlightDescriptor.Path, len(i.Schema) > 0,
			i.Endpoint[0].Ticket.Ticket))
	}
	want := []string{
		"[a] true /v1/topics/a/records?from=earliest",
		"[b] false /v1/topics/b/records?from=earliest",
		"[c] true /v1/topics/c/records?from=earliest",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// TestOtherCalls: what is not there says so, and what is no gRPC is told.
func TestOtherCalls(t *testing.T) {
	client := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 401, foz.CodeUnauthenticated, "who are you")
	})
	handshake, err := client.Handshake(t.Context())
	if err == nil {
		_, err = handshake.Recv()
	}
	if flighttest.Code(err) != "Unimplemented" {
		t.Errorf("Handshake: %v", err)
	}
	if _, err := client.List(t.Context(), ""); flighttest.Code(err) != "Unauthenticated" {
		t.Errorf("ListFlights: %v", err)
	}
	if _, err := client.Put(t.Context(), flighttest.Path("t"), streamOf(t, 1)); flighttest.
		Code(err) != "Unauthenticated" {
		t.Errorf("DoPut: %v", err)
	}
}
