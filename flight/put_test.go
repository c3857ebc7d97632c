package flight

// How: a stranger's client puts streams over loopback, and the contract is a function of the test
// that reads request bodies as httpapi does. Hostile messages are handed to the service as the
// body of a call, by a table and by the fuzzer.

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
	"github.com/fozlog/foz/segment"
)

// ledger is a contract that takes records.
type ledger struct {
	mu       sync.Mutex
	requests []string // target, producer, values
	err      error    // of the last body that was none
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rows, err := segment.ReadStream(r.Body, segment.StreamLimits{BytesMax: 1 << 20, RowsMax: 1000})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && rows.Len() == 0 {
		err = errors.New("no records")
	}
	if err != nil {
		l.err = err
		problem(w, 400, foz.CodeBadRequest, err.Error())
		return
	}
	var values []string
	for i := range rows.Len() {
		values = append(values, string(rows.Values.Cell(i)))
	}
	h := r.Header
	l.requests = append(l.requests, fmt.Sprint(r.Method, " ", r.URL.Path, " ", h.Get("Content-Type"),
		" ", h.Get("Producer-Id"), h.Get("Producer-Epoch"), h.Get("Producer-Seq"), " ",
		strings.Join(values, ",")))
	fmt.Fprintf(w, `{"count":%d}`, rows.Len())
}

func TestPut(t *testing.T) {
	l := &ledger{}
	client := serve(t, Config{PutRowsMax: 4}, l.ServeHTTP)
	for name, value := range map[string]string{
		"producer-id": "p", "producer-epoch": "0", "producer-seq": "7",
	} {
		client.Header[name] = value
	}
	acks, err := client.Put(t.Context(), flighttest.Path("t"), streamOf(t, 2, 2, 1, 3, 9, 1))
	if want := []string{`{"count":4}`, `{"count":4}`, `{"count":9}`, `{"count":1}`}; err != nil ||
		!slices.Equal(acks, want) {
		t.Errorf("acknowledged %v, %q", err, acks)
	}
	client.Header = nil
	acks, err = client.Put(t.Context(), flighttest.Path("t", "3"), streamOf(t, 1))
	if err != nil || len(acks) != 1 {
		t.Errorf("acknowledged %v, %q", err, acks)
	}
	const media = " application/vnd.apache.arrow.stream "
	want := []string{
		"POST /v1/topics/t/records" + media + "p07 v0,v1,v2,v3",
		"POST /v1/topics/t/records" + media + "p08 v4,v5,v6,v7",
		"POST /v1/topics/t/records" + media + "p09 v8,v9,v10,v11,v12,v13,v14,v15,v16",
		"POST /v1/topics/t/records" + media + "p010 v17",
		"POST /v1/topics/t/partitions/3/records" + media + " v0",
	}
	if !slices.Equal(l.requests, want) {
		t.Errorf("asked %q", l.requests)
	}
}

// TestPutBytes: how: every batch is over the limit alone, and is a request of its own.
func TestPutBytes(t *testing.T) {
	l := &ledger{}
	client := serve(t, Config{PutBytesMax: 100}, l.ServeHTTP)
	acks, err := client.Put(t.Context(), flighttest.Path("t"), streamOf(t, 2, 2, 2))
	if err != nil || len(acks) != 3 {
		t.Errorf("acknowledged %v, %q", err, acks)
	}
}

// TestPutRefused: what came before the request that is refused stays acknowledged.
func TestPutRefused(t *testing.T) {
	l := &ledger{}
	client := serve(t, Config{PutRowsMax: 1}, func(w http.ResponseWriter, r *http.Request) {
		if len(l.requests) == 2 {
			problem(w, 504, foz.CodeAckTimeout, "who knows")
			return
		}
		l.ServeHTTP(w, r)
	})
	acks, err := client.Put(t.Context(), flighttest.Path("t"), streamOf(t, 1, 1, 1, 1))
	if flighttest.Code(err) != "DeadlineExceeded" || len(acks) != 2 || len(l.requests) != 2 {
		t.Errorf("acknowledged %v, %q", err, acks)
	}
}

