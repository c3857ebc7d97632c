package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/pflag"

	"github.com/fozlog/foz/bus"
)

// busSettings say which bus a node is on, and who else may be.
type busSettings struct {
	urls    []string
	listen  string
	cluster string
	routes  []string
	ca      string // file
	cert    string // file
	key     string // file
}

func (s *busSettings) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&s.urls, "bus", nil, "NATS servers to use: nats://host:4222,... "+
		"(credentials: $NATS_CREDS, a file, or $NATS_USER and $NATS_PASSWORD)")
	f.StringVar(&s.listen, "bus-listen", "", "form the bus: where this node's part listens")
	f.StringVar(&s.cluster, "bus-cluster", "", "form the bus: where its routes listen")
	f.StringSliceVar(&s.routes, "bus-routes", nil, "form the bus: routes of the other nodes")
	f.StringVar(&s.ca, "bus-ca", "", "file of CAs that vouch for who is on the bus, PEM")
	f.StringVar(&s.cert, "bus-cert", "", "file of this node's certificate on the bus, PEM")
	f.StringVar(&s.key, "bus-key", "", "file of that certificate's private key, PEM")
}

func isTLS(url string) bool { return strings.HasPrefix(url, "tls://") }

// formed: the node is a part of the bus itself.
func (s busSettings) formed() bool { return s.listen != "" || s.cluster != "" }

// check refuses settings that cannot be meant.
func (s busSettings) check(insecure bool) error {
	files := s.ca != "" || s.cert != "" || s.key != ""
	switch {
	case s.cert != "" && s.key == "":
		return errors.New("--bus-cert without --bus-key")
	case s.key != "" && s.cert == "":
		return errors.New("--bus-key without --bus-cert")
	case s.formed() && len(s.urls) > 0:
		return errors.New("--bus are servers of yours, --bus-listen and --bus-cluster make one: " +
			"give either")
	case files && !s.formed() && len(s.urls) == 0:
		return errors.New("--bus-ca, --bus-cert and --bus-key are for a bus: give --bus, or " +
			"--bus-cluster")
	case s.formed() && files && (s.ca == "" || s.cert == ""):
		return errors.New("nodes that form a bus ask each other for a certificate: give --bus-ca, " +
			"--bus-cert and --bus-key together")
	case len(s.routes) > 0 && s.cluster == "":
		return errors.New("--bus-routes without --bus-cluster")
	case slices.ContainsFunc(s.routes, isTLS) && !files:
		return errors.New("--bus-routes tls://... takes --bus-ca, --bus-cert and --bus-key")
	}
	if err := checkBusURLs("bus", s.urls); err != nil {
		return err
	}
	if err := checkBusURLs("bus-routes", s.routes); err != nil {
		return err
	}
	if files {
		return nil
	}
	return busIsOpen(insecure, s.listen, s.cluster)
}

// busIsOpen refuses a bus in the clear that others reach: it believes whoever speaks on it.
func busIsOpen(insecure bool, listen, cluster string) error {
	for _, l := range [][2]string{{"bus-listen", listen}, {"bus-cluster", cluster}} {
		flag, addr := l[0], l[1]
		if addr == "" || insecure {
			continue
		}
		if local, err := isLoopback(addr); err != nil || !local {
			return fmt.Errorf("--%s %s is not a loopback address, and the bus believes everybody who "+
				"reaches it: give --bus-ca, --bus-cert and --bus-key, or use NATS servers with "+
				"accounts and TLS (--bus tls://...), or say --insecure where only nodes reach it",
				flag, addr)
		}
	}
	return nil
}

// checkBusURLs refuses what is no URL of a bus, without showing the password it may hold.
func checkBusURLs(flag string, urls []string) error {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return fmt.Errorf("--%s: want URLs such as nats://host:4222 or tls://host:4222", flag)
		}
		if u.User != nil {
			return fmt.Errorf("--%s: a URL is shown and logged, and no place for credentials: "+
				"NATS_CREDS names a file of them, or NATS_USER and NATS_PASSWORD hold them", flag)
		}
	}
	return nil
}

// inTheClear are the servers that others can listen to and speak for.
func (s busSettings) inTheClear() (hosts []string) {
	for _, text := range s.urls {
		u, err := url.Parse(text)
		if err != nil || s.ca != "" || s.cert != "" || u.Scheme != "nats" {
			continue
		}
		if local, _ := isLoopback(net.JoinHostPort(u.Hostname(), "0")); !local {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// open makes the configuration of the bus. Its certificate is read again as the door's is.
func (s busSettings) open(getenv func(string) string, d *door) (c bus.Config, err error) {
	c = bus.Config{URLs: s.urls, Listen: s.listen, ClusterListen: s.cluster, Routes: s.routes}
	if len(s.urls) > 0 {
		c.Credentials, c.User = getenv("NATS_CREDS"), getenv("NATS_USER")
		c.Password = getenv("NATS_PASSWORD")
		if c.Credentials != "" && c.User != "" {
			return c, usagef("NATS_CREDS and NATS_USER are both set: which is it?")
		}
		if c.Credentials != "" {
			if _, err := readAll([]string{c.Credentials}); err != nil {
				return c, fmt.Errorf("NATS_CREDS: %w", err)
			}
		}
	}
	if s.ca == "" && s.cert == "" && !slices.ContainsFunc(s.urls, isTLS) {
		return c, nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		contents, err := readAll([]string{s.ca})
		if err == nil {
			c.TLS.RootCAs, err = certPool(contents[0])
		}
		if err != nil {
			return c, fmt.Errorf("--bus-ca %s: %w", s.ca, err)
		}
	}
	if s.cert != "" {
		shown := &busCertificate{}
		if err := d.watchNow(shown.take, s.cert, s.key); err != nil {
			return c, err
		}
		c.TLS.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return shown.current.Load(), nil
		}
		c.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return shown.current.Load(), nil
		}
	}
	return c, nil
}

// busCertificate is what a node shows on the bus, to whoever asks and whoever answers. It is
// replaced while connections are open: they keep what they were made with.
type busCertificate struct {
	current atomic.Pointer[tls.Certificate]
}

func (b *busCertificate) take(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err == nil {
		b.current.Store(&pair)
	}
	return err
}
