package sim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
)

// clients come into the house: producers of both kinds, consumers, and whoever moves
// log starts and floors.
func (h *house) clients() {
	common := h.topics
	if last := len(common) - 1; common[last].Name == forgetful {
		for i := range 3 {
			h.sleeper(fmt.Sprintf("sleeper%d", i), common[last])
		}
		common = common[:last]
	}
	for i := range 2 + h.rng.IntN(3) {
		for _, p := range []*producer{
			h.newProducer(fmt.Sprintf("idempotent%d", i), true),
			h.newProducer(fmt.Sprintf("plain%d", i), false),
		} {
			p.subject = common[i%len(common)]
			h.actor(p.name, func(ctx context.Context, _ *rand.Rand) { p.run(ctx) })
		}
	}
	for i := range 2 {
		c := &consumer{house: h, name: fmt.Sprintf("consumer%d", i), seen: map[string]int64{}}
		c.rng = h.rngFor(c.name)
		h.actor(c.name, func(ctx context.Context, _ *rand.Rand) { c.run(ctx) })
	}
	h.actor("keeper", h.keep)
	h.actor("moth", h.ruin)
	h.landlord("landlord0")
	h.landlord("landlord1")
	h.group("group0")
}

// keep moves log starts and the floor.
func (h *house) keep(ctx context.Context, rng *rand.Rand) {
	behind, retained := rng.Uint64N(1+rng.Uint64N(60)), 20+rng.Int64N(2000)
	pace := between(rng, 100, 200+rng.Int64N(4000))
	for sleep(ctx, pace/2+jitter(rng, pace)) == nil {
		s := h.pick(rng)
		if s == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, between(rng, 1000, 20_000))
		stop := context.AfterFunc(s.ctx, cancel)
		if state := s.replica.State(); rng.IntN(4) == 0 {
			if state.Slot() > behind {
				_ = s.client.RaiseFloor(ctx, state.Slot()-behind) // or another time
			}
		} else {
			p, _ := h.where(rng, s)
			if _, bounds, err := state.Locate(p, 0, 1); err == nil && bounds.Records > retained {
				_, _ = s.client.Trim(ctx, p, bounds.Next-retained) // or another time
			}
		}
		stop()
		cancel()
	}
}

// chaos draws what befalls processes until the storm ends.
func (h *house) chaos(end time.Duration) {
	violence := math.Pow(10, -1.5*h.rng.Float64()) // events per second
	var strike func()
	again := func() {
		wait := time.Duration(h.rng.ExpFloat64() / violence * float64(time.Second))
		if h.Now()+wait < end {
			h.After(wait, "chaos", strike)
		}
	}
	strike = func() {
		if h.calm {
			return
		}
		h.strike()
		again()
	}
	again()
	if h.rng.IntN(3) == 0 {
		h.ambition(end)
	}
}

// ambition has candidates claim all the time, whoever leads: with slow claims and short
// snapshots, many of these arrive in ground that was used and trimmed.
func (h *house) ambition(end time.Duration) {
	pace := between(h.rng, 700, 5000)
	var claim func()
	again := func() {
		if wait := pace/2 + jitter(h.rng, pace); h.Now()+wait < end {
			h.After(wait, "ambition", claim)
		}
	}
	claim = func() {
		if h.calm {
			return
		}
		if h.rng.IntN(4) == 0 {
			h.ambush()
		} else {
			h.forceClaim()
		}
		again()
	}
	again()
}

