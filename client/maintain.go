package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Maintenance is what a service found due, and did. Due, Done and Left add up all jobs.
type Maintenance struct {
	Jobs map[string]MaintenanceJob `json:"jobs"`
	MaintenanceJob
	Requests json.RawMessage `json:"requests,omitempty"` // to the store meanwhile, by op and cause
	Damaged  []Damage        `json:"damaged"`
}

// MaintenanceJob is one job's part of it. Merge and retain count placements, compact
// partitions, sweep objects.
type MaintenanceJob struct {
	Due      int64 `json:"due"`
	Done     int64 `json:"done"`
	Left     int64 `json:"left"`
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
}

// Damage is a range that could not be read, and is left as it is.
type Damage struct {
	TopicID     string `json:"topic_id"`
	Partition   int32  `json:"partition"`
	StartOffset int64  `json:"start_offset"`
	EndOffset   int64  `json:"end_offset"`
	Object      string `json:"object"`
	Detail      string `json:"detail"`
}

// Maintain has a node that compacts do what is due of some jobs, none meaning all: "retain",
// "merge", "compact", "sweep". It begins nothing new once atMost, in whole seconds, is over; 0:
// it takes as long as it takes.
func (c *Client) Maintain(ctx context.Context, run []string, atMost time.Duration) (
	out Maintenance, err error,
) {
	body := map[string]any{}
	if len(run) > 0 {
		body["run"] = run
	}
	if atMost > 0 {
		body["max_seconds"] = int64(max(1, atMost/time.Second))
	}
	l, err := change(http.MethodPost, body, "maintenance")
	if err != nil {
		return out, err
	}
	l.safe = true // done twice, it finds nothing to do
	_, err = c.do(ctx, l, &out)
	return out, err
}
