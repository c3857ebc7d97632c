package flight

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/fozlog/foz"
)

// code is the number of a gRPC status.
// Source: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md.
type code uint32

const (
	canceled           code = 1
	unknown            code = 2
	invalidArgument    code = 3
	deadlineExceeded   code = 4
	notFound           code = 5
	alreadyExists      code = 6
	permissionDenied   code = 7
	resourceExhausted  code = 8
	failedPrecondition code = 9
	aborted            code = 10
	outOfRange         code = 11
	unimplemented      code = 12
	internal           code = 13
	unavailable        code = 14
	unauthenticated    code = 16
)

// codes is the one table from error kinds to gRPC.
var codes = map[foz.Code]code{
	foz.CodeBadRequest:           invalidArgument,
	foz.CodeUnauthenticated:      unauthenticated,
	foz.CodeForbidden:            permissionDenied,
	foz.CodeProducerFenced:       permissionDenied,
	foz.CodeTopicNotFound:        notFound,
	foz.CodePartitionNotFound:    notFound,
	foz.CodeGroupNotFound:        notFound,
	foz.CodeNotFound:             notFound,
	foz.CodeMethodNotAllowed:     unimplemented,
	foz.CodeNotAcceptable:        invalidArgument,
	foz.CodeTopicExists:          alreadyExists,
	foz.CodeTopicChanged:         aborted,
	foz.CodeSequenceGap:          aborted,
	foz.CodeUnknownProducer:      failedPrecondition,
	foz.CodeSequenceExpired:      failedPrecondition,
	foz.CodeOffsetConflict:       failedPrecondition,
	foz.CodeRecordTooLarge:       invalidArgument,
	foz.CodeBatchTooLarge:        invalidArgument,
	foz.CodeUnsupportedMediaType: invalidArgument,
	foz.CodeOffsetOutOfRange:     outOfRange,
	foz.CodeInvalidRecord:        invalidArgument,
	foz.CodeThrottled:            resourceExhausted,
	foz.CodeInternal:             internal,
	foz.CodeStorage:              unavailable,
	foz.CodeUnavailable:          unavailable,
	foz.CodeDraining:             unavailable,
	foz.CodeOverloaded:           unavailable,
	foz.CodeAckTimeout:           deadlineExceeded, // gRPC's for what may have had its effect, too
}

// status is how a call ends. As an error its code is not OK.
type status struct {
	code    code
	message string
}

func (s *status) Error() string { return s.message }

func statusf(c code, format string, args ...any) *status {
	return &status{c, fmt.Sprintf(format, args...)}
}

// statusOf is the status of a call that ended with err.
func statusOf(err error) *status {
	var st *status
	switch {
	case err == nil:
		return &status{}
	case errors.As(err, &st):
		return st
	}
	return &status{unknown, err.Error()}
}

// problemBytesMax bounds what is kept of a problem.
const problemBytesMax = 64 << 10

// problemStatus makes a status of an answer of the contract that is a problem.
func problemStatus(httpStatus int, text []byte) *status {
	var problem struct {
		Code   foz.Code
		Detail string
	}
	c := code(0)
	if json.Unmarshal(text, &problem) == nil {
		c = codes[problem.Code]
	}
	if c == 0 {
		return statusf(unknown, "HTTP status %d", httpStatus)
	}
	return statusf(c, "%s: %s", problem.Code, problem.Detail)
}

// shortened makes a client's text fit for a sentence.
func shortened(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + " (shortened)"
	}
	return strconv.Quote(s)
}