// strike is one thing that befalls a process.
func (h *house) strike() {
	n := h.nodes[h.rng.IntN(len(h.nodes))]
	if h.rng.IntN(2) == 0 {
		n = h.leader(n)
	}
	if n.proc == nil {
		return
	}
	switch h.rng.IntN(11) {
	case 0, 1:
		h.fault("crash")
		h.restart(n)
	case 2:
		if h.rng.IntN(4) == 0 {
			h.fault("crash of all nodes")
			for _, n := range h.nodes {
				h.restart(n)
			}
		}
	case 3, 4:
		h.fault("pause")
		n.proc.pausedUntil = h.Now() + upTo(h.rng, 30_000)
	case 5:
		h.fault("store blackout")
		n.proc.blackUntil = h.Now() + upTo(h.rng, 28_000)
	case 6, 7:
		h.cut(n)
	case 8:
		h.ambush()
	default:
		h.forceClaim()
	}
}

// leader is the node that leads, or else.
func (h *house) leader(otherwise *node) *node {
	for _, n := range h.nodes {
		if s := n.services; s != nil && s.replica.Leader().ID == n.id {
			return n
		}
	}
	return otherwise
}

func (h *house) restart(n *node) {
	if n.proc == nil {
		return
	}
	h.down(n)
	h.note("%s crashes", n.id)
	n.old = !n.candidate && h.rng.IntN(3) == 0 // an upgrade, or one taken back
	h.After(upTo(h.rng, 6000), n.id+" starts", func() { h.start(n) })
}

// cut cuts a node off the bus, one way or both, from one node or all.
func (h *house) cut(n *node) {
	h.fault("bus cut")
	other := ""
	if o := h.nodes[h.rng.IntN(len(h.nodes))]; o.proc != nil && h.rng.IntN(2) == 0 {
		other = o.proc.Name
	}
	from, to := n.proc.Name, other
	if h.rng.IntN(2) == 0 {
		from, to = to, from
	}
	h.hub.Cut(from, to)
	h.After(upTo(h.rng, 15_000), fmt.Sprintf("heal %s>%s", from, to), func() {
		if h.procs[n.procName(from, to)] != nil {
			h.hub.Heal(from, to)
		}
	})
}

// procName is which of two names is this node's.
func (n *node) procName(a, b string) string {
	if len(a) > len(n.id) && a[:len(n.id)+1] == n.id+"#" {
		return a
	}
	return b
}

// ambush has a candidate claim and pauses it right then, with another node that is as far:
// when both come back, the claim may arrive in trimmed ground just where the other reads on.
func (h *house) ambush() {
	var followers []*node
	for _, n := range h.nodes {
		if s := n.services; s != nil && s.replica.Leader().ID != n.id {
			followers = append(followers, n)
		}
	}
	if len(followers) < 2 {
		return
	}
	h.fault("ambush")
	at := h.rng.IntN(len(followers))
	followers[0], followers[at] = followers[at], followers[0]
	claimant, other := followers[0], followers[1]
	lasts := between(h.rng, 2000, 12_000)
	h.onClaim = func(p *Proc) {
		if p != claimant.proc || other.proc == nil {
			return
		}
		p.pausedUntil = h.Now() + lasts
		other.proc.pausedUntil = p.pausedUntil + jitter(h.rng, 200*time.Millisecond)
		h.onClaim = nil
	}
	h.claim(claimant)
}

// forceClaim has some candidate claim although another leads: a client says that the leader
// left it without an answer.
func (h *house) forceClaim() { h.claim(h.nodes[h.rng.IntN(len(h.nodes))]) }

func (h *house) claim(n *node) {
	s := n.services
	if s == nil || !n.candidate {
		return
	}
	h.fault("forced claim")
	state := s.replica.State()
	ask, err := proto.Marshal(&logpb.Ask{
		SilentEpoch: state.Epoch(),
		Commands: []*logpb.Command{{
			Id:   metadata.CommandID(state.Slot(), fmt.Sprintf("forced-%d", h.steps)),
			Body: &logpb.Command_Noop{Noop: &logpb.Noop{}},
		}},
	})
	if err != nil {
		panic(err)
	}
	go func() {
		ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
		defer cancel()
		_, _ = s.Bus.Request(ctx, "ask."+n.id, ask) // the claim is what matters
	}()
}
