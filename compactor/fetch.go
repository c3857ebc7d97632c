package compactor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// gapMax is how many bytes between two merged segments are read although nobody wants them,
// rather than paying for one more request. Of a fresh object all in between is read.
const gapMax = 8 << 10

// toEnd is the end of a span that reaches to the object's.
const toEnd = math.MaxInt64

// span is bytes [start, end) of an object.
type span struct {
	start, end int64
	data       []byte
	err        error // ErrNotFound: there is no such object; ErrRange: it is shorter
}

// held is what one job has read, by object. An object that several partitions have placements
// in is read once for all of them.
type held map[string][]span

// wanted is the bytes by which a placement is decoded. Of a segment with many batches that is
// all of its object: the footer says where they lie.
func wanted(pl foz.Placement) span {
	if pl.Segment.Batches > 1 {
		return span{start: pl.Segment.ByteStart, end: toEnd}
	}
	return span{start: pl.Segment.ByteStart, end: pl.Segment.ByteEnd}
}

// fetch reads what the parts are made of: for each object one GET, unless what is wanted of it
// lies far apart. An error means that the store does not answer.
func (c *Compactor) fetch(ctx context.Context, parts []part) (held, error) {
	h := held{}
	fresh := map[string]bool{}
	for _, p := range parts {
		for _, pl := range p.inputs {
			h[pl.Object] = append(h[pl.Object], wanted(pl))
			fresh[pl.Object] = pl.Segment.Level == 0
		}
	}
	for _, object := range slices.Sorted(maps.Keys(h)) {
		gap := int64(gapMax)
		if fresh[object] {
			gap = math.MaxInt64
		}
		h[object] = coalesced(h[object], gap)
		for i := range h[object] {
			if err := c.get(ctx, object, &h[object][i]); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

func coalesced(spans []span, gap int64) (joined []span) {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	for _, s := range spans {
		if n := len(joined); n > 0 && s.start-joined[n-1].end <= gap {
			joined[n-1].end = max(joined[n-1].end, s.end)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// Attempts of one GET, and the pauses between those of any request.
const (
	getsMax    = 6
	pauseFirst = 100 * time.Millisecond
	pauseLast  = 10 * time.Second
)

// get reads a span. That there is no object, or no such bytes, is noted in the span.
func (c *Compactor) get(ctx context.Context, object string, s *span) error {
	length := int64(-1)
	if s.end != toEnd {
		length = s.end - s.start
	}
	wait := pauseFirst
	for attempt := 1; ; attempt++ {
		data, err := c.store.Get(ctx, object, s.start, length)
		switch {
		case err == nil:
			c.metrics.bytesIn.Add(int64(len(data)))
			s.data, s.err = data, nil
			return nil
		case errors.Is(err, objectstore.ErrNotFound), errors.Is(err, objectstore.ErrRange):
			s.err = err
			return nil
		case attempt == getsMax:
			return fmt.Errorf("get %s: %w", object, err)
		}
		if pause(ctx, wait) != nil {
			return fmt.Errorf("get %s: %w", object, errors.Join(err, ctx.Err()))
		}
		wait = min(2*wait, pauseLast)
	}
}

// of gives the bytes of a placement.
func (h held) of(pl foz.Placement) ([]byte, error) {
	want := wanted(pl)
	for _, s := range h[pl.Object] {
		if s.start <= want.start && want.end <= s.end {
			return s.cut(pl.Segment.ByteStart, want.end)
		}
	}
	return nil, fmt.Errorf("%s was not read", pl.Object) // a mistake of this package
}

func (s span) cut(from, to int64) ([]byte, error) {
	if s.err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, s.err)
	}
	from = min(from-s.start, int64(len(s.data)))
	if to == toEnd {
		return s.data[from:], nil
	}
	return s.data[from:min(to-s.start, int64(len(s.data)))], nil
}

// errUnreadable: an object that is named is not there, or not as it was written. It may be
// that metadata has moved on and this node does not know yet.
var errUnreadable = errors.New("unreadable")

// opened is a placement whose bytes are those that were written.
type opened struct {
	pl      foz.Placement
	batches []batch
}

// batch is one record batch, not yet decoded.
type batch struct {
	bytes  []byte
	decode func(bytes []byte) (foz.Run, error)
}

// open takes a placement's bytes and checks them against its checksums. Damaged, they are read
// once more: a bit may have flipped on the way. errUnreadable: they are damaged, or gone.
func (c *Compactor) open(ctx context.Context, h held, pl foz.Placement) (opened, error) {
	bytes, err := h.of(pl)
	if err != nil {
		return opened{}, err
	}
	o, err := open(pl, bytes)
	if err == nil {
		return o, nil
	}
	again := wanted(pl)
	if err := c.get(ctx, pl.Object, &again); err != nil {
		return opened{}, err
	}
	if bytes, err = again.cut(again.start, again.end); err != nil {
		return opened{}, err
	}
	if o, err = open(pl, bytes); err != nil {
		return opened{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return o, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func open(pl foz.Placement, bytes []byte) (opened, error) {
	s := pl.Segment
	o := opened{pl: pl}
	if s.Batches <= 1 {
		if sum := crc32.Checksum(bytes, castagnoli); sum != s.CRC32C {
			return o, fmt.Errorf("%w: crc32c %08x, not %08x", segment.ErrDamaged, sum, s.CRC32C)
		}
		o.batches = []batch{{bytes, func(bytes []byte) (foz.Run, error) { return decode(pl, bytes) }}}
		return o, nil
	}
	if int64(len(bytes)) < s.ByteEnd-s.ByteStart {
		return o, fmt.Errorf("%w: the object ends too early", segment.ErrDamaged)
	}
	table, err := segment.InspectMerged(bytes[s.ByteEnd-s.ByteStart:], s)
	if err != nil {
		return o, err
	}
	for _, b := range table {
		msg := bytes[b.ByteStart-s.ByteStart : b.ByteEnd-s.ByteStart]
		if sum := crc32.Checksum(msg, castagnoli); sum != b.CRC32C {
			return o, fmt.Errorf("%w: batch at %d has crc32c %08x, not %08x", segment.ErrDamaged,
				b.ByteStart, sum, b.CRC32C)
		}
		o.batches = append(o.batches, batch{msg, func(msg []byte) (foz.Run, error) {
			offsets, rows, err := segment.DecodeMergedBatch(msg, b)
			if err != nil {
				return foz.Run{}, err
			}
			return foz.Run{Rows: rows, To: rows.Len(), Offsets: offsets}, nil
		}})
	}
	return o, nil
}

// decode reads a placement of one batch.
func decode(pl foz.Placement, msg []byte) (foz.Run, error) {
	if pl.Segment.Level > 0 {
		offsets, rows, err := segment.DecodeMerged(msg, pl.Segment)
		if err != nil {
			return foz.Run{}, err
		}
		return foz.Run{Rows: rows, To: rows.Len(), Offsets: offsets}, nil
	}
	rows, err := segment.Decode(msg, pl.Segment)
	if err != nil {
		return foz.Run{}, err
	}
	from, to := int(pl.RowStart), int(pl.RowStart)+int(pl.RowCount)
	if from < 0 || to < from || to > rows.Len() {
		return foz.Run{}, fmt.Errorf("%w: the index names rows [%d,%d) of %d",
			segment.ErrDamaged, from, to, rows.Len())
	}
	for i := from; i < to; i++ { // whoever appends them wants to be sure
		if err := textual(rows.Headers.Cell(i)); err != nil {
			return foz.Run{}, fmt.Errorf("headers of offset %d: %w", pl.Base+int64(i-from), err)
		}
	}
	return foz.Run{Base: pl.Base, Rows: rows, From: from, To: to}, nil
}

// textual says whether a row's headers can be written as level 1 has them: level 0 keeps them
// as they came.
func textual(cell []byte) error {
	if cell == nil {
		return nil
	}
	text := true
	err := foz.VisitHeaders(cell, func(name, _ []byte) { text = text && utf8.Valid(name) })
	if err == nil && !text {
		err = fmt.Errorf("%w: a name is not UTF-8", foz.ErrHeaders)
	}
	return err
}

// each calls f with the placement's runs in order. Their offsets lie in the placement, and
// they are as many as it has records; else they are damage.
func (o opened) each(f func(foz.Run) error) error {
	next, rows := o.pl.Base, 0
	for _, b := range o.batches {
		run, err := b.decode(b.bytes)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		rows += run.Len()
		if run.Len() > 0 {
			first, last := run.Offset(0), run.Offset(run.Len()-1)
			if first < next || last >= o.pl.Next() || rows > int(o.pl.RowCount) {
				return fmt.Errorf("%w: rows %d to %d in a placement of [%d,%d)", errUnreadable,
					first, last, o.pl.Base, o.pl.Next())
			}
			next = last + 1
		}
		if err := f(run); err != nil {
			return err
		}
	}
	if rows != int(o.pl.RowCount) {
		return fmt.Errorf("%w: %d rows, not %d", errUnreadable, rows, o.pl.RowCount)
	}
	return nil
}
