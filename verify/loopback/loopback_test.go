package loopback_test

import (
	"net"
	"testing"

	"github.com/fozlog/foz/verify/loopback"
)

// How: addresses can be listened at, none comes twice, and none is the kernel's to give away.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		at, err := loopback.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		if seen[at] {
			t.Errorf("%s twice", at)
		}
		seen[at] = true
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port >= 32768 {
			t.Errorf("port %d is in the kernel's own range", port)
		}
	}
}
