package reader

import (
	"cmp"
	"slices"

	"github.com/fozlog/foz"
)

// cursor is how far a scan has come in one of its partitions: told <= next <= planned <= end.
type cursor struct {
	partition foz.Partition
	end       int64
	next      int64 // still to be served
	told      int64 // where the last run ended

	planned int64           // placements up to here have been planned
	page    []foz.Placement // what comes then; the index's own
	last    bool            // nothing comes after page
}

// begin makes the cursor of a range.
func (s *scan) begin(p foz.Partition, rg foz.Range) error {
	page, bounds, err := s.r.locate(s.ctx, p, rg.Base, s.pageMax)
	if err != nil {
		return err
	}
	s.cursors = append(s.cursors, &cursor{
		partition: p, end: min(rg.Next, bounds.Next),
		next: rg.Base, told: rg.Base, planned: rg.Base,
		page: page, last: len(page) < s.pageMax,
	})
	return nil
}

// rewind takes back what was planned and not served.
func (c *cursor) rewind() { c.planned, c.page, c.last = c.next, nil, false }

// head says whether there is more to plan, which is then the first of the page.
func (s *scan) head(c *cursor) (bool, error) {
	for c.planned < c.end {
		if len(c.page) == 0 && !c.last {
			page, _, err := s.r.locate(s.ctx, c.partition, c.planned, s.pageMax)
			if err != nil {
				return false, err
			}
			c.page, c.last = page, len(page) < s.pageMax
		}
		if len(c.page) == 0 || c.page[0].Base >= c.end {
			c.planned = c.end
			break
		}
		pl := c.page[0]
		if slices.Contains(s.gone, pl.Object) {
			return false, s.lost(pl)
		}
		if pl.Next() > c.planned {
			return true, nil
		}
		c.page = c.page[1:]
	}
	return false, nil
}

// appended orders placements as they were appended. Between partitions that is a matter of
// cost only: whoever reads many of them needs each object for a short time.
func appended(a, b foz.Placement) int {
	return cmp.Or(cmp.Compare(a.AppendedMS, b.AppendedMS), cmp.Compare(a.Object, b.Object))
}
