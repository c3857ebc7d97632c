package ingest

import "time"

// budget is a token bucket over flushes, in the form of the generic cell rate algorithm
// (ITU-T I.371): instead of tokens it keeps the moment at which the bucket is full again.
//
// One token is one flush, which costs two PUTs: the object's and the log's. An object draws
// its token when its first row arrives, so timed flushes number at most burst + t/interval
// in any time t, and PUTs twice that. Counted in PUTs the bucket thus fills with two per
// interval; filling it with one would make rows wait for twice the flush interval.
type budget struct {
	interval time.Duration // 0: everything is granted at once
	burst    int
	full     time.Time
}

// draw takes the next token and returns how long it is until it may be used: 0 while there
// are savings, and never more than interval if no token is still waiting to be used.
func (b *budget) draw(now time.Time) time.Duration {
	if b.interval <= 0 {
		return 0
	}
	if b.full.Before(now) {
		b.full = now
	}
	wait := b.full.Sub(now) - time.Duration(b.burst-1)*b.interval
	b.full = b.full.Add(b.interval)
	return max(wait, 0)
}

// hurry says that the flush that drew last goes now, by its size, whatever it was told.
// That spends the savings but makes no debt: the next flush waits at most an interval.
func (b *budget) hurry(now time.Time) {
	if empty := now.Add(time.Duration(b.burst) * b.interval); b.full.After(empty) {
		b.full = empty
	}
}
