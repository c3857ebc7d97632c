package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/klauspost/compress/zstd"
)

// How: connections that declare 2 GiB, each with a little of it sent and then silent, in every
// format; the process's resident memory is looked at before and while all hang.
func TestS1DeclaredLengthsTakeNoMemory(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	connections := 1000
	if testing.Short() {
		connections = 100
	}
	before := residentBytes(t)
	var open []net.Conn
	for i := range connections {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Skipf("after %d connections: %v", i, err)
		}
		open = append(open, c)
		length, body := "Content-Length: 2147483648", strings.Repeat("x\n", 200)
		if i%2 == 0 {
			length, body = "Transfer-Encoding: chunked", "80000000\r\n"+body
		}
		media := []string{mediaNDJSON, mediaJSON, mediaArrow, mediaOctets}[i%4]
		encoding := []string{"identity", "gzip", "zstd"}[i%3]
		fmt.Fprintf(c, "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n"+
			"Content-Encoding: %s\r\n%s\r\n\r\n%s", media, encoding, length, body)
	}
	time.Sleep(200 * time.Millisecond)
	if grown := residentBytes(t) - before; grown > 64<<20 && !raceEnabled {
		t.Errorf("%d MiB for %d connections", grown>>20, connections)
	} else {
		t.Logf("%d KiB per connection, both ends", grown>>10/int64(connections))
	}
	got, err := http.Post(server.URL+"/v1/topics/t/records", mediaNDJSON, strings.NewReader("a\n"))
	if err != nil || got.StatusCode != 200 {
		t.Errorf("another client: %v %v", got, err)
	}
	for _, c := range open {
		c.Close()
	}
	soon(t, "memory given back", func() bool { return a.decoding.used.Load() == 0 })
	wantEqual(t, "records", h.total(), 1)
}

// residentBytes is the memory of this process, both ends of sockets included.
func residentBytes(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// How: a few KiB that open to more than a body may have are refused, in every format, in
// memory for one body.
func TestS2Bombs(t *testing.T) {
	var small, smaller bytes.Buffer
	gz, err := gzip.NewWriterLevel(&small, gzip.BestSpeed)
	bomb(t, gz, err)
	z, err := zstd.NewWriter(&smaller)
	bomb(t, z, err)
	for encoding, body := range map[string][]byte{"gzip": small.Bytes(), "zstd": smaller.Bytes()} {
		for _, media := range []string{mediaNDJSON, mediaJSON, mediaArrow, mediaOctets} {
			h := newHouse()
			h.topic("t", 1, foz.TopicConfig{})
			before := residentBytes(t)
			got := do(h.api(Config{}).Handler(), "POST", "/v1/topics/t/records", string(body),
				"Content-Type: "+media, "Content-Encoding: "+encoding)
			if got.status != 413 && (media != mediaArrow || got.status != 400) {
				t.Errorf("%s %s: %d %s", encoding, media, got.status, got.body)
			}
			if grown := residentBytes(t) - before; grown > 400<<20 && !raceEnabled {
				t.Errorf("%s %s: %d MiB", encoding, media, grown>>20)
			}
			wantEqual(t, "records", h.total(), 0)
		}
	}
}

// bomb writes 128 MiB of spaces in lines.
func bomb(t *testing.T, w io.WriteCloser, err error) {
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte(" "), 64<<10), '\n')
	for range 2048 {
		w.Write(line)
	}
	w.Close()
}

// How: a zstd frame that wants a window of 2 GiB is refused before it has it.
func TestS2ZstdWindow(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	frame := "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00" // window log 31, one empty raw block, last
	got := do(h.api(Config{}).Handler(), "POST", "/v1/topics/t/records", frame,
		"Content-Type: application/x-ndjson", "Content-Encoding: zstd")
	checkProblem(t, "window", got, foz.CodeBatchTooLarge)
}

// How: bodies that together want more than the budget are told to come again, and it is all
// given back.
func TestDecodeBudget(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{DecodeBytesMax: 1 << 20})
	for _, c := range []struct{ media, body string }{
		{mediaNDJSON, strings.Repeat("x\n", 1<<20)},
		{mediaJSON, `{"records":[` + strings.Repeat(`{"value":1},`, 1<<17) + `{"value":1}]}`},
		{mediaOctets, strings.Repeat("x", 1<<20)},
	} {
		got := do(a.Handler(), "POST", "/v1/topics/t/records", c.body, "Content-Type: "+c.media)
		checkProblem(t, c.media, got, foz.CodeOverloaded)
		wantEqual(t, "held", a.decoding.used.Load(), 0)
	}
	wantEqual(t, "records", h.total(), 0)
}

