package reader

import (
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// decoded is what a scan decoded last: a record batch.
type decoded struct {
	span    span
	crc     uint32
	offsets []int64 // of each row; nil: where the placement has them
	rows    *foz.Rows
}

// storedBytesMin is what a run must have to be yielded as it is stored: smaller ones are
// better gathered.
const storedBytesMin = 64 << 10

// runOf is what of a piece lies in a range.
func (s *scan) runOf(p piece, at foz.Range, c chunks) (foz.Run, error) {
	if p.columns != nil {
		return s.runProjected(p, at, c)
	}
	if p.stored && at == p.holds {
		return s.runStored(p, c)
	}
	d, err := s.rows(p, c)
	if err != nil {
		return foz.Run{}, err
	}
	if d.offsets == nil {
		from := int(p.RowStart) + int(at.Base-p.Base)
		return foz.Run{Base: at.Base, Rows: d.rows, From: from, To: from + int(at.Len())}, nil
	}
	from, _ := slices.BinarySearch(d.offsets, at.Base)
	to, _ := slices.BinarySearch(d.offsets, at.Next)
	return foz.Run{
		Base: at.Base, Rows: d.rows, From: from, To: to, Offsets: d.offsets[from:to:to],
		End: at.Next,
	}, nil
}

// runStored is a whole piece as it is stored.
func (s *scan) runStored(p piece, c chunks) (foz.Run, error) {
	run := foz.Run{Base: p.holds.Base, To: int(p.Segment.Rows), End: p.holds.Next}
	if p.batch != nil {
		run.To = int(p.batch.Rows)
	}
	check := func(c chunks) (err error) {
		run.Stored, err = p.message(c)
		if sum := crc32.Checksum(run.Stored, castagnoli); err == nil && sum != p.crc() {
			err = fmt.Errorf("%w: crc32c %08x, not %08x", segment.ErrDamaged, sum, p.crc())
		}
		return err
	}
	err := check(c)
	if err != nil {
		err = s.heal(p.spans(), err, check)
	}
	return run, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// message cuts a piece's bytes out.
func (p piece) message(c chunks) ([]byte, error) {
	at := p.span()
	msg, ok := c.bytes(at.start, at.end)
	if !ok {
		return nil, fmt.Errorf("%w: the object ends before byte %d", segment.ErrDamaged, at.end)
	}
	return msg, nil
}

// rows decodes a piece, and fetches it once more if it is damaged: a bit may have flipped on
// the way or in this node's memory. Damaged twice, it is an error.
func (s *scan) rows(p piece, c chunks) (decoded, error) {
	if d := s.decoded; d.rows != nil && d.span == p.span() && d.crc == p.crc() {
		return d, p.check(d)
	}
	d, err := decode(p, c)
	if err != nil {
		err = s.heal(p.spans(), err, func(c chunks) (err error) {
			d, err = decode(p, c)
			return err
		})
	}
	if err != nil {
		return decoded{}, err
	}
	s.decoded = d
	return d, nil
}

func decode(p piece, c chunks) (d decoded, err error) {
	d = decoded{span: p.span(), crc: p.crc()}
	msg, err := p.message(c)
	switch {
	case err != nil:
	case p.batch != nil:
		d.offsets, d.rows, err = segment.DecodeMergedBatch(msg, *p.batch)
	case p.Segment.Level > 0:
		d.offsets, d.rows, err = segment.DecodeMerged(msg, p.Segment)
	default:
		d.rows, err = segment.Decode(msg, p.Segment)
	}
	if err == nil {
		err = p.check(d)
	}
	return d, err
}

// check makes sure that the rows a piece names are there.
func (p piece) check(d decoded) error {
	n := d.rows.Len()
	switch {
	case p.batch != nil: // its footer was checked
		return nil
	case d.offsets != nil:
		return checkOffsets(p.Placement, n, d.offsets[0], d.offsets[n-1])
	case p.RowStart < 0 || p.RowCount < 0 || int(p.RowStart)+int(p.RowCount) > n:
		return fmt.Errorf("%w: the index names rows [%d,%d) of %d", segment.ErrDamaged,
			p.RowStart, int(p.RowStart)+int(p.RowCount), n)
	}
	return nil
}

// heal fetches spans of an object again and checks them again. The error is foz's: it names the
// object.
func (s *scan) heal(at []span, damage error, check func(chunks) error) error {
	s.r.metrics.damaged.Inc()
	var again chunks
	for _, want := range at {
		t := s.r.fetches.reopen(s.ctx, want)
		defer s.r.fetches.leave(t)
		c, err := s.r.fetches.wait(s.ctx, t)
		if err != nil {
			return err
		}
		again = append(again, c)
	}
	if err := check(again); err != nil {
		s.r.fetches.drop(at[0].object)
		return foz.Errorf(foz.CodeStorage, "read %s: %w", at[0], err)
	}
	s.r.log.WarnContext(s.ctx, "damaged bytes, a second fetch was good", "object", at[0].object,
		"byte_start", at[0].start, "byte_end", at[len(at)-1].end, "damage", damage)
	return nil
}
