package metadata

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
)

// How: producers that wrote at different times on the store's clock, a topic with a TTL.

func TestSilentProducersAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.stop()
		n := h.node("a", nil)
		topic, _, err := n.CreateTopic(t.Context(), foz.Topic{
			Name: "t", Partitions: 1, Config: foz.TopicConfig{ProducerTTLMS: 1000},
		})
		if err != nil {
			t.Fatal(err)
		}
		write := func(id string, seq, ms int64) *foz.Error {
			c := commitOf(topic.ID, n.HeardSlot(), fmt.Sprintf("%s%d", id, seq), 1)
			c.AppendedMS = ms
			c.Requests[0].Producer = &foz.Producer{ID: id, Seq: seq}
			results, err := n.Commit(t.Context(), []foz.Commit{c})
			if err != nil {
				t.Fatal(err)
			}
			return results[0].Requests[0].Err
		}
		for id, ms := range map[string]int64{"silent": 0, "edge": 4000, "busy": 5000} {
			if err := write(id, 0, ms); err != nil {
				t.Fatal(err)
			}
		}
		if forgot, err := n.ForgetProducers(t.Context()); err != nil || forgot != 1 {
			t.Fatalf("forgot %d, %v, want 1", forgot, err)
		}
		if err := write("silent", 1, 5000); err == nil || err.Code != foz.CodeUnknownProducer {
			t.Errorf("the silent one: %v", err)
		}
		for _, id := range []string{"edge", "busy"} {
			if err := write(id, 1, 5000); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}
