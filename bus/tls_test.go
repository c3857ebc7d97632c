package bus_test

// Who is let onto a bus.
//
// How: the test is a CA, and so is somebody else. Two nodes with certificates of it form a bus
// and hear each other; strangers of every kind try to join it, by its route and as clients of
// its server, and shout and listen meanwhile: nobody hears them, and they hear nothing.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/verify/loopback"
	"github.com/nats-io/nats-server/v2/server"
)

type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	ca := &authority{t: t, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	ca.cert, ca.key = ca.sign(ca.cert)
	return ca
}

// sign makes a certificate of a template, by the CA or, if it has no key yet, by itself.
func (ca *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	signer := ca.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return cert, key
}

// node is a certificate for a node on loopback.
func (ca *authority) node(expires time.Duration) tls.Certificate {
	cert, key := ca.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(expires),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// config believes the CA, and has certificates.
func (ca *authority) config(certs ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certs}
}

func TestS17StrangersOnTheBus(t *testing.T) {
	listen, first, second := loopback.Address(t), loopback.Address(t), loopback.Address(t)
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.config(ca.node(time.Hour))
	a := start(t, bus.Config{
		Cluster: cluster, Name: "n1", Listen: listen, ClusterListen: first, TLS: good,
	})
	b := start(t, bus.Config{
		Cluster: cluster, Name: "n2", ClusterListen: second, Routes: []string{"nats://" + first},
		TLS: ca.config(ca.node(time.Hour)),
	})
	client := connected(t, start(t, bus.Config{Cluster: cluster, URLs: []string{"tls://" + listen},
		TLS: ca.config(ca.node(time.Hour))}))

	server := []string{"nats://" + listen}
	route := bus.Config{ClusterListen: "127.0.0.1:-1", Routes: []string{
		"nats://" + first, "nats://" + second}}
	joins := func(c *tls.Config) bus.Config { r := route; r.TLS = c; return r }
	asks := func(c *tls.Config) bus.Config { return bus.Config{URLs: server, TLS: c} }
	strangers := map[string]bus.Config{
		"route in the clear":                         route,
		"route with another's certificate":           joins(ca.config(other.node(time.Hour))),
		"route with a certificate that has expired":  joins(ca.config(ca.node(-time.Minute))),
		"route that believes another":                joins(other.config(other.node(time.Hour))),
		"client in the clear":                        asks(nil),
		"client without a certificate":               asks(ca.config()),
		"client with another's certificate":          asks(ca.config(other.node(time.Hour))),
		"client with a certificate that has expired": asks(ca.config(ca.node(-time.Minute))),
	}
	heard := map[string]chan string{"n2": listenTo(t, b), "client": listenTo(t, client)}
	shouting := []*bus.NATS{}
	for name, c := range strangers {
		c.Cluster, c.Name = cluster, "stranger"
		n := start(t, c)
		heard[name], shouting = listenTo(t, n), append(shouting, n)
	}
	lasts := func(begun time.Time) bool { // time for all to hear, the more for those who must
		took, some := time.Since(begun), len(heard["n2"]) > 0 && len(heard["client"]) > 0
		return took < 3*time.Second || took < patience && !some
	}
	for begun := time.Now(); lasts(begun); time.Sleep(10 * time.Millisecond) {
		if err := a.Publish("s", []byte("news")); err != nil {
			t.Fatal(err)
		}
		for _, n := range shouting {
			_ = n.Publish("s", []byte("lies")) // or it is told that it has no connection
		}
	}
	for _, name := range slices.Sorted(maps.Keys(heard)) {
		_, stranger := strangers[name]
		news, lies := 0, 0
		for len(heard[name]) > 0 {
			if <-heard[name] == "news" {
				news++
			} else {
				lies++
			}
		}
		if stranger && news > 0 || !stranger && (news == 0 || lies > 0) {
			t.Errorf("%s heard news %d times, and lies %d times", name, news, lies)
		}
	}
}

// listenTo collects what comes.
func listenTo(t *testing.T, n *bus.NATS) chan string {
	t.Helper()
	got := make(chan string, 10_000)
	if _, err := n.Subscribe("s", func(data []byte) { got <- string(data) }); err != nil {
		t.Fatal(err)
	}
	return got
}

// How: a bus whose nodes would not know each other is refused before it opens a socket.
func TestS17HalfATLSRefused(t *testing.T) {
	ca := newAuthority(t)
	for name, c := range map[string]*tls.Config{
		"no certificate": ca.config(), "no CAs": {Certificates: []tls.Certificate{ca.node(time.Hour)}},
	} {
		b := bus.Config{Cluster: cluster, ClusterListen: "127.0.0.1:0", TLS: c}
		if _, err := bus.New(b); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// How: a server of the library's own that wants a name and a password.
func TestS17Passwords(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		Username: "node", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	with := func(password string) *bus.NATS {
		return start(t, bus.Config{Cluster: cluster, URLs: []string{s.ClientURL()}, User: "node",
			Password: password})
	}
	wrong := with("guess")
	connected(t, with("secret"))
	if wrong.Connected() {
		t.Error("a wrong password was believed")
	}
}

// How: somebody else listens where a node's server should, for clients and for other nodes.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, c := range map[string]bus.Config{
		"clients": {Cluster: cluster, Listen: l.Addr().String()},
		"nodes":   {Cluster: cluster, ClusterListen: l.Addr().String()},
	} {
		n, err := bus.New(c)
		if err != nil {
			t.Fatal(err)
		}
		err = n.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("%s: %v", name, err)
		}
		n.Close()
	}
}
