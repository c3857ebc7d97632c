package s3api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Transport carries the requests of one driver. TLS is verified; what comes is not unpacked;
// a redirect is an error; and a connection on which nothing moves for a while is cut, with or
// without a deadline of the caller.
type Transport struct{ http *http.Transport }

// Stall is how long a connection may stand still: nothing sent, nothing received.
const Stall = 30 * time.Second

// NewTransport returns a Transport that cuts connections which stand still for stall.
func NewTransport(stall time.Duration) *Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &Transport{&http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &movingConn{conn, stall}, nil
		},
		// Uploads and range reads come in bursts: what they opened is kept for the next one.
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       min(stall, 20*time.Second), // S3 closes idle ones itself after these
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stall,
		DisableCompression:    true,
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		// HTTP/1.1 on purpose: large bodies side by side want a connection each.
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}}
}

// ErrSecond refuses the second request of one call of a Client, whatever a library wants it for.
var ErrSecond = errors.New("a call is one request")

// RoundTrip is http.RoundTripper's. It writes the answer down for whoever waits for it.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	a, waits := req.Context().Value(answerKey{}).(*Answer)
	if !waits {
		return t.http.RoundTrip(req)
	}
	if a.asked {
		return nil, ErrSecond
	}
	a.asked = true
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := a.take(resp); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp, nil
}

// movingConn is a connection that must move.
type movingConn struct {
	net.Conn
	stall time.Duration
}

func (c *movingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write gives reading time, too: an answer cannot come before the request has gone.
func (c *movingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
