package foz_test

// How: tables of what a client does with an error: ask for its kind, its cause, its numbers,
// and whether to try again.

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/fozlog/foz"
)

func TestErrorf(t *testing.T) {
	err := fmt.Errorf("append: %w", foz.Errorf(foz.CodeSequenceGap, "read %s: %w", "x", io.EOF))
	var e *foz.Error
	if !errors.As(err, &e) || e.Code != foz.CodeSequenceGap || e.Detail != "read x: EOF" {
		t.Errorf("%#v", e)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
	if !errors.Is(err, &foz.Error{Code: foz.CodeSequenceGap}) {
		t.Error("is not of its own kind")
	}
	if errors.Is(err, &foz.Error{Code: foz.CodeInternal}) {
		t.Error("is of another kind")
	}
	if got := e.Error(); got != "sequence_gap: read x: EOF" {
		t.Errorf("text %q", got)
	}
	if foz.Errorf(foz.CodeInternal, "no cause").Unwrap() != nil {
		t.Error("a cause out of nothing")
	}
}

func TestErrorWith(t *testing.T) {
	e := foz.Errorf(foz.CodeOffsetConflict, "stands elsewhere").
		With(foz.NumberNextOffset, 7).With(foz.NumberEarliestOffset, 3)
	if e.Numbers[foz.NumberNextOffset] != 7 || e.Numbers[foz.NumberEarliestOffset] != 3 {
		t.Errorf("numbers %v", e.Numbers)
	}
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		code               foz.Code
		retryable, unknown bool
	}{
		{foz.CodeBadRequest, false, false},
		{foz.CodeOffsetConflict, false, false},
		{foz.CodeInvalidRecord, false, false},
		{foz.CodeTopicExists, false, true},
		{foz.CodeSequenceGap, true, true},
		{foz.CodeUnknownProducer, false, true},
		{foz.CodeSequenceExpired, false, true},
		{foz.CodeThrottled, true, false},
		{foz.CodeInternal, true, true},
		{foz.CodeUnavailable, true, false},
		{foz.CodeOverloaded, true, false},
		{foz.CodeAckTimeout, true, true},
	} {
		if c.code.Retryable() != c.retryable || c.code.Unknown() != c.unknown {
			t.Errorf("%s: retryable %v, unknown %v", c.code, c.code.Retryable(), c.code.Unknown())
		}
	}
}
