package fsck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// tries is how often an object is read that comes damaged, which may have happened on the way.
const tries = 2

// object reads an object and holds it against the placements that name it. size is -1 where it
// is not there.
func (c *Check) object(ctx context.Context, key string, placements []named) (
	size int64, findings []Finding, err error,
) {
	var data []byte
	var file segment.File
	for try := 0; try < tries && (try == 0 || err != nil); try++ {
		data, err = c.Store.Get(ctx, key, 0, -1)
		if errors.Is(err, objectstore.ErrNotFound) {
			return -1, []Finding{{Kind: Missing, Object: key, Detail: "it is not there",
				Lost: all(placements)}}, nil
		}
		if err != nil {
			return 0, nil, fmt.Errorf("get %s: %w", key, err)
		}
		file, err = segment.Verify(data)
	}
	size = int64(len(data))
	if errors.Is(err, segment.ErrDamaged) {
		return size, []Finding{{Kind: Damaged, Object: key, Detail: err.Error(),
			Lost: unreadable(data, placements)}}, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("verify %s: %w", key, err)
	}
	for _, pl := range placements {
		if detail := differs(file, pl.Placement); detail != "" {
			findings = append(findings, Finding{Kind: Mismatch, Object: key, Detail: detail,
				Lost: []Lost{pl.lost()}})
		}
	}
	return size, findings, nil
}

func all(placements []named) (lost []Lost) {
	for _, pl := range placements {
		lost = append(lost, pl.lost())
	}
	return lost
}

// unreadable are the placements of a damaged object whose own bytes are.
func unreadable(data []byte, placements []named) (lost []Lost) {
	for _, pl := range placements {
		if !readable(data, pl.Segment) {
			lost = append(lost, pl.lost())
		}
	}
	return lost
}

// readable says whether a segment can be read as readers do. One of many batches is taken as a
// whole.
func readable(data []byte, s foz.Segment) bool {
	if s.Batches > 1 || s.ByteStart < 0 || s.ByteStart > s.ByteEnd || s.ByteEnd > int64(len(data)) {
		return false
	}
	msg := data[s.ByteStart:s.ByteEnd]
	var err error
	if s.Level == 0 {
		_, err = segment.Decode(msg, s)
	} else {
		_, _, err = segment.DecodeMerged(msg, s)
	}
	return err == nil
}

// differs says in what an object is not what a placement says of it.
func differs(file segment.File, pl foz.Placement) string {
	s := pl.Segment
	i := slices.Index(file.Segments, s)
	if i < 0 {
		return fmt.Sprintf("has no such segment: %d rows of partition %s in bytes [%d,%d)",
			s.Rows, s.Partition, s.ByteStart, s.ByteEnd)
	}
	if pl.RowStart < 0 || pl.RowCount < 0 || int64(pl.RowStart)+int64(pl.RowCount) > int64(s.Rows) {
		return fmt.Sprintf("rows [%d,%d) are named of %d", pl.RowStart,
			int64(pl.RowStart)+int64(pl.RowCount), s.Rows)
	}
	if s.Level == 0 {
		return ""
	}
	first, last, rows := offsets(file, i)
	if rows != int64(pl.RowCount) || rows > 0 && (first < pl.Base || last >= pl.Next()) {
		return fmt.Sprintf("has %d rows at offsets [%d,%d], the index names %d in [%d,%d)",
			rows, first, last, pl.RowCount, pl.Base, pl.Next())
	}
	return ""
}

// offsets are those of the first and last row of a merged object's i-th segment, whose rows
// ascend: each batch is verified, and that they do from one to the next is looked at here.
func offsets(file segment.File, i int) (first, last, rows int64) {
	batches := file.Batches
	if len(file.Segments) == len(batches) {
		batches = batches[i : i+1]
	}
	first, last = -1, -1
	for _, b := range batches {
		if b.Rows == 0 {
			continue
		}
		if rows == 0 {
			first = b.First
		} else if b.First <= last {
			return b.First, last, -1
		}
		last = b.Last
		rows += int64(b.Rows)
	}
	return first, last, rows
}
