package main

// Doors with TLS: what is refused, what is reloaded, who is let in by a certificate.
//
// How: the test is its own CA. A node in this process serves with a certificate of it; clients
// of the standard library, and the command line, meet it with right and wrong CAs, names and
// dates.

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz/httpapi"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	ca := &authority{t: t}
	ca.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's CA"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, ca.cert, ca.cert, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	ca.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return ca
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate of a serial number for a DNS name or an address.
func (ca *authority) sign(serial int64, name string, expires time.Time) (cert, key []byte) {
	ca.t.Helper()
	k := newKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: expires,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &k.PublicKey, ca.key)
	if err != nil {
		ca.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		ca.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
}

// guarded is a node with doors, and their files.
type guardedNode struct {
	*node
	dir  string
	door doorSettings
}

func (g *guardedNode) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := replaceFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startGuarded starts a node that serves as the settings say.
func (g *guardedNode) start(t *testing.T, cfg nodeConfig) {
	t.Helper()
	d, err := g.door.open()
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTP, cfg.FlushInterval, cfg.Roles, cfg.Door = "127.0.0.1:0", time.Millisecond, allRoles, d
	if cfg.Bucket == "" {
		cfg.Bucket = (&url.URL{Scheme: "file", Path: t.TempDir()}).String()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if g.node, err = startNode(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
}

// withTLS is a node behind TLS, with a tokens file that knows a token and the name "worker".
func withTLS(t *testing.T, ca *authority) (g *guardedNode, token string) {
	g = &guardedNode{dir: t.TempDir()}
	cert, key := ca.sign(2, "127.0.0.1", time.Now().Add(time.Hour))
	g.door.cert, g.door.key = g.write(t, "cert.pem", cert), g.write(t, "key.pem", key)
	g.door.clientCA = g.write(t, "ca.pem", ca.pem)
	token, hash := httpapi.NewToken()
	tokens, err := appendEntry(nil, httpapi.Credential{Name: "n", SHA256: hash, Grants: anything})
	if err == nil {
		tokens, err = appendEntry(tokens, httpapi.Credential{Name: "w", SAN: "worker",
			Grants: []httpapi.Grant{{Topics: "w-*", Verbs: httpapi.Verbs}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	g.door.tokens = g.write(t, "tokens.json", tokens)
	g.start(t, nodeConfig{})
	return g, token
}

var anything = []httpapi.Grant{{Topics: "*", Verbs: httpapi.Verbs}}

// trusting is a client that believes the CA; its connections are its own.
func trusting(t *testing.T, ca *authority, change func(*tls.Config)) *http.Client {
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca.pem)
	if change != nil {
		change(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// status is that of a GET, or what went wrong.
func status(t *testing.T, c *http.Client, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	resp.Body.Close()
	return resp.StatusCode, ""
}

func TestS11Handshakes(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	g, token := withTLS(t, ca)
	if !strings.HasPrefix(g.URL, "https://") {
		t.Errorf("it says it is at %s", g.URL)
	}
	_, port, _ := net.SplitHostPort(g.http.listener.Addr().String())
	for name, c := range map[string]struct {
		client *http.Client
		url    string
		fault  string
	}{
		"right":      {trusting(t, ca, nil), g.URL, ""},
		"wrong CA":   {trusting(t, other, nil), g.URL, "unknown authority"},
		"wrong name": {trusting(t, ca, nil), "https://localhost:" + port, "localhost"},
		"plain":      {http.DefaultClient, "http://127.0.0.1:" + port, "400"},
		"TLS 1.1": {trusting(t, ca, func(c *tls.Config) {
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		}), g.URL, "protocol version"},
		"TLS 1.2": {trusting(t, ca, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), g.URL, ""},
	} {
		code, fault := status(t, c.client, c.url+"/v1/topics", token)
		if c.fault == "" && code != 200 || c.fault != "" && !strings.Contains(fault, c.fault) &&
			(c.fault != "400" || code != 400) {
			t.Errorf("%s: %d %s, want %q", name, code, fault, c.fault)
		}
	}
}

// TestS11Clients: the name in a client's certificate is a principal, if a CA that was given
// vouches for it and its time is not over; a token wins over it.
func TestS11Clients(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	g, token := withTLS(t, ca)
	hour := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		ca      *authority
		who     string
		expires time.Time
		token   string
		topic   string
		want    int // 0: the handshake fails
	}{
		"none":             {topic: "w-1", want: 401},
		"known":            {ca, "worker", hour, "", "w-1", 404},
		"known, elsewhere": {ca, "worker", hour, "", "x", 403},
		"unknown name":     {ca, "stranger", hour, "", "w-1", 401},
		"another CA":       {other, "worker", hour, "", "w-1", 0},
		"expired":          {ca, "worker", time.Now().Add(-time.Minute), "", "w-1", 0},
		"with a token":     {ca, "worker", hour, token, "x", 404},
		"with a bad token": {ca, "worker", hour, "foz_x", "w-1", 401},
		"token alone":      {nil, "", hour, token, "x", 404},
	} {
		client := trusting(t, ca, func(config *tls.Config) {
			if c.ca == nil {
				return
			}
			pair, err := tls.X509KeyPair(c.ca.sign(9, c.who, c.expires))
			if err != nil {
				t.Fatal(err)
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &pair, nil // even if the server did not ask for that CA's
			}
		})
		if got, fault := status(t, client, g.URL+"/v1/topics/"+c.topic, c.token); got != c.want {
			t.Errorf("%s: %d %s, want %d", name, got, fault, c.want)
		}
	}
}

// TestS11Reload: a new certificate is shown to new connections; one that is open goes on, with
// its stream. A key that does not fit changes nothing.
func TestS11Reload(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	g, token := withTLS(t, ca)
	old := trusting(t, ca, nil)
	r, _ := http.NewRequestWithContext(t.Context(), "PUT", g.URL+"/v1/topics/t", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := old.Do(r)
	if err != nil || resp.StatusCode != 201 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	r, _ = http.NewRequestWithContext(t.Context(), "GET", g.URL+"/v1/topics/t/records", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "text/event-stream")
	stream, err := old.Do(r)
	if err != nil || stream.ProtoMajor != 2 {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	lines := bufio.NewReader(stream.Body)

	serial := func() int64 {
		c, err := tls.Dial("tcp", g.http.listener.Addr().String(),
			trusting(t, ca, nil).Transport.(*http.Transport).TLSClientConfig)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 2 {
		t.Fatalf("serial %d", n)
	}
	cert, key := ca.sign(3, "127.0.0.1", time.Now().Add(time.Hour))
	g.write(t, "cert.pem", cert) // its key comes later, as files do
	time.Sleep(lookEvery + lookEvery/2)
	if n := serial(); n != 2 {
		t.Errorf("serial %d of a certificate without its key", n)
	}
	g.write(t, "key.pem", key)
	for begin := time.Now(); serial() != 3; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			t.Fatal("the new certificate is not used")
		}
	}
	r, _ = http.NewRequestWithContext(t.Context(), "POST", g.URL+"/v1/topics/t/records",
		strings.NewReader("over the reload"))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "text/plain")
	if resp, err = old.Do(r); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream broke: %v", err)
		}
		if strings.Contains(line, "over the reload") {
			return
		}
	}
}

// TestS11CommandLine: the client verifies the service, with the system's CAs or those given.
func TestS11CommandLine(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	g, token := withTLS(t, ca)
	right, wrong := g.write(t, "right.pem", ca.pem), g.write(t, "wrong.pem", other.pem)
	for name, c := range map[string]struct {
		env  map[string]string
		code int
		says string
	}{
		"of the environment": {map[string]string{"FOZ_TOKEN": token, "FOZ_CA": right}, 0, "t1"},
		"the system's CAs":   {map[string]string{"FOZ_TOKEN": token}, 1, "unknown authority"},
		"a wrong CA":         {map[string]string{"FOZ_CA": wrong}, 1, "unknown authority"},
		"no CA in the file":  {map[string]string{"FOZ_CA": g.door.key}, 2, "no certificate"},
		"no file":            {map[string]string{"FOZ_CA": right + "x"}, 2, "no such file"},
		"no token":           {map[string]string{"FOZ_CA": right}, 1, "unauthenticated"},
		"a bad token":        {map[string]string{"FOZ_TOKEN": "x", "FOZ_CA": right}, 1, "not known"},
	} {
		c.env["FOZ_URL"] = g.URL
		got := runFoz(t.Context(), c.env, nil, "topic", "create", "t1")
		if got.code != c.code || !strings.Contains(got.out+got.talk, c.says) {
			t.Errorf("%s: %d %s%s", name, got.code, got.out, got.talk)
		}
	}
}

// TestS11NobodySkipsVerification: no part of foz turns the verification of certificates off.
func TestS11NobodySkipsVerification(t *testing.T) {
	never, files := "Insecure"+"SkipVerify", 0
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		files++
		text, err := os.ReadFile(name)
		if strings.Contains(string(text), never) {
			t.Errorf("%s has %s", name, never)
		}
		return err
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}
