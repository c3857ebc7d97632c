package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// Exit codes of the contract.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitPrecondition = 4
)

// usageError is a command line that makes no sense.
type usageError struct {
	err     error
	command string // whose help explains it; "": foz
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// exitCode maps an error to the contract's exit codes.
func exitCode(err error) int {
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return exitOK
	case errors.As(err, new(*usageError)), errors.Is(err, objectstore.ErrURL):
		return exitUsage
	case errors.Is(err, objectstore.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound
	}
	e, ok := errors.AsType[*foz.Error](err)
	if !ok {
		return exitFailure
	}
	switch e.Code {
	case foz.CodeTopicNotFound, foz.CodePartitionNotFound, foz.CodeGroupNotFound, foz.CodeNotFound:
		return exitNotFound
	case foz.CodeOffsetConflict, foz.CodeTopicExists, foz.CodeTopicChanged:
		return exitPrecondition
	}
	return exitFailure
}

// explain is what a person reads of an error: what it was, what it leaves open, what to do.
func explain(err error) string {
	var text strings.Builder
	fmt.Fprintf(&text, "foz: %v", err)
	if e, ok := errors.AsType[*foz.Error](err); ok {
		for _, i := range e.Invalid {
			fmt.Fprintf(&text, "\n  %s: %s", i.Pointer, i.Detail)
		}
	}
	if errors.Is(err, client.ErrUnknown) && !alarming(err) {
		fmt.Fprintf(&text, "\n  %v", client.ErrUnknown)
	}
	switch usage, isUsage := errors.AsType[*usageError](err); {
	case isUsage && usage.command != "":
		fmt.Fprintf(&text, "\nRun '%s --help' for an example.", usage.command)
	case errors.Is(err, syscall.ECONNREFUSED) && errors.Is(err, client.ErrUnreachable):
		text.WriteString("\nIs a service running there? Start one with 'foz dev', " +
			"or say where it is with --url or FOZ_URL.")
	case errors.Is(err, context.Canceled):
		return "foz: interrupted"
	}
	return text.String()
}

// alarming: that the outcome is unknown has been said, or would say too much. A topic that
// exists with other settings was not made by this command, whatever its first tries did.
func alarming(err error) bool {
	return strings.Contains(err.Error(), client.ErrUnknown.Error()) ||
		errors.Is(err, &foz.Error{Code: foz.CodeTopicExists})
}
