package compactor

import (
	"context"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// budgetBurst is how much of a budget that was not used is saved up: while records are encoded,
// nothing is asked for.
const budgetBurst = time.Second

// paced is a Store that is asked no faster than a budget allows: what one request costs delays
// the next. It is used by one goroutine.
type paced struct {
	store           objectstore.Store
	bytes, requests int64 // per second
	free            time.Time
}

// wait returns when the budget allows the next request.
func (p *paced) wait(ctx context.Context) error {
	return pause(ctx, time.Until(p.free))
}

// spend takes one request of n bytes from the budget.
func (p *paced) spend(n int) {
	if saved := time.Now().Add(-budgetBurst); p.free.Before(saved) {
		p.free = saved
	}
	p.free = p.free.Add(max(time.Second/time.Duration(p.requests),
		time.Duration(float64(n)/float64(p.bytes)*float64(time.Second))))
}

// Create is Store.Create in its turn.
func (p *paced) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if err := p.wait(ctx); err != nil {
		return time.Time{}, err
	}
	date, err := p.store.Create(ctx, key, data)
	p.spend(len(data))
	return date, err
}

// Get is Store.Get in its turn.
func (p *paced) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	data, err := p.store.Get(ctx, key, offset, length)
	p.spend(len(data))
	return data, err
}

// List is Store.List in its turn.
func (p *paced) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]objectstore.Info, bool, error,
) {
	if err := p.wait(ctx); err != nil {
		return nil, false, err
	}
	p.spend(0)
	return p.store.List(ctx, prefix, startAfter, limit)
}

// Delete is Store.Delete in its turn.
func (p *paced) Delete(ctx context.Context, keys ...string) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	p.spend(0)
	return p.store.Delete(ctx, keys...)
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
