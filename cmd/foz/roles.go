package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/httpapi"
	"github.com/fozlog/foz/metadata"
)

// The roles beside metadata.RoleMetadata.
const (
	roleIngest    = "ingest"
	roleReader    = "reader"
	roleCompactor = "compactor"
)

// elsewhere stands in for a role that this node does not have: it refuses, and says which
// nodes have it.
type elsewhere struct {
	role    string
	replica *metadata.Replica
}

func (e elsewhere) refuse() error {
	var others []string
	for _, m := range e.replica.Members() {
		if m.HTTP != "" && slices.Contains(m.Roles, e.role) {
			others = append(others, m.HTTP)
		}
	}
	if len(others) == 0 {
		return foz.Errorf(foz.CodeUnavailable,
			"this node does not have the role %s, and no node that has was heard of", e.role)
	}
	return foz.Errorf(foz.CodeUnavailable, "this node does not have the role %s: ask %s",
		e.role, strings.Join(others, " or "))
}

// Produce is httpapi's Producer.
func (e elsewhere) Produce(context.Context, foz.Request) (foz.Ack, error) {
	return foz.Ack{}, e.refuse()
}

// Query, Bounds, Wait and OffsetAt are httpapi's Reader.
func (e elsewhere) Query(
	context.Context, foz.TopicID, []foz.PartitionRange, filter.Query, func(int32, foz.Run) error,
) error {
	return e.refuse()
}

// Bounds is metadata's to know, which every node has.
func (e elsewhere) Bounds(ctx context.Context, p foz.Partition, current bool) (foz.Bounds, error) {
	if current {
		if err := e.replica.CatchUp(ctx); err != nil {
			return foz.Bounds{}, foz.Errorf(foz.CodeUnavailable, "catch up: %w", err)
		}
	}
	_, bounds, err := e.replica.Locate(p, 0, 0)
	return bounds, err
}

// Wait refuses.
func (e elsewhere) Wait(context.Context, foz.Partition, int64) error { return e.refuse() }

// OffsetAt refuses.
func (e elsewhere) OffsetAt(context.Context, foz.Partition, int64) (int64, int64, error) {
	return 0, 0, e.refuse()
}

// Maintain refuses.
func (e elsewhere) Maintain(context.Context, []string, time.Duration) (
	httpapi.Maintenance, error,
) {
	return httpapi.Maintenance{}, e.refuse()
}
