package foz

import "fmt"

// Code is the stable, snake_case name of an error kind: what a client program switches on.
type Code string

// The error kinds. What a caller should do is in [Code.Retryable] and [Code.Unknown]; which
// HTTP status each becomes is httpapi's business.
const (
	CodeBadRequest           Code = "bad_request"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeForbidden            Code = "forbidden"
	CodeProducerFenced       Code = "producer_fenced"
	CodeTopicNotFound        Code = "topic_not_found"
	CodePartitionNotFound    Code = "partition_not_found"
	CodeGroupNotFound        Code = "group_not_found"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeNotAcceptable        Code = "not_acceptable"
	CodeTopicExists          Code = "topic_exists"
	CodeTopicChanged         Code = "topic_changed"
	CodeSequenceGap          Code = "sequence_gap"
	CodeUnknownProducer      Code = "unknown_producer"
	CodeSequenceExpired      Code = "sequence_expired"
	CodeOffsetConflict       Code = "offset_conflict"
	CodeRecordTooLarge       Code = "record_too_large"
	CodeBatchTooLarge        Code = "batch_too_large"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeOffsetOutOfRange     Code = "offset_out_of_range"
	CodeInvalidRecord        Code = "invalid_record"
	CodeThrottled            Code = "throttled"
	CodeInternal             Code = "internal"
	CodeStorage              Code = "storage_error"
	CodeUnavailable          Code = "unavailable"
	CodeDraining             Code = "draining"
	CodeOverloaded           Code = "overloaded"
	CodeAckTimeout           Code = "ack_timeout"
)

// Retryable says whether the same request, sent again as it is, may succeed.
func (c Code) Retryable() bool {
	switch c {
	case CodeSequenceGap, CodeThrottled, CodeInternal, CodeStorage,
		CodeUnavailable, CodeDraining, CodeOverloaded, CodeAckTimeout:
		return true
	}
	return false
}

// Unknown says whether the request may have had its effect in spite of the error, now or
// later, or in an earlier attempt: the side effects are unknown and a retry may duplicate.
func (c Code) Unknown() bool {
	switch c {
	case CodeProducerFenced, CodeTopicExists, CodeSequenceGap, CodeUnknownProducer,
		CodeSequenceExpired, CodeInternal, CodeAckTimeout:
		return true
	}
	return false
}

// Error is an error that a client can act on.
type Error struct {
	Code    Code
	Detail  string           // one sentence that names what was wrong
	Numbers map[string]int64 // what the contract promises beside the code: next_offset, ...
	Invalid []InvalidRecord  // for CodeInvalidRecord
	Err     error            // cause, or nil
}

// InvalidRecord points into a request's body: what is not a record, and why.
type InvalidRecord struct {
	Pointer string // RFC 6901, "/records/3/value"; for NDJSON "/<line, from 0>"
	Detail  string
}

// Names of the numbers that errors carry.
const (
	NumberNextOffset     = "next_offset"
	NumberEarliestOffset = "earliest_offset"
	NumberExpectedSeq    = "expected_seq"
	NumberProducerEpoch  = "producer_epoch"
)

// Errorf makes an Error whose detail is the formatted text; %w sets its cause.
func Errorf(code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	e := &Error{Code: code, Detail: wrapped.Error()}
	if u, ok := wrapped.(interface{ Unwrap() error }); ok {
		e.Err = u.Unwrap()
	}
	return e
}

// With adds a number and returns e.
func (e *Error) With(name string, n int64) *Error {
	if e.Numbers == nil {
		e.Numbers = map[string]int64{}
	}
	e.Numbers[name] = n
	return e
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches any Error of the same code, so that errors.Is(err, &Error{Code: c}) asks for
// the kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
