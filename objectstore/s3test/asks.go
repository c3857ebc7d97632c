package s3test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/s3api"
)

// testRequests states what each operation costs: one request, and an object of 16 MiB too.
func testRequests(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "/p", ""))
	took := func(what string, want ...string) {
		t.Helper()
		if got := server.Took(); !slices.Equal(got, want) {
			t.Errorf("%s took %q, want %q", what, got, want)
		}
	}
	bucket := "/" + Bucket
	took("open", "GET "+bucket)
	for _, size := range []int{0, 1, 16 << 20} {
		key := fmt.Sprint("a", size)
		object := bucket + "/p/" + key
		if _, err := s.Create(t.Context(), key, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		took("create", "PUT "+object)
		s.Create(t.Context(), key, make([]byte, size))
		took("create again", "PUT "+object)
		if got, err := s.Get(t.Context(), key, 0, -1); len(got) != size || err != nil {
			t.Errorf("get: %d bytes, %v, want %d", len(got), err, size)
		}
		took("get", "GET "+object)
	}
	s.Get(t.Context(), "a1", 0, 100)
	took("get a range", "GET "+bucket+"/p/a1")
	s.Get(t.Context(), "nothing", 0, 100)
	took("get nothing", "GET "+bucket+"/p/nothing")
	s.List(t.Context(), "", "", 2)
	took("list a page of many", "GET "+bucket)
	s.List(t.Context(), "a", "", 0)
	took("list all", "GET "+bucket)
	s.List(t.Context(), "a", "b", 0)
	took("list what cannot be there")
	s.List(t.Context(), "", "a/b", 0)
	took("list from within a folder, to the end", "GET "+bucket, "GET "+bucket)
	s.List(t.Context(), "a/", "a/b", 0)
	took("list within a folder", "GET "+bucket)
	s.Delete(t.Context(), "a0", "a1", "nothing")
	took("delete three", "POST "+bucket)
	s.Delete(t.Context())
	took("delete none")
}

// testWire looks at a Create on its way: the condition, the checksum, the whole length, and no
// hash of the body, which would cost more than the rest.
func testWire(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "", ""))
	for _, data := range []string{"", "data", strings.Repeat("x", 9<<20)} {
		server.Answer(func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil || string(got) != data || r.ContentLength != int64(len(data)) {
				t.Errorf("put %d bytes: body of %d in %d, %v", len(data), len(got),
					r.ContentLength, err)
			}
			for header, want := range map[string]string{
				"If-None-Match":         "*",
				"X-Amz-Checksum-Crc32c": s3api.Checksum([]byte(data)),
				"X-Amz-Content-Sha256":  "UNSIGNED-PAYLOAD",
				"Expect":                "",
				"Content-Encoding":      "",
			} {
				if got := r.Header.Get(header); got != want {
					t.Errorf("put %d bytes: %s: %q, want %q", len(data), header, got, want)
				}
			}
			if !strings.Contains(r.Header.Get("Authorization"), "x-amz-checksum-crc32c") {
				t.Error("the checksum is not signed")
			}
			w.Header().Set("Date", "Mon, 02 Nov 2026 10:00:00 GMT")
		})
		date, err := s.Create(t.Context(), "a", []byte(data))
		if err != nil || date.Unix() != 1793613600 {
			t.Errorf("create: %v, %v, want the answer's date", date, err)
		}
	}
	server.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amz-Checksum-Crc32c", "AAAAAA==")
	})
	if _, err := s.Create(t.Context(), "a", []byte("data")); err == nil {
		t.Error("create: the store has other bytes, and no error")
	}
	if sum := s3api.Checksum([]byte("123456789")); sum != "4waSgw==" {
		t.Errorf("checksum %s of %x", sum, crc32.ChecksumIEEE(nil))
	}
}

