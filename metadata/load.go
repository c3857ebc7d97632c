package metadata

import (
	"context"
	"log/slog"

	"github.com/fozlog/foz/objectstore"
)

// loadTries is how often Load asks for one thing before it says that the store is of no use.
const loadTries = 6

// Load reads the state at the tail of the log from the bucket alone, as a node does when it
// starts. It writes nothing and needs no service; one that runs is not disturbed. Errors:
// ErrNoCluster, ErrDamaged, ErrNewer, or the store's.
func Load(ctx context.Context, store objectstore.Store) (*State, error) {
	b := &bucket{store: store, tries: loadTries}
	cluster, err := b.cluster(objectstore.WithCause(ctx, "load"))
	if err != nil {
		return nil, err
	}
	r := New(Deps{Store: store, Logger: slog.New(slog.DiscardHandler)}, Config{Cluster: cluster})
	r.bucket.tries = loadTries
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	return r.State(), nil
}

// SnapshotBytes is how long the state's snapshot is. It makes one to know.
func (s *State) SnapshotBytes() int { return len(encodeSnapshot(s, Defects{})) }
