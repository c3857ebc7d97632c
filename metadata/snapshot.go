package metadata

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/tidwall/btree"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

const (
	snapMagic = "FOZS"
	// partPlacementsMax is how many placements one part of a snapshot holds.
	partPlacementsMax = 4096
)

// encodeSnapshot writes the whole state. The same state gives the same bytes everywhere.
func encodeSnapshot(s *State, defects Defects) []byte {
	w := &snapshotWriter{}
	w.buf.WriteString(snapMagic)
	claims := s.claims
	if defects.SnapshotNoClaims {
		claims = nil
	}
	w.header(&logpb.SnapshotHeader{
		Version: FormatVersion, Cluster: s.cluster[:], Slot: s.slot, Chain: s.chain[:],
		Claims: claims, Floor: s.floor, Format: s.format, CommittedSlot: s.committed,
		ReleasedSlot: s.released,
	})
	s.topics.Scan(func(_ string, t *topic) bool {
		w.topic(t)
		return true
	})
	s.results.Scan(func(id string, r *logpb.Result) bool {
		if !defects.SnapshotNoResults {
			w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Result{
				Result: &logpb.ResultPart{Id: id, Result: r}}})
		}
		return true
	})
	s.producers.Scan(func(key string, p *producer) bool {
		w.producer(key, p)
		return true
	})
	s.groups.Scan(func(name string, g *group) bool {
		w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Group{
			Group: &logpb.GroupPart{Id: name, Offsets: g.offsets.Values()}}})
		return true
	})
	return seal("", w.buf.Bytes())
}

type snapshotWriter struct{ buf bytes.Buffer }

func (w *snapshotWriter) part(p *logpb.SnapshotPart) {
	options := protodelim.MarshalOptions{
		MarshalOptions: proto.MarshalOptions{Deterministic: true},
	}
	if _, err := options.MarshalTo(&w.buf, p); err != nil {
		panic(fmt.Sprintf("marshal snapshot: %v", err)) // came from decoded entries
	}
}

func (w *snapshotWriter) header(h *logpb.SnapshotHeader) {
	w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Header{Header: h}})
}

func (w *snapshotWriter) topic(t *topic) {
	w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Topic{
		Topic: &logpb.TopicPart{Topic: topicToWire(t.Topic)}}})
	for number, p := range t.partitions {
		if p.next == 0 {
			continue
		}
		for from := 0; ; from += partPlacementsMax {
			to := min(from+partPlacementsMax, len(p.placements))
			w.placements(t.ID, int32(number), p, p.placements[from:to])
			if to == len(p.placements) {
				break
			}
		}
	}
}

func (w *snapshotWriter) placements(
	id foz.TopicID, number int32, p *partition, placements []foz.Placement,
) {
	part := &logpb.PartitionPart{
		Topic: id[:], Partition: number, Earliest: p.earliest, Next: p.next,
		Generation: p.generation,
	}
	segments := make([]foz.Segment, len(placements))
	index := map[string]uint32{}
	for i, placement := range placements {
		at, ok := index[placement.Object]
		if !ok {
			at = uint32(len(part.Objects))
			index[placement.Object] = at
			part.Objects = append(part.Objects, placement.Object)
		}
		part.Object = append(part.Object, at)
		part.RowStart = append(part.RowStart, placement.RowStart)
		part.RowCount = append(part.RowCount, placement.RowCount)
		part.Base = append(part.Base, placement.Base)
		part.AppendedMs = append(part.AppendedMs, placement.AppendedMS)
		setColumn(&part.Missing, len(placements), i, placement.Missing)
		segments[i] = placement.Segment
	}
	part.Segments = segmentColumns(segments)
	w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Partition{Partition: part}})
}

func (w *snapshotWriter) producer(key string, p *producer) {
	w.part(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Producer{Producer: &logpb.ProducerPart{
		Topic: []byte(key[:16]), Id: key[16:], Epoch: p.epoch, NextSeq: p.next,
		Slot: p.slot, AppendedMs: p.appendedMS, Answers: p.answers,
	}}})
}

// decodeSnapshot reads what encodeSnapshot wrote. Errors: ErrDamaged, ErrNewer.
func decodeSnapshot(body []byte) (*State, error) {
	message, err := unseal(snapMagic, body)
	if err != nil {
		return nil, err
	}
	r := bytes.NewReader(message)
	s, err := decodeHeader(r, len(message))
	if err != nil {
		return nil, err
	}
	for {
		part, err := decodePart(r, len(message))
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		if err := s.restore(part); err != nil {
			return nil, err
		}
	}
}

