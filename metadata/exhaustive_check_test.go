package metadata

import (
	"bytes"
	"context"
	"slices"
)

// How: the lemmas that the exhaustive model (exhaustive_test.go) checks after each request.
// H[x] is the first body that was created at slot x.

// record takes note of a body that was created at a slot.
func (w *modelWorld) record(slot uint64, body []byte) {
	if w.first[slot] != nil {
		return // created again, in trimmed ground
	}
	if slot != uint64(len(w.chains)) {
		w.violate("L1: slot %d is used after %d", slot, len(w.chains)-1)
		return
	}
	e, err := DecodeEntry(body)
	if err != nil {
		w.violate("slot %d: %v", slot, err)
		return
	}
	last := uint64(0)
	if len(w.claims) > 0 {
		last = w.claims[len(w.claims)-1]
	}
	if c := e.GetCommands(); c != nil && c.Epoch != last {
		w.violate("L5: slot %d is written by the leader of %d after claim %d", slot, c.Epoch, last)
	}
	if e.GetClaim() != nil {
		w.claims = append(w.claims, slot)
	}
	w.first[slot] = body
	w.chains = append(w.chains, w.chains[slot-1].next(body))
}

// check compares the bucket and what the nodes hold with the history.
func (w *modelWorld) check() {
	tail := uint64(len(w.chains) - 1)
	newest := w.newest()
	for slot := uint64(1); slot <= tail; slot++ {
		body, err := w.store.Get(context.Background(), LogKey(slot), 0, -1)
		switch {
		case err != nil && slot == tail:
			w.violate("L2: the tail, %d, is gone", slot)
		case err != nil && newest < slot:
			w.violate("L2: slot %d is gone, and the newest snapshot is %d", slot, newest)
		case slices.Contains(w.claims, slot) && !bytes.Equal(body, w.first[slot]):
			w.violate("L3: the claim at %d is gone", slot)
		}
	}
	for _, n := range w.nodes {
		s := n.State()
		if s.slot > tail || s.chain != w.chains[s.slot] {
			w.violate("L7: %s holds another history at slot %d", n.cfg.Node, s.slot)
			continue
		}
		held, _ := slices.BinarySearch(w.claims, s.slot+1)
		if !slices.Equal(s.claims, w.claims[:held]) {
			w.violate("L7: %s knows claims %v at slot %d of %v", n.cfg.Node, s.claims, s.slot, w.claims)
		}
		if epoch := n.leads.Load(); epoch != 0 && !slices.Contains(w.claims, epoch) {
			w.violate("L4: %s leads by a void claim at %d", n.cfg.Node, epoch)
		}
	}
}

// newest is the slot of the newest snapshot, which must be what the history says.
func (w *modelWorld) newest() uint64 {
	page, _, _ := w.store.List(context.Background(), snapPrefix, "", 0)
	if len(page) == 0 {
		return 0
	}
	slot, err := SlotOf(page[len(page)-1].Key)
	if err != nil {
		w.violate("%v", err)
	}
	return slot
}
