package client

import (
	"context"
	"net/http"
	"net/url"
)

// Group is a consumer group: where it stands.
type Group struct {
	Name    string        `json:"group"`
	Offsets []GroupOffset `json:"offsets"`
}

// GroupOffset is where a group stands in one partition.
type GroupOffset struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	Offset     int64  `json:"offset"`                // the next record to read
	Metadata   string `json:"metadata,omitempty"`    // the consumer's own note
	IfOffset   *int64 `json:"if_offset,omitempty"`   // committing: stand here now (-1: nowhere)
	NextOffset *int64 `json:"next_offset,omitempty"` // of the partition; in answers
	Lag        *int64 `json:"lag,omitempty"`         // records left to read; in answers
}

// Groups lists the groups that have committed offsets.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	var out struct {
		Groups []Group `json:"groups"`
	}
	_, err := c.do(ctx, get(nil, "groups"), &out)
	return out.Groups, err
}

// Group describes one group. Code group_not_found if it has committed nothing.
func (c *Client) Group(ctx context.Context, name string) (g Group, err error) {
	_, err = c.do(ctx, get(nil, "groups", name), &g)
	return g, err
}

// DeleteGroup forgets a group.
func (c *Client) DeleteGroup(ctx context.Context, name string) error {
	l, _ := change(http.MethodDelete, nil, "groups", name)
	return c.remove(ctx, l)
}

// CommittedOffsets is where a group stands in a topic, or in every topic if that is "".
func (c *Client) CommittedOffsets(ctx context.Context, group, topic string) ([]GroupOffset, error) {
	query := url.Values{}
	if topic != "" {
		query.Set("topic", topic)
	}
	var out Group
	_, err := c.do(ctx, get(query, "groups", group, "offsets"), &out)
	return out.Offsets, err
}

// CommitOffsets moves a group, in all partitions given or in none. With an IfOffset that is
// not where the group stands, the error's code is offset_conflict.
func (c *Client) CommitOffsets(ctx context.Context, group string, offsets []GroupOffset) (
	[]GroupOffset, error,
) {
	l, err := change(http.MethodPut, map[string]any{"offsets": offsets}, "groups", group, "offsets")
	if err != nil {
		return nil, err
	}
	l.safe = true
	for _, o := range offsets {
		l.safe = l.safe && o.IfOffset == nil
	}
	var out Group
	_, err = c.do(ctx, l, &out)
	return out.Offsets, err
}
