package metadata

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// CreateTopic makes a topic of t's name, partitions, config and schema. created is false when there
// was one of that name: topic is then that one, as it is.
func (c *Client) CreateTopic(ctx context.Context, t foz.Topic) (
	topic foz.Topic, created bool, err error,
) {
	random := make([]byte, 16)
	c.mu.Lock()
	_, err = io.ReadFull(c.replica.deps.Entropy, random)
	c.mu.Unlock()
	if err != nil {
		return foz.Topic{}, false, fmt.Errorf("draw a topic id: %w", err)
	}
	t.ID, t.CreatedMS = uuid(random), time.Now().UnixMilli()
	r, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_CreateTopic{
		CreateTopic: &logpb.CreateTopic{Topic: topicToWire(t)}}})
	if err != nil {
		return foz.Topic{}, false, err
	}
	return topicFromWire(r.Topic), !r.Unchanged, nil
}

// AlterTopic replaces a topic's partitions, config and schema, if its revision is still the one
// given. A zero schema leaves it as it is. Errors: topic_changed, topic_not_found; topic_exists
// where the schema would not grow only.
func (c *Client) AlterTopic(ctx context.Context, t foz.Topic) (foz.Topic, error) {
	r, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_AlterTopic{
		AlterTopic: &logpb.AlterTopic{
			Id: t.ID[:], Revision: t.Revision, Partitions: t.Partitions,
			Config: configToWire(t.Config), Schema: schemaToWire(t.Schema),
		}}})
	if err != nil {
		return foz.Topic{}, err
	}
	return topicFromWire(r.Topic), nil
}

// DeleteTopic forgets a topic. Errors: topic_not_found.
func (c *Client) DeleteTopic(ctx context.Context, id foz.TopicID) error {
	_, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_DeleteTopic{
		DeleteTopic: &logpb.DeleteTopic{Id: id[:]}}})
	return err
}

// Trim moves a partition's log start up to before. Errors: offset_out_of_range.
func (c *Client) Trim(ctx context.Context, p foz.Partition, before int64) (int64, error) {
	r, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_Trim{
		Trim: &logpb.Trim{Topic: p.Topic[:], Partition: p.Number, Before: before}}})
	if err != nil {
		return 0, err
	}
	return r.Offset, nil
}

// Retain moves log starts of a topic up, each to its partition's end at most, and none if the
// topic is another by now or has other settings. Errors: topic_not_found, topic_changed,
// partition_not_found.
func (c *Client) Retain(ctx context.Context, r foz.Retain) error {
	_, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_Retain{Retain: retainToWire(r)}})
	return err
}

func retainToWire(r foz.Retain) *logpb.Retain {
	w := &logpb.Retain{Topic: r.Topic[:], Revision: r.Revision}
	for _, s := range r.Starts {
		w.Partition = append(w.Partition, s.Partition)
		w.Earliest = append(w.Earliest, s.Earliest)
	}
	return w
}

// RaiseFloor lets everything born below slot expire: what is not live then never will be.
func (c *Client) RaiseFloor(ctx context.Context, slot uint64) error {
	_, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_Floor{
		Floor: &logpb.Floor{Floor: slot}}})
	return err
}

// ForgetProducers has those producers forgotten that wrote nothing for as long as their
// topic's setting says, and gives their number. Time is the store's: that of the newest
// write of any producer.
func (c *Client) ForgetProducers(ctx context.Context) (n int, err error) {
	s := c.replica.State()
	for topic, ids := range s.silentProducers() {
		m := &logpb.ForgetProducers{Topic: topic[:], Ids: ids, Decided: s.Slot()}
		_, err := c.one(ctx, &logpb.Command{
			Body: &logpb.Command_ForgetProducers{ForgetProducers: m}})
		if err != nil {
			return n, err
		}
		n += len(ids)
	}
	return n, nil
}

// CommitOffsets moves a group in all the partitions named or in none. Errors:
// offset_conflict, topic_not_found, partition_not_found.
func (c *Client) CommitOffsets(ctx context.Context, group string, offsets []foz.GroupOffset) error {
	m := &logpb.CommitOffsets{Group: group}
	now := time.Now().UnixMilli()
	for _, o := range offsets {
		m.Offsets = append(m.Offsets, &logpb.GroupOffset{
			Topic: o.Topic[:], Partition: o.Partition, Offset: o.Offset, Metadata: o.Metadata,
			CommittedMs: now, IfOffset: o.IfOffset,
		})
	}
	_, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_CommitOffsets{CommitOffsets: m}})
	return err
}

// DeleteGroup forgets a group. Errors: group_not_found.
func (c *Client) DeleteGroup(ctx context.Context, group string) error {
	_, err := c.one(ctx, &logpb.Command{Body: &logpb.Command_DeleteGroup{
		DeleteGroup: &logpb.DeleteGroup{Group: group}}})
	return err
}
