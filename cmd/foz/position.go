package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz/client"
)

// position is what -o names: where to begin, perhaps where to end.
type position struct {
	from    client.Position
	kind    string // start, end, offset, tail, time
	offset  int64  // kind offset, or how many records before the end
	ms      int64  // kind time
	end     *int64 // exclusive offset
	until   *int64 // exclusive milliseconds
	written string
}

const positionForms = "start, end, N, -N, N-M, @TIME or @TIME:TIME"

// parsePosition reads what -o takes:
//
//	start      the earliest record
//	end        behind the last record
//	N          offset N
//	-N         N records before the end
//	N-M        offsets from N up to, but not including, M
//	@TIME      the first record at or after a time
//	@t1:t2     records from t1 up to, but not including, t2
//
// TIME is milliseconds since 1970, a date, a date and time (RFC 3339; UTC unless it says
// otherwise), or a duration before now: @-15m.
func parsePosition(text string, now time.Time) (position, error) {
	p := position{written: text}
	if times, ok := strings.CutPrefix(text, "@"); ok {
		return p.times(times, now)
	}
	switch text {
	case "start":
		p.kind, p.from = "start", client.FromEarliest()
		return p, nil
	case "end":
		p.kind, p.from = "end", client.FromTail(0)
		return p, nil
	}
	if tail, ok := strings.CutPrefix(text, "-"); ok {
		n, err := offset(tail)
		p.kind, p.offset, p.from = "tail", n, client.FromTail(n)
		return p, orForms(text, err)
	}
	first, last, bounded := strings.Cut(text, "-")
	n, err := offset(first)
	p.kind, p.offset, p.from = "offset", n, client.FromOffset(n)
	if err == nil && bounded {
		var m int64
		m, err = offset(last)
		p.end = &m
	}
	if err == nil && bounded && *p.end < n {
		return p, usagef("-o %s: it ends before it begins", text)
	}
	return p, orForms(text, err)
}

// times reads TIME or TIME:TIME. Times have colons themselves: the one that separates two is
// the first that leaves a time on either side.
func (p position) times(text string, now time.Time) (position, error) {
	p.kind = "time"
	var ok bool
	if p.ms, ok = parseTime(text, now); ok {
		p.from = client.FromTime(p.ms)
		return p, nil
	}
	for i := range len(text) {
		if text[i] != ':' {
			continue
		}
		first, ok := parseTime(text[:i], now)
		last, alsoOK := parseTime(text[i+1:], now)
		if !ok || !alsoOK {
			continue
		}
		if last < first {
			return p, usagef("-o @%s: it ends before it begins", text)
		}
		p.ms, p.from, p.until = first, client.FromTime(first), &last
		return p, nil
	}
	return p, usagef("-o @%s: want @TIME or @TIME:TIME, TIME being milliseconds, "+
		"2006-01-02, 2006-01-02T15:04:05Z or a duration ago (-15m)", text)
}

// timeLayouts are the forms of a date, with and without its time of day and zone.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
}

// parseTime gives milliseconds since 1970.
func parseTime(text string, now time.Time) (int64, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ms, ms >= 0
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		var s span
		err := s.Set(ago)
		return now.Add(-time.Duration(s)).UnixMilli(), err == nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

// offset reads a number without a sign.
func offset(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err
}

func orForms(text string, err error) error {
	if err == nil {
		return nil
	}
	return usagef("-o %s: want %s", text, positionForms)
}
