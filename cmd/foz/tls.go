package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"

	"github.com/fozlog/foz/client"
)

// certificate is what a node shows its clients, and what it asks of theirs. It is replaced
// while connections are open: they keep what they were made with.
type certificate struct{ current atomic.Pointer[tls.Config] }

// take uses the certificate, its key and, if there is a third file, the clients' CAs.
func (c *certificate) take(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if len(contents) > 2 {
		if config.ClientCAs, err = certPool(contents[2]); err != nil {
			return fmt.Errorf("clients' CAs: %w", err)
		}
		// Clients with tokens, and probes, have no certificate; a bad one is refused.
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A resumed session would still hold what another set of CAs once verified.
		config.SessionTicketsDisabled = true
	}
	c.current.Store(config)
	return nil
}

// config is for a listener. Each handshake is made with what was taken last.
func (c *certificate) config() *tls.Config {
	config := c.current.Load().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return c.current.Load(), nil
	}
	return config
}

// clientOptions are the global flags' part of what a client is made of.
func (a *app) clientOptions() (o client.Options, err error) {
	if err := a.useProfile(); err != nil {
		return o, err
	}
	o = client.Options{URL: a.url, UserAgent: "foz-cli", Token: client.Secret(a.token)}
	if u, err := url.Parse(a.url); err == nil && u.Scheme == "http" && a.token != "" {
		if local, _ := isLoopback(net.JoinHostPort(u.Hostname(), "0")); !local {
			a.say("foz: the token travels to %s where others can read it: want https", u.Host)
		}
	}
	if a.ca == "" {
		return o, nil
	}
	var roots *x509.CertPool
	contents, err := readAll([]string{a.ca})
	if err == nil {
		roots, err = certPool(contents[0])
	}
	if err != nil {
		return o, usagef("--ca %s: %w", a.ca, err)
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return o, nil
}
