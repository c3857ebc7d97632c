// Package s3test knows what a driver of an S3 store must do, as one suite that every driver
// passes against a server in this process, or a real one. It refuses to know how any of them
// does it. Only tests import it.
package s3test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Bucket is the bucket that a Server has from the start.
const Bucket = "bucket"

// Server is an S3 server in this process that counts its requests and can be told what to
// answer.
type Server struct {
	*httptest.Server
	store http.Handler

	mu       sync.Mutex // guards what follows
	requests []string   // "PUT /bucket/key", without query and last slash
	answer   http.HandlerFunc
}

// Start starts a Server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	s := &Server{store: exactPages(gofakes3.New(backend).Server())}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+strings.TrimSuffix(r.URL.Path, "/"))
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		answer = s.store.ServeHTTP
	}
	answer(w, r)
}

// Answer makes every request get this answer; nil is the store's own.
func (s *Server) Answer(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Took is the requests since the last call.
func (s *Server) Took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.requests
	s.requests = nil
	return took
}

// exactPages corrects gofakes3, which says that a page is truncated if anything follows in the
// bucket, with the prefix or without.
func exactPages(store http.Handler) http.Handler {
	ask := func(r *http.Request, values url.Values) *httptest.ResponseRecorder {
		again := r.Clone(r.Context())
		again.URL.RawQuery = values.Encode()
		recorder := httptest.NewRecorder()
		store.ServeHTTP(recorder, again)
		return recorder
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.URL.Query()
		if values.Get("list-type") != "2" {
			store.ServeHTTP(w, r)
			return
		}
		first := ask(r, values)
		text := first.Body.String()
		if keys := listedKeys.FindAllStringSubmatch(text, -1); len(keys) > 0 {
			values.Set("start-after", keys[len(keys)-1][1])
			values.Set("max-keys", "1")
			if !listedKeys.MatchString(ask(r, values).Body.String()) {
				text = strings.Replace(text, "<IsTruncated>true<", "<IsTruncated>false<", 1)
			}
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(first.Code)
		io.WriteString(w, text)
	})
}

var listedKeys = regexp.MustCompile("<Key>([^<]*)</Key>")
