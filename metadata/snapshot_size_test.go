package metadata

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/fozlog/foz"
)

// How: the index of 64 GiB that were merged into objects of 64 MiB, with numbers as they come
// in life, written as a snapshot and counted.
func TestSnapshotBytesPerGiB(t *testing.T) {
	const partitions, each, objectBytes = 16, 64, 64 << 20
	random := rand.New(rand.NewPCG(1, 2))
	s := NewState(testCluster)
	made := &topic{Topic: foz.Topic{ID: topicT, Name: "t", Partitions: partitions},
		partitions: growPartitions(nil, partitions, 0)}
	s.topics.Set(string(topicT[:]), made)
	s.names.Set("t", string(topicT[:]))
	empty := len(encodeSnapshot(s, Defects{}))
	d := draft{State: s}
	for number, p := range made.partitions {
		for i := range each {
			slot := uint64(40_000_000 + 1000*i + random.IntN(1000))
			rows := 200_000 + random.Int32N(20_000)
			appended := 1_790_000_000_000 + int64(i)*3_600_000 + random.Int64N(3_600_000)
			l := foz.Placement{
				Object: foz.ObjectKey(slot, fmt.Sprintf("01K%023d", random.Uint64())),
				Segment: foz.Segment{
					Partition: foz.Partition{Topic: topicT, Number: int32(number)},
					Rows:      rows, ByteStart: 8, ByteEnd: objectBytes - random.Int64N(1<<20),
					MinTimestamp: appended - 3_600_000, MaxTimestamp: appended,
					CRC32C: random.Uint32(), Level: 1, Batches: 40,
				},
				RowCount: rows, Base: p.next, Missing: random.Int64N(100_000), AppendedMS: appended,
			}
			p.placements = append(p.placements, l)
			p.next = l.Next()
			p.count(&l, 1)
			d.name(&l)
		}
	}
	if broken := invariants(s); len(broken) > 0 {
		t.Fatal(broken)
	}
	bytes := len(encodeSnapshot(checkRoundTrip(t, s), Defects{})) - empty
	perPlacement := float64(bytes) / (partitions * each)
	perGiB := perPlacement * (1 << 30) / objectBytes
	t.Logf("%.0f bytes of snapshot per merged placement, %.0f per GiB", perPlacement, perGiB)
	if perGiB >= 2<<10 {
		t.Errorf("%.0f bytes of snapshot per GiB, want under 2 KiB", perGiB)
	}
}
