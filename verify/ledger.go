package verify

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// Ledger is what writers know of what they sent. It may be used by any number of goroutines.
type Ledger struct {
	clock atomic.Int64 // orders what happened here: later is larger

	mu       sync.Mutex
	requests map[int32][]*request // by writer, in order of number
	retries  int64
	repeats  int64            // acks of earlier attempts
	failures map[string]int64 // attempts that failed, by what was said
	findings findings
}

// NewLedger is an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{requests: map[int32][]*request{}, failures: map[string]int64{}}
}

// begin enters a request before its first attempt is sent.
func (l *Ledger) begin(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.number = int32(len(l.requests[r.writer]))
	r.sent = l.clock.Add(1)
	l.requests[r.writer] = append(l.requests[r.writer], r)
}

// settle enters what is known of a request for good.
func (l *Ledger) settle(r *request, o outcome, repeated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.settled = l.clock.Add(1)
	r.outcome = o
	l.retries += int64(max(0, r.attempts-1))
	if repeated {
		l.repeats++
	}
}

// failed counts an attempt that failed.
func (l *Ledger) failed(err error) {
	said := err
	for errors.Unwrap(said) != nil { // without addresses
		said = errors.Unwrap(said)
	}
	text := said.Error()
	if p, ok := errors.AsType[*problem](err); ok {
		text = fmt.Sprint(p.Status, " ", p.Code)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[text]++
}

// find is the request that a record's mark names, or nil.
func (l *Ledger) find(m mark) *request {
	if of := l.requests[m.writer]; m.request >= 0 && int(m.request) < len(of) {
		return of[m.request]
	}
	return nil
}

// Acked is how many requests have been acknowledged so far.
func (l *Ledger) Acked() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.requests {
		for _, r := range of {
			if r.outcome == acked {
				n++
			}
		}
	}
	return n
}

// count adds the requests to a report.
func (l *Ledger) count(out *Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out.Retries, out.Duplicates, out.Failures = l.retries, l.repeats, maps.Clone(l.failures)
	for _, of := range l.requests {
		out.Requests += int64(len(of))
		for _, r := range of {
			switch r.outcome {
			case acked:
				out.Acked++
				for _, p := range r.parts {
					out.RecordsAcked += int64(p.rows)
				}
			case refused:
				out.Refused++
			case unknown:
				out.Unknown++
			}
		}
	}
}
