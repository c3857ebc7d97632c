// How: the suite of all S3 drivers (s3test) runs against a server in this process, and against
// a real MinIO if FOZ_MINIO names one.
package s3_test

import (
	"net/url"
	"testing"

	"github.com/fozlog/foz/objectstore/s3"
	"github.com/fozlog/foz/objectstore/s3test"
)

func TestDriver(t *testing.T) {
	s3test.Run(t, s3test.Driver{Open: s3.Open, URL: bucketURL})
}

func bucketURL(endpoint, bucket, path, params string) string {
	return "s3://" + bucket + path + "?endpoint=" + url.QueryEscape(endpoint) + "&" + params
}
