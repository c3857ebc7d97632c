package httpapi

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/fozlog/foz"
)

// statuses is the one table from error kinds to HTTP.
var statuses = map[foz.Code]int{
	foz.CodeBadRequest:           http.StatusBadRequest,
	foz.CodeUnauthenticated:      http.StatusUnauthorized,
	foz.CodeForbidden:            http.StatusForbidden,
	foz.CodeProducerFenced:       http.StatusForbidden,
	foz.CodeTopicNotFound:        http.StatusNotFound,
	foz.CodePartitionNotFound:    http.StatusNotFound,
	foz.CodeGroupNotFound:        http.StatusNotFound,
	foz.CodeNotFound:             http.StatusNotFound,
	foz.CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	foz.CodeNotAcceptable:        http.StatusNotAcceptable,
	foz.CodeTopicExists:          http.StatusConflict,
	foz.CodeTopicChanged:         http.StatusConflict,
	foz.CodeSequenceGap:          http.StatusConflict,
	foz.CodeUnknownProducer:      http.StatusConflict,
	foz.CodeSequenceExpired:      http.StatusConflict,
	foz.CodeOffsetConflict:       http.StatusPreconditionFailed,
	foz.CodeRecordTooLarge:       http.StatusRequestEntityTooLarge,
	foz.CodeBatchTooLarge:        http.StatusRequestEntityTooLarge,
	foz.CodeUnsupportedMediaType: http.StatusUnsupportedMediaType,
	foz.CodeOffsetOutOfRange:     http.StatusRequestedRangeNotSatisfiable,
	foz.CodeInvalidRecord:        http.StatusUnprocessableEntity,
	foz.CodeThrottled:            http.StatusTooManyRequests,
	foz.CodeInternal:             http.StatusInternalServerError,
	foz.CodeStorage:              http.StatusBadGateway,
	foz.CodeUnavailable:          http.StatusServiceUnavailable,
	foz.CodeDraining:             http.StatusServiceUnavailable,
	foz.CodeOverloaded:           http.StatusServiceUnavailable,
	foz.CodeAckTimeout:           http.StatusGatewayTimeout,
}

// numberHeaders are the headers that repeat a problem's numbers.
var numberHeaders = map[string]string{
	foz.NumberNextOffset:     headerNextOffset,
	foz.NumberEarliestOffset: headerEarliestOffset,
	numberCommitted:          headerCommittedOffset,
	foz.NumberExpectedSeq:    "Producer-Expected-Seq",
	foz.NumberProducerEpoch:  headerProducerEpoch,
}

// asProblem makes any error one that a client can act on. What is not said to be one is
// internal: its text is for the log, not for clients.
func asProblem(r *http.Request, err error) *foz.Error {
	var e *foz.Error
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	switch {
	case errors.As(err, &e) && statuses[e.Code] != 0:
		return e
	case ended && readOnly(r):
		return foz.Errorf(foz.CodeUnavailable, "the answer took too long")
	case ended:
		return foz.Errorf(foz.CodeAckTimeout, "no answer in time: the request may have had its effect")
	}
	return &foz.Error{
		Code: foz.CodeInternal, Detail: "internal error; this node's log says more", Err: err,
	}
}

func isCode(err error, code foz.Code) bool { return errors.Is(err, &foz.Error{Code: code}) }

func readOnly(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// writeProblem answers with an error. Nothing has been written before.
func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := asProblem(r, err)
	if e.Code == foz.CodeInternal {
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	status := statuses[e.Code]
	h := w.Header()
	for _, name := range []string{
		"Etag", "Content-Length", headerNextOffset, headerHighWatermark, headerEarliestOffset,
	} {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(int(a.config.RetryAfter.Seconds())))
	}
	for name, n := range e.Numbers {
		if header := numberHeaders[name]; header != "" {
			h.Set(header, strconv.FormatInt(n, 10))
		}
	}
	w.WriteHeader(status)
	w.Write(append(appendProblem(nil, r, e), '\n'))
}

// appendProblem writes the problem as one line of JSON.
func appendProblem(b []byte, r *http.Request, e *foz.Error) []byte {
	status := statuses[e.Code]
	b = append(b, `{"type":"about:blank","title":`...)
	b = appendString(b, http.StatusText(status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"detail":`...)
	b = appendString(b, cmp.Or(e.Detail, string(e.Code)))
	b = append(b, `,"code":`...)
	b = appendString(b, string(e.Code))
	b = append(b, `,"retryable":`...)
	b = strconv.AppendBool(b, e.Code.Retryable())
	b = append(b, `,"side_effects":`...)
	b = appendString(b, sideEffects(r, e.Code))
	for _, name := range slices.Sorted(maps.Keys(e.Numbers)) {
		b = append(b, ',')
		b = append(appendString(b, name), ':')
		b = strconv.AppendInt(b, e.Numbers[name], 10)
	}
	if len(e.Invalid) > 0 {
		b = appendInvalid(append(b, `,"errors":[`...), e.Invalid)
	}
	return append(b, '}')
}

// sideEffects says whether a request that was answered so may have had its effect. topic_exists
// leaves that open for a PUT, which may have met what it made itself in an earlier attempt; a
// PATCH that gets it asked for what no topic can become.
func sideEffects(r *http.Request, code foz.Code) string {
	refused := code == foz.CodeTopicExists && r.Method == http.MethodPatch
	if code.Unknown() && !readOnly(r) && !refused {
		return "unknown"
	}
	return "none"
}

func appendInvalid(b []byte, invalid []foz.InvalidRecord) []byte {
	for i, v := range invalid {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"pointer":`...), v.Pointer)
		b = appendString(append(b, `,"detail":`...), v.Detail)
		b = append(b, '}')
	}
	return append(b, ']')
}

// invalidAt is an invalid_record that points at one place.
func invalidAt(pointer, format string, args ...any) *foz.Error {
	e := foz.Errorf(foz.CodeInvalidRecord, format, args...)
	e.Invalid = []foz.InvalidRecord{{Pointer: pointer, Detail: e.Detail}}
	return e
}

// invalidRecords is an invalid_record that points at all that is wrong. Its detail tells of the
// first; what is wrong with the body as a whole needs no pointer.
func invalidRecords(wrong []foz.InvalidRecord) *foz.Error {
	detail := wrong[0].Detail
	if at := wrong[0].Pointer; at != "" {
		detail = at + ": " + detail
	}
	return &foz.Error{Code: foz.CodeInvalidRecord, Detail: detail, Invalid: wrong}
}

func badRequest(format string, args ...any) *foz.Error {
	return foz.Errorf(foz.CodeBadRequest, format, args...)
}
