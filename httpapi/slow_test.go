package httpapi

// How: a real server holds as many connections that do nothing as this process may open (up
// to 8,000), then some that send their headers byte by byte. Somebody else's requests are
// timed before and meanwhile, and the slow ones are closed when their time is over.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
)

func TestS6IdleAndSlowConnections(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	server := NewServer("", h.api(Config{}).Handler())
	server.ReadHeaderTimeout = 3 * time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	defer func() { server.Close(); <-done }()
	before := timings(t, l.Addr().String())

	memory := residentBytes(t)
	connections := 8000
	if testing.Short() || raceEnabled {
		connections = 1000
	}
	idle := connect(t, l.Addr().String(), connections, "")
	slow := connect(t, l.Addr().String(), 500, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if len(slow) < 500 {
		t.Skipf("only %d connections may be open here", len(idle)+len(slow))
	}
	dripping := make(chan struct{})
	go func() {
		defer close(dripping)
		for range 5 {
			for _, c := range slow {
				io.WriteString(c, "a")
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	meanwhile := timings(t, l.Addr().String())
	<-dripping
	grown := residentBytes(t) - memory
	t.Logf("%d idle, %d slow: %d KiB each, both ends; median %v, before %v", len(idle), len(slow),
		grown>>10/int64(len(idle)+len(slow)), meanwhile, before)
	if meanwhile > 20*before+100*time.Millisecond { // it is not held up; how fast is no question here
		t.Errorf("somebody else waits %v, before %v", meanwhile, before)
	}
	if grown > int64(len(idle)+len(slow))*64<<10 {
		t.Errorf("%d MiB", grown>>20)
	}
	for _, c := range slow[:10] { // they are hung up on, however they drip
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(c); err != nil {
			t.Errorf("a slow header: %v", err)
		}
	}
}

// timings is the median of the times that requests take.
func timings(t *testing.T, addr string) time.Duration {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var took []time.Duration
	for range 300 {
		begun := time.Now()
		resp, err := client.Get("http://" + addr + "/v1/topics/t")
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// connect opens connections and sends something on each. Where no more may be open it closes
// some again, so that others have room.
func connect(t *testing.T, addr string, n int, text string) (all []net.Conn) {
	for range n {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			for _, c := range all[4*len(all)/5:] {
				c.Close()
			}
			return all[:4*len(all)/5]
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, text)
		all = append(all, c)
	}
	return all
}
