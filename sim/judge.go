package sim

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/fozlog/foz"
)

// verdict of one attempt to append.
type verdict int

const (
	unknown verdict = iota // also: not answered yet
	acked
	failed // definitely: never to be seen
)

// attempt is one request of a producer, or all tries of one sequence number.
type attempt struct {
	id         uint32
	topic      foz.TopicID
	rows       map[int32]int   // per partition
	after      map[int32]int64 // what had been acknowledged per partition when it was sent
	idempotent bool
	verdict    verdict
}

// judge holds what all clients together know, and everything seen to the invariants of
// docs/reliability.md. Its methods may be called from any goroutine; what they conclude does
// not depend on the order of calls that are concurrent.
type judge struct {
	driver *Driver

	mu         sync.Mutex // guards what follows
	attempts   map[uint32]*attempt
	holdings   map[foz.Partition]*holding
	where      map[uint64]place        // where a record is
	ends       map[foz.Partition]int64 // highest acknowledged end
	doomed     map[foz.TopicID]bool    // somebody wants to delete them
	counts     map[string]int          // things that happen sometimes
	violations []string
	acked      int // records
	ackedStorm int // of these while faults were going on
	reads      int // records
}

// place is where a record is.
type place struct {
	partition foz.Partition
	offset    int64
}

func newJudge() *judge {
	return &judge{
		attempts: map[uint32]*attempt{}, holdings: map[foz.Partition]*holding{},
		where: map[uint64]place{}, ends: map[foz.Partition]int64{},
		doomed: map[foz.TopicID]bool{}, counts: map[string]int{},
	}
}

// violation records that an invariant is broken. The numbers are those of
// docs/reliability.md.
func (j *judge) violation(invariant int, format string, args ...any) {
	text := fmt.Sprintf("invariant %d: ", invariant) + fmt.Sprintf(format, args...)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken(text)
}

func (j *judge) broken(text string) {
	if len(j.violations) < 20 {
		j.violations = append(j.violations, fmt.Sprint(j.driver.Now(), " ", text))
	}
	j.driver.note("VIOLATION %s", text)
}

// sometimes counts a state that a campaign must reach at least once.
func (j *judge) sometimes(what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts[what]++
}

// ok says whether nothing was violated so far.
func (j *judge) ok() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.violations) == 0
}

// sending registers an attempt before it is sent.
func (j *judge) sending(a *attempt) *attempt {
	j.mu.Lock()
	defer j.mu.Unlock()
	a.after = map[int32]int64{}
	for n := range a.rows {
		a.after[n] = j.ends[a.partition(n)]
	}
	j.attempts[a.id] = a
	return a
}

func (a *attempt) partition(n int32) foz.Partition {
	return foz.Partition{Topic: a.topic, Number: n}
}

// answered judges an ack against everything known.
func (j *judge) answered(a *attempt, ack foz.Ack, tail uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if ack.Slot > tail {
		j.broken(fmt.Sprintf("invariant 2: acknowledged at slot %d, the log ends at %d",
			ack.Slot, tail))
	}
	if len(ack.Ranges) != len(a.rows) {
		j.broken(fmt.Sprintf("invariant 9: %d partitions acknowledged, %d sent",
			len(ack.Ranges), len(a.rows)))
	}
	a.verdict = acked
	for _, r := range ack.Ranges {
		if int(r.Len()) != a.rows[r.Partition] {
			j.broken(fmt.Sprintf("invariant 9: attempt %d sent %d rows to partition %d, acked %d",
				a.id, a.rows[r.Partition], r.Partition, r.Len()))
			continue
		}
		if r.Base < a.after[r.Partition] && !a.idempotent {
			j.broken(fmt.Sprintf("invariant 8: attempt %d at offset %d, sent after %d was acked",
				a.id, r.Base, a.after[r.Partition]))
		}
		p := a.partition(r.Partition)
		if end := j.holding(p).next(); r.Next > end && !j.doomed[a.topic] {
			j.broken(fmt.Sprintf("invariant 2: acknowledged to %d of %s, the log says %d", r.Next, p, end))
		}
		for row := range a.rows[r.Partition] {
			j.place(p, r.Base+int64(row), recordOf(a.id, r.Partition, row), "ack")
		}
		j.acked += a.rows[r.Partition]
		j.ends[p] = max(j.ends[p], r.Next)
	}
}

