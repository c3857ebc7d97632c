package s3api

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/fozlog/foz/objectstore"
)

// Answer is what the HTTP answer of a call said, as Transport saw it: client libraries
// guess a code where the store gave none, and keep dates to themselves.
type Answer struct {
	Status        int // 0: there was no answer
	Header        http.Header
	Code, Message string // of an S3 error; Code is "" if the answer was none of S3
	Truncated     bool   // of a listing

	asked bool
}

type answerKey struct{}

// withAnswer lets Transport write down the answer of the one request made under ctx.
func withAnswer(ctx context.Context) (context.Context, *Answer) {
	a := &Answer{Header: http.Header{}}
	return context.WithValue(ctx, answerKey{}, a), a
}

const (
	errorBytesMax = 64 << 10
	pageBytesMax  = 16 << 20 // 1000 keys of 1 KiB, each byte escaped, with room
)

// take writes down an answer. What it reads of the body is put back.
func (a *Answer) take(resp *http.Response) error {
	a.Status, a.Header = resp.StatusCode, resp.Header
	switch {
	case resp.StatusCode >= 300:
		text, err := peek(resp, errorBytesMax)
		if err == nil {
			a.takeError(text)
		}
		return err
	case resp.Request.URL.Query().Get("list-type") == "2":
		text, err := a.document(resp, "ListBucketResult", "<IsTruncated>")
		a.Truncated = bytes.Contains(text, []byte("<IsTruncated>true</IsTruncated>"))
		return err
	case resp.Request.URL.Query().Has("delete"):
		_, err := a.document(resp, "DeleteResult", "")
		return err
	}
	return nil
}

// document reads an answer that must be one. (A library may take anything for an empty page.)
func (a *Answer) document(resp *http.Response, name, holds string) ([]byte, error) {
	text, err := peek(resp, pageBytesMax)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(text, []byte("<"+name)) || !bytes.Contains(text, []byte(holds)) {
		return nil, fmt.Errorf("no %s, but %.64q", name, text)
	}
	return text, nil
}

func peek(resp *http.Response, max int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, max+1))
	closed := resp.Body.Close()
	if int64(len(text)) > max {
		return nil, fmt.Errorf("an answer of more than %d bytes", max)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return text, errors.Join(err, closed)
}

func (a *Answer) takeError(text []byte) {
	var said struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}
	if xml.Unmarshal(text, &said) == nil {
		a.Code, a.Message = said.Code, said.Message
	}
}

// told is what the store said, for people.
func (a *Answer) told() string {
	text := strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, a.Code))
	if a.Message != "" {
		text += ": " + a.Message
	}
	if region := a.Header.Get("x-amz-bucket-region"); region != "" && a.Status != 404 {
		text += " (the bucket is in region " + region + ")"
	}
	if id := a.Header.Get("x-amz-request-id"); id != "" {
		text += " (request " + id + ")"
	}
	return text
}

// explain turns the error of a client library into what a Store says. effect is whether the
// request changes something, so that "did nothing" must be certain.
func (a *Answer) explain(ctx context.Context, effect bool, err error) error {
	if a.Status < 300 {
		return cutShort(ctx, err)
	}
	if fact := a.fact(effect); fact != nil {
		return fmt.Errorf("%w: %s", fact, a.told())
	}
	if a.Code == "NoSuchBucket" {
		return fmt.Errorf("%w: %s", errNoBucket, a.told())
	}
	return fmt.Errorf("store answered %s", a.told())
}

// busy are the codes of stores that did nothing and say so. (MinIO's SlowDownWrite is not one
// of them: it means that a write had no quorum, and may be there.)
var busy = []string{"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling",
	"ThrottlingException", "TooManyRequests", "TooManyRequestsException", "ServerBusy",
	"XMinioServerNotInitialized"}

var full = []string{"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded",
	"InsufficientStorage"}

// fact is the sentinel that the answer amounts to, or nil where the outcome is unknown.
func (a *Answer) fact(effect bool) error {
	is := func(codes []string) bool { return slices.Contains(codes, a.Code) }
	switch {
	case a.Code == "XMinioParentIsObject", a.Code == "XMinioObjectExistsAsDirectory":
		return objectstore.ErrKey
	case effect && is(full), effect && a.Status == http.StatusInsufficientStorage:
		return objectstore.ErrFull
	case a.Status == http.StatusPreconditionFailed && a.Code == "PreconditionFailed":
		return objectstore.ErrExists
	case a.Status == http.StatusNotFound && a.Code == "NoSuchKey":
		return objectstore.ErrNotFound
	case a.Status == http.StatusRequestedRangeNotSatisfiable:
		return objectstore.ErrRange
	case is(busy), a.Status == http.StatusTooManyRequests:
		return objectstore.ErrThrottled
	// 409 Conflict: two conditional writes met, and this one did nothing.
	case a.Code == "ConditionalRequestConflict", a.Code == "OperationAborted":
		return objectstore.ErrThrottled
	case a.Status == http.StatusServiceUnavailable && !effect:
		return objectstore.ErrThrottled
	}
	return nil
}

var errNoBucket = errors.New("no such bucket")

// cutShort adds to an error without an answer that the context ended, if it did.
func cutShort(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}
