package fsck

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
)

// workers is how many objects are in memory at a time.
const workers = 4

// Check is one look at a bucket. The zero Progress is silent.
type Check struct {
	Store    objectstore.Store
	Progress func(read Tally, of int) // called by one goroutine at a time
}

// Run reads all there is. An error means that the check could not be made; what is wrong with
// the bucket is in the report. It costs a GET for each object named, and what a node that
// starts takes to load the log.
func (c *Check) Run(ctx context.Context) (*Report, error) {
	ctx = objectstore.WithCause(ctx, "fsck")
	// In this order: what is listed and then not named is unnamed, or was dropped since.
	listed, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	state, err := metadata.Load(ctx, c.Store)
	if err != nil {
		return nil, fmt.Errorf("load the log: %w", err)
	}
	l := &look{check: c, report: &Report{Unnamed: []Unnamed{}, Findings: []Finding{}}}
	l.index(state)
	if err := l.read(ctx); err != nil {
		return nil, err
	}
	if len(l.report.Findings) > 0 {
		// A sweep may have come between: what is named no more may be gone.
		if state, err = metadata.Load(ctx, c.Store); err != nil {
			return nil, fmt.Errorf("load the log: %w", err)
		}
		l.report.Findings = slices.DeleteFunc(l.report.Findings, func(f Finding) bool {
			return f.Object != "" && !state.Live(f.Object)
		})
	}
	l.unnamed(listed, state)
	l.report.sort()
	return l.report, nil
}

// list gives the sizes of all data objects.
func (c *Check) list(ctx context.Context) (map[string]int64, error) {
	sizes := map[string]int64{}
	for after := ""; ; {
		page, more, err := c.Store.List(ctx, foz.ObjectPrefix, after, 0)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", foz.ObjectPrefix, err)
		}
		for _, info := range page {
			sizes[info.Key], after = info.Size, info.Key
		}
		if !more {
			return sizes, nil
		}
		if len(page) == 0 {
			return nil, fmt.Errorf("list %s: an empty page that is not the last", foz.ObjectPrefix)
		}
	}
}

// look is a check under way.
type look struct {
	check   *Check
	objects map[string][]named

	mu     sync.Mutex
	report *Report
}

// index notes what the log names, and whether it leaves no offset out.
func (l *look) index(state *metadata.State) {
	r := l.report
	r.Slot, r.Floor = state.Slot(), state.Floor()
	l.objects = map[string][]named{}
	for after, more := "", true; more; {
		var page []foz.Topic
		page, more = state.Topics("", after, 1000)
		for _, t := range page {
			after = t.Name
			r.Topics++
			for number := range t.Partitions {
				l.partition(state, t, number)
			}
		}
	}
	for object := range state.Objects {
		if _, named := l.objects[object]; !named {
			l.found(Finding{Kind: Mismatch, Object: object,
				Detail: "counted as live, and no placement names it"})
		}
	}
}

func (l *look) partition(state *metadata.State, t foz.Topic, number int32) {
	p := foz.Partition{Topic: t.ID, Number: number}
	placements, bounds, err := state.Locate(p, math.MinInt64, math.MaxInt)
	if err != nil {
		panic(fmt.Sprintf("fsck: a state does not know its own partition: %v", err))
	}
	l.report.Partitions++
	l.report.Records += bounds.Records
	l.report.Placements += int64(len(placements))
	for _, pl := range placements {
		l.objects[pl.Object] = append(l.objects[pl.Object], named{pl, t.Name, bounds.Earliest})
	}
	for _, g := range gaps(placements, bounds) {
		f := Finding{Kind: Gap, Detail: fmt.Sprintf("partition %d of topic %s has offset %d where %d "+
			"belongs", number, t.Name, g.Next, g.Base)}
		if g.Len() > 0 {
			f.Lost = []Lost{{t.Name, number, g.Base, g.Next}}
		}
		l.found(f)
	}
}

// gaps are where placements do not tile a partition: from what should come next to what does,
// which is smaller where two placements overlap. The first may begin below the log start.
func gaps(placements []foz.Placement, b foz.Bounds) (all []foz.Range) {
	at := b.Earliest
	for i, pl := range placements {
		if pl.Base != at && (i > 0 || pl.Base > at || pl.Next() <= at) {
			all = append(all, foz.Range{Base: at, Next: pl.Base})
		}
		at = pl.Next()
	}
	if at != b.Next {
		all = append(all, foz.Range{Base: at, Next: b.Next})
	}
	return all
}

func (l *look) found(f Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Findings = append(l.report.Findings, f)
}

// read reads every object that is named.
func (l *look) read(ctx context.Context) error {
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, object := range slices.Sorted(maps.Keys(l.objects)) {
		if within.Err() != nil {
			break
		}
		g.Go(func() error {
			size, findings, err := l.check.object(within, object, l.objects[object])
			if err != nil {
				return err
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.report.Findings = append(l.report.Findings, findings...)
			if size >= 0 {
				l.report.Named.add(size)
			}
			if l.check.Progress != nil {
				l.check.Progress(l.report.Named, len(l.objects))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// unnamed sorts what is there and what state does not name.
func (l *look) unnamed(listed map[string]int64, state *metadata.State) {
	r := l.report
	for object, size := range listed {
		if state.Live(object) {
			continue
		}
		if _, named := l.objects[object]; named {
			continue // released while this look was taken
		}
		birth, _, err := foz.ParseObjectKey(object)
		switch {
		case err != nil:
			r.Foreign.add(size)
		case birth < state.Floor():
			r.BelowFloor.add(size)
		default:
			r.AboveFloor.add(size)
		}
		r.Unnamed = append(r.Unnamed, Unnamed{object, size, err == nil && birth < state.Floor()})
	}
}
