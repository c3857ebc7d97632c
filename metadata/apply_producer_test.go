package metadata

import (
	"fmt"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: stories of one idempotent producer. A row is what the producer sends after it sent
// sequences 0, 1 and 2 of epoch 5, and what it is told; sent is (epoch, sequence).

func TestProducer(t *testing.T) {
	type sent struct{ epoch, seq int64 }
	for _, c := range []struct {
		name string
		sent sent
		told string
		next sent // accepted afterwards
	}{
		{"the next", sent{5, 3}, "3", sent{5, 4}},
		{"the last again", sent{5, 2}, "again s5 0:2-3", sent{5, 3}},
		{"the first again", sent{5, 0}, "again s3 0:0-1", sent{5, 3}},
		{"one left out", sent{5, 4}, "sequence_gap expected_seq=3", sent{5, 3}},
		{"far ahead", sent{5, 1 << 62}, "sequence_gap expected_seq=3", sent{5, 3}},
		{"an older epoch", sent{4, 0}, "producer_fenced producer_epoch=5", sent{5, 3}},
		{"an older epoch's next", sent{4, 3}, "producer_fenced producer_epoch=5", sent{5, 3}},
		{"a newer epoch", sent{6, 0}, "3", sent{6, 1}},
		{"a newer epoch, not from 0", sent{6, 1}, "sequence_gap expected_seq=0", sent{6, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 1), "t 1 r2")
			one := func(name string, s sent) *logpb.Command {
				return newObject(0, name, topicT, 1).ask(1).by("p", s.epoch, s.seq).Command
			}
			for seq := range int64(3) {
				y.expect(one(fmt.Sprint("o", seq), sent{5, seq}), fmt.Sprint(seq))
			}
			y.expect(one("tried", c.sent), c.told)
			next := y.state.topicNext(t, 0)
			y.expect(one("next", c.next), fmt.Sprint(next))
			if c.next.epoch == 6 {
				y.expect(one("old", sent{5, 3}), "producer_fenced producer_epoch=6")
			}
		})
	}
}

func TestProducerUnknown(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	y.expect(create("u", id("u"), 1), "u 1 r3")
	y.expect(newObject(0, "a", topicT, 1).ask(1).by("p", 0, 1).Command,
		"unknown_producer expected_seq=0")
	y.expect(newObject(0, "b", topicT, 1).ask(1).by("p", 9, 0).Command, "0")
	// A producer is known topic by topic.
	y.expect(newObject(0, "c", id("u"), 1).ask(1).by("p", 9, 1).Command,
		"unknown_producer expected_seq=0")
	y.expect(newObject(0, "d", id("u"), 1).ask(1).by("p", 3, 0).Command, "0")
	y.expect(newObject(0, "e", topicT, 1).ask(1).by("p", 9, 1).Command, "1")
}

// The last 16 answers of a producer are remembered, and then it is said that what came
// before them was appended but nobody knows where.
func TestProducerWindow(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	for seq := range int64(20) {
		y.expect(newObject(0, fmt.Sprint("o", seq), topicT, 1).ask(1).by("p", 0, seq).Command,
			fmt.Sprint(seq))
	}
	for seq := range int64(20) {
		want := fmt.Sprintf("again s%d 0:%d-%d", 3+seq, seq, seq+1)
		if seq < 20-answersMax {
			want = "sequence_expired expected_seq=20"
		}
		y.expect(newObject(0, fmt.Sprint("r", seq), topicT, 1).ask(1).by("p", 0, seq).Command, want)
	}
	y.expect(newObject(0, "next", topicT, 1).ask(1).by("p", 0, 20).Command, "20")
	for by, want := range map[foz.Producer]bool{
		{ID: "p", Seq: 20}: true, {ID: "p", Seq: 5}: true, {ID: "p", Seq: 4}: false,
		{ID: "p", Seq: 21}: false, {ID: "p", Seq: 20, Epoch: 1}: false, {ID: "q", Seq: 20}: false,
	} {
		ack, found := y.state.Answered(topicT, by)
		if found != want || found && (!ack.Duplicate || ack.Ranges[0].Base != by.Seq) {
			t.Errorf("%+v: %+v, %v", by, ack, found)
		}
	}
}

// Several requests of a producer in one object, one of them a duplicate and one refused: the
// placements leave their rows out.
func TestProducerInOneObject(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	o := newObject(0, "o", topicT, 12).
		ask(2).by("p", 0, 0).
		ask(2).by("p", 0, 1).
		ask(2).by("p", 0, 1). // the same sequence twice
		ask(2).by("p", 0, 7).
		ask(2).by("q", 0, 0).
		ask(2).by("p", 0, 2)
	y.expect(o.Command, "0 | 2 | again s3 0:2-4 | sequence_gap expected_seq=2 | 4 | 6")
	y.holds(topicT, 0, "[0 8) o[0:4]@0 o[8:12]@4")
}

func TestForgetProducers(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	y.expect(newObject(0, "a", topicT, 1).ask(1).by("p", 0, 0).Command, "0") // slot 3
	y.expect(newObject(0, "b", topicT, 1).ask(1).by("q", 0, 0).Command, "1") // slot 4
	forget := func(decided uint64, ids ...string) *logpb.Command {
		return command(&logpb.ForgetProducers{Topic: topicT[:], Ids: ids, Decided: decided})
	}
	y.expect(forget(3, "p", "q", "nobody"), "ok") // q has written since
	y.expect(newObject(0, "c", topicT, 1).ask(1).by("p", 0, 1).Command,
		"unknown_producer expected_seq=0")
	y.expect(newObject(0, "d", topicT, 1).ask(1).by("q", 0, 1).Command, "2")
	y.expect(newObject(0, "e", topicT, 1).ask(1).by("p", 0, 0).Command, "3") // from 0 again
	y.expect(command(&logpb.ForgetProducers{Topic: []byte("x"), Ids: []string{"p"}, Decided: 99}),
		"ok")
}