// How: a client that sends a body somewhat over the limit in full before it reads sees the
// 413, whether it said how long the body is or not.
func TestRefusalIsSeen(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	server := httptest.NewServer(h.api(Config{BodyBytesMax: 4 << 20}).Handler())
	defer server.Close()
	body := bytes.Repeat([]byte("0123456789abcde\n"), 5<<20/16)
	for _, header := range []string{"Content-Length: 5242880", "Transfer-Encoding: chunked"} {
		for _, path := range []string{"/v1/topics/t/records", "/v1/topics/no/records"} {
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n%s\r\n\r\n",
				path, header)
			w := io.Writer(c)
			if strings.HasPrefix(header, "Transfer") {
				w = httpChunks{c}
			}
			for part := body; len(part) > 0; part = part[64<<10:] {
				if _, err := w.Write(part[:64<<10]); err != nil {
					t.Errorf("%s %s: %v with %d bytes to go", path, header, err, len(part))
					break
				}
			}
			if header != "Content-Length: 5242880" {
				io.WriteString(c, "0\r\n\r\n")
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != map[bool]int{true: 413, false: 404}[path[11] == 't'] {
				t.Errorf("%s %s: %v %v", path, header, resp, err)
			}
			c.Close()
		}
	}
	wantEqual(t, "records", h.total(), 0)
}

type httpChunks struct{ w io.Writer }

func (c httpChunks) Write(b []byte) (int, error) {
	if _, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", len(b), b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// How: a client that waits for 100 Continue is refused without sending its body.
func TestExpectContinue(t *testing.T) {
	h := newHouse()
	server := httptest.NewServer(h.api(Config{}).Handler())
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /v1/topics/no/records HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"+
		"Content-Type: text/plain\r\nExpect: 100-continue\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 404 {
		t.Errorf("%v %v", resp, err)
	}
}

// How: over real connections, a body that trickles is given up, one that pauses within its
// allowance is not; the log has the latter's record only.
func TestS6SlowBodies(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	api := h.api(Config{BodyGrace: 2 * time.Second, BodyRateMin: 1 << 20}).Handler()
	server := httptest.NewServer(api)
	defer server.Close()
	for pause, want := range map[time.Duration]int{20 * time.Millisecond: 200, patience: 400} {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"+
			"Content-Type: text/plain\r\n\r\na")
		rest := time.AfterFunc(pause, func() { c.Write([]byte("b")) })
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%v: %v %v", pause, resp, err)
		}
		rest.Stop()
		c.Close()
	}
	wantEqual(t, "records", h.total(), 1)
}

// How: a client that takes nothing is let go of after the time for a chunk; the handler ends.
func TestS6SlowReader(t *testing.T) {
	h := newHouse()
	p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
	for range 64 {
		h.log(p).Append(1, nil, make([]byte, 1<<20), nil)
	}
	done := make(chan bool, 1)
	api := h.api(Config{WriteTimeout: 100 * time.Millisecond}).Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { done <- recover() == http.ErrAbortHandler; panic(http.ErrAbortHandler) }()
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET "+oneRead+" HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
	select {
	case broken := <-done:
		wantEqual(t, "broken off", broken, true)
	case <-time.After(patience):
		t.Error("the handler still writes")
	}
}

// How: an idle connection and a header that does not end are closed by the server's own
// limits; a header over 64 KiB is refused.
func TestS6ServerLimits(t *testing.T) {
	s := NewServer("localhost:0", newHouse().api(Config{}).Handler())
	if s.ReadHeaderTimeout == 0 || s.IdleTimeout == 0 || s.ReadTimeout != 0 || s.WriteTimeout != 0 {
		t.Errorf("timeouts: %v %v %v %v",
			s.ReadHeaderTimeout, s.IdleTimeout, s.ReadTimeout, s.WriteTimeout)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	defer s.Close()
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/topics/" + strings.Repeat("a", 80<<10))
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", resp, err)
	}
}

// How: in a bubble, a produce that hangs is answered as unknown when its time is over.
func TestProduceTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.topic("t", 1, foz.TopicConfig{})
		a := h.api(Config{})
		a.Producer = hanging{}
		begun := time.Now()
		got := do(a.Handler(), "POST", "/v1/topics/t/records", "a", "Content-Type: text/plain")
		p := checkProblem(t, "hanging", got, foz.CodeAckTimeout)
		wantEqual(t, "side effects", p.SideEffects, "unknown")
		wantEqual(t, "after", time.Since(begun), 30*time.Second)
	})
}

type hanging struct{}

func (hanging) Produce(ctx context.Context, _ foz.Request) (foz.Ack, error) {
	<-ctx.Done()
	return foz.Ack{}, ctx.Err()
}
