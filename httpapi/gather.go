package httpapi

import (
	"context"
	"errors"
	"iter"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
)

// gathered are the records of an answer. next is known before the first is written: where the
// read that follows begins.
type gathered struct {
	runs    iter.Seq2[foz.Run, error]
	next    int64
	short   bool // for want of memory: the same request may be answered otherwise
	release func()
}

// gather finds out how far an answer goes. Without a limit, or when a limit on records has ended
// the range already, that is known and the runs are read while they are written. Else the runs
// are held until then: a bounded number of bytes, of all answers together too.
func (a *API) gather(ctx context.Context, rd *reading) (*gathered, error) {
	limit := rd.limit
	if rd.limitOffset != nil {
		limit = 0
	}
	whole := limit == 0 && rd.maxBytes == 0
	q := rd.style.query
	q.Stored = whole && rd.relays()
	runs := a.scan(ctx, rd.p, rd.rg, q)
	if rd.rg.Len() == 0 {
		runs = func(func(foz.Run, error) bool) {}
	}
	if whole {
		return &gathered{runs: runs, next: rd.rg.Next, release: func() {}}, nil
	}
	c := collection{limit: limit, bytes: rd.maxBytes, lease: lease{from: &a.collected}}
	if c.bytes == 0 {
		c.bytes = a.config.AnswerBytesMax
	}
	g := &gathered{next: rd.rg.Next, runs: c.all, release: c.lease.release}
	for run, err := range runs {
		more := false
		if err == nil {
			more, err = c.take(run)
		}
		if err != nil {
			c.lease.release()
			return nil, err
		}
		if !more {
			g.next, g.short = c.runs[len(c.runs)-1].Next(), c.short
			break
		}
	}
	return g, nil
}

var errEnough = errors.New("no more is wanted")

// scan is a query of one partition, as runs.
func (a *API) scan(
	ctx context.Context, p foz.Partition, rg foz.Range, q filter.Query,
) iter.Seq2[foz.Run, error] {
	return func(yield func(foz.Run, error) bool) {
		part := []foz.PartitionRange{{Partition: p.Number, Range: rg}}
		err := a.Reader.Query(ctx, p.Topic, part, q, func(_ int32, run foz.Run) error {
			if !yield(run, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(foz.Run{}, err)
		}
	}
}

// relays says whether the answer takes record batches as they are stored.
func (rd *reading) relays() bool { return rd.media == mediaArrow }

// collection holds on to runs up to a number of records and bytes.
type collection struct {
	runs  []foz.Run
	limit int64 // records still wanted; 0: any number
	bytes int64 // still allowed; the first record is taken whatever its size
	lease lease
	short bool // it was the lease that allowed no more
}

// take keeps what of a run is allowed and says whether more is.
func (c *collection) take(run foz.Run) (more bool, err error) {
	to := run.From
	size := 0
	for to < run.To {
		record := recordBytes(&run, to-run.From)
		first := to == run.From && len(c.runs) == 0
		if !first && int64(size+record) > c.bytes || c.limit > 0 && int64(to-run.From) == c.limit {
			break
		}
		size += record
		to++
	}
	if to == run.From {
		return run.From == run.To, nil // nothing in it, or no room for its first
	}
	if err := c.lease.add(size); err != nil {
		if len(c.runs) > 0 {
			c.short = true
			return false, nil // a shorter answer is an answer
		}
		return false, err
	}
	cut := to < run.To
	if cut {
		run = head(run, to-run.From)
	}
	c.runs = append(c.runs, run)
	c.bytes -= int64(size)
	if c.limit > 0 {
		c.limit -= int64(run.Len())
		cut = cut || c.limit == 0
	}
	return !cut, nil
}

// head is a run's first n records, n > 0.
func head(run foz.Run, n int) foz.Run {
	run.To, run.End = run.From+n, 0
	if run.Offsets != nil {
		run.Offsets = run.Offsets[:n]
	}
	return run
}

func (c *collection) all(yield func(foz.Run, error) bool) {
	for _, run := range c.runs {
		if !yield(run, nil) {
			return
		}
	}
}

// recordBytes is what the i-th record of a run holds.
func recordBytes(run *foz.Run, i int) (size int) {
	for c := range run.Columns {
		size += 8 + cellBytes(&run.Columns[c].Cells, i)
	}
	rows := run.Rows
	i += run.From
	return size + cellBytes(&rows.Keys, i) + cellBytes(&rows.Values, i) + cellBytes(&rows.Headers, i)
}

// cellBytes is what cell i holds; a column that was not asked for has none.
func cellBytes(c *foz.Column, i int) int {
	if i >= len(c.Ends) {
		return 0
	}
	if i == 0 {
		return int(c.Ends[0])
	}
	return int(c.Ends[i] - c.Ends[i-1])
}
