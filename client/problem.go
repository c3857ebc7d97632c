package client

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// What a [Problem] says of side effects.
const (
	SideEffectsNone    = "none"
	SideEffectsUnknown = "unknown"
)

// Problem is an answer that is an error. It unwraps to *[foz.Error], which has the code, the
// detail, the numbers and the invalid records; errors.Is(err, [ErrUnknown]) tells whether
// the request may have had its effect all the same.
type Problem struct {
	Status      int // of HTTP
	Retryable   bool
	SideEffects string        // SideEffectsNone or SideEffectsUnknown
	RetryAfter  time.Duration // 0: the service did not say
	Err         *foz.Error
}

func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap gives the *foz.Error.
func (p *Problem) Unwrap() error { return p.Err }

// Is matches ErrUnknown where side effects are unknown.
func (p *Problem) Is(target error) bool {
	return target == ErrUnknown && p.SideEffects != SideEffectsNone
}

// problemBytesMax bounds what is read of an error answer.
const problemBytesMax = 1 << 20

// readProblem decodes an answer that is not 2xx. Whatever it is, the result is a Problem.
func readProblem(resp *http.Response, l call) *Problem {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, problemBytesMax))
	p := foreignProblem(resp, l, body)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if strings.HasSuffix(media, "json") {
		decodeProblem(p, body)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	numberHeaders(p.Err, resp.Header)
	return p
}

// decodeProblem fills p from problem+json; what is missing or of another type stays.
func decodeProblem(p *Problem, body []byte) {
	var wire struct {
		Title       string   `json:"title"`
		Detail      string   `json:"detail"`
		Code        foz.Code `json:"code"`
		Retryable   *bool    `json:"retryable"`
		SideEffects string   `json:"side_effects"`
		Errors      []struct {
			Pointer string `json:"pointer"`
			Detail  string `json:"detail"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &wire) != nil || wire.Code == "" {
		return
	}
	p.Err = &foz.Error{Code: wire.Code, Detail: wire.Detail}
	if wire.Detail == "" {
		p.Err.Detail = wire.Title
	}
	p.Retryable, p.SideEffects = wire.Code.Retryable(), SideEffectsNone
	if wire.Code.Unknown() {
		p.SideEffects = SideEffectsUnknown
	}
	if wire.Retryable != nil {
		p.Retryable = *wire.Retryable
	}
	if wire.SideEffects != "" {
		p.SideEffects = wire.SideEffects
	}
	for _, e := range wire.Errors {
		p.Err.Invalid = append(p.Err.Invalid, foz.InvalidRecord(e))
	}
	numberMembers(p.Err, body)
}

// numberMembers collects the members that are whole numbers: next_offset and its like.
func numberMembers(e *foz.Error, body []byte) {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return
	}
	for name, raw := range members {
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && name != "status" {
			e.With(name, n)
		}
	}
}

// numberHeaders collects the numbers that travel as headers.
func numberHeaders(e *foz.Error, h http.Header) {
	for header, name := range map[string]string{
		"Producer-Expected-Seq": foz.NumberExpectedSeq,
		"Producer-Epoch":        foz.NumberProducerEpoch,
		"Foz-Next-Offset":       foz.NumberNextOffset,
		"Foz-Earliest-Offset":   foz.NumberEarliestOffset,
	} {
		if n, err := strconv.ParseInt(h.Get(header), 10, 64); err == nil {
			e.With(name, n)
		}
	}
}

// foreignProblem is what an answer means that is no problem+json of foz: a proxy's, mostly.
// It is careful: of a 5xx to a request that changes something, the outcome is unknown.
func foreignProblem(resp *http.Response, l call, body []byte) *Problem {
	text, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if len(text) > 200 {
		text = text[:200]
	}
	if text == "" {
		text = http.StatusText(resp.StatusCode)
	}
	p := &Problem{Status: resp.StatusCode, SideEffects: SideEffectsNone}
	p.Err = foz.Errorf(foreignCode(resp.StatusCode), "HTTP %d: %s", resp.StatusCode, text)
	p.Retryable = p.Err.Code.Retryable()
	if resp.StatusCode >= 500 && l.effectful() {
		p.SideEffects = SideEffectsUnknown
	}
	return p
}

func foreignCode(status int) foz.Code {
	switch status {
	case http.StatusUnauthorized:
		return foz.CodeUnauthenticated
	case http.StatusForbidden:
		return foz.CodeForbidden
	case http.StatusNotFound:
		return foz.CodeNotFound
	case http.StatusRequestEntityTooLarge:
		return foz.CodeBatchTooLarge
	case http.StatusTooManyRequests:
		return foz.CodeThrottled
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return foz.CodeUnavailable
	}
	if status >= 500 {
		return foz.CodeInternal
	}
	return foz.CodeBadRequest
}
