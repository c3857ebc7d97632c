package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"

	"github.com/fozlog/foz"
)

// rangesMax is how many ranges of a partition are read again, in each format in turn.
const rangesMax = 24

// again reads what was read before in other pieces: ranges at random, and all partitions as
// one stream. It must be the same.
func (c *check) again(ctx context.Context, s *Service, partitions int32) error {
	random := rand.New(rand.NewPCG(uint64(c.clock.Load()), 1))
	for p := range partitions {
		l := c.logs[p]
		for n := range rangesMax {
			if len(l.sums) == 0 {
				break
			}
			from := l.base + random.Int64N(int64(len(l.sums)))
			rg := foz.Range{Base: from, Next: from + 1 + random.Int64N(l.next()-from)}
			rg.Next = min(rg.Next, from+chunk)
			f := formats[n%len(formats)]
			records, err := c.readAll(ctx, s, p, rg, f)
			if err != nil {
				return fmt.Errorf("read partition %d %v as %s: %w", p, rg, f.media, err)
			}
			for i, rec := range records {
				c.expect(p, from+int64(i), rec, f.media)
			}
		}
	}
	return c.stream(ctx, s)
}

// expect compares a record with what the first read gave at the offset.
func (c *check) expect(p int32, offset int64, rec foz.Record, media string) {
	l := c.logs[p]
	if rec.Offset != offset || l.sums[offset-l.base] != sum(rec) {
		c.findings.add(Changed, "partition %d offset %d as %s, read again: offset %d, %.80q", p, offset,
			media, rec.Offset, rec.Value)
	}
}

// stream reads all partitions as one stream of lines. It holds at least what the logs hold.
func (c *check) stream(ctx context.Context, s *Service) error {
	r, err := s.request(ctx, http.MethodGet, "/records?from=earliest", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", mediaNDJSON)
	resp, err := s.send(r)
	if err != nil {
		return fmt.Errorf("read all partitions: %w", err)
	}
	defer resp.Body.Close()
	next := map[int32]int64{}
	for p, l := range c.logs {
		next[p] = l.base
	}
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("read all partitions: %w", err)
		}
		if err := c.line(line, next); err != nil {
			return fmt.Errorf("read all partitions: %w", err)
		}
	}
	for p, l := range c.logs {
		if next[p] < l.next() {
			c.findings.add(Gap, "all partitions: %d ends at %d of %d", p, next[p], l.next())
		}
	}
	return nil
}

// line compares one line of a read of all partitions; next is where each goes on.
func (c *check) line(line []byte, next map[int32]int64) error {
	var w readRecord
	if err := json.Unmarshal(line, &w); err != nil {
		return fmt.Errorf("line %.100q: %w", line, err)
	}
	rec, err := w.record()
	if err != nil {
		return err
	}
	if w.Partition == nil || c.logs[*w.Partition] == nil {
		return fmt.Errorf("line %.100q: no partition of the topic", line)
	}
	p := *w.Partition
	offset := next[p]
	next[p]++
	if offset < c.logs[p].next() {
		c.expect(p, offset, rec, "a line of all partitions")
	}
	return nil
}
