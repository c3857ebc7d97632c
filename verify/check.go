package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/fozlog/foz"
)

// chunk is how many offsets one read of the check asks for.
const chunk = 4096

// log is what a partition held, as one sum for each record from base on.
type log struct {
	base int64
	sums []uint32
}

func (l *log) next() int64 { return l.base + int64(len(l.sums)) }

// skip goes on at an offset that should not be the next one.
func (l *log) skip(to int64) {
	if gap := to - l.next(); gap > 0 && gap < 1<<20 {
		l.sums = append(l.sums, make([]uint32, gap)...)
	}
}

// check judges what a service holds by a ledger. It belongs to one goroutine.
type check struct {
	*Ledger
	report  Report
	logs    map[int32]*log
	seen    map[*request][]sighting // by part
	trimmed bool                    // a log start is above 0: what is gone need not be lost
}

// sighting is how a part of a request was found.
type sighting struct {
	base  int64 // where its first record is
	right int32 // records at the place they must have
	wrong int32 // records elsewhere
}

func newCheck(l *Ledger) *check {
	return &check{Ledger: l, logs: map[int32]*log{}, seen: map[*request][]sighting{}}
}

// all reads every partition in every format. An error means that a read failed; what was read
// and is wrong is a finding.
func (c *check) all(ctx context.Context, s *Service, partitions int32) error {
	for p := range partitions {
		rg, err := s.bounds(ctx, p)
		if err != nil {
			return err
		}
		c.trimmed = c.trimmed || rg.Base > 0
		if err := c.partition(ctx, s, p, rg); err != nil {
			return err
		}
	}
	c.conclude()
	return c.again(ctx, s, partitions)
}

func (c *check) partition(ctx context.Context, s *Service, p int32, rg foz.Range) error {
	j := &judge{check: c, partition: p, log: &log{base: rg.Base}}
	c.logs[p] = j.log
	for from := rg.Base; from < rg.Next; from += chunk {
		part := foz.Range{Base: from, Next: min(from+chunk, rg.Next)}
		var first []foz.Record
		for i, f := range formats {
			records, err := c.readAll(ctx, s, p, part, f)
			if err != nil {
				return fmt.Errorf("read partition %d %v as %s: %w", p, part, f.media, err)
			}
			if i == 0 {
				first = records
				continue
			}
			c.compare(p, f, first, records)
		}
		for _, rec := range first {
			j.record(rec)
		}
	}
	if next := j.log.next(); next < rg.Next {
		c.findings.add(Gap, "partition %d ends at %d, the service says %d", p, next, rg.Next)
	}
	return nil
}

// readAll reads a range in as many answers as it takes.
func (c *check) readAll(ctx context.Context, s *Service, p int32, rg foz.Range, f format) (
	all []foz.Record, err error,
) {
	for rg.Len() > 0 {
		records, next, err := s.read(ctx, p, rg, f)
		if err != nil {
			return nil, err
		}
		if next <= rg.Base || next > rg.Next || int64(len(records)) != next-rg.Base {
			return nil, fmt.Errorf("asked for %v, got %d records and next offset %d", rg,
				len(records), next)
		}
		all = append(all, records...)
		rg.Base = next
	}
	return all, nil
}

func (c *check) compare(p int32, f format, want, got []foz.Record) {
	for i, rec := range got {
		if i >= len(want) || rec.Offset != want[i].Offset || !same(rec, want[i]) {
			c.findings.add(Changed, "partition %d offset %d as %s: %.80q", p, rec.Offset, f.media,
				rec.Value)
			return
		}
	}
}

// judge looks at one partition's records in order.
type judge struct {
	*check
	partition int32
	log       *log
	youngest  *request // of those with a smaller offset, the one that was sent last
}

func (j *judge) record(rec foz.Record) {
	j.report.RecordsRead++
	if want := j.log.next(); rec.Offset != want {
		j.findings.add(Gap, "partition %d: offset %d where %d belongs", j.partition, rec.Offset, want)
		j.log.skip(rec.Offset)
	}
	j.log.sums = append(j.log.sums, sum(rec))
	m, ok := parseMark(rec.Value)
	r := j.find(m)
	if !ok || r == nil || m.partition != j.partition {
		j.findings.add(Phantom, "partition %d offset %d: %.80q", j.partition, rec.Offset, rec.Value)
		return
	}
	i := slices.IndexFunc(r.parts, func(p part) bool { return p.partition == m.partition })
	if i < 0 || m.index < 0 || m.index >= r.parts[i].rows {
		j.findings.add(Phantom, "partition %d offset %d: %s sent no such record: %.80q",
			j.partition, rec.Offset, r, rec.Value)
		return
	}
	if !same(rec, r.record(r.parts[i], m.index)) {
		j.findings.add(Changed, "partition %d offset %d is not what %s sent: %.80q", j.partition,
			rec.Offset, r, rec.Value)
	}
	if r.outcome == refused {
		j.findings.add(Aborted, "partition %d offset %d: %s was refused", j.partition, rec.Offset, r)
	}
	j.place(r, i, m.index, rec.Offset)
	j.inOrder(r, rec.Offset)
}

