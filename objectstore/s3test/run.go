package s3test

import (
	"context"
	"crypto/rand"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/objectstore/storetest"
)

// RealEnv names a real MinIO server to run the suite against as well: a bucket's URL such as
// minio://127.0.0.1:9000/bucket?secure=false. The bucket is made if it is not there.
const RealEnv = "FOZ_MINIO"

// Driver is what is tested.
type Driver struct {
	Open objectstore.Opener
	// URL is that of a bucket at an endpoint (http://host:port), with what follows the
	// bucket's name ("", "/prefix") and more parameters ("", "create=true").
	URL func(endpoint, bucket, path, params string) string
}

// Run runs the suite of all drivers. It sets the credentials in the environment.
func Run(t *testing.T, d Driver) {
	t.Run("fake", func(t *testing.T) {
		setKeys(t)
		storetest.Run(t, func(t *testing.T) objectstore.Store {
			return d.open(t, d.URL(Start(t).URL, Bucket, "", ""))
		})
	})
	t.Run("real", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) objectstore.Store { return d.openReal(t) })
	})
	t.Run("requests", func(t *testing.T) { testRequests(t, d) })
	t.Run("wire", func(t *testing.T) { testWire(t, d) })
	t.Run("prefix", func(t *testing.T) { testPrefix(t, d) })
	t.Run("settings", func(t *testing.T) { testSettings(t, d) })
	t.Run("open", func(t *testing.T) { testOpen(t, d) })
	t.Run("faults", func(t *testing.T) { testFaults(t, d) })
	t.Run("misleading", func(t *testing.T) { testMisleading(t, d) })
	t.Run("damaged reads", func(t *testing.T) { testDamagedReads(t, d) })
	t.Run("damaged pages", func(t *testing.T) { testDamagedPages(t, d) })
	t.Run("early end", func(t *testing.T) { testEarlyEnd(t, d) })
	t.Run("no answer", func(t *testing.T) { testNoAnswer(t, d) })
	t.Run("real presigned", func(t *testing.T) { testPresign(t, d) })
	t.Run("real check", func(t *testing.T) { testReal(t, d) })
	t.Run("real damaged upload", func(t *testing.T) { testDamagedUpload(t, d) })
}

// setKeys sets credentials, and hides from the AWS SDK what the machine may have.
func setKeys(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_REGION": "",
		"AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_DEFAULT_REGION": "",
		"MINIO_ROOT_USER": "", "MINIO_ROOT_PASSWORD": "", "AWS_EC2_METADATA_DISABLED": "true",
		"MINIO_ACCESS_KEY": "", "MINIO_SECRET_KEY": "",
	} {
		t.Setenv(name, value)
	}
}

func (d Driver) open(t *testing.T, rawURL string) objectstore.Store {
	t.Helper()
	s, err := d.Open(t.Context(), parse(t, rawURL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func parse(t *testing.T, rawURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// realServer is the endpoint of the real server, and its bucket.
func realServer(t *testing.T) (endpoint, bucket string) {
	t.Helper()
	if os.Getenv(RealEnv) == "" {
		t.Skipf("%s is not set: no real MinIO server to ask", RealEnv)
	}
	u := parse(t, os.Getenv(RealEnv))
	scheme := "https://"
	if u.Query().Get("secure") == "false" {
		scheme = "http://"
	}
	return scheme + u.Host, strings.Trim(u.Path, "/")
}

// openReal opens a new prefix of the real bucket, and empties it in the end.
func (d Driver) openReal(t *testing.T) objectstore.Store {
	t.Helper()
	endpoint, bucket := realServer(t)
	s := d.open(t, d.URL(endpoint, bucket, "/test/"+rand.Text(), "create=true"))
	t.Cleanup(func() { empty(t, s) })
	return s
}

func empty(t *testing.T, s objectstore.Store) {
	ctx := context.WithoutCancel(t.Context())
	for more := true; more; {
		page, again, err := s.List(ctx, "", "", 0)
		if err != nil {
			t.Errorf("empty the bucket: %v", err)
			return
		}
		more = again
		keys := make([]string, len(page))
		for i, info := range page {
			keys[i] = info.Key
		}
		if err := s.Delete(ctx, keys...); err != nil {
			t.Errorf("empty the bucket: %v", err)
		}
	}
}
