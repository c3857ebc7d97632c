package bench

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// quota is what is left to do in an arm: so many pieces, or until a moment.
type quota struct {
	left  atomic.Int64
	until time.Time // zero: no end
}

// newQuota lets through as many pieces as make up at least c.Bytes, begun within c.For.
func newQuota(c Config, pieceBytes int) *quota {
	q := &quota{}
	q.left.Store(1 << 62)
	if c.Bytes > 0 {
		q.left.Store((c.Bytes + int64(pieceBytes) - 1) / int64(pieceBytes))
	}
	if c.For > 0 {
		q.until = time.Now().Add(c.For)
	}
	return q
}

// take says whether one more piece is to be done, and which one, from 0 down.
func (q *quota) take() (piece int64, ok bool) {
	if !q.until.IsZero() && time.Now().After(q.until) {
		return 0, false
	}
	piece = q.left.Add(-1)
	return piece, piece >= 0
}

// spend has workers take pieces until none is left, and returns how many were done.
func (q *quota) spend(
	ctx context.Context, workers int, do func(ctx context.Context, worker int, piece int64) error,
) (done int64, err error) {
	var pieces atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for worker := range workers {
		g.Go(func() error {
			for ctx.Err() == nil {
				piece, ok := q.take()
				if !ok {
					return nil
				}
				if err := do(ctx, worker, piece); err != nil {
					return err
				}
				pieces.Add(1)
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	return pieces.Load(), err
}