// place notes where a record of r's part i was found.
func (j *judge) place(r *request, i int, index int32, offset int64) {
	all := j.seen[r]
	if all == nil {
		all = make([]sighting, len(r.parts))
		j.seen[r] = all
	}
	s := &all[i]
	base := r.parts[i].base // as acknowledged; else where the first of its records was found
	if r.outcome != acked {
		if s.right == 0 && s.wrong == 0 {
			s.base = offset - int64(index)
		}
		base = s.base
	}
	if offset == base+int64(index) {
		s.right++
	} else {
		s.wrong++
	}
}

// inOrder: a request whose answer came before another was sent has the smaller offset.
func (j *judge) inOrder(r *request, offset int64) {
	if y := j.youngest; y != nil && r.outcome == acked && y.sent > r.settled {
		j.findings.add(Order, "partition %d offset %d: %s was acknowledged before %s was sent, "+
			"which is before it", j.partition, offset, r, y)
	}
	if j.youngest == nil || r.sent > j.youngest.sent {
		j.youngest = r
	}
}

// conclude judges every request by where its records were found.
func (c *check) conclude() {
	for _, writer := range slices.Sorted(maps.Keys(c.requests)) {
		for _, r := range c.requests[writer] {
			c.request(r)
		}
	}
	c.count(&c.report)
}

func (c *check) request(r *request) {
	found, missing := 0, 0
	all := c.seen[r]
	for i, p := range r.parts {
		var s sighting
		if all != nil {
			s = all[i]
		}
		found += int(s.right)
		switch {
		case r.outcome == acked:
			c.acknowledged(r, p, s)
		case s.wrong > 0 && s.right == p.rows:
			c.findings.add(Duplicate, "%s in partition %d: %d records too many", r, p.partition, s.wrong)
		case s.wrong > 0:
			c.findings.add(Torn, "%s in partition %d: not together", r, p.partition)
		}
		missing += int(p.rows - s.right)
	}
	if r.outcome == unknown && found > 0 {
		c.report.UnknownThere++
		if missing > 0 && !c.trimmed {
			c.findings.add(Torn, "%s of unknown outcome: %d records there, %d not", r, found, missing)
		}
	}
}

// acknowledged judges one part of an acknowledged request: each record once, where the ack
// said.
func (c *check) acknowledged(r *request, p part, s sighting) {
	gone := min(int64(p.rows), max(0, c.logs[p.partition].base-p.base)) // below the log start
	missing := int64(p.rows) - gone - int64(s.right)
	where := fmt.Sprintf("%s in partition %d at [%d, %d)", r, p.partition, p.base,
		p.base+int64(p.rows))
	moved := min(missing, int64(s.wrong))
	if moved > 0 {
		c.findings.add(Moved, "%s: %d records elsewhere", where, moved)
	}
	if lost := missing - moved; lost > 0 {
		l := c.logs[p.partition]
		c.findings.add(Lost, "%s: %d records; the log is [%d, %d)", where, lost, l.base, l.next())
	}
	if extra := int64(s.wrong) - moved; extra > 0 {
		c.findings.add(Duplicate, "%s: %d records elsewhere, too", where, extra)
	}
}

// sum is what followers and the check compare a record by.
func sum(rec foz.Record) uint32 {
	h := crc32.New(castagnoli)
	cell := func(b []byte) {
		length := int64(len(b))
		if b == nil {
			length = -1
		}
		_ = binary.Write(h, binary.LittleEndian, length)
		h.Write(b)
	}
	_ = binary.Write(h, binary.LittleEndian, rec.Timestamp)
	cell(rec.Key)
	cell(rec.Value)
	for _, header := range rec.Headers {
		cell([]byte(header.Key))
		cell(append([]byte{}, header.Value...))
	}
	return h.Sum32()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
