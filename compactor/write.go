package compactor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/schema"
	"github.com/fozlog/foz/segment"
)

// inputsMax is how many placements one swap replaces at most: some 200 KiB of an entry, so that
// no commit waits long behind it.
const inputsMax = 2000

// object is a merged object under way.
type object struct {
	merged  *segment.Merged
	outputs []foz.SwapOutput
	inputs  []foz.SwapInput // of all outputs
}

// writer makes objects of parts, partition by partition: a stretch of more than one record
// batch gets an object of its own, all others share one.
type writer struct {
	c       *Compactor
	held    held
	restMin int             // placements that are worth rewriting
	before  []foz.Placement // of which nothing is left, adjacent to the only part
	uncut   bool            // a part becomes one segment
	// filter gives what is kept of a run; nil: all.
	filter func(pl foz.Placement, run foz.Run, take func(foz.Run) error) error

	shared object
	done   tally
}

// tally is what became of what a writer wrote.
type tally struct {
	accepted, refused int64 // inputs
	unknown           int64 // inputs of swaps whose answer did not come
}

// builders are kept for their buffers: one for the shared object under way, one for that of a
// single partition.
type builders struct {
	options       segment.MergedOptions
	ofMany, ofOne *segment.Merged
}

func (b *builders) shared() *segment.Merged {
	if b.ofMany == nil {
		b.ofMany = segment.NewMerged(b.options)
	}
	return b.ofMany
}

func (b *builders) own() *segment.Merged {
	if b.ofOne == nil {
		b.ofOne = segment.NewMerged(b.options)
	}
	return b.ofOne
}

// stretch is adjacent placements that become one segment.
type stretch struct {
	partition foz.Partition
	typed     []foz.SchemaColumn
	inputs    []foz.Placement
	rows      int              // so far
	decoded   int              // bytes they take in record batches
	runs      []foz.Run        // so far, while they fit a batch
	own       *object          // once they do not
	shredder  *schema.Shredder // of what goes there
}

