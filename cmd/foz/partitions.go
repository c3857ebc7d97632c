package main

import (
	"context"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

// partitionsOf is the partition given, or all of the topic's.
func partitionsOf(ctx context.Context, c *client.Client, topic string, partition int32) (
	[]int32, error,
) {
	if partition < client.AllPartitions {
		return nil, usagef("-p %d: want a partition, or -1 for all", partition)
	}
	if partition != client.AllPartitions {
		return []int32{partition}, nil
	}
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	all := make([]int32, t.Partitions)
	for i := range all {
		all[i] = int32(i)
	}
	return all, nil
}

// reaching are the partitions of a topic that hold an offset, or end at it: the others end
// before it. Records that a partition no longer has are not passed over in silence: one that
// begins behind the offset is an error, and so is an offset that no partition reaches.
func reaching(t client.Topic, offset int64) (reached []int32, err error) {
	last := int64(0)
	for _, b := range t.Bounds {
		if offset < b.EarliestOffset {
			return nil, foz.Errorf(foz.CodeOffsetOutOfRange,
				"partition %d of %s begins at offset %d, asked for %d",
				b.Partition, t.Name, b.EarliestOffset, offset)
		}
		if offset <= b.NextOffset {
			reached = append(reached, b.Partition)
		}
		last = max(last, b.NextOffset)
	}
	if reached == nil {
		return nil, foz.Errorf(foz.CodeOffsetOutOfRange,
			"all partitions of %s end before offset %d: the longest at %d", t.Name, offset, last)
	}
	return reached, nil
}

// resolve turns a position into an offset of a partition, as of now.
func resolve(ctx context.Context, c *client.Client, topic string, partition int32, p position) (
	int64, error,
) {
	switch p.kind {
	case "offset":
		return p.offset, nil
	case "start":
		return c.Earliest(ctx, topic, partition)
	case "time":
		offset, _, err := c.OffsetAt(ctx, topic, partition, p.ms)
		return offset, err
	}
	latest, err := c.Latest(ctx, topic, partition)
	if err != nil || p.offset == 0 {
		return latest, err
	}
	earliest, err := c.Earliest(ctx, topic, partition)
	return max(earliest, latest-p.offset), err
}
