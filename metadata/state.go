package metadata

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/tidwall/btree"
)

// State is what the log says up to one slot. It is immutable: Apply gives the next one and
// shares with it whatever did not change, so that readers and the snapshot writer hold a
// State for as long as they like, without a lock and without a copy.
//
// Invariant: a State has at most one successor. Slices are appended to in the successor's
// way, past the length that this State sees.
type State struct {
	cluster   [16]byte
	slot      uint64
	chain     chainHash
	claims    []uint64 // slots of all valid claims, ascending
	floor     uint64   // ids born below it are expired
	format    uint32
	committed uint64 // slot of the last COMMIT
	released  uint64 // slot by which an object died last

	placements int // of all partitions

	topics    *btree.Map[string, *topic]        // by id, 16 bytes
	names     *btree.Map[string, string]        // name to id
	objects   *btree.Map[string, int]           // live objects to how many placements name them
	results   *btree.Map[string, *logpb.Result] // by command id, births >= floor only
	producers *btree.Map[string, *producer]     // by topic id + producer id
	groups    *btree.Map[string, *group]

	spent atomic.Bool // a successor was made
}

// owner is the slot of the State that a node of the tree was made for. The draft of that
// State may change the node in place; every later one makes its own copy first.
type topic struct {
	owner uint64
	foz.Topic
	partitions []*partition
}

type partition struct {
	owner      uint64
	earliest   int64
	next       int64
	bytes      int64
	missing    int64  // of all placements
	generation uint64 // slot of the last swap that left records out
	// Ascending, tiling [earliest, next), but for the first, which may begin below.
	placements []foz.Placement
}

type producer struct {
	owner      uint64
	epoch      int64
	next       int64  // sequence expected next
	slot       uint64 // of its last accepted request
	appendedMS int64
	answers    []*logpb.Answer // its last answersMax, ascending by seq
}

type group struct {
	owner   uint64
	offsets *btree.Map[string, *logpb.GroupOffset] // by topic id + partition
}

// answersMax is how many past answers of a producer are kept for its retries.
const answersMax = 16

// NewState is the state at slot 0 of a cluster.
func NewState(cluster [16]byte) *State {
	return &State{
		cluster:   cluster,
		chain:     genesisChain(cluster),
		format:    FormatVersion,
		topics:    new(btree.Map[string, *topic]),
		names:     new(btree.Map[string, string]),
		objects:   new(btree.Map[string, int]),
		results:   new(btree.Map[string, *logpb.Result]),
		producers: new(btree.Map[string, *producer]),
		groups:    new(btree.Map[string, *group]),
	}
}

// Slot is the last applied slot.
func (s *State) Slot() uint64 { return s.slot }

// Epoch is the slot of the last claim.
func (s *State) Epoch() uint64 {
	if len(s.claims) == 0 {
		return 0
	}
	return s.claims[len(s.claims)-1]
}

// Claims are the slots of all valid claims, ascending. Read only.
func (s *State) Claims() []uint64 { return s.claims }

// Chain is the chain hash of the last applied slot.
func (s *State) Chain() [32]byte { return s.chain }

// Floor is the lowest birth slot whose objects and commands may still become live.
func (s *State) Floor() uint64 { return s.floor }

// CommittedSlot is the slot of the last entry that held a commit.
func (s *State) CommittedSlot() uint64 { return s.committed }

// ReleasedSlot is the slot of the last entry by which an object ceased to be live.
func (s *State) ReleasedSlot() uint64 { return s.released }

// Live says whether any placement names the object.
func (s *State) Live(object string) bool {
	_, live := s.objects.Get(object)
	return live
}

// Objects calls yield with each live object's key, ascending, until it returns false.
func (s *State) Objects(yield func(object string) bool) {
	s.objects.Scan(func(object string, _ int) bool { return yield(object) })
}

// Topic finds a topic by name.
func (s *State) Topic(name string) (foz.Topic, bool) {
	id, ok := s.names.Get(name)
	if !ok {
		return foz.Topic{}, false
	}
	t, ok := s.topics.Get(id)
	if !ok {
		return foz.Topic{}, false
	}
	return t.Topic, true
}

// TopicByID finds a topic by id.
func (s *State) TopicByID(id foz.TopicID) (foz.Topic, bool) {
	t, ok := s.topics.Get(string(id[:]))
	if !ok {
		return foz.Topic{}, false
	}
	return t.Topic, true
}

// Topics lists up to limit topics by name, those that begin with prefix and come after
// startAfter. more says that there are others.
func (s *State) Topics(prefix, startAfter string, limit int) (page []foz.Topic, more bool) {
	s.names.Ascend(max(prefix, startAfter), func(name, id string) bool {
		if !strings.HasPrefix(name, prefix) {
			return name < prefix
		}
		if name == startAfter {
			return true
		}
		if len(page) == limit {
			more = true
			return false
		}
		if t, ok := s.topics.Get(id); ok {
			page = append(page, t.Topic)
		}
		return true
	})
	return page, more
}

