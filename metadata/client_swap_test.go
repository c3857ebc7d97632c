package metadata

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: nodes of a house (replica_test.go) ask for swaps and retention through their clients.

// TestClientSwap: what a swap is told it is told at every node, however often it asks.
func TestClientSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		a, b := h.node("a", nil), h.node("b", nil)
		topic := a.mustTopic(t, "t")
		a.mustCommit(t, commitOf(topic.ID, 0, "x", 5))
		a.mustCommit(t, commitOf(topic.ID, 0, "y", 5))
		m := merge(a.HeardSlot(), "m")
		m.topic = topic.ID
		m.from(0, 10, "x 0-5, y 5-10").from(0, 5, "x 0-5")
		var first foz.SwapResult
		for i, n := range []*housed{a, b, a, b} {
			got, err := n.Swap(t.Context(), m.Swap)
			if err != nil || len(got.Accepted) != 2 || !got.Accepted[0] || got.Accepted[1] {
				t.Fatalf("%+v, %v", got, err)
			}
			if i == 0 {
				first = got
			}
			if got.Slot != first.Slot {
				t.Errorf("asked again: decided at slot %d, not %d", got.Slot, first.Slot)
			}
			at := foz.Partition{Topic: topic.ID}
			if p := n.State().Placements(at); len(p) != 1 || p[0].Object != m.Object {
				t.Errorf("the node that asked holds %v", p)
			}
		}
		if err := a.RaiseFloor(t.Context(), a.State().Slot()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Swap(t.Context(), m.Swap); !isCode(err, foz.CodeAckTimeout) {
			t.Errorf("below the floor: %v", err)
		}
	})
}

func isCode(err error, code foz.Code) bool { return errors.Is(err, &foz.Error{Code: code}) }

func TestClientSwapThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		many := merge(1, "m").from(0, 1, "x 0-1")
		o := &many.Outputs[0]
		for i := range int64(100_000) {
			o.Inputs = append(o.Inputs, foz.SwapInput{Range: foz.Range{Base: i, Next: i + 1}})
		}
		for name, s := range map[string]foz.Swap{
			"no key": {}, "another key": {Object: "log/00000000000000000001"}, "too large": many.Swap,
		} {
			if _, err := n.Swap(t.Context(), s); !isCode(err, foz.CodeBadRequest) {
				t.Errorf("%s: %v", name, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		before := n.HeardSlot()
		_, err := n.Swap(ctx, merge(before, "m").from(0, 1, "x 0-1").Swap)
		if synctest.Wait(); !isCode(err, foz.CodeUnavailable) || n.HeardSlot() != before {
			t.Errorf("a swap that nobody waits for: %v, slot %d", err, n.HeardSlot()-before)
		}
	})
}

func TestClientRetain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		topic := n.mustTopic(t, "t")
		n.mustCommit(t, commitOf(topic.ID, 0, "x", 5))
		r := foz.Retain{Topic: topic.ID, Revision: topic.Revision,
			Starts: []foz.PartitionStart{{Partition: 0, Earliest: 3}}}
		for range 2 { // the second moves nothing
			if err := n.Retain(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if _, b, _ := n.Locate(foz.Partition{Topic: topic.ID}, 0, 0); b.Earliest != 3 {
			t.Errorf("bounds %+v", b)
		}
		r.Revision--
		if err := n.Retain(t.Context(), r); !isCode(err, foz.CodeTopicChanged) {
			t.Errorf("an old revision: %v", err)
		}
	})
}

// Above its limit a state takes what releases, and nothing that makes it grow.
func TestFullStateTakesWhatReleases(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		n := l.node("a", func(c *Config) { c.StateMax = 1 })
		n.lead()
		if n.full([]*logpb.Command{command(&logpb.Commit{})}) {
			t.Error("an empty state is full")
		}
		n.write(create("t", topicT, 1))
		for _, c := range []struct {
			command *logpb.Command
			full    bool
		}{
			{command(&logpb.Commit{}), true},
			{command(&logpb.CreateTopic{}), true},
			{command(&logpb.AlterTopic{}), true},
			{command(&logpb.CommitOffsets{}), true},
			{command(&logpb.Swap{}), false},
			{command(&logpb.Retain{}), false},
			{command(&logpb.Trim{}), false},
			{command(&logpb.DeleteTopic{}), false},
			{command(&logpb.DeleteGroup{}), false},
			{command(&logpb.ForgetProducers{}), false},
			{command(&logpb.Floor{}), false},
			{command(&logpb.Format{}), false},
			{noop(), false},
		} {
			if got := n.full([]*logpb.Command{noop(), c.command}); got != c.full {
				t.Errorf("%v: refused is %v", c.command, got)
			}
		}
	})
}
