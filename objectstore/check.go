package objectstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// ErrCondition: the store has let a Create overwrite an object, or has refused a Create of a
// key that was free. A log on it loses records: do not use it.
var ErrCondition = errors.New("store does not create if absent")

// ErrStale: a Get or List did not show what a Create or Delete had done before.
var ErrStale = errors.New("store does not show what was written")

// Check asks the store itself whether it is a Store, in 14 small requests below "probe/"
// under a random name, and removes what it made: creating a key that is absent, and one that
// is present; reading, also by range; listing; deleting, and creating again. It is for nodes
// that may write the log, before they do. ErrCondition, ErrStale, or the store's own error if
// it answers so three times: MinIO refuses a create beside which the folder above is emptied,
// as it is when another node ends its check.
func Check(ctx context.Context, s Store) (err error) {
	for attempt := range checkAttempts {
		if attempt > 0 {
			time.Sleep(checkPause)
		}
		err = CheckUnder(ctx, s, "probe/"+rand.Text()+"/")
		if err == nil || errors.Is(err, ErrCondition) || errors.Is(err, ErrStale) ||
			ctx.Err() != nil {
			return err
		}
	}
	return err
}

const (
	checkAttempts = 3
	checkPause    = 50 * time.Millisecond
)

// CheckUnder is Check below a prefix that ends with a slash and that nobody else ever uses.
func CheckUnder(ctx context.Context, s Store, prefix string) (err error) {
	ctx = WithCause(ctx, "probe")
	c := checking{store: s, prefix: prefix, a: prefix + "a", b: prefix + "b"}
	defer func() {
		// A crash before this leaves two small objects that nobody reads.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		if left := s.Delete(clean, c.a, c.b); err == nil && left != nil {
			err = fmt.Errorf("check the store: remove the probe: %w", left)
		}
	}()
	steps := []func(context.Context) error{c.create, c.condition, c.read, c.list, c.delete}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return fmt.Errorf("check the store: %w", err)
		}
	}
	return nil
}

const cleanTimeout = 10 * time.Second

var probeA, probeB = []byte("foz probe, object a"), []byte("foz probe, another object")

type checking struct {
	store        Store
	prefix, a, b string
}

func (c *checking) create(ctx context.Context) error {
	if err := c.absent(ctx, c.a, probeA); err != nil {
		return err
	}
	return c.absent(ctx, c.b, probeB)
}

func (c *checking) absent(ctx context.Context, key string, data []byte) error {
	_, err := c.store.Create(ctx, key, data)
	if errors.Is(err, ErrExists) {
		return fmt.Errorf("%w: %s was free, and creating it answered: %w", ErrCondition, key, err)
	}
	return err
}

// condition creates what is there, with other bytes, and with the same.
func (c *checking) condition(ctx context.Context) error {
	for _, data := range [][]byte{probeB, probeA} {
		_, err := c.store.Create(ctx, c.a, data)
		if err == nil {
			return fmt.Errorf("%w: %s was there, and creating it again succeeded",
				ErrCondition, c.a)
		}
		if !errors.Is(err, ErrExists) {
			return err
		}
	}
	return nil
}

func (c *checking) read(ctx context.Context) error {
	if err := c.same(ctx, 0, -1, string(probeA)); err != nil {
		return err
	}
	if err := c.same(ctx, 4, 5, string(probeA[4:9])); err != nil {
		return err
	}
	_, err := c.store.Get(ctx, c.a, int64(len(probeA))+100, 10)
	if !errors.Is(err, ErrRange) {
		return fmt.Errorf("get past the end of %s answered %v, not: %w", c.a, err, ErrRange)
	}
	return nil
}

func (c *checking) same(ctx context.Context, offset, length int64, want string) error {
	data, err := c.store.Get(ctx, c.a, offset, length)
	if errors.Is(err, ErrNotFound) || err == nil && string(data) != want {
		return fmt.Errorf("%w: get %s [%d +%d] gave %q, want %q (%v)",
			ErrStale, c.a, offset, length, data, want, err)
	}
	return err
}

func (c *checking) list(ctx context.Context) error {
	if err := c.listed(ctx, "", c.a, c.b); err != nil {
		return err
	}
	return c.listed(ctx, c.a, c.b)
}

func (c *checking) listed(ctx context.Context, after string, want ...string) error {
	page, more, err := c.store.List(ctx, c.prefix, after, 10)
	if err != nil {
		return err
	}
	keys := make([]string, len(page))
	for i, info := range page {
		keys[i] = info.Key
	}
	if more || fmt.Sprint(keys) != fmt.Sprint(want) {
		return fmt.Errorf("%w: list %s after %q gave %q (more: %t), want %q",
			ErrStale, c.prefix, after, keys, more, want)
	}
	return nil
}

// delete removes one object, sees that it is gone, and creates it again.
func (c *checking) delete(ctx context.Context) error {
	if err := c.store.Delete(ctx, c.a); err != nil {
		return err
	}
	if _, err := c.store.Get(ctx, c.a, 0, -1); !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: get %s after its deletion: %v", ErrStale, c.a, err)
	}
	if err := c.listed(ctx, "", c.b); err != nil {
		return err
	}
	return c.absent(ctx, c.a, probeB)
}
