package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fozlog/foz"
)

// Credential is an entry of a tokens file: how a principal is recognised, and what it may do.
// Several may have one name, so that a token can be replaced without a pause.
type Credential struct {
	Name    string     `json:"name"`
	SHA256  string     `json:"sha256,omitempty"`  // of a bearer token, hexadecimal; or
	SAN     string     `json:"san,omitempty"`     // a name in a verified client certificate
	Expires *time.Time `json:"expires,omitempty"` // nil: never
	Grants  []Grant    `json:"grants"`
}

// credentialsMax bounds a tokens file: all of its hashes are compared with each request's.
const credentialsMax = 1000

var validPrincipal = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,100}$`)

func (c Credential) check() error {
	hash, err := hex.DecodeString(c.SHA256)
	switch {
	case !validPrincipal.MatchString(c.Name):
		return fmt.Errorf("name %s: want 1 to 100 of A-Z a-z 0-9 . _ @ -", shortened(c.Name))
	case (c.SHA256 == "") == (c.SAN == ""):
		return fmt.Errorf("%s: want either sha256 or san", c.Name)
	case c.SHA256 != "" && (err != nil || len(hash) != sha256.Size):
		return fmt.Errorf("%s: sha256 is not 64 hexadecimal digits", c.Name)
	}
	for _, g := range c.Grants {
		if err := g.Check(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return nil
}

// same says whether two entries are one: what is recognised and what it may do.
func (c Credential) same(other Credential) bool {
	a, errA := json.Marshal(c)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// ParseCredentials reads a tokens file: {"tokens":[...]}. A member it does not know is an
// error: "expire" must not mean "never".
func ParseCredentials(file []byte) ([]Credential, error) {
	var list struct {
		Tokens *[]Credential `json:"tokens"`
	}
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the object")
	}
	if list.Tokens == nil || len(*list.Tokens) > credentialsMax {
		return nil, fmt.Errorf(`want {"tokens":[...]} with at most %d entries`, credentialsMax)
	}
	seen := map[string]bool{}
	for i, c := range *list.Tokens {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		id := strings.ToLower(c.SHA256) + " " + c.SAN
		if seen[id] {
			return nil, fmt.Errorf("tokens[%d]: %s: the same token or san is there twice", i, c.Name)
		}
		seen[id] = true
	}
	return *list.Tokens, nil
}

// NewToken makes a bearer token of 256 random bits, and what is kept of it.
func NewToken() (token, hash string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand
	token = "foz_" + base64.RawURLEncoding.EncodeToString(secret[:])
	sum := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(sum[:])
}

// Credentials is an Authenticator: it recognises bearer tokens by their hashes and verified
// client certificates by a name in them. The zero value recognises nobody.
type Credentials struct {
	mu      sync.RWMutex
	entries []credential
}

type credential struct {
	Credential
	hash      [sha256.Size]byte // of a token
	principal *Principal
	end       context.CancelFunc
}

// Replace makes these the credentials from now on. Streams of those that are gone, or whose
// grants are others, end.
func (c *Credentials) Replace(list []Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.entries
	c.entries = make([]credential, 0, len(list))
	for _, l := range list {
		i := slices.IndexFunc(old, func(o credential) bool { return o.same(l) })
		if i >= 0 {
			c.entries = append(c.entries, old[i])
			old = slices.Delete(slices.Clone(old), i, i+1)
			continue
		}
		c.entries = append(c.entries, newCredential(l))
	}
	for _, gone := range old {
		gone.end()
	}
}

func newCredential(l Credential) credential {
	e := credential{Credential: l, principal: &Principal{name: l.Name, grants: l.Grants}}
	_, _ = hex.Decode(e.hash[:], []byte(l.SHA256)) // checked when it was parsed
	if l.Expires == nil {
		e.principal.ended, e.end = context.WithCancel(context.Background())
	} else {
		e.principal.ended, e.end = context.WithDeadline(context.Background(), *l.Expires)
	}
	return e
}

// Authenticate recognises the request's bearer token or, if it has none, its certificate.
func (c *Credentials) Authenticate(r *http.Request, now time.Time) (*Principal, error) {
	var found *credential
	header := r.Header.Values("Authorization")
	switch {
	case len(header) > 0:
		token, ok := bearer(header)
		if !ok {
			return nil, unauthenticated("want one Authorization header: Bearer and a token")
		}
		if found = c.byToken(token); found == nil {
			return nil, unauthenticated("the token is not known")
		}
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		if found = c.byCertificate(r.TLS.VerifiedChains[0][0]); found == nil {
			return nil, unauthenticated("no name in the client's certificate is known")
		}
	default:
		return nil, unauthenticated("this needs a token: Authorization: Bearer ...")
	}
	if found.Expires != nil && !now.Before(*found.Expires) {
		return nil, unauthenticated("the credential of %s has expired", found.Name)
	}
	return found.principal, nil
}

func unauthenticated(format string, args ...any) error {
	return foz.Errorf(foz.CodeUnauthenticated, format, args...)
}

// bearer is the token in an Authorization header.
func bearer(header []string) (string, bool) {
	scheme, token, ok := strings.Cut(header[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && len(header) == 1 && strings.EqualFold(scheme, "Bearer") && token != ""
}

// byToken compares the token's hash with all there are, each in constant time.
func (c *Credentials) byToken(token string) (found *credential) {
	hash := sha256.Sum256([]byte(token))
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range c.entries {
		e := &c.entries[i]
		if subtle.ConstantTimeCompare(e.hash[:], hash[:]) == 1 && e.SHA256 != "" {
			found = e
		}
	}
	return found
}

// byCertificate looks for a name of the certificate: its alternative names or, if it has
// none, its common name.
func (c *Credentials) byCertificate(leaf *x509.Certificate) *credential {
	names := slices.Concat(leaf.DNSNames, leaf.EmailAddresses)
	for _, u := range leaf.URIs {
		names = append(names, u.String())
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{leaf.Subject.CommonName}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range c.entries {
		if e := &c.entries[i]; e.SAN != "" && slices.Contains(names, e.SAN) {
			return e
		}
	}
	return nil
}
