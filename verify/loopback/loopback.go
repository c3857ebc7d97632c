// Package loopback finds addresses for servers that tests start in processes of their own.
package loopback

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken from below what the kernels of Linux, macOS and Windows hand out to whoever
// asks for any port, so that nobody gets one between the moment it is found and its use.
const (
	portFirst = 16000
	portCount = 4000
)

var ports = struct {
	sync.Mutex
	next, left int
}{next: rand.IntN(portCount), left: portCount}

// FreeAddress is an address of this machine's loopback that nobody listens at, and that this
// process has not given before.
func FreeAddress() (string, error) {
	ports.Lock()
	defer ports.Unlock()
	for ; ports.left > 0; ports.left-- {
		ports.next = (ports.next + 1) % portCount
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(portFirst+ports.next))
		l, err := net.Listen("tcp", at)
		if err != nil {
			continue
		}
		ports.left--
		return at, l.Close()
	}
	return "", errors.New("no loopback port is free between 16000 and 20000")
}

// Address is FreeAddress for a test, which ends if there is none.
func Address(t testing.TB) string {
	t.Helper()
	at, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return at
}
