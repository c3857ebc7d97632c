package main

// A crowd at the door of the real binary.
//
// How: this process opens connections to a node that is another: most have asked once and stay
// idle, some send a header that never ends, some a body that hardly moves. One client goes on
// appending and reading, alone and beside them; the node's memory is what the kernel says.

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// How long the slow may take, as they are told nowhere but in the contract, with some slack
// for a busy machine: headers 10 s, bodies 15 s.
const (
	slowHeaderMax = 10*time.Second + 15*time.Second
	slowBodyMax   = 15*time.Second + 15*time.Second
)

// crowdBytesMax is what a connection may cost a node.
const crowdBytesMax = 64 << 10

func TestS6Crowd(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 20 s")
	}
	t.Parallel()
	size, err := strconv.Atoi(cmp.Or(os.Getenv("FOZ_TEST_CROWD"), "2000"))
	if err != nil {
		t.Fatal("FOZ_TEST_CROWD: ", err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil ||
		int(limit.Cur) < size+500 {
		t.Skipf("%d descriptors are too few for %d connections: %v", limit.Cur, size, err)
	}
	p := startDev(t, filepath.Join(t.TempDir(), "bucket"))
	at := strings.TrimPrefix(p.URL, "http://")
	call(t, "PUT", p.URL+"/v1/topics/t", nil, nil)
	paced(t, p.URL, 50) // its first requests warm what there is to be warm
	alone, memory := paced(t, p.URL, 300), p.residentBytes()

	headers := connectAll(t, at, size/10, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	bodies := connectAll(t, at, size/10, "POST /v1/topics/t/records HTTP/1.1\r\nHost: x\r\n"+
		"Content-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n")
	begun := time.Now()
	idle := connectAll(t, at, size-2*(size/10), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	var slow sync.WaitGroup
	slow.Go(func() { drip(headers) })
	slow.Go(func() { drip(bodies) })
	slow.Go(func() { hungUp(t, "slow headers", headers, begun.Add(slowHeaderMax)) })
	slow.Go(func() { hungUp(t, "slow bodies", bodies, begun.Add(slowBodyMax)) })
	beside := paced(t, p.URL, 300)
	grown := p.residentBytes() - memory
	t.Logf("%d idle connections, %d slow headers, %d slow bodies: p99 %v, alone %v (ratio %.2f); "+
		"%d MiB resident, %d before: %d KiB a connection", len(idle), len(headers), len(bodies),
		beside, alone, float64(beside)/float64(alone), p.residentBytes()>>20, memory>>20,
		grown>>10/int64(size))
	if beside > 20*alone+time.Second {
		t.Errorf("somebody else waits %v, alone %v", beside, alone)
	}
	if grown > int64(size)*crowdBytesMax+(64<<20) {
		t.Errorf("%d connections cost %d MiB", size, grown>>20)
	}
	slow.Wait()
	if resp, text := produceText(t, p.URL, "after"); resp.StatusCode != 200 {
		t.Error(text)
	}
	stillThere(t, idle)
}

// paced appends and reads n times and gives the 99th of a hundred.
func paced(t *testing.T, url string, n int) time.Duration {
	t.Helper()
	client := newHTTPClient(t)
	took := make([]time.Duration, n)
	for i := range took {
		begun := time.Now()
		resp, err := client.Post(url+"/v1/topics/t/records", "text/plain", strings.NewReader("x"))
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
		}
		if err == nil {
			resp, err = client.Get(url + "/v1/topics/t/partitions/0/records?tail=1")
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took[n*99/100].Round(10 * time.Microsecond)
}

// connectAll opens connections and sends the same over each.
func connectAll(t *testing.T, at string, n int, text string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	var g sync.WaitGroup
	turns := make(chan int)
	for range 32 {
		g.Go(func() {
			for i := range turns {
				conn, err := net.Dial("tcp", at)
				if err != nil {
					t.Error(err)
					continue
				}
				conns[i] = conn
				_, _ = io.WriteString(conn, text) // who is hung up on is found out later
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	g.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	return conns
}

// drip sends a byte a second over each until all are hung up.
func drip(conns []net.Conn) {
	for open := slices.Clone(conns); len(open) > 0; time.Sleep(time.Second) {
		open = slices.DeleteFunc(open, func(conn net.Conn) bool {
			_, err := io.WriteString(conn, "a")
			return err != nil
		})
	}
}

// hungUp reads what each is told, until it is hung up, and no later than by a time.
func hungUp(t *testing.T, who string, conns []net.Conn, by time.Time) {
	t.Helper()
	late := 0
	for _, conn := range conns {
		_ = conn.SetReadDeadline(by)
		if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%s: %d of %d are not hung up on in time", who, late, len(conns))
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// stillThere asks once more over each connection.
func stillThere(t *testing.T, conns []net.Conn) {
	t.Helper()
	gone := 0
	answer := make([]byte, 4096)
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(shortly))
		_, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		said := []byte{}
		for err == nil {
			var n int
			n, err = conn.Read(answer)
			said = append(said, answer[:n]...)
		}
		if bytes.Count(said, []byte("HTTP/1.1 200")) != 2 {
			gone++
		}
	}
	if gone > 0 {
		t.Errorf("%d of %d idle connections were not served again", gone, len(conns))
	}
}

// residentBytes is what the process holds in memory. Source: proc(5).
func (p *process) residentBytes() int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		p.t.Fatal("VmRSS: ", err)
	}
	return kib << 10
}
