package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// ErrNoCluster: the bucket holds no cluster yet.
var ErrNoCluster = errors.New("the bucket holds no foz cluster")

// Genesis gives the UUID of the cluster that lives in the bucket. If none does and node is
// not "", it begins one with the first claim. Two nodes that begin at once agree on one.
// Errors: ErrNoCluster; ErrDamaged when the log has lost its beginning.
func Genesis(ctx context.Context, store objectstore.Store, entropy io.Reader, node string) (
	cluster [16]byte, err error,
) {
	b := &bucket{store: store}
	ctx = objectstore.WithCause(ctx, "genesis")
	for {
		cluster, err = b.cluster(ctx)
		if !errors.Is(err, ErrNoCluster) || node == "" {
			return cluster, err
		}
		// The first claim is never deleted: with none, there must be nothing.
		for _, prefix := range []string{snapPrefix, logPrefix} {
			keys, err := b.list(ctx, prefix, "")
			if err != nil {
				return cluster, err
			}
			if len(keys) > 0 && keys[0] != LogKey(1) {
				cluster, err = b.cluster(ctx) // somebody may have begun since
				if !errors.Is(err, ErrNoCluster) {
					return cluster, err
				}
				return cluster, fmt.Errorf("%w: %s is there and %s is not",
					ErrDamaged, keys[0], LogKey(1))
			}
		}
		body, err := genesisBody(entropy, node)
		if err != nil {
			return cluster, err
		}
		if _, err := b.resolve(ctx, 1, body); err != nil {
			return cluster, err
		}
	}
}

func (b *bucket) cluster(ctx context.Context) (cluster [16]byte, err error) {
	err = b.readSound(ctx, LogKey(1), func(body []byte) error {
		e, err := DecodeEntry(body)
		if err == nil {
			cluster = [16]byte(e.Cluster)
		}
		return err
	})
	if errors.Is(err, objectstore.ErrNotFound) {
		return cluster, ErrNoCluster
	}
	return cluster, err
}

func genesisBody(entropy io.Reader, node string) ([]byte, error) {
	random := make([]byte, 32)
	if _, err := io.ReadFull(entropy, random); err != nil {
		return nil, fmt.Errorf("draw a cluster id: %w", err)
	}
	cluster := uuid(random[:16])
	chain := genesisChain(cluster)
	return encodeEntry(&logpb.Entry{
		Cluster: cluster[:], Slot: 1, Prev: chain[:],
		Kind: &logpb.Entry_Claim{Claim: &logpb.Claim{Node: node, Nonce: random[16:]}},
	}), nil
}

// uuid makes a version 4 UUID of 16 random bytes (RFC 9562, section 5.4).
func uuid(random []byte) [16]byte {
	id := [16]byte(random)
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}
