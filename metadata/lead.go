package metadata

import (
	"context"
	"fmt"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
	"google.golang.org/protobuf/proto"
)

// entryBytesMax caps an entry. A request on the bus is smaller, so an entry always holds at
// least one.
const entryBytesMax = 4 << 20

// append puts commands into the log, as many to a slot as fit, one slot in flight, and
// answers them. What waits meanwhile goes into the next slot together.
func (r *Replica) append(ctx context.Context, asks []*ask) error {
	for len(asks) > 0 {
		n, size := 0, 0
		for n < len(asks) && (n == 0 || size+asks[n].size <= entryBytesMax) {
			size += asks[n].size
			n++
		}
		led, err := r.appendEntry(ctx, asks[:n])
		asks = asks[n:]
		if err != nil || !led {
			r.refuse(asks)
			return err
		}
	}
	return nil
}

// appendEntry writes the next slot. When the slot turns out not to be ours, the node leads
// no more, and nobody knows whether the commands are in the log: they may be, by an earlier
// try of these bytes or in another leader's slot.
func (r *Replica) appendEntry(ctx context.Context, asks []*ask) (led bool, err error) {
	s := r.state.Load()
	var commands []*logpb.Command
	for _, a := range asks {
		commands = append(commands, a.commands...)
	}
	body := encodeEntry(&logpb.Entry{
		Cluster: s.cluster[:], Slot: s.slot + 1, Prev: s.chain[:],
		Kind: &logpb.Entry_Commands{
			Commands: &logpb.Commands{Epoch: r.leads.Load(), Commands: commands},
		},
	})
	if r.cfg.Defects.BroadcastBeforeMine {
		r.broadcast(body, s.slot+1)
	}
	begun := time.Now().UnixNano()
	r.since.Store(begun)
	mine, err := r.bucket.resolve(objectstore.WithCause(ctx, "append"), s.slot+1, body)
	r.since.Store(0)
	if err != nil || !mine {
		r.lost(asks)
		return false, err
	}
	// Durable. A crash here leaves the entry in the log: whoever asks again with the same ids
	// is told these results.
	err = r.appended(s, body, asks)
	r.proved.Store(begun)
	return true, err
}

func (r *Replica) lost(asks []*ask) {
	status := logpb.Reply_STATUS_UNKNOWN
	if r.cfg.Defects.LostIsFailure || r.cfg.Defects.TimeoutIsFailure || r.cfg.Defects.NoReadBack {
		status = statusFailed
	}
	r.stepDown("an append did not get its slot")
	for _, a := range asks {
		a.answer(&logpb.Reply{Status: status})
	}
}

// statusFailed is what planted bugs answer: a definite failure that is none.
const statusFailed = logpb.Reply_Status(99)

// appended applies an entry that is in the log, tells the others, and answers.
func (r *Replica) appended(s *State, body []byte, asks []*ask) error {
	e, err := DecodeEntry(body)
	if err != nil {
		return fmt.Errorf("decode own entry: %w", err)
	}
	next, results, err := s.apply(e, body, r.cfg.Defects)
	if err != nil {
		return fmt.Errorf("apply own entry: %w", err)
	}
	r.applied(next, len(body))
	r.broadcast(body, next.slot)
	for _, a := range asks {
		n := len(a.commands)
		a.answer(&logpb.Reply{Status: logpb.Reply_STATUS_DONE, Results: results[:n]})
		results = results[n:]
	}
	if r.snaps.due(r.logSlots, r.logBytes) && r.snaps.offer(next) {
		r.logSlots, r.logBytes = 0, 0
	}
	return nil
}

// broadcast tells all nodes an entry that is in the log. If it is too large for the bus,
// the next beat tells them that it is there.
func (r *Replica) broadcast(body []byte, slot uint64) {
	message, err := proto.Marshal(&logpb.News{Entry: body})
	if err == nil {
		err = r.deps.Bus.Publish(subjectNews, message)
	}
	if err != nil {
		r.deps.Logger.Debug("broadcast entry", "slot", slot, "err", err)
		r.tell()
	}
}

// refuse answers commands of which none was put into an entry.
func (r *Replica) refuse(asks []*ask) {
	leader := r.Leader()
	for _, a := range asks {
		a.answer(&logpb.Reply{
			Status: logpb.Reply_STATUS_NOT_LEADER, Leader: leader.ID, Epoch: leader.ClaimSlot,
		})
	}
}
