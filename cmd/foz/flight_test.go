package main

// Arrow Flight of a real node.
//
// How: a node in this process, with a stranger's client (flighttest) at its Flight address. What
// endpoints give is compared record by record with what was put, while others go on producing.

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
	"github.com/fozlog/foz/httpapi"
	"github.com/fozlog/foz/segment"
)

// flightNode is a node on a folder, and a client of its Flight address.
func flightNode(t *testing.T, dir string) (*node, *flighttest.Client) {
	t.Helper()
	n, err := startNode(t.Context(), nodeConfig{
		Bucket: (&url.URL{Scheme: "file", Path: dir}).String(), HTTP: "127.0.0.1:0",
		Flight: "127.0.0.1:0", FlushInterval: time.Millisecond, Roles: allRoles,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, flightClient(t, n, nil)
}

func flightClient(t *testing.T, n *node, config *tls.Config) *flighttest.Client {
	t.Helper()
	_, addr, _ := strings.Cut(n.Flight, "://")
	c, err := flighttest.Dial(addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// keyed is an Arrow stream of records "k0" to "v0" and so on, in batches of 100.
func keyed(t *testing.T, from, to int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := segment.NewStreamWriter(&b, segment.StreamOptions{Columns: []string{"key", "value"}})
	if err != nil {
		t.Fatal(err)
	}
	for at := from; at < to; at += 100 {
		rows := foz.Rows{}
		for i := at; i < min(at+100, to); i++ {
			rows.Append(0, fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i), nil)
		}
		if err := errors.Join(w.Write(0, foz.Run{Rows: &rows, To: rows.Len()}), w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// place is where a record is.
type place struct {
	partition int32
	offset    int64
}

// collect reads the values of a stream by place. A place that is there already is an error.
func collect(into map[place]string, stream []byte) error {
	r, err := segment.NewStreamReader(bytes.NewReader(stream))
	if err != nil {
		return err
	}
	for {
		partitions, offsets, rows, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for i, offset := range offsets {
			at := place{partitions[i], offset}
			if _, twice := into[at]; twice {
				return fmt.Errorf("%v is there twice", at)
			}
			into[at] = string(rows.Values.Cell(i))
		}
	}
}

// readEndpoints reads all endpoints of an info at once.
func readEndpoints(t *testing.T, c *flighttest.Client, info *flighttest.Info) map[place]string {
	t.Helper()
	var mu sync.Mutex
	got := map[place]string{}
	var g errgroup.Group
	for _, e := range info.Endpoint {
		g.Go(func() error {
			stream, err := c.Get(t.Context(), string(e.Ticket.Ticket))
			if err != nil {
				return fmt.Errorf("%s: %w", e.Ticket.Ticket, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !bytes.HasPrefix(stream, info.Schema) {
				return fmt.Errorf("%s has another schema than the info", e.Ticket.Ticket)
			}
			return collect(got, stream)
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	return got
}

// TestFlightEndpoints: what endpoints give is all that was there when the info was made, once,
// whatever is produced and merged meanwhile.
func TestFlightEndpoints(t *testing.T) {
	t.Parallel()
	n, c := flightNode(t, t.TempDir())
	call(t, "PUT", n.URL+"/v1/topics/t", nil, strings.NewReader(`{"partitions":4}`))
	acks, err := c.Put(t.Context(), flighttest.Path("t"), keyed(t, 0, 3000))
	if err != nil || len(acks) != 1 || !strings.Contains(acks[0], `"count":3000`) {
		t.Fatalf("put: %v %q", err, acks)
	}
	stop := make(chan struct{})
	var others errgroup.Group
	others.Go(func() error {
		for at := 3000; ; at += 50 {
			select {
			case <-stop:
				return nil
			default:
			}
			if _, err := c.Put(t.Context(), flighttest.Path("t"), keyed(t, at, at+50)); err != nil {
				return err
			}
		}
	})
	for round := range 3 {
		info, err := c.Ask(t.Context(), flighttest.Path("t"))
		if err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			call(t, "POST", n.URL+"/v1/maintenance", nil, strings.NewReader(`{"run":["merge"]}`))
		}
		got := readEndpoints(t, c, info)
		if len(got) < 3000 || int64(len(got)) != info.TotalRecords {
			t.Errorf("round %d: %d records, the info said %d", round, len(got), info.TotalRecords)
		}
		values := map[string]bool{}
		for _, v := range got {
			values[v] = true
		}
		if len(values) != len(got) {
			t.Errorf("round %d: %d values in %d records", round, len(values), len(got))
		}
	}
	close(stop)
	if err := others.Wait(); err != nil {
		t.Error(err)
	}
}

// TestFlightTickets: how: a ticket's stream is, byte for byte, what HTTP answers.
func TestFlightTickets(t *testing.T) {
	t.Parallel()
	n, c := flightNode(t, t.TempDir())
	call(t, "PUT", n.URL+"/v1/topics/t", nil, strings.NewReader(`{"partitions":2}`))
	if _, err := c.Put(t.Context(), flighttest.Path("t", "1"), keyed(t, 0, 500)); err != nil {
		t.Fatal(err)
	}
	for _, ticket := range []string{
		"/v1/topics/t/records", "/v1/topics/t/records?from=earliest&columns=value,partition",
		"/v1/topics/t/partitions/1/records?offset=10&end_offset=400&columns=key",
		"/v1/topics/t/partitions/1/records?tail=3", "/v1/topics/t/partitions/0/records",
		"/v1/topics/t/partitions/1/records?limit=7&columns=partition,offset",
	} {
		_, want := call(t, "GET", n.URL+ticket,
			map[string]string{"Accept": "application/vnd.apache.arrow.stream"}, nil)
		got, err := c.Get(t.Context(), ticket)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v, %d bytes, want %d", ticket, err, len(got), len(want))
		}
	}
	for ticket, want := range map[string]string{
		"/v1/topics/x/records":                          "NotFound",
		"/v1/topics/t/partitions/9/records":             "NotFound",
		"/v1/topics/t/partitions/1/records?offset=9999": "OutOfRange",
		"/v1/topics/t/records?columns=nope":             "InvalidArgument",
		"/v1/topics/t/partitions/1/records?wait=9":      "InvalidArgument",
		"/v1/cluster": "InvalidArgument",
	} {
		if _, err := c.Get(t.Context(), ticket); flighttest.Code(err) != want {
			t.Errorf("%s: %v, want %s", ticket, err, want)
		}
	}
	infos, err := c.List(t.Context(), "")
	if err != nil || len(infos) != 1 {
		t.Fatalf("list: %v %v", infos, err)
	}
	stream, err := c.Get(t.Context(), string(infos[0].Endpoint[0].Ticket.Ticket))
	if err != nil || !bytes.HasPrefix(stream, infos[0].Schema) || len(infos[0].Schema) == 0 {
		t.Errorf("the list's own ticket: %v", err)
	}
	begun := time.Now()
	n.Close() // with a client that is connected
	if took := time.Since(begun); took > promptly {
		t.Errorf("closing took %s", took)
	}
}

// TestFlightDamage: how: of two objects the second is damaged while no node runs. A read of both
// breaks after the first has come, and what has come has no end; one of the first is whole.
func TestFlightDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, _ := flightNode(t, dir)
	call(t, "PUT", n.URL+"/v1/topics/t", nil, nil)
	put := func(values ...string) {
		t.Helper()
		body := strings.NewReader(strings.Join(values, "\n"))
		resp, text := call(t, "POST", n.URL+"/v1/topics/t/records",
			map[string]string{"Content-Type": "application/x-ndjson"}, body)
		if resp.StatusCode != 200 {
			t.Fatal(text)
		}
	}
	long := strings.Repeat("x", 1<<20) // more than a batch of an answer holds
	put(long, long, long, long)
	before := dataObjects(t, dir)
	put("damaged")
	n.Close()
	for _, object := range dataObjects(t, dir) {
		if !slices.Contains(before, object) {
			damage(t, filepath.Join(dir, filepath.FromSlash(object)), func(data []byte) []byte {
				return bytes.ReplaceAll(data, []byte("damaged"), []byte("demaged"))
			})
		}
	}
	_, c := flightNode(t, dir)
	got, err := c.Get(t.Context(), "/v1/topics/t/partitions/0/records?end_offset=4")
	if err != nil || bytes.Count(got, []byte(long)) != 4 {
		t.Errorf("the first object: %v, %d bytes", err, len(got))
	}
	got, err = c.Get(t.Context(), "/v1/topics/t/partitions/0/records")
	if flighttest.Code(err) != "Aborted" || !bytes.Contains(got, []byte(long)) ||
		bytes.HasSuffix(got, segment.AppendEndOfStream(nil)) {
		t.Errorf("both objects: %v, %d bytes", err, len(got))
	}
	_, err = c.Get(t.Context(), "/v1/topics/t/partitions/0/records?offset=4")
	if flighttest.Code(err) != "Unavailable" || !strings.Contains(err.Error(), "storage_error") {
		t.Errorf("the damaged object: %v", err)
	}
}

// flightBehindDoors is a node with topics a and b behind TLS: a token may do everything, one may
// read a, and whoever has a certificate as "worker" may produce to b.
func flightBehindDoors(t *testing.T, ca *authority) (n *node, all, some string) {
	t.Helper()
	g := &guardedNode{dir: t.TempDir()}
	cert, key := ca.sign(2, "127.0.0.1", time.Now().Add(time.Hour))
	g.door.cert, g.door.key = g.write(t, "cert.pem", cert), g.write(t, "key.pem", key)
	g.door.clientCA = g.write(t, "ca.pem", ca.pem)
	all, allHash := httpapi.NewToken()
	some, someHash := httpapi.NewToken()
	tokens := tokensOf(t, map[string]string{"all": allHash})
	for _, c := range []httpapi.Credential{
		{Name: "some", SHA256: someHash,
			Grants: []httpapi.Grant{{Topics: "a", Verbs: []httpapi.Verb{httpapi.VerbRead}}}},
		{Name: "w", SAN: "worker",
			Grants: []httpapi.Grant{{Topics: "b", Verbs: []httpapi.Verb{httpapi.VerbProduce}}}},
	} {
		var err error
		if tokens, err = appendEntry(tokens, c); err != nil {
			t.Fatal(err)
		}
	}
	g.door.tokens = g.write(t, "tokens.json", tokens)
	g.start(t, nodeConfig{Flight: "127.0.0.1:0"})
	for _, topic := range []string{"a", "b"} {
		r, err := http.NewRequestWithContext(t.Context(), "PUT", g.URL+"/v1/topics/"+topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+all)
		resp, err := trusting(t, ca, nil).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	return g.node, all, some
}

// TestS7Flight: the Flight address is behind the same door as HTTP. TestS7OpenByAccident has the
// command line.
func TestS7Flight(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	n, all, some := flightBehindDoors(t, ca)
	trusts := &tls.Config{RootCAs: x509.NewCertPool()}
	trusts.RootCAs.AppendCertsFromPEM(ca.pem)
	certain := trusts.Clone()
	pair, err := tls.X509KeyPair(ca.sign(3, "worker", time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	certain.Certificates = []tls.Certificate{pair}
	const yes, who, no = "OK ", "Unauthenticated ", "PermissionDenied "
	for _, caller := range []struct {
		name, token string
		config      *tls.Config
		list        string
		get, put    string // of topics a and b
	}{
		{"nobody", "", trusts, "0 " + who, who + who, who + who},
		{"a stranger", "foz_x", trusts, "0 " + who, who + who, who + who},
		{"all", all, trusts, "2 " + yes, yes + yes, yes + yes},
		{"some", some, trusts, "1 " + yes, yes + no, no + no},
		{"a worker", "", certain, "1 " + yes, no + no, no + yes},
	} {
		c := flightClient(t, n, caller.config)
		if caller.token != "" {
			c.Header["authorization"] = "Bearer " + caller.token
		}
		infos, err := c.List(t.Context(), "")
		list := fmt.Sprintf("%d %s ", len(infos), flighttest.Code(err))
		var get, put, info, schema string
		for _, topic := range []string{"a", "b"} {
			_, err := c.Get(t.Context(), "/v1/topics/"+topic+"/records")
			get += flighttest.Code(err) + " "
			_, err = c.Put(t.Context(), flighttest.Path(topic), keyed(t, 0, 1))
			put += flighttest.Code(err) + " "
			_, err = c.Ask(t.Context(), flighttest.Path(topic))
			info += flighttest.Code(err) + " "
			_, err = c.Schema(t.Context(), flighttest.Path(topic))
			schema += flighttest.Code(err) + " "
		}
		if list != caller.list || get != caller.get || put != caller.put ||
			info != caller.get || schema != caller.get {
			t.Errorf("%s: list %s, get %s, put %s, info %s, schema %s",
				caller.name, list, get, put, info, schema)
		}
	}
	if _, err := flightClient(t, n, nil).List(t.Context(), ""); flighttest.
		Code(err) != "Unavailable" {
		t.Errorf("without TLS: %v", err)
	}
}
