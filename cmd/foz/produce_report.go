package main

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/fozlog/foz/client"
)

// producedRange is where a command's records are in one partition. Others' records may lie
// between.
type producedRange struct {
	Partition   int32 `json:"partition"`
	StartOffset int64 `json:"start_offset"`
	EndOffset   int64 `json:"end_offset"`
	Records     int64 `json:"records"`
}

// note adds an ack.
func (p *produced) note(ack client.Ack) {
	p.records += ack.Count
	for _, r := range ack.Partitions {
		into := p.ranges[r.Partition]
		if into == nil {
			into = &producedRange{Partition: r.Partition, StartOffset: r.StartOffset}
			p.ranges[r.Partition] = into
		}
		into.EndOffset = r.EndOffset
		into.Records += r.EndOffset - r.StartOffset
	}
}

// report prints where the records are.
func (p *produced) report() error {
	if p.s.quiet {
		return nil
	}
	ranges := []producedRange{}
	for _, partition := range slices.Sorted(maps.Keys(p.ranges)) {
		ranges = append(ranges, *p.ranges[partition])
	}
	p.a.say("%s to %s in %s", counted(p.records, "record"), p.s.topic,
		p.duration.Round(time.Millisecond))
	answer := map[string]any{"records": p.records, "partitions": ranges}
	return p.a.show(answer, func(out *table) {
		if len(ranges) == 0 {
			return
		}
		out.row("PARTITION", "START", "END", "RECORDS")
		for _, r := range ranges {
			out.row(r.Partition, r.StartOffset, r.EndOffset, r.Records)
		}
	})
}

func itoa[N ~int | ~int32 | ~int64 | ~uint64](n N) string { return strconv.FormatInt(int64(n), 10) }
