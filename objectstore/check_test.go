package objectstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

// How: the check at a node's start, on stores that fail for a while, for ever, or in secret.

// TestCheckAsksAgain: a fault that passes is no verdict, a broken promise is one at once.
func TestCheckAsksAgain(t *testing.T) {
	for _, c := range []struct {
		outcome  objectstore.Outcome
		times    int
		attempts int
		err      error
	}{
		{objectstore.Drop, 2, 3, nil},
		{objectstore.Drop, 99, 3, objectstore.ErrFault},
		{objectstore.IgnoreCondition, 99, 1, objectstore.ErrCondition},
	} {
		attempts := map[string]bool{}
		fate := func(op, key string) objectstore.Fate {
			if op != objectstore.OpCreate {
				return objectstore.Fate{}
			}
			attempts[strings.Split(key, "/")[1]] = true
			if len(attempts) > c.times {
				return objectstore.Fate{}
			}
			return objectstore.Fate{Outcome: c.outcome}
		}
		err := objectstore.Check(t.Context(), objectstore.NewFaulty(objectstore.NewMemory(), fate))
		if !errors.Is(err, c.err) || len(attempts) != c.attempts {
			t.Errorf("%s %d times: %v after %d attempts", c.outcome, c.times, err, len(attempts))
		}
	}
}
