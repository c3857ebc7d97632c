package sim

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/segment"
)

// decision is a command and what was decided on it, for the first time.
type decision struct {
	*logpb.Command
	result *logpb.Result
}

// follow tells the judge what an entry has done to what partitions hold.
func (l *ledger) follow(before, after *metadata.State, decided []decision) {
	l.evicted(before, after)
	for _, t := range topicsOf(after) {
		for n := range t.Partitions {
			p := foz.Partition{Topic: t.ID, Number: n}
			l.grown(after, t, p)
			l.started(after, t, p, decided)
		}
	}
	for _, d := range decided {
		l.remembered(before, after, d)
		if d.GetSwap() != nil && d.result.Refusal == nil {
			l.swapped(after, d)
		}
		for _, r := range d.result.Requests {
			if r.GetRefusal().GetCode() == string(foz.CodeTopicNotFound) {
				l.judge.sometimes("commit to a deleted topic refused")
			}
		}
	}
}

func topicsOf(s *metadata.State) []foz.Topic {
	page, _ := s.Topics("", "", math.MaxInt)
	return page
}

// evicted: topics go when somebody wants them to.
func (l *ledger) evicted(before, after *metadata.State) {
	for _, t := range topicsOf(before) {
		if _, there := after.TopicByID(t.ID); there {
			continue
		}
		l.judge.sometimes("topic deleted")
		if !l.judge.mayGo(t.ID) {
			l.judge.violation(2, "slot %d deleted topic %s of id %s, which nobody asked for",
				after.Slot(), t.Name, t.ID)
		}
	}
}

// grown takes in records that a partition has got.
func (l *ledger) grown(after *metadata.State, t foz.Topic, p foz.Partition) {
	known := l.judge.bounds(p).Next
	placements, bounds, _ := after.Locate(p, known, math.MaxInt) // it is there
	if bounds.Next == known {
		l.judge.reached(p, t, known)
		return
	}
	for _, pl := range placements {
		if pl.Segment.Level > 0 {
			continue // begins below and reaches to the end
		}
		runs, err := l.rows(pl.Object, pl.Segment)
		if err != nil {
			l.judge.violation(15, "slot %d names %s: %v", after.Slot(), pl.Object, err)
			return
		}
		from := max(known-pl.Base, 0)
		l.judge.appended(p, foz.Run{Base: pl.Base + from, Rows: runs[0].Rows,
			From: int(pl.RowStart) + int(from), To: int(pl.RowStart + pl.RowCount)}, pl.AppendedMS)
	}
	l.judge.reached(p, t, bounds.Next)
}

// started: a log start moves as far as somebody said, or retention allows.
func (l *ledger) started(after *metadata.State, t foz.Topic, p foz.Partition, decided []decision) {
	_, bounds, _ := after.Locate(p, math.MaxInt64, 1) // it is there
	old := l.judge.bounds(p).Base
	if bounds.Earliest == old {
		return
	}
	said, retained := old, false
	for _, d := range decided {
		if d.result.Refusal != nil {
			continue
		}
		if trim := d.GetTrim(); trim != nil && string(trim.Topic) == string(t.ID[:]) &&
			trim.Partition == p.Number {
			said = max(said, trim.Before)
		}
		if retain := d.GetRetain(); retain != nil && string(retain.Topic) == string(t.ID[:]) {
			retained = true
		}
	}
	if bounds.Earliest > said && (!retained || !l.expired(t, p, said, bounds.Earliest)) {
		l.judge.violation(2, "slot %d moved the start of %s from %d to %d, said was %d",
			after.Slot(), p, old, bounds.Earliest, said)
	}
	l.judge.moved(p, bounds.Earliest)
}

// expired says whether retention lets records [from, to) go: all are old enough, or after the
// last that is not there was enough at some time.
func (l *ledger) expired(t foz.Topic, p foz.Partition, from, to int64) bool {
	l.judge.sometimes("retention")
	last := l.judge.young(p, from, to, time.Now().UnixMilli(), t.Config.RetentionMS)
	if last < 0 || t.Config.RetentionBytes == 0 {
		return last < 0
	}
	for i := len(l.states) - 1; i > 0; i-- {
		placements, _, err := l.states[i].Locate(p, last+1, math.MaxInt)
		if err != nil {
			break
		}
		bytes := int64(0)
		for _, pl := range placements {
			if s := pl.Segment; pl.Base > last {
				bytes += 1 + (s.ByteEnd-s.ByteStart)*int64(pl.RowCount)/int64(s.Rows) // rounded up
			}
		}
		if bytes >= t.Config.RetentionBytes {
			return true
		}
	}
	return false
}

// swapped judges the outputs of a swap that were accepted.
func (l *ledger) swapped(after *metadata.State, d decision) {
	s, err := metadata.DecodeSwap(d.GetSwap())
	if err != nil {
		l.judge.violation(17, "slot %d: swap %s: %v", after.Slot(), d.Id, err)
		return
	}
	for i, out := range s.Outputs {
		p := out.Segment.Partition
		_, there := after.TopicByID(p.Topic)
		if !d.result.Accepted[i] {
			if !there {
				l.judge.sometimes("swap of a deleted topic refused")
			}
			continue
		}
		runs, err := l.rows(s.Object, out.Segment)
		if err != nil {
			l.judge.violation(15, "slot %d names %s: %v", after.Slot(), s.Object, err)
			continue
		}
		l.judge.rewritten(p, out.Range, runs, time.Now().UnixMilli())
	}
}

// rows reads a segment as it was written, past the gate.
func (l *ledger) rows(object string, s foz.Segment) ([]foz.Run, error) {
	body, err := l.Memory.Get(context.Background(), object, 0, -1)
	if err != nil {
		return nil, err
	}
	if s.ByteStart < 0 || s.ByteEnd < s.ByteStart || s.ByteEnd > int64(len(body)) {
		return nil, fmt.Errorf("%w: %d bytes, not [%d, %d)", segment.ErrDamaged, len(body),
			s.ByteStart, s.ByteEnd)
	}
	message := body[s.ByteStart:s.ByteEnd]
	switch {
	case s.Level == 0:
		rows, err := segment.Decode(message, s)
		return []foz.Run{{Rows: rows}}, err
	case s.Batches == 1:
		offsets, rows, err := segment.DecodeMerged(message, s)
		return []foz.Run{{Rows: rows, To: len(offsets), Offsets: offsets}}, err
	}
	batches, err := segment.InspectMerged(body[s.ByteEnd:], s)
	var runs []foz.Run
	for _, b := range batches {
		offsets, rows, failed := segment.DecodeMergedBatch(body[b.ByteStart:b.ByteEnd], b)
		if failed != nil {
			return nil, failed
		}
		runs = append(runs, foz.Run{Rows: rows, To: len(offsets), Offsets: offsets})
	}
	return runs, err
}