// testPrefix has neighbours that must stay out of sight, a "folder" among them.
func testPrefix(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	whole := d.open(t, d.URL(server.URL, Bucket, "", ""))
	part := d.open(t, d.URL(server.URL, Bucket, "/p/q/", ""))
	put, err := http.NewRequestWithContext(t.Context(), "PUT", server.URL+"/"+Bucket+"/p/q/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(put); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if page, more, err := part.List(t.Context(), "", "", 1); len(page) > 0 || more || err != nil {
		t.Errorf("list beside a folder: %v, %t, %v", page, more, err)
	}
	for _, key := range []string{"p/q-", "p/q/a", "p/q0", "z"} {
		if _, err := whole.Create(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	page, more, err := part.List(t.Context(), "", "", 1)
	if fmt.Sprint(page, more, err) != "[{a 5}] false <nil>" {
		t.Errorf("list: %v, %t, %v", page, more, err)
	}
	if got, err := part.Get(t.Context(), "a", 0, -1); string(got) != "p/q/a" {
		t.Errorf("get: %q, %v", got, err)
	}
	if err := part.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if _, err := whole.Get(t.Context(), "p/q/a", 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get after the deletion: %v", err)
	}
}

// testOpen opens what is there, what is not, and what should not be written so.
func testOpen(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	d.open(t, d.URL(server.URL, "made-now", "", "create=true"))
	d.open(t, d.URL(server.URL, "made-now", "/deep/down", "region=eu-central-1"))
	hidden := strings.Replace(d.URL(server.URL, Bucket, "", ""), "://", "://me:hidden@", 1)
	for rawURL, want := range map[string]string{
		d.URL(server.URL, "missing", "", ""):                   `bucket "missing" does not exist`,
		d.URL(server.URL, Bucket, "", "sceure=false"):          `unknown parameter "sceure"`,
		d.URL(server.URL, Bucket, "", "region=a&region=b"):     `"region" wants one value`,
		d.URL(server.URL, Bucket, "", "region="):               `"region" wants one value`,
		d.URL(server.URL, Bucket, "", "create=perhaps"):        "want true or false",
		d.URL(server.URL, "Bucket_", "", ""):                   "no name of a bucket",
		d.URL(server.URL, Bucket, "/a/../b", ""):               "invalid object key",
		d.URL(server.URL, Bucket, "", "") + "#x":               "no fragment",
		d.URL("http://127.0.0.1:1", Bucket, "", "create=true"): "refused",
		hidden: "credentials belong in the environment",
	} {
		s, err := d.Open(t.Context(), parse(t, rawURL))
		if s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, want an error with %q", rawURL, err, want)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("open %s shows the password: %v", rawURL, err)
		}
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if _, err := d.Open(t.Context(), parse(t, d.URL(server.URL, Bucket, "", ""))); err == nil {
		t.Error("opened without credentials")
	}
}

// testReal runs the full check against a real server.
func testReal(t *testing.T, d Driver) {
	s := d.openReal(t)
	for f := range objectstore.CheckFull(t.Context(), s, objectstore.FullConfig{Keys: 20}) {
		t.Logf("%+v", f)
		if f.Verdict == objectstore.Fail {
			t.Errorf("%+v", f)
		}
	}
}

// testDamagedUpload flips a byte between a driver and a real server, which must notice.
func testDamagedUpload(t *testing.T, d Driver) {
	endpoint, bucket := realServer(t)
	target := parse(t, endpoint)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
		if r.In.Method == http.MethodPut {
			data, _ := io.ReadAll(r.In.Body)
			data[len(data)/2] ^= 1
			r.Out.Body = io.NopCloser(bytes.NewReader(data))
		}
	}})
	defer proxy.Close()
	s := d.open(t, d.URL(proxy.URL, bucket, "/test/"+rand.Text(), "create=true"))
	if _, err := s.Create(t.Context(), "a", []byte("some data")); err == nil || fact(err) != nil {
		t.Errorf("create, damaged on its way: %v", err)
	}
	if got, err := s.Get(t.Context(), "a", 0, -1); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("get what arrived damaged: %q, %v", got, err)
	}
}
