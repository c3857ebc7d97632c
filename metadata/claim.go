package metadata

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// consider answers commands that came to a node that does not lead: it says who does, or
// claims to lead itself, because now there is work.
func (r *Replica) consider(ctx context.Context, asks []*ask) error {
	if len(asks) == 0 {
		return nil
	}
	if !r.mayClaim(asks) {
		r.refuse(asks)
		return nil
	}
	led, err := r.claim(ctx)
	if err != nil || !led {
		r.refuse(asks)
		return err
	}
	return r.append(ctx, asks)
}

// mayClaim: nobody is heard to lead, or whoever does left a sender without an answer.
func (r *Replica) mayClaim(asks []*ask) bool {
	now := time.Now()
	if !r.cfg.Candidate || now.Before(r.claimAfter) {
		return false
	}
	leader, heard := r.heard.leader(now)
	if !heard {
		return now.Sub(r.started) >= r.cfg.Silence
	}
	forced := false
	for _, a := range asks {
		forced = forced || a.silentEpoch >= leader.Epoch
	}
	return forced && now.Sub(r.claimedAt) > r.forcedPause()
}

// forcedPause is how long after its last claim a node minds only silence: 2 to 5 s.
func (r *Replica) forcedPause() time.Duration {
	return 2*time.Second + time.Duration(r.cfg.Seed%3000)*time.Millisecond
}

// claim tries to become the leader, starting from the state held. No broadcast is applied
// meanwhile, because the loop is here.
func (r *Replica) claim(ctx context.Context) (led bool, err error) {
	ctx = objectstore.WithCause(ctx, "claim")
	epoch := r.state.Load().Epoch()
	for found := true; found; {
		if found, err = r.advance(ctx); err != nil {
			return false, err
		}
	}
	s := r.state.Load()
	if s.Epoch() != epoch { // somebody was faster
		r.backOff()
		return false, nil
	}
	slot := s.slot + 1
	body, err := r.claimBody(s)
	if err != nil {
		return false, err
	}
	r.claimedAt = time.Now()
	mine, err := r.bucket.resolve(ctx, slot, body)
	if err != nil {
		return false, err
	}
	// A crash here leaves a claim that nobody stands by: the next election goes on after it.
	if !mine {
		r.backOff()
		_, err := r.advance(ctx) // to the claim that was faster
		return false, err
	}
	covered := false
	if !r.cfg.Defects.ClaimUncovered {
		if covered, err = r.bucket.covered(ctx, slot); err != nil {
			return false, err
		}
	}
	if covered { // the slot had been used and trimmed: the claim is void
		r.backOff()
		_, err := r.reload(ctx)
		return false, err
	}
	e, err := DecodeEntry(body)
	if err != nil {
		return false, err
	}
	if err := r.apply(e, body); err != nil {
		return false, fmt.Errorf("apply own claim: %w", err)
	}
	r.losses = 0
	r.leads.Store(slot)
	r.broadcast(body, slot)
	r.tell()
	r.deps.Logger.Info("leads", "claim_slot", slot)
	return true, nil
}

func (r *Replica) claimBody(s *State) ([]byte, error) {
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(r.deps.Entropy, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return encodeEntry(&logpb.Entry{
		Cluster: s.cluster[:], Slot: s.slot + 1, Prev: s.chain[:],
		Kind: &logpb.Entry_Claim{
			Claim: &logpb.Claim{Node: r.cfg.Node, Http: r.cfg.HTTP, Nonce: nonce},
		},
	}), nil
}

// backOff keeps this node from claiming for a while: each claim costs an object for ever.
func (r *Replica) backOff() {
	base := min(100*time.Millisecond<<min(r.losses, 6), 5*time.Second)
	r.losses++
	jitter := time.Duration((r.cfg.Seed ^ r.slot()*2654435761) % uint64(base))
	r.claimAfter = time.Now().Add(base/2 + jitter)
}

func (r *Replica) stepDown(why string) {
	epoch := r.leads.Swap(0)
	r.deps.Logger.Info("leads no more", "claim_slot", epoch, "why", why)
}
