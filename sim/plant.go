package sim

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/ingest"
	"github.com/fozlog/foz/objectstore"
)

// Planted bugs at the seams between rooms. Those inside metadata are metadata.Defects.

// committer is what an ingest commits through.
func (h *house) committer(c ingest.Committer) ingest.Committer {
	d := h.options.Defects
	switch {
	case h.options.ExpiredIsDefinite:
		return expired{c}
	case d.TimeoutIsFailure || d.NoReadBack || d.LostIsFailure:
		return definite{c}
	case h.options.CommitAhead:
		return hasty{c}
	}
	return c
}

// hasty sends a commit before the one before it was answered.
type hasty struct{ ingest.Committer }

func (h hasty) Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	results := make([]foz.CommitResult, len(commits))
	errs := make([]error, len(commits))
	var all sync.WaitGroup
	for i := range commits {
		all.Go(func() {
			var one []foz.CommitResult
			if one, errs[i] = h.Committer.Commit(ctx, commits[i:i+1]); errs[i] == nil {
				results[i] = one[0]
			}
		})
	}
	all.Wait()
	return results, errors.Join(errs...)
}

// index is what a sweeper goes by.
func (h *house) index(i compactor.Index) compactor.Index {
	if h.options.SweepAnyBirth {
		return floorless{i}
	}
	if h.options.SweepAhead {
		return ahead{i}
	}
	if h.options.SweepSpares {
		return sparing{i}
	}
	return i
}

// ahead says that a floor is there which is not.
type ahead struct{ compactor.Index }

func (a ahead) Floor() uint64 { return a.Index.Floor() + 10 }

// floorless says that nothing that is not live ever will be.
type floorless struct{ compactor.Index }

func (floorless) Floor() uint64 { return math.MaxUint64 }

// sparing says of every eighth object that it is live.
type sparing struct{ compactor.Index }

func (s sparing) Live(object string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(object)) // a hash never fails
	return h.Sum32()%8 == 0 || s.Index.Live(object)
}

// definite passes on what a leader with these bugs calls a failure.
type definite struct{ ingest.Committer }

func (d definite) Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	results, err := d.Committer.Commit(ctx, commits)
	var known *foz.Error
	if !errors.As(err, &known) || known.Code.Unknown() {
		return results, err
	}
	results = make([]foz.CommitResult, len(commits))
	for i, c := range commits {
		results[i].Requests = make([]foz.RequestResult, len(c.Requests))
		for j := range c.Requests {
			results[i].Requests[j].Err = known
		}
	}
	return results, nil
}

// expired tells an expired commit as a failure that it may not be.
type expired struct{ ingest.Committer }

func (e expired) Commit(ctx context.Context, commits []foz.Commit) ([]foz.CommitResult, error) {
	results, err := e.Committer.Commit(ctx, commits)
	for i := range results {
		for j := range results[i].Requests {
			e := results[i].Requests[j].Err
			if e != nil && e.Code == foz.CodeAckTimeout {
				results[i].Requests[j].Err = foz.Errorf(foz.CodeUnavailable, "%s", e.Detail)
			}
		}
	}
	return results, err
}

// writeBehind says that a log entry is durable and then writes it.
type writeBehind struct{ objectstore.Store }

func (w writeBehind) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	if !strings.HasPrefix(key, "log/") || objectstore.Cause(ctx) != "append" {
		return w.Store.Create(ctx, key, data)
	}
	data = append([]byte(nil), data...)
	go func() { _, _ = w.Store.Create(ctx, key, data) }()
	return time.Now(), nil
}
