package metadata

import (
	"fmt"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: stories of retention. Both partitions of a topic hold records; a row is one command,
// what it is told, and what the partitions hold after.

// retain moves starts: of each a partition and an offset.
func retain(topic foz.TopicID, revision uint64, starts ...[2]int64) *logpb.Command {
	r := foz.Retain{Topic: topic, Revision: revision}
	for _, s := range starts {
		r.Starts = append(r.Starts, foz.PartitionStart{Partition: int32(s[0]), Earliest: s[1]})
	}
	return command(retainToWire(r))
}

func TestRetain(t *testing.T) {
	type starts = [][2]int64
	const first, second = "[0 10) x[0:5]@0 y[0:5]@5", "[0 4) x[0:4]@0"
	for _, c := range []struct {
		name     string
		topic    foz.TopicID
		revision uint64
		starts   starts
		told     string
		first    string
		second   string
	}{
		{"both", topicT, 2, starts{{0, 5}, {1, 4}}, "ok", "[5 10) y[0:5]@5", "[4 4)"},
		{"one", topicT, 2, starts{{1, 1}}, "ok", first, "[1 4) x[0:4]@0"},
		{"inside a placement", topicT, 2, starts{{0, 7}}, "ok", "[7 10) y[0:5]@5", second},
		{"nothing", topicT, 2, nil, "ok", first, second},
		{"where they are", topicT, 2, starts{{0, 0}, {1, 0}}, "ok", first, second},
		{"back", topicT, 2, starts{{0, -9}}, "ok", first, second},
		{"past the end", topicT, 2, starts{{0, 99}}, "ok", "[10 10)", second},
		{"an older revision", topicT, 1, starts{{0, 5}}, "topic_changed", first, second},
		{"a revision to come", topicT, 3, starts{{0, 5}}, "topic_changed", first, second},
		{"no such topic", id("u"), 2, starts{{0, 5}}, "topic_not_found", first, second},
		{"no such partition", topicT, 2, starts{{0, 5}, {2, 5}}, "partition_not_found", first,
			second},
		{"below the first partition", topicT, 2, starts{{-1, 5}, {0, 5}}, "partition_not_found",
			first, second},
		{"a partition twice", topicT, 2, starts{{0, 6}, {0, 5}}, "ok", "[6 10) y[0:5]@5", second},
		{"out of order", topicT, 2, starts{{1, 1}, {0, 5}}, "bad_request", first, second},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 2), "t 2 r2")
			y.expect(newObject(0, "x", topicT, 5, 4).ask(5, 4).Command, "0 0")
			y.expect(newObject(0, "y", topicT, 5).ask(5).Command, "5")
			before := y.state
			command := retain(c.topic, c.revision, c.starts...)
			y.expect(command, c.told)
			y.holds(topicT, 0, c.first)
			y.holds(topicT, 1, c.second)
			y.expect(newObject(0, "after", topicT, 1).ask(1).Command, "10")
			if got := contents(before, topicT, 0); got != first {
				t.Errorf("the state before holds %s", got)
			}
			y.expect(command, c.told)
		})
	}
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	y.expect(command(&logpb.Retain{Topic: topicT[:], Revision: 2, Partition: []int32{0}}),
		"bad_request") // columns of different lengths
	y.expect(command(&logpb.Retain{Revision: 2}), "topic_not_found")
}

// A retention that was decided before somebody changed the topic's settings is refused, even
// if it comes after.
func TestRetainOfOldSettings(t *testing.T) {
	y := storyOfThree(t, "")
	late := retain(topicT, y.revision(), [2]int64{0, 10})
	y.do(command(&logpb.AlterTopic{Id: topicT[:], Revision: y.revision(), Partitions: 2}))
	y.expect(late, "topic_changed")
	y.holds(topicT, 0, untouched)
	y.expect(retain(topicT, y.revision(), [2]int64{0, 10}), "ok")
	y.holds(topicT, 0, "[10 15) z[0:5]@10")
}

// A merged placement across the log start stays until all of it lies below.
func TestRetainAcrossAMergedPlacement(t *testing.T) {
	y := storyOfThree(t, "compact")
	y.expect(merge(1, "m").from(0, 3, "x 0-5, y 5-10").command(), "yes")
	for offset := range int64(10) {
		y.expect(retain(topicT, 2, [2]int64{0, offset}), "ok")
		y.holds(topicT, 0, fmt.Sprintf("[%d 15) m[0:3]@0-7 z[0:5]@10", offset))
	}
	y.expect(retain(topicT, 2, [2]int64{0, 10}), "ok")
	y.holds(topicT, 0, "[10 15) z[0:5]@10")
}
