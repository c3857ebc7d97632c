package s3api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fozlog/foz/objectstore"
)

// Inspector asks for a bucket's settings, each with one HTTP request.
type Inspector interface {
	Versioned(ctx context.Context) (bool, error)
	Locked(ctx context.Context) (bool, error) // by default retention
	Rules(ctx context.Context) ([]Rule, error)
}

// Rule is what matters of a lifecycle rule.
type Rule struct {
	ID     string
	Prefix string
	Active bool
	Tagged bool // applies to objects with tags, which foz's have not
	Takes  bool // deletes or moves current objects
}

// unset are the codes of settings that nobody has made, or that the store does not have.
var unset = []string{"NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError",
	"NoSuchObjectLockConfiguration", "NotImplemented", "MethodNotAllowed"}

// Settings is objectstore.Inspector's.
func (s *Store) Settings(ctx context.Context) (objectstore.Settings, error) {
	versioned, err1 := ask(ctx, "versioning", s.driver.Versioned)
	locked, err2 := ask(ctx, "object lock", s.driver.Locked)
	rules, err3 := ask(ctx, "lifecycle", s.driver.Rules)
	return objectstore.Settings{Versioned: versioned, Locked: locked,
		Expiring: expiring(rules, s.prefix)}, errors.Join(err1, err2, err3)
}

func ask[T any](ctx context.Context, what string, get func(context.Context) (T, error)) (
	value T, err error) {
	ctx, a := withAnswer(ctx)
	value, err = get(ctx)
	if err == nil || slices.Contains(unset, a.Code) {
		return value, nil
	}
	return value, fmt.Errorf("get %s: %w", what, a.explain(ctx, false, err))
}

// expiring names the rules that take objects with the prefix.
func expiring(rules []Rule, prefix string) (ids []string) {
	for _, r := range rules {
		meet := strings.HasPrefix(prefix, r.Prefix) || strings.HasPrefix(r.Prefix, prefix)
		if r.Active && r.Takes && !r.Tagged && meet {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