func decodeHeader(r *bytes.Reader, size int) (*State, error) {
	part, err := decodePart(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot header: %w", ErrDamaged, err)
	}
	h := part.GetHeader()
	if h == nil || len(h.Cluster) != 16 || len(h.Chain) != len(chainHash{}) {
		return nil, fmt.Errorf("%w: snapshot header", ErrDamaged)
	}
	if h.Version != FormatVersion || h.Format > FormatVersion {
		return nil, fmt.Errorf("%w: snapshot version %d, format %d", ErrNewer, h.Version, h.Format)
	}
	s := NewState([16]byte(h.Cluster))
	s.slot, s.chain, s.claims = h.Slot, chainHash(h.Chain), h.Claims
	s.floor, s.format, s.committed = h.Floor, h.Format, h.CommittedSlot
	s.released = h.ReleasedSlot
	return s, nil
}

func decodePart(r *bytes.Reader, size int) (*logpb.SnapshotPart, error) {
	part := new(logpb.SnapshotPart)
	err := protodelim.UnmarshalOptions{MaxSize: int64(size)}.UnmarshalFrom(r, part)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: snapshot part: %w", ErrDamaged, err)
	}
	return part, rejectUnknown(part.ProtoReflect())
}

// restore puts one part of a snapshot into the state being loaded.
func (s *State) restore(part *logpb.SnapshotPart) error {
	switch p := part.Part.(type) {
	case *logpb.SnapshotPart_Topic:
		return s.restoreTopic(p.Topic.GetTopic())
	case *logpb.SnapshotPart_Partition:
		return s.restorePartition(p.Partition)
	case *logpb.SnapshotPart_Result:
		if p.Result.Result == nil {
			return fmt.Errorf("%w: snapshot part %T", ErrDamaged, p)
		}
		s.results.Set(p.Result.Id, p.Result.Result)
	case *logpb.SnapshotPart_Producer:
		if len(p.Producer.Topic) != 16 {
			return fmt.Errorf("%w: snapshot part %T", ErrDamaged, p)
		}
		s.producers.Set(string(p.Producer.Topic)+p.Producer.Id, &producer{
			owner: s.slot, epoch: p.Producer.Epoch, next: p.Producer.NextSeq,
			slot: p.Producer.Slot, appendedMS: p.Producer.AppendedMs, answers: p.Producer.Answers,
		})
	case *logpb.SnapshotPart_Group:
		g := &group{owner: s.slot, offsets: new(btree.Map[string, *logpb.GroupOffset])}
		for _, o := range p.Group.Offsets {
			if len(o.Topic) != 16 {
				return fmt.Errorf("%w: snapshot part %T", ErrDamaged, p)
			}
			g.offsets.Set(groupKey(o.Topic, o.Partition), o)
		}
		s.groups.Set(p.Group.Id, g)
	default:
		return fmt.Errorf("%w: snapshot part %T", ErrNewer, part.Part)
	}
	return nil
}

func (s *State) restoreTopic(t *logpb.Topic) error {
	if len(t.GetId()) != 16 || t.Partitions < 0 || t.Partitions > foz.PartitionsMax {
		return fmt.Errorf("%w: snapshot topic %q", ErrDamaged, t.GetName())
	}
	s.topics.Set(string(t.Id), &topic{
		owner: s.slot, Topic: topicFromWire(t), partitions: growPartitions(nil, t.Partitions, s.slot),
	})
	s.names.Set(t.Name, string(t.Id))
	return nil
}

func (s *State) restorePartition(part *logpb.PartitionPart) error {
	t, ok := s.topics.Get(string(part.Topic))
	n := len(part.Object)
	segments, err := segmentRows(part.Segments)
	if err != nil || !ok || part.Partition < 0 || int(part.Partition) >= len(t.partitions) ||
		len(segments) != n || len(part.RowStart) != n || len(part.RowCount) != n ||
		len(part.Base) != n || len(part.AppendedMs) != n ||
		len(part.Missing) != 0 && len(part.Missing) != n {
		return fmt.Errorf("%w: snapshot partition %x/%d", ErrDamaged, part.Topic, part.Partition)
	}
	p := t.partitions[part.Partition]
	p.earliest, p.next, p.generation = part.Earliest, part.Next, part.Generation
	for i, at := range part.Object {
		if int(at) >= len(part.Objects) {
			return fmt.Errorf("%w: snapshot partition %x/%d", ErrDamaged, part.Topic, part.Partition)
		}
		placement := foz.Placement{
			Object: part.Objects[at], Segment: segments[i],
			RowStart: part.RowStart[i], RowCount: part.RowCount[i],
			Base: part.Base[i], AppendedMS: part.AppendedMs[i], Missing: column(part.Missing, i),
		}
		p.placements = append(p.placements, placement)
		s.placements++
		p.count(&placement, 1)
		names, _ := s.objects.Get(placement.Object)
		s.objects.Set(placement.Object, names+1)
	}
	return nil
}

// Hash is a digest of all that the state holds: equal states have equal hashes.
func (s *State) Hash() [sha256.Size]byte { return sha256.Sum256(encodeSnapshot(s, Defects{})) }
