package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/fozlog/foz"
)

// TopicConfig is what a user sets on a topic. A nil member is not sent: it keeps its value,
// or gets its default.
type TopicConfig struct {
	RetentionMS     *int64  `json:"retention_ms,omitempty"`    // 0: for ever
	RetentionBytes  *int64  `json:"retention_bytes,omitempty"` // of each partition; 0: no limit
	MaxMessageBytes *int64  `json:"max_message_bytes,omitempty"`
	CleanupPolicy   *string `json:"cleanup_policy,omitempty"` // delete, compact, or compact,delete
	ProducerTTLMS   *int64  `json:"producer_ttl_ms,omitempty"`
	// DeleteRetentionMS is how long key compaction keeps a tombstone.
	DeleteRetentionMS *int64 `json:"delete_retention_ms,omitempty"`
}

// TopicSpec is a topic to be made, or changes to one that exists.
type TopicSpec struct {
	Partitions int32        `json:"partitions,omitempty"` // 0: the default, or as it is
	Config     *TopicConfig `json:"config,omitempty"`
	Schema     *Schema      `json:"schema,omitempty"` // nil: none, or as it is
}

// Topic is a topic as the service describes it.
type Topic struct {
	Name       string      `json:"name"`
	ID         string      `json:"topic_id"`
	Partitions int32       `json:"partitions"`
	Config     TopicConfig `json:"config"`
	Schema     *Schema     `json:"schema,omitempty"` // nil: the topic is not typed
	CreatedAt  time.Time   `json:"created_at"`
	Bounds     []Bounds    `json:"partition_bounds,omitempty"` // by partition; from Client.Topic
}

// Bounds is what a partition holds: offsets [EarliestOffset, NextOffset).
type Bounds struct {
	Partition      int32 `json:"partition"`
	EarliestOffset int64 `json:"earliest_offset"`
	NextOffset     int64 `json:"next_offset"`
	Records        int64 `json:"records"`
	Bytes          int64 `json:"bytes"` // as stored
	Segments       int64 `json:"segments"`
}

// CreateTopic makes a topic. created is false when it existed with these very settings; with
// others the error's code is topic_exists.
func (c *Client) CreateTopic(ctx context.Context, name string, s TopicSpec) (
	t Topic, created bool, err error,
) {
	l, err := change(http.MethodPut, s, "topics", name)
	if err != nil {
		return Topic{}, false, err
	}
	l.safe = true
	a, err := c.do(ctx, l, &t)
	return t, a.status == http.StatusCreated, err
}

// Topic describes a topic and what its partitions hold.
func (c *Client) Topic(ctx context.Context, name string) (t Topic, err error) {
	_, err = c.do(ctx, get(nil, "topics", name), &t)
	return t, err
}

// Topics yields the topics whose names begin with prefix, in order of name.
func (c *Client) Topics(ctx context.Context, prefix string) iter.Seq2[Topic, error] {
	return func(yield func(Topic, error) bool) {
		query := url.Values{"prefix": {prefix}}
		for {
			var page struct {
				Topics  []Topic `json:"topics"`
				HasMore bool    `json:"has_more"`
			}
			if _, err := c.do(ctx, get(query, "topics"), &page); err != nil {
				yield(Topic{}, err)
				return
			}
			for _, t := range page.Topics {
				if !yield(t, nil) {
					return
				}
			}
			if !page.HasMore || len(page.Topics) == 0 {
				return
			}
			query.Set("start_after", page.Topics[len(page.Topics)-1].Name)
		}
	}
}

// AlterTopic changes a topic's settings; its partitions and its schema may only grow.
func (c *Client) AlterTopic(ctx context.Context, name string, s TopicSpec) (t Topic, err error) {
	l, err := change(http.MethodPatch, s, "topics", name)
	if err != nil {
		return Topic{}, err
	}
	l.header.Set("Content-Type", mediaPatch)
	l.safe = true // a merge patch sets values: twice is once
	_, err = c.do(ctx, l, &t)
	return t, err
}

// DeleteTopic deletes a topic and its records.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	l, _ := change(http.MethodDelete, nil, "topics", name)
	return c.remove(ctx, l)
}

// remove deletes something. When an earlier attempt may have done it, its absence is success.
func (c *Client) remove(ctx context.Context, l call) error {
	l.safe = true
	_, err := c.do(ctx, l, nil)
	if errors.Is(err, ErrUnknown) && isNotFound(err) {
		return nil
	}
	return err
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*foz.Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case foz.CodeTopicNotFound, foz.CodePartitionNotFound, foz.CodeGroupNotFound, foz.CodeNotFound:
		return true
	}
	return false
}

// Trim deletes a partition's records below before and gives its first offset afterwards.
func (c *Client) Trim(ctx context.Context, topic string, partition int32, before int64) (
	earliest int64, err error,
) {
	l, _ := change(http.MethodDelete, nil, "topics", topic, "partitions", itoa(partition), "records")
	l.query = url.Values{"before": {itoa(before)}}
	l.safe = true
	var out struct {
		EarliestOffset int64 `json:"earliest_offset"`
	}
	_, err = c.do(ctx, l, &out)
	return out.EarliestOffset, err
}

// OffsetAt finds an offset by time: the first record whose timestamp is at or after ms, in
// milliseconds, or the next offset with timestamp -1 if there is none.
func (c *Client) OffsetAt(ctx context.Context, topic string, partition int32, ms int64) (
	offset, timestamp int64, err error,
) {
	return c.offset(ctx, topic, partition, itoa(ms))
}

// Latest is a partition's next offset, read after everything acknowledged before the call.
func (c *Client) Latest(ctx context.Context, topic string, partition int32) (int64, error) {
	offset, _, err := c.offset(ctx, topic, partition, "latest")
	return offset, err
}

// Earliest is the first offset that a partition still holds.
func (c *Client) Earliest(ctx context.Context, topic string, partition int32) (int64, error) {
	offset, _, err := c.offset(ctx, topic, partition, "earliest")
	return offset, err
}

func (c *Client) offset(ctx context.Context, topic string, partition int32, at string) (
	offset, timestamp int64, err error,
) {
	var out struct {
		Offset    int64  `json:"offset"`
		Timestamp *int64 `json:"timestamp"`
	}
	l := get(url.Values{"at": {at}}, "topics", topic, "partitions", itoa(partition), "offsets")
	if _, err := c.do(ctx, l, &out); err != nil {
		return 0, 0, err
	}
	if out.Timestamp == nil {
		return out.Offset, -1, nil
	}
	return out.Offset, *out.Timestamp, nil
}
