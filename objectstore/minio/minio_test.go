// How: the suite of all S3 drivers (s3test) runs against a server in this process, and against
// a real MinIO if FOZ_MINIO names one.
package minio_test

import (
	"net/url"
	"testing"

	"github.com/fozlog/foz/objectstore/minio"
	"github.com/fozlog/foz/objectstore/s3test"
)

func TestDriver(t *testing.T) {
	s3test.Run(t, s3test.Driver{Open: minio.Open, URL: bucketURL})
}

func bucketURL(endpoint, bucket, path, params string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		panic(err)
	}
	if u.Scheme == "http" {
		params += "&secure=false"
	}
	return "minio://" + u.Host + "/" + bucket + path + "?" + params
}