// refused notes a definite failure.
func (j *judge) refused(a *attempt) {
	j.mu.Lock()
	defer j.mu.Unlock()
	a.verdict = failed
	for n, rows := range a.rows {
		for row := range rows {
			if at, there := j.where[recordOf(a.id, n, row)]; there {
				j.broken(fmt.Sprintf("invariant 5: attempt %d failed and is at offset %d of %s",
					a.id, at.offset, at.partition))
				return
			}
		}
	}
}

// saw judges one record that a reader got.
func (j *judge) saw(p foz.Partition, offset int64, record uint64, who string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reads++
	if j.sent(p, offset, record, who) {
		j.place(p, offset, record, who)
	}
}

// sent: somebody sent this record, and was not told that it failed.
func (j *judge) sent(p foz.Partition, offset int64, record uint64, who string) bool {
	id := uint32(record >> 32)
	a := j.attempts[id]
	switch {
	case a == nil, a.partition(int32(record>>16&0xffff)) != p,
		int(record&0xffff) >= a.rows[p.Number]:
		j.broken(fmt.Sprintf("invariant 4: %s read %x at offset %d of %s, nobody sent it",
			who, record, offset, p))
		return false
	case a.verdict == failed:
		j.broken(fmt.Sprintf("invariant 5: %s read attempt %d at offset %d of %s, it failed",
			who, id, offset, p))
	}
	return true
}

// place holds one offset to one record and one record to one offset.
func (j *judge) place(p foz.Partition, offset int64, id uint64, who string) {
	h := j.holding(p)
	for h.next() <= offset {
		h.unseen = h.unseen || h.next() < offset
		h.records = append(h.records, record{})
	}
	if old := h.records[offset].id; old != 0 && old != id {
		j.broken(fmt.Sprintf("invariant 1: offset %d of %s is %x and, says %s, %x",
			offset, p, old, who, id))
		return
	}
	h.records[offset].id = id
	at := place{p, offset}
	if old, there := j.where[id]; there && old != at {
		j.broken(fmt.Sprintf("invariant 6: record %x of %s is at %d and, says %s, at %d",
			id, p, old.offset, who, offset))
		return
	}
	j.where[id] = at
}

// stormOver notes what was acknowledged under faults.
func (j *judge) stormOver() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ackedStorm = j.acked
}

// settle judges each attempt by where its records are: all of them, in order, or none.
func (j *judge) settle() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(j.attempts)) {
		a := j.attempts[id]
		there, missing := 0, 0
		for n, rows := range a.rows {
			found, base, torn := j.find(a.id, n, rows)
			there, missing = there+found, missing+rows-found
			if torn {
				j.broken(fmt.Sprintf("invariant 9: attempt %d is torn in partition %d", a.id, n))
			}
			if found > 0 && base < a.after[n] && !a.idempotent {
				j.broken(fmt.Sprintf("invariant 8: attempt %d is at %d, sent after %d was acked",
					a.id, base, a.after[n]))
			}
		}
		switch {
		case a.verdict == acked && missing > 0:
			j.broken(fmt.Sprintf("invariant 2: attempt %d was acked and %d records are missing",
				a.id, missing))
		case a.verdict == failed && there > 0:
			j.broken(fmt.Sprintf("invariant 5: attempt %d failed and %d records are there",
				a.id, there))
		case there > 0 && missing > 0 && !j.unseen(a):
			j.broken(fmt.Sprintf("invariant 9: attempt %d: %d records are there, %d are not",
				a.id, there, missing))
		}
		if a.verdict == unknown && there > 0 {
			j.counts["unknown and there"]++
		} else if a.verdict == unknown {
			j.counts["unknown and not there"]++
		}
	}
}

// find says how many rows of an attempt are in a partition, and where its first is, or
// would be; torn: they are not consecutive, in order.
func (j *judge) find(id uint32, n int32, rows int) (found int, base int64, torn bool) {
	for row := range rows {
		at, ok := j.where[recordOf(id, n, row)]
		if !ok {
			continue
		}
		if found > 0 && at.offset-int64(row) != base {
			torn = true
		}
		found, base = found+1, at.offset-int64(row)
	}
	return found, base, torn
}

// unseen says whether the rest of an attempt may have gone below the log start before anybody
// saw it.
func (j *judge) unseen(a *attempt) bool {
	for n := range a.rows {
		if j.holding(a.partition(n)).unseen {
			return true
		}
	}
	return false
}

// doom notes that somebody wants to delete a topic.
func (j *judge) doom(id foz.TopicID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.doomed[id] = true
}

func (j *judge) mayGo(id foz.TopicID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.doomed[id]
}
