package httpapi

// Tokens files and what is recognised by them.
//
// How: tables of files and of headers; certificates are made by hand, for the handshake has
// verified them before this package sees them (cmd tests that over TLS).

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

var someHash = strings.Repeat("0a", 32)

func TestS8TokensFile(t *testing.T) {
	const begin = `{"tokens":[{"name":"n","san":"x",`
	grants := `"grants":[{"topics":"a*","verbs":["read"]}]`
	for file, fault := range map[string]string{
		`{"tokens":[]}`: "",
		`{"tokens":[{"name":"n","sha256":"` + someHash + `",` + grants + `}]}`: "",
		`{"tokens":[{"name":"n","san":"x.example","grants":[]}]}`:              "",
		begin + `"expires":"2030-01-02T03:04:05Z","grants":[]}]}`:              "",
		``:                                       "EOF",
		`{}`:                                     "want",
		`{"tokens":null}`:                        "want",
		`[]`:                                     "cannot unmarshal",
		`{"tokens":[]} {}`:                       "more after",
		`{"tokens":[{}]}`:                        "name",
		`{"tokens":[{"name":"n","grants":[]}]}`:  "either sha256 or san",
		begin + `"sha256":"` + someHash + `"}]}`: "either sha256 or san",
		`{"tokens":[{"name":"n","sha256":"` + someHash[2:] + `"}]}`:    "64 hexadecimal",
		`{"tokens":[{"name":"n","sha256":"` + someHash[2:] + `zz"}]}`:  "64 hexadecimal",
		`{"tokens":[{"name":"n\n","san":"x"}]}`:                        "name",
		begin + `"expire":"2030-01-02T03:04:05Z"}]}`:                   "unknown field",
		begin + `"expires":"tomorrow"}]}`:                              "parsing time",
		begin + `"grants":[{"topics":"a*b","verbs":["read"]}]}]}`:      "topic",
		begin + `"grants":[{"topics":"","verbs":["read"]}]}]}`:         "topics",
		begin + `"grants":[{"topics":"a","verbs":[]}]}]}`:              "no verbs",
		begin + `"grants":[{"topics":"a","verbs":["write"]}]}]}`:       "write",
		begin + `"grants":[{"topic":"a","verbs":["read"]}]}]}`:         "unknown",
		`{"tokens":[{"name":"n","san":"x"},{"name":"m","san":"x"}]}`:   "twice",
		`{"tokens":[` + strings.Repeat(`{},`, credentialsMax) + `{}]}`: "at most",
	} {
		list, err := ParseCredentials([]byte(file))
		if fault == "" && err != nil || fault != "" && (err == nil || list != nil ||
			!strings.Contains(err.Error(), fault)) {
			t.Errorf("%.100s: %v, want %q", file, err, fault)
		}
	}
}

func TestS8TokensAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		token, hash := NewToken()
		secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "foz_"))
		if err != nil || len(secret) < 16 || seen[token] || strings.Contains(hash, token) {
			t.Fatalf("%q %q %v", token, hash, err)
		}
		seen[token] = true
	}
}

func TestS8Headers(t *testing.T) {
	token, hash := NewToken()
	c := &Credentials{}
	c.Replace([]Credential{{Name: "it", SHA256: strings.ToUpper(hash)},
		{Name: "cert", SAN: "a.example"}})
	for _, h := range []struct {
		header []string
		want   string
	}{
		{nil, "needs a token"}, {[]string{""}, "want one"}, {[]string{token}, "want one"},
		{[]string{"Bearer"}, "want one"}, {[]string{"Bearer "}, "want one"},
		{[]string{"Basic " + token}, "want one"},
		{[]string{"Bearer " + token, "Bearer " + token}, "want one"},
		{[]string{"Bearer " + token + "x"}, "not known"}, {[]string{"Bearer " + hash}, "not known"},
		{[]string{"Bearer " + token[:len(token)-1]}, "not known"},
		{[]string{"Bearer " + token}, ""}, {[]string{"bearer  " + token}, ""},
	} {
		r := httptest.NewRequest("GET", "/v1/topics", nil)
		r.Header["Authorization"] = h.header
		p, err := c.Authenticate(r, time.Now())
		if h.want == "" && (err != nil || p.name != "it") ||
			h.want != "" && (err == nil || p != nil || !strings.Contains(err.Error(), h.want)) {
			t.Errorf("%q: %v %v", h.header, p, err)
		}
		if err != nil && strings.Contains(err.Error(), token[:12]) {
			t.Errorf("%q: the error shows the token: %v", h.header, err)
		}
	}
}

func TestS11CertificateNames(t *testing.T) {
	c := &Credentials{}
	c.Replace([]Credential{{Name: "hash", SHA256: someHash}, {Name: "dns", SAN: "a.example"},
		{Name: "uri", SAN: "spiffe://a/b"}, {Name: "mail", SAN: "a@b.example"},
		{Name: "cn", SAN: "Anna"}})
	uri, _ := url.Parse("spiffe://a/b")
	for _, cert := range []struct {
		leaf       x509.Certificate
		unverified bool
		want       string
	}{
		{leaf: x509.Certificate{DNSNames: []string{"b.example", "a.example"}}, want: "dns"},
		{leaf: x509.Certificate{URIs: []*url.URL{uri}}, want: "uri"},
		{leaf: x509.Certificate{EmailAddresses: []string{"a@b.example"}}, want: "mail"},
		{leaf: x509.Certificate{Subject: pkix.Name{CommonName: "Anna"}}, want: "cn"},
		{leaf: x509.Certificate{Subject: pkix.Name{CommonName: "Anna"}, DNSNames: []string{"b"}}},
		{leaf: x509.Certificate{DNSNames: []string{"A.example", "a.example.b", "*.example"}}},
		{leaf: x509.Certificate{}},
		{leaf: x509.Certificate{DNSNames: []string{"a.example"}}, unverified: true},
	} {
		r := httptest.NewRequest("GET", "/v1/topics", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&cert.leaf}}
		if !cert.unverified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{&cert.leaf}}
		}
		p, err := c.Authenticate(r, time.Now())
		if (cert.want == "") != (err != nil) || err == nil && p.name != cert.want {
			t.Errorf("%v %v: %v %v, want %q", cert.leaf.DNSNames, cert.leaf.Subject, p, err, cert.want)
		}
	}
}
