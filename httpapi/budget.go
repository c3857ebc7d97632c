package httpapi

import (
	"sync/atomic"

	"github.com/fozlog/foz"
)

// budget is a number of bytes that all requests share. Nobody waits for it: whoever holds
// some while wanting more could wait for ever, so a request that finds too little is told
// `overloaded`.
type budget struct {
	max  int64
	used atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.max {
		return true
	}
	b.used.Add(-n)
	return false
}

// lease is what one request holds of a budget. It is used by one goroutine.
type lease struct {
	from *budget
	used int64
	held int64
}

// leaseStep is how much a lease takes at once, so that large requests ask seldom.
const leaseStep = 16 << 10

// add takes n bytes more.
func (l *lease) add(n int) error {
	l.used += int64(n)
	if l.used <= l.held {
		return nil
	}
	more := max(l.used-l.held, leaseStep)
	if !l.from.take(more) {
		return foz.Errorf(foz.CodeOverloaded, "this node has no memory for the request now")
	}
	l.held += more
	return nil
}

// give gives n bytes back that were added before, but for what the lease took at once.
func (l *lease) give(n int) {
	l.used -= int64(n)
	if spare := l.held - max(l.used, leaseStep); spare > 0 {
		l.held -= spare
		l.from.used.Add(-spare)
	}
}

func (l *lease) release() {
	l.from.used.Add(-l.held)
	l.used, l.held = 0, 0
}