// TestPutClientGoes: a stream that is cut is never a request that ends.
func TestPutClientGoes(t *testing.T) {
	l := &ledger{}
	begun, done := make(chan struct{}), make(chan struct{})
	client := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		l.ServeHTTP(w, r)
		close(done)
	})
	messages, err := flighttest.Messages(streamOf(t, 3, 3))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.DoPut(ctx)
	if err != nil {
		t.Fatal(err)
	}
	messages[0].FlightDescriptor = flighttest.Path("t")
	for _, m := range messages[:2] {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	time.Sleep(20 * time.Millisecond) // so that the contract is at it, mostly
	cancel()
	<-done
	if l.err == nil || len(l.requests) > 0 {
		t.Errorf("appended %q, %v", l.requests, l.err)
	}
}

// TestPutSilence: a client that says nothing is not waited for without end.
func TestPutSilence(t *testing.T) {
	client := serve(t, Config{Patience: 30 * time.Millisecond}, (&ledger{}).ServeHTTP)
	stream, err := client.DoPut(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); flighttest.Code(err) != "DeadlineExceeded" {
		t.Error(err)
	}
}

// framed is a message as it travels.
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// dataOf is a FlightData.
func dataOf(descriptor, header, body []byte) []byte {
	var b []byte
	if descriptor != nil {
		b = appendBytes(b, fieldDataDescriptor, descriptor)
	}
	if header != nil {
		b = appendBytes(b, fieldDataHeader, header)
	}
	if body != nil {
		b = appendBytes(b, fieldDataBody, body)
	}
	return b
}

// put is a call with this body: how it ended.
func put(h http.Handler, body []byte) (code, message string) {
	r := httptest.NewRequest(http.MethodPost, servicePath+"DoPut", bytes.NewReader(body))
	r.ProtoMajor = 2
	r.Header.Set("Content-Type", mediaGRPC)
	w := httptest.NewRecorder()
	New(Deps{Handler: h}, Config{PutRowsMax: 4}).ServeHTTP(w, r)
	trailer := w.Result().Trailer
	return trailer.Get(headerStatus), trailer.Get(headerMessage)
}

// parts are of a put that is well.
type parts struct {
	to, schema []byte // descriptor; metadata
	begun      []byte // the first message, framed
	batch      *flighttest.Data
	good       []byte // the second message
}

