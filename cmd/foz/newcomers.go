package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// newcomers are connections that have not sent anything yet. http.Server.Shutdown waits for
// each until it is five seconds old; a client that connected ahead shall not keep a node
// from stopping.
type newcomers struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newcomerGrace is how long a newcomer's request may still come when a node stops.
const newcomerGrace = 250 * time.Millisecond

// note is an http.Server's ConnState.
func (n *newcomers) note(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state != http.StateNew {
		delete(n.conns, c)
		return
	}
	if n.conns == nil {
		n.conns = map[net.Conn]bool{}
	}
	n.conns[c] = true
}

// dismiss closes them all.
func (n *newcomers) dismiss() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // there is nothing to lose in it
	}
}
