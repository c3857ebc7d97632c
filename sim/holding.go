package sim

import (
	"fmt"
	"slices"

	"github.com/fozlog/foz"
)

// holding is what one partition holds, told by the log's entries and the bytes that they name:
// every record that ever got an offset there, and which of them key compaction has removed.
type holding struct {
	topic    foz.Topic
	records  []record // by offset
	earliest int64
	newest   map[string]int64 // the last offset of each key
	unseen   bool             // something was below the log start before anybody saw it
}

// record is one offset.
type record struct {
	id         uint64 // see recordOf; 0: not known
	appendedMS int64
	gone       bool // removed by key compaction
}

func (h *holding) next() int64 { return int64(len(h.records)) }

// holding gives a partition's, which may be new. The caller holds the lock.
func (j *judge) holding(p foz.Partition) *holding {
	h := j.holdings[p]
	if h == nil {
		h = &holding{newest: map[string]int64{}}
		j.holdings[p] = h
	}
	return h
}

// bounds is what a partition holds by the log: everything in it is durable.
func (j *judge) bounds(p foz.Partition) foz.Range {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	return foz.Range{Base: h.earliest, Next: h.next()}
}

// appended takes in records that have got offsets. They are what somebody sent.
func (j *judge) appended(p foz.Partition, run foz.Run, appendedMS int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	for i := range run.Len() {
		offset := run.Offset(i)
		id := idOf(run.Rows, run.From+i)
		if !j.sent(p, offset, id, "the log") {
			return
		}
		j.place(p, offset, id, "the log")
		h.records[offset].appendedMS = appendedMS
		if key, _ := cellsOf(id); key != nil {
			h.newest[string(key)] = offset
		}
	}
}

// reached notes how far a partition goes. What lies between what is known and its end was
// appended and dropped by one entry.
func (j *judge) reached(p foz.Partition, t foz.Topic, next int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	h.topic = t
	for h.next() < next {
		h.records, h.unseen = append(h.records, record{}), true
	}
}

// moved notes a partition's log start, and how many records it has passed.
func (j *judge) moved(p foz.Partition, earliest int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	j.counts["records expired"] += int(earliest - h.earliest)
	h.earliest = earliest
}

// young gives the last of the records [from, to) that is younger than the retention allows; -1:
// there is none.
func (j *judge) young(p foz.Partition, from, to, nowMS, retentionMS int64) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for offset := to - 1; offset >= from; offset-- {
		at := j.holding(p).records[offset].appendedMS
		if retentionMS == 0 || nowMS-at < retentionMS {
			return offset
		}
	}
	return -1
}

// rewritten judges what took the place of [rg.Base, rg.Next): the same records. Only where the
// topic is compacted by key may some be missing.
func (j *judge) rewritten(p foz.Partition, rg foz.Range, runs []foz.Run, nowMS int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h, next := j.holding(p), rg.Base
	var missing []int64
	for _, run := range runs {
		for i := range run.Len() {
			offset := run.Offset(i)
			if offset < next || offset >= min(rg.Next, h.next()) {
				j.broken(fmt.Sprintf("invariant 17: %s was rewritten with offset %d in [%d, %d)",
					p, offset, next, rg.Next))
				return
			}
			for ; next < offset; next++ {
				missing = append(missing, next)
			}
			next = offset + 1
			j.place(p, offset, idOf(run.Rows, run.From+i), "a rewritten segment")
			if h.records[offset].gone && offset >= h.earliest {
				j.broken(fmt.Sprintf("invariant 17: offset %d of %s is back", offset, p))
			}
		}
	}
	for ; next < rg.Next; next++ {
		missing = append(missing, next)
	}
	j.removed(p, h, missing, nowMS)
}

// removed judges records that a rewritten segment has no more: each has a newer one of its key,
// or is a tombstone whose time is over and that has nothing left to hide.
func (j *judge) removed(p foz.Partition, h *holding, missing []int64, nowMS int64) {
	missing = slices.DeleteFunc(missing, func(offset int64) bool {
		old := h.records[offset].gone || offset < h.earliest
		h.records[offset].gone = true
		return old
	})
	for _, offset := range missing {
		r := h.records[offset]
		key, value := cellsOf(r.id)
		switch {
		case !compacted(h.topic):
			j.broken(fmt.Sprintf("invariant 17: offset %d of %s was lost by a merge", offset, p))
		case key == nil:
			j.broken(fmt.Sprintf("invariant 17: offset %d of %s has no key and was removed", offset, p))
		case offset < h.newest[string(key)]:
			j.counts["record removed by its key"]++
		case value != nil:
			j.broken(fmt.Sprintf("invariant 17: offset %d of %s, the last of %s, was removed",
				offset, p, key))
		case nowMS-r.appendedMS < h.topic.Config.DeleteRetentionMS:
			j.broken(fmt.Sprintf("invariant 17: the tombstone %d of %s is removed after %d ms",
				offset, p, nowMS-r.appendedMS))
		default:
			j.counts["tombstone removed"]++
			j.hidden(p, h, offset)
		}
	}
}

// hidden: nothing older of a removed tombstone's key is there, or a deleted key has come back.
func (j *judge) hidden(p foz.Partition, h *holding, tombstone int64) {
	key, _ := cellsOf(h.records[tombstone].id)
	for offset := h.earliest; offset < tombstone; offset++ {
		older, _ := cellsOf(h.records[offset].id)
		if !h.records[offset].gone && older != nil && string(older) == string(key) {
			j.broken(fmt.Sprintf("invariant 17: offset %d of %s, %s, is back: its tombstone %d is gone",
				offset, p, key, tombstone))
		}
	}
}

// present is the first offset from one on that has a record still.
func (j *judge) present(p foz.Partition, offset int64) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	for offset < h.next() && h.records[offset].gone {
		offset++
	}
	return offset
}

// skipped judges offsets that a read left out in silence: none of them has a record.
func (j *judge) skipped(p foz.Partition, from, to int64, who string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.holding(p)
	for offset := from; offset < min(to, h.next()); offset++ {
		if r := h.records[offset]; !r.gone && r.id != 0 {
			j.broken(fmt.Sprintf("invariant 10: %s was told that offset %d of %s has no record",
				who, offset, p))
			return
		}
	}
	if to > h.next() {
		j.broken(fmt.Sprintf("invariant 10: %s read %s to %d, it ends at %d", who, p, to, h.next()))
	}
}