func partsOf(t testing.TB) parts {
	t.Helper()
	messages, err := flighttest.Messages(streamOf(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	p := parts{to: pathDescriptor("t"), schema: messages[0].DataHeader, batch: messages[1]}
	p.begun = framed(dataOf(p.to, p.schema, nil))
	p.good = dataOf(nil, p.batch.DataHeader, p.batch.DataBody)
	return p
}

// after is a put whose second message is another.
func (p parts) after(message []byte) []byte {
	return append(bytes.Clone(p.begun), framed(message)...)
}

// ends is a put's body and how the call ends: its code and a part of its message.
type ends struct {
	body []byte
	want string
}

func checkPuts(t *testing.T, puts map[string]ends) {
	t.Helper()
	for name, c := range puts {
		code, message := put(&ledger{}, c.body)
		wantCode, want, _ := strings.Cut(c.want, " ")
		if code != wantCode || !strings.Contains(message, want) {
			t.Errorf("%s: %s %s, want %s", name, code, message, c.want)
		}
	}
}

// TestPutOrder: what comes when, and where to.
func TestPutOrder(t *testing.T) {
	p := partsOf(t)
	command := appendBytes(appendNumber(nil, fieldDescriptorType, descriptorCmd),
		fieldDescriptorCmd, []byte("/v1/topics/t/records"))
	checkPuts(t, map[string]ends{
		"all is well":   {p.after(p.good), "0"},
		"nothing":       {nil, "3 no message"},
		"no descriptor": {framed(dataOf(nil, p.schema, nil)), "3 a descriptor is"},
		"a command": {
			framed(dataOf(command, p.schema, nil)),
			"3 not to a command",
		},
		"path as a name": {
			framed(dataOf(pathDescriptor("../x"), p.schema, nil)),
			"3 a descriptor is",
		},
		"no schema": {framed(dataOf(p.to, nil, nil)), "3 no schema"},
		"schema comes later": {
			slices.Concat(framed(dataOf(p.to, nil, nil)), framed(dataOf(nil, p.schema, nil)),
				framed(p.good)),
			"0",
		},
		"metadata between": {
			append(p.after(appendBytes(nil, 3, []byte("app"))), framed(p.good)...),
			"0",
		},
		"begins with a batch": {
			framed(dataOf(p.to, p.batch.DataHeader, p.batch.DataBody)),
			"3 begin with its schema",
		},
		"no batches":  {p.begun, "3 no records"},
		"two schemas": {p.after(dataOf(nil, p.schema, nil)), "3 bad_request"},
		"body alone": {
			p.after(dataOf(nil, nil, []byte("x"))),
			"3 without data_header",
		},
	})
}

func TestPutHostile(t *testing.T) {
	p := partsOf(t)
	checkPuts(t, map[string]ends{
		"half a prefix":  {[]byte{0, 0}, "1 end early"},
		"half a message": {p.begun[:30], "1 end early"},
		"cut in a body":  {p.after(p.good)[:len(p.begun)+len(p.good)-3], "1 end early"},
		"compressed":     {[]byte{1, 0, 0, 0, 0}, "12 compresses"},
		"body shorter than said": {
			p.after(dataOf(nil, p.batch.DataHeader, p.batch.DataBody[:8])),
			"3 data_header says",
		},
		"body missing": {
			p.after(dataOf(nil, p.batch.DataHeader, nil)),
			"3 data_header says",
		},
		"body before header": {
			p.after(appendBytes(dataOf(nil, nil, p.batch.DataBody), 2, p.batch.DataHeader)),
			"3 not its last field",
		},
		"header is noise": {
			p.after(dataOf(nil, bytes.Repeat([]byte{0xEE}, 64), nil)),
			"3 damaged",
		},
		"header is long": {
			p.after(dataOf(nil, make([]byte, messageBytesMax+1), nil)),
			"8 a field of",
		},
		"field reaches beyond": {p.after([]byte{2<<3 | 2, 200}), "3 EOF"},
		"body reaches beyond": {
			p.after(append(protowire.AppendTag(nil, fieldDataBody, 2), 200)),
			"3 EOF",
		},
		"a number without an end": {p.after(bytes.Repeat([]byte{0x80}, 20)), "3 overflow"},
		"a number that is cut":    {p.after([]byte{0x80}), "3 EOF"},
		"a group, not a bytes":    {p.after([]byte{2<<3 | 3}), "3 wire type 3"},
		"field 0":                 {p.after([]byte{2, 0}), "3 field 0"},
		"claims four gigabytes": {
			append(bytes.Clone(p.begun), 0, 255, 255, 255, 255),
			"1 end early",
		},
		"claims them, in the body": {
			append(append(bytes.Clone(p.begun), 0, 255, 255, 255, 255),
				dataOf(nil, p.batch.DataHeader, nil)...),
			"1 end early",
		},
	})
}

// TestPutAnsweredEarly: a request that is answered before it was read is not taken for good.
func TestPutAnsweredEarly(t *testing.T) {
	messages, _ := flighttest.Messages(streamOf(t, 2))
	body := framed(dataOf(pathDescriptor("t"), messages[0].DataHeader, nil))
	body = append(body, framed(dataOf(nil, messages[1].DataHeader, messages[1].DataBody))...)
	code, _ := put(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 10)
		io.WriteString(w, "{}")
	}), body)
	if code != "13" {
		t.Errorf("it ended with %s", code)
	}
}

func FuzzPut(f *testing.F) {
	messages, err := flighttest.Messages(streamOf(f, 2, 3))
	if err != nil {
		f.Fatal(err)
	}
	body := framed(dataOf(pathDescriptor("t"), messages[0].DataHeader, nil))
	for _, m := range messages[1:] {
		body = append(body, framed(dataOf(nil, m.DataHeader, m.DataBody))...)
	}
	f.Add(body)
	f.Add(body[:len(body)-5])
	f.Add(append(bytes.Clone(body), 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, message := put(&ledger{}, body); code == "" || code == "13" {
			t.Fatalf("the call ended with %q %q", code, message)
		}
	})
}