// part rewrites the placements of one part. One that cannot be read ends a stretch; the next
// begins after it.
func (w *writer) part(ctx context.Context, p part) error {
	s := stretch{partition: p.partition, typed: segment.KnownColumns(p.typed)}
	s.inputs = slices.Clone(w.before)
	for i, pl := range p.inputs {
		o, err := w.c.open(ctx, w.held, pl)
		if errors.Is(err, errUnreadable) && !w.uncut {
			w.c.leaveAlone(p.partition, pl, err)
			err = w.end(ctx, &s)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		add := func(run foz.Run) error {
			if err := w.c.giveWay(ctx, run); err != nil {
				return err
			}
			return w.add(&s, pl, run)
		}
		switch err := o.each(add); {
		case errors.Is(err, errUnreadable) && !w.uncut: // some of it may be in the stretch
			w.c.leaveAlone(p.partition, pl, err)
			w.drop(&s)
			continue
		case err != nil:
			return err
		}
		s.inputs = append(s.inputs, pl)
		if w.full(&s, p.inputs[i+1:]) {
			if err := w.end(ctx, &s); err != nil {
				return err
			}
		}
	}
	return w.end(ctx, &s)
}

// add takes a run into a stretch.
func (w *writer) add(s *stretch, pl foz.Placement, run foz.Run) error {
	if w.filter == nil {
		return w.take(s, run)
	}
	return w.filter(pl, run, func(kept foz.Run) error { return w.take(s, kept) })
}

func (w *writer) take(s *stretch, run foz.Run) error {
	s.rows += run.Len()
	s.decoded += segment.DecodedBytes(run)
	if s.own == nil && s.decoded <= w.c.cfg.BatchBytes {
		s.runs = append(s.runs, run)
		return nil
	}
	if s.own == nil {
		s.own = &object{merged: w.c.builders.own()}
		if err := s.own.merged.Type(s.typed); err != nil {
			return err
		}
		s.shredder = schema.NewShredder(s.typed)
		for _, earlier := range s.runs {
			if err := w.appendTyped(s, earlier); err != nil {
				return err
			}
		}
		s.runs = nil
	}
	return w.appendTyped(s, run)
}

// cellsMax bounds how many cells are made of values at once: a value of two bytes may have a
// thousand.
const cellsMax = 1 << 20

// appendTyped gives an object of one partition a run with its topic's typed columns.
func (w *writer) appendTyped(s *stretch, run foz.Run) error {
	if len(s.typed) == 0 {
		return s.own.merged.Append(s.partition, run)
	}
	for rows := max(1, cellsMax/len(s.typed)); run.Len() > 0; {
		part := run
		part.To = min(run.From+rows, run.To)
		n := part.Len()
		if run.Offsets != nil {
			part.Offsets, run.Offsets = run.Offsets[:n], run.Offsets[n:]
		} else {
			run.Base += int64(n)
		}
		run.From = part.To
		var mismatches []int
		part.Columns, mismatches = s.shredder.Shred(&part.Rows.Values, part.From, part.To)
		for _, missed := range mismatches {
			w.c.metrics.mismatches.Add(int64(missed))
		}
		s.own.merged.Mismatched(mismatches)
		if err := s.own.merged.Append(s.partition, part); err != nil {
			return err
		}
	}
	return nil
}

// full says whether a stretch is to end here: its object has reached the target, and what
// follows is enough for another, so that no small piece is left over.
func (w *writer) full(s *stretch, rest []foz.Placement) bool {
	if len(s.inputs) >= inputsMax && !w.uncut {
		return true
	}
	if s.own == nil || w.uncut {
		return false
	}
	written, target := int64(s.own.merged.Size()), w.c.cfg.SegmentBytes
	if written < target || len(rest) == 0 {
		return false
	}
	left := float64(total(rest)) * float64(written) / float64(max(1, total(s.inputs)))
	return int64(left) >= target*donePercent/100
}

// drop forgets a stretch.
func (w *writer) drop(s *stretch) {
	if s.own != nil {
		w.c.builders.ofOne = nil
	}
	*s = stretch{partition: s.partition, typed: s.typed}
}

// end makes a segment of a stretch. One of its own is uploaded and swapped in; one that is
// shared, when its object is full.
func (w *writer) end(ctx context.Context, s *stretch) error {
	defer func() { *s = stretch{partition: s.partition, typed: s.typed} }()
	if len(s.inputs) < w.restMin || s.rows == 0 {
		w.drop(s)
		return nil
	}
	if s.own != nil {
		s.own.add(s)
		return w.finish(ctx, s.own)
	}
	if len(w.shared.inputs)+len(s.inputs) > inputsMax {
		if err := w.finish(ctx, &w.shared); err != nil {
			return err
		}
	}
	for _, run := range s.runs {
		if err := w.shared.merged.Append(s.partition, run); err != nil {
			return err
		}
	}
	w.shared.merged.Cut()
	w.shared.add(s)
	if int64(w.shared.merged.Size()) >= w.c.cfg.SegmentBytes {
		return w.finish(ctx, &w.shared)
	}
	return nil
}

func (o *object) add(s *stretch) {
	out := foz.SwapOutput{Range: foz.Range{
		Base: s.inputs[0].Base, Next: s.inputs[len(s.inputs)-1].Next(),
	}}
	for _, pl := range s.inputs {
		out.Inputs = append(out.Inputs,
			foz.SwapInput{Object: pl.Object, Range: foz.Range{Base: pl.Base, Next: pl.Next()}})
	}
	o.outputs = append(o.outputs, out)
	o.inputs = append(o.inputs, out.Inputs...)
}

// close uploads what is under way.
func (w *writer) close(ctx context.Context) error {
	if len(w.shared.outputs) == 0 {
		return nil
	}
	return w.finish(ctx, &w.shared)
}

// finish uploads an object and asks metadata to take it for its inputs. Whatever the answer,
// nothing is deleted here: outputs that were refused and inputs that were released are the
// sweep's.
//
// Crash before the swap is sent: an object that no entry names, swept once the floor has
// passed its birth. Crash after it was sent: swapped or not, both are whole.
func (w *writer) finish(ctx context.Context, o *object) error {
	outputs := o.outputs
	body, segments, err := o.merged.Finish(o.inputs)
	*o = object{merged: o.merged}
	if err != nil {
		return err
	}
	inputs := int64(0)
	for i := range outputs {
		outputs[i].Segment = segments[i]
		inputs += int64(len(outputs[i].Inputs))
	}
	key, err := w.c.create(ctx, body)
	if err != nil {
		return err
	}
	result, err := w.c.deps.Tables.Swap(ctx, foz.Swap{Object: key, Outputs: outputs})
	if err != nil {
		w.done.unknown += inputs
		w.c.metrics.unknown.Add(1)
		if ctx.Err() != nil {
			return fmt.Errorf("swap %s: %w", key, err)
		}
		w.c.deps.Logger.Warn("swap has no answer", "object", key, "err", err)
		return nil
	}
	for i, accepted := range result.Accepted {
		n := int64(len(outputs[i].Inputs))
		if accepted {
			w.done.accepted += n
			w.c.metrics.accepted.Add(1)
		} else {
			w.done.refused += n
			w.c.metrics.refused.Add(1)
		}
	}
	return nil
}

// create puts an object into the store, under one key with the same bytes, as often as it
// takes. A failure is harmless: what is never swapped in has no effect.
func (c *Compactor) create(ctx context.Context, body []byte) (key string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.PutDeadline)
	defer cancel()
	for wait := pauseFirst; ; wait = min(2*wait, pauseLast) {
		if key == "" {
			if key, err = c.newKey(); err != nil {
				return "", err
			}
		}
		date, err := c.store.Create(ctx, key, body)
		switch {
		case err == nil:
			c.clock.set(date)
			c.metrics.bytesOut.Add(int64(len(body)))
			return key, nil
		case errors.Is(err, objectstore.ErrExists):
			there, failed := c.store.Get(ctx, key, 0, int64(len(body))+1)
			if failed == nil && bytes.Equal(there, body) {
				c.metrics.bytesOut.Add(int64(len(body)))
				return key, nil // an attempt whose answer was lost
			}
			if failed == nil {
				key = "" // another's
			}
		case errors.Is(err, objectstore.ErrFull), errors.Is(err, objectstore.ErrKey):
			return "", fmt.Errorf("upload %s: %w", key, err)
		}
		if pause(ctx, wait) != nil {
			return "", fmt.Errorf("upload %s: %w", key, errors.Join(err, ctx.Err()))
		}
	}
}

// newKey names an object, born at the highest slot heard of.
func (c *Compactor) newKey() (string, error) {
	id, err := c.newID()
	if err != nil {
		return "", err
	}
	return foz.ObjectKey(c.deps.Tables.HeardSlot(), id), nil
}

func (c *Compactor) newID() (string, error) {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(time.Now())) // fails in the year 10889
	if _, err := io.ReadFull(c.deps.Entropy, id[6:]); err != nil {
		return "", fmt.Errorf("draw an object's name: %w", err)
	}
	return id.String(), nil
}
