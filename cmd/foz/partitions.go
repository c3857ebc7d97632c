package main

import (
	"context"

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
