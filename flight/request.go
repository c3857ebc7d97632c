package flight

import (
	"encoding/json"
	"io"
	"net/http"
)

const mediaArrow = "application/vnd.apache.arrow.stream"

// request is one of the HTTP contract.
type request struct {
	method string
	target string // path and query
	header http.Header
	body   io.Reader // nil: none
}

// passed are the headers of a call that its requests have, too.
var passed = []string{"Authorization", "Foz-Min-Slot"}

// do has the contract's handler answer a request, in this goroutine, on behalf of whoever
// called. A good answer goes to `to` as it comes; any other becomes the error.
func (s *Service) do(c *call, q request, to io.Writer) (err error) {
	r, err := http.NewRequestWithContext(c.r.Context(), q.method, "http://flight"+q.target, q.body)
	if err != nil {
		return statusf(invalidArgument, "%v", err)
	}
	r.RequestURI, r.RemoteAddr, r.TLS = q.target, c.r.RemoteAddr, c.r.TLS
	if q.header != nil {
		r.Header = q.header
	}
	for _, name := range passed {
		if values := c.r.Header.Values(name); values != nil {
			r.Header[name] = values
		}
	}
	if r.ContentLength = -1; q.body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	a := &answer{connection: c.w, header: http.Header{}, to: to}
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = statusf(aborted, "the answer was broken off; the node's log says why")
			if a.err != nil {
				err = a.err
			}
		default:
			panic(p)
		}
	}()
	s.Handler.ServeHTTP(a, r)
	return a.verdict()
}

// answer takes what the contract's handler answers with.
type answer struct {
	connection http.ResponseWriter // what the handler says about deadlines holds for it
	header     http.Header
	status     int
	to         io.Writer // where a good answer goes
	text       []byte    // of any other, its beginning
	err        error     // of to
}

// Header is of the answer that never becomes one of HTTP.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write takes a part of the answer.
func (a *answer) Write(b []byte) (n int, err error) {
	a.WriteHeader(http.StatusOK)
	if a.status == http.StatusOK {
		if n, err = a.to.Write(b); err != nil {
			a.err = err
		}
		return n, err
	}
	a.text = append(a.text, b[:min(len(b), problemBytesMax-len(a.text))]...)
	return len(b), nil
}

// Unwrap lets the handler reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.connection }

func (a *answer) verdict() error {
	switch a.status {
	case http.StatusOK:
		return a.err
	case 0:
		return statusf(internal, "no answer")
	}
	return problemStatus(a.status, a.text)
}

// document is an answer that is kept whole.
type document struct{ text []byte }

// documentBytesMax is much more than a topic of 10,000 partitions takes.
const documentBytesMax = 32 << 20

// Write takes a part of the document.
func (d *document) Write(b []byte) (int, error) {
	if len(d.text)+len(b) > documentBytesMax {
		return 0, statusf(resourceExhausted, "an answer is over %d bytes", documentBytesMax)
	}
	d.text = append(d.text, b...)
	return len(b), nil
}

// ask gets a resource of the contract that is JSON.
func (s *Service) ask(c *call, target string, into any) error {
	var d document
	if err := s.do(c, request{method: http.MethodGet, target: target}, &d); err != nil {
		return err
	}
	if err := json.Unmarshal(d.text, into); err != nil {
		return statusf(internal, "answer to %s: %v", target, err)
	}
	return nil
}
