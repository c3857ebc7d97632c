package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// ErrUnknown marks an error after which the request may have had its effect, now or later:
// sent again without a [Producer], its records may be there twice. errors.Is finds it in
// every error of this package that leaves the outcome open, answers with side effects
// "unknown" included.
var ErrUnknown = errors.New("outcome unknown: it may have had its effect")

// ErrUnreachable marks an error after which the service has seen nothing of the request: there
// was no connection to it.
var ErrUnreachable = errors.New("the service was not reached")

// Waits between attempts.
const (
	waitMin = 50 * time.Millisecond
	waitMax = 2 * time.Second
	askMax  = 30 * time.Second // the longest Retry-After that is waited for
)

// transportError is a request without an answer.
type transportError struct {
	sent bool // a connection was there: the service may have seen the request
	err  error
}

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// Is matches ErrUnreachable where there was no connection.
func (e *transportError) Is(target error) bool { return target == ErrUnreachable && !e.sent }

// retry makes attempts until one succeeds, fails for good, or would be one too many.
func (c *Client) retry(ctx context.Context, l call, attempt func() error) error {
	unknown := false // some attempt may have had its effect
	for n := 1; ; n++ {
		err := attempt()
		if err == nil {
			return nil
		}
		unknown = unknown || l.effectful() && leavesOpen(err)
		if n >= c.attempts || !again(err, l.safe) || pause(ctx, n, err) != nil {
			return marked(err, unknown)
		}
	}
}

// effectful says whether the call changes anything at the service.
func (l call) effectful() bool { return l.method != http.MethodGet }

// again says whether the call may and should be sent once more after err.
func again(err error, safe bool) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Retryable && (safe || p.SideEffects == SideEffectsNone)
	}
	t, ok := errors.AsType[*transportError](err)
	return ok && (safe || !t.sent)
}

// leavesOpen says whether the attempt that ended in err may have had its effect.
func leavesOpen(err error) bool {
	if t, ok := errors.AsType[*transportError](err); ok {
		return t.sent
	}
	if _, ok := errors.AsType[*Problem](err); ok {
		return errors.Is(err, ErrUnknown)
	}
	return true // a 2xx whose body says nothing
}

// marked makes err say what is unknown. An earlier attempt counts too: a refusal of the last
// one says nothing about it.
func marked(err error, unknown bool) error {
	if !unknown || errors.Is(err, ErrUnknown) {
		return err
	}
	return fmt.Errorf("%w (%w)", err, ErrUnknown)
}

// pause waits before attempt n+1: exponentially longer, with full jitter, and no less than
// the service asked for.
func pause(ctx context.Context, n int, err error) error {
	ceiling := min(waitMin<<min(n, 10), waitMax)
	wait := waitMin/2 + rand.N(ceiling)
	if p, ok := errors.AsType[*Problem](err); ok {
		wait = max(wait, min(p.RetryAfter, askMax))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
