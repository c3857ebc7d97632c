// Package client is the Go client of foz: topics, produce, fetch, scan, follow, groups, over
// HTTP.
//
// It knows the contract's requests, answers and problems, and which of them may be sent
// again. It refuses to know the service's insides and the bucket, and never decides for its
// caller that something whose outcome is unknown has failed: see [ErrUnknown].
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz"
)

// DefaultURL is where a service listens unless it is told otherwise.
const DefaultURL = "http://127.0.0.1:7080"

// Options configures a client. The zero value is ready to use.
type Options struct {
	URL        string       // of any node of the service, "http://host:port"; "": DefaultURL
	HTTPClient *http.Client // nil: one with sane timeouts of its own
	Token      Secret       // a bearer token; "": none
	TLS        *tls.Config  // of the HTTP client if that is nil; nil: the system's roots
	Attempts   int          // how often a request is sent at most; 0: 6
	UserAgent  string       // "": "foz-go"
}

// Client speaks with one service. It may be used by any number of goroutines at once.
type Client struct {
	base     *url.URL
	http     *http.Client
	attempts int
	agent    string
	token    *Secret // nil: none. A pointer, because fmt shows what unexported fields hold
}

// New makes a client. It connects to nothing yet.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	base, err := url.Parse(o.URL)
	if err != nil && strings.Contains(o.URL, "@") { // what cannot be parsed may hold a password
		return nil, errors.New("service URL: want http://host:port, without a user")
	}
	if err != nil {
		return nil, fmt.Errorf("service URL %q: want http://host:port", o.URL)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("service URL %q: want http://host:port", base.Redacted())
	}
	c := &Client{base: base, http: o.HTTPClient, attempts: o.Attempts, agent: o.UserAgent}
	if o.Token != "" {
		c.token = &o.Token
	}
	if c.http == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = 90 * time.Second // a long poll waits for up to 60
		t.MaxIdleConnsPerHost = 16
		t.TLSClientConfig = o.TLS
		c.http = &http.Client{Transport: t, CheckRedirect: stay}
	}
	if c.attempts <= 0 {
		c.attempts = 6
	}
	if c.agent == "" {
		c.agent = "foz-go"
	}
	return c, nil
}

// stay refuses redirects: no node sends one, and a token goes to no other place than it was
// meant for.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// URL is the service's address, without a slash at its end.
func (c *Client) URL() string { return strings.TrimSuffix(c.base.String(), "/") }

// call is one request of the contract.
type call struct {
	method string
	path   []string // segments after /v1, not escaped
	query  url.Values
	header http.Header
	body   []byte
	safe   bool // having sent it twice does no harm beyond having sent it once
}

// Media types of the contract.
const (
	mediaJSON   = "application/json"
	mediaPatch  = "application/merge-patch+json"
	mediaNDJSON = "application/x-ndjson"
	mediaArrow  = "application/vnd.apache.arrow.stream"
	mediaSSE    = "text/event-stream"
)

// get is a call that reads.
func get(query url.Values, path ...string) call {
	return call{method: http.MethodGet, path: path, query: query, safe: true,
		header: http.Header{"Accept": {mediaJSON}}}
}

// change is a call that changes something, with a JSON body unless it is nil.
func change(method string, body any, path ...string) (call, error) {
	l := call{method: method, path: path, header: http.Header{"Accept": {mediaJSON}}}
	if body == nil {
		return l, nil
	}
	l.header.Set("Content-Type", mediaJSON)
	var err error
	l.body, err = json.Marshal(body)
	return l, err
}

// answerBytesMax bounds what a JSON answer may take: a full page of records, escaped.
const answerBytesMax = 6*foz.BodyBytesMax + 1<<20

// answer is what an answer says beside its body.
type answer struct {
	status int
	header http.Header
}

// do sends the call, again where that is safe and useful, and decodes the JSON answer into
// out unless it is nil.
func (c *Client) do(ctx context.Context, l call, out any) (a answer, err error) {
	err = c.retry(ctx, l, func() error {
		a, err = c.once(ctx, l, out)
		return err
	})
	if err != nil {
		return a, fmt.Errorf("%s %s: %w", l.method, c.pathOf(l), err)
	}
	return a, nil
}

// once sends the call once and decodes its answer.
func (c *Client) once(ctx context.Context, l call, out any) (answer, error) {
	resp, err := c.open(ctx, l)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{resp.StatusCode, resp.Header}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err != nil {
		return a, &transportError{sent: true, err: fmt.Errorf("read answer: %w", err)}
	}
	if out == nil || len(body) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return a, fmt.Errorf("decode answer: %w", err)
	}
	return a, nil
}

// stream sends the call, again where the answer has not begun, and hands over its body.
func (c *Client) stream(ctx context.Context, l call) (resp *http.Response, err error) {
	err = c.retry(ctx, l, func() error {
		resp, err = c.open(ctx, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", l.method, c.pathOf(l), err)
	}
	return resp, nil
}

// open sends the call once. The answer is 2xx, and its body the caller's to close.
func (c *Client) open(ctx context.Context, l call) (*http.Response, error) {
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, l.method, c.urlOf(l), bytes.NewReader(l.body))
	if err != nil {
		return nil, err
	}
	for name, values := range l.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", c.agent)
	if c.token != nil {
		req.Header.Set("Authorization", "Bearer "+string(*c.token))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &transportError{sent: sent.Load(), err: innermost(err)}
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readProblem(resp, l)
	}
	return resp, nil
}

func (c *Client) pathOf(l call) string { return "/v1/" + strings.Join(l.path, "/") }

func (c *Client) urlOf(l call) string {
	var u strings.Builder
	u.WriteString(c.URL() + "/v1")
	for _, segment := range l.path {
		u.WriteString("/" + url.PathEscape(segment))
	}
	if len(l.query) > 0 {
		u.WriteString("?" + l.query.Encode())
	}
	return u.String()
}

// innermost drops the wrapping that repeats method and URL.
func innermost(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func itoa[N ~int | ~int32 | ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