// Locate gives up to limit placements whose Next is above from, in order of offset, and
// the partition's bounds. Errors: topic_not_found, partition_not_found. The placements are
// shared: read only.
func (s *State) Locate(p foz.Partition, from int64, limit int) (
	[]foz.Placement, foz.Bounds, error,
) {
	part, err := s.partition(p)
	if err != nil {
		return nil, foz.Bounds{}, err
	}
	all := part.placements
	i := sort.Search(len(all), func(i int) bool { return all[i].Next() > from })
	n := min(limit, len(all)-i)
	return all[i : i+n : i+n], part.bounds(), nil
}

// Placements gives all placements of a partition, in order of offset; none if there is no
// such partition. The first may begin below the log start. They are shared: read only.
func (s *State) Placements(p foz.Partition) []foz.Placement {
	part, err := s.partition(p)
	if err != nil {
		return nil
	}
	return slices.Clip(part.placements)
}

func (p *partition) bounds() foz.Bounds {
	b := foz.Bounds{
		Earliest: p.earliest, Next: p.next, Bytes: p.bytes,
		Segments: len(p.placements), Generation: p.generation,
	}
	if len(p.placements) > 0 {
		first := &p.placements[0]
		b.Records = p.next - first.Base - p.missing
		// Of what the first has below the log start, as few are records as can be.
		b.Records -= max(0, p.earliest-first.Base-first.Missing)
	}
	return b
}

func (s *State) partition(p foz.Partition) (*partition, error) {
	t, ok := s.topics.Get(string(p.Topic[:]))
	if !ok {
		return nil, foz.Errorf(foz.CodeTopicNotFound, "no topic has the id %s", p.Topic)
	}
	if p.Number < 0 || int(p.Number) >= len(t.partitions) {
		return nil, foz.Errorf(foz.CodePartitionNotFound, "topic %q has partitions 0 to %d, not %d",
			t.Name, len(t.partitions)-1, p.Number)
	}
	return t.partitions[p.Number], nil
}

// Groups lists the consumer groups, ascending.
func (s *State) Groups() []string { return s.groups.Keys() }

// GroupOffsets gives where a group stands, ascending by topic id and partition.
func (s *State) GroupOffsets(name string) ([]foz.GroupOffset, bool) {
	g, ok := s.groups.Get(name)
	if !ok {
		return nil, false
	}
	offsets := make([]foz.GroupOffset, 0, g.offsets.Len())
	g.offsets.Scan(func(_ string, o *logpb.GroupOffset) bool {
		offsets = append(offsets, foz.GroupOffset{
			Topic:       foz.TopicID(o.Topic),
			Partition:   o.Partition,
			Offset:      o.Offset,
			Metadata:    o.Metadata,
			CommittedMS: o.CommittedMs,
		})
		return true
	})
	return offsets, true
}

// Answered gives the answer to an idempotent request that a topic has, while it is remembered.
func (s *State) Answered(topic foz.TopicID, by foz.Producer) (foz.Ack, bool) {
	p, known := s.producers.Get(string(topic[:]) + by.ID)
	if !known || p.epoch != by.Epoch {
		return foz.Ack{}, false
	}
	for _, a := range p.answers {
		if a.Seq == by.Seq {
			return duplicateAck(a), true
		}
	}
	return foz.Ack{}, false
}

// Defaults and limits of how long producers are remembered.
const (
	producerTTL        = 7 * 24 * time.Hour
	forgetBytesMax     = 128 << 10 // of ids in one command
	producersForgotten = 10_000    // in one command
)

// silentProducers gives, topic by topic, the producers that wrote nothing for as long as
// their topic remembers them, as many as fit a command each.
func (s *State) silentProducers() iter.Seq2[foz.TopicID, []string] {
	var newest int64
	s.producers.Scan(func(_ string, p *producer) bool {
		newest = max(newest, p.appendedMS)
		return true
	})
	return func(yield func(foz.TopicID, []string) bool) {
		s.topics.Scan(func(id string, t *topic) bool {
			ids := s.silentSince(id, newest-cmp.Or(t.Config.ProducerTTLMS, producerTTL.Milliseconds()))
			return len(ids) == 0 || yield(t.ID, ids)
		})
	}
}

// silentSince gives producers of a topic whose last write is older than ms.
func (s *State) silentSince(topicID string, ms int64) (ids []string) {
	bytes := 0
	s.producers.Ascend(topicID, func(key string, p *producer) bool {
		if !strings.HasPrefix(key, topicID) || len(ids) == producersForgotten ||
			bytes > forgetBytesMax {
			return false
		}
		if p.appendedMS < ms {
			ids = append(ids, key[len(topicID):])
			bytes += len(key)
		}
		return true
	})
	return ids
}

// Size is how many placements, objects, results and producers the state holds: what its
// memory grows with, at roughly 200 bytes each.
func (s *State) Size() int {
	return s.placements + s.results.Len() + s.producers.Len() + s.objects.Len()
}

func groupKey(topicID []byte, partition int32) string {
	return string(binary.BigEndian.AppendUint32(append([]byte{}, topicID...), uint32(partition)))
}
