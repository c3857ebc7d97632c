package bench

import (
	"context"
	"fmt"

	"github.com/fozlog/foz/objectstore"
)

// rawPrefix is where the raw arms' objects are; no key of the service begins so.
const rawPrefix = "bench/"

// raw makes objects straight in the store, from bytes that are there already: nobody who
// stores records can be faster.
type raw struct {
	store   objectstore.Store
	cfg     Config
	objects [][]byte
	prefix  string
	arms    int
}

// create is one arm.
func (r *raw) create(ctx context.Context) (int64, error) {
	r.arms++
	done, err := newQuota(r.cfg, r.cfg.ObjectBytes).spend(ctx, r.cfg.Uploads,
		func(ctx context.Context, _ int, piece int64) error {
			object := r.objects[piece%int64(len(r.objects))]
			_, err := r.store.Create(ctx, fmt.Sprintf("%s%d/%020d", r.prefix, r.arms, piece), object)
			return err
		})
	return done * int64(r.cfg.ObjectBytes), err
}

// remove deletes what the arms have made.
func (r *raw) remove(ctx context.Context) error {
	for {
		page, more, err := r.store.List(ctx, r.prefix, "", 0)
		if err != nil || len(page) == 0 {
			return err
		}
		keys := make([]string, len(page))
		for n, object := range page {
			keys[n] = object.Key
		}
		if err := r.store.Delete(ctx, keys...); err != nil || !more {
			return err
		}
	}
}
