package metadata

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: the state as somebody would write it who had never heard of placements, snapshots or
// sharing: maps, and a list of all records of a partition. It reads commands of the wire and
// tells results as the stories do.

type model struct {
	slot, floor uint64
	topics      map[string]*modelTopic // by id
	told        map[string]string      // by command id, all ever decided
	producers   map[string]*modelProducer
	groups      map[string]map[string]int64 // group to topic id and partition to offset
}

type modelTopic struct {
	name     string
	revision uint64
	compact  bool
	columns  string // of the schema, each with a semicolon behind
	parts    []*modelPart
}

// modelPart remembers the record of every offset there ever was: "object/segment/row", and in
// which pieces they came or were put together.
type modelPart struct {
	earliest   int64
	records    []string
	pieces     []modelPiece
	generation uint64
}

type modelProducer struct {
	epoch   int64
	slot    uint64
	next    int64
	answers map[int64]string
}

func newModel() *model {
	return &model{
		topics: map[string]*modelTopic{}, told: map[string]string{},
		producers: map[string]*modelProducer{}, groups: map[string]map[string]int64{},
	}
}

func (m *model) entry(commands []*logpb.Command) (told []string) {
	m.slot++
	for _, c := range commands {
		told = append(told, m.command(c))
	}
	return told
}

func (m *model) command(c *logpb.Command) string {
	var birth uint64
	if _, err := fmt.Sscanf(c.Id, "%020d/", &birth); err != nil {
		return "bad_request"
	}
	if birth < m.floor {
		return "ack_timeout"
	}
	if told, ok := m.told[c.Id]; ok {
		return told
	}
	m.told[c.Id] = m.decide(c)
	return m.told[c.Id]
}

func (m *model) decide(c *logpb.Command) string {
	switch b := c.Body.(type) {
	case *logpb.Command_Commit:
		return m.commit(c.Id, b.Commit)
	case *logpb.Command_CreateTopic:
		return m.create(b.CreateTopic.Topic)
	case *logpb.Command_AlterTopic:
		return m.alter(b.AlterTopic)
	case *logpb.Command_DeleteTopic:
		return m.remove(string(b.DeleteTopic.Id))
	case *logpb.Command_Trim:
		return m.trim(b.Trim)
	case *logpb.Command_Swap:
		return m.swap(c.Id, b.Swap)
	case *logpb.Command_Retain:
		return m.retain(b.Retain)
	case *logpb.Command_Floor:
		if b.Floor.Floor > m.slot {
			return "bad_request"
		}
		m.floor = max(m.floor, b.Floor.Floor)
		return fmt.Sprint(m.floor)
	case *logpb.Command_CommitOffsets:
		return m.commitOffsets(b.CommitOffsets)
	case *logpb.Command_DeleteGroup:
		if _, ok := m.groups[b.DeleteGroup.Group]; !ok {
			return "group_not_found"
		}
		delete(m.groups, b.DeleteGroup.Group)
	case *logpb.Command_ForgetProducers:
		for _, id := range b.ForgetProducers.Ids {
			key := string(b.ForgetProducers.Topic) + id
			if p, ok := m.producers[key]; ok && p.slot <= b.ForgetProducers.Decided {
				delete(m.producers, key)
			}
		}
	}
	return "ok"
}

func (m *model) commit(id string, c *logpb.Commit) string {
	segments, err := segmentRows(c.Segments)
	birth, unique, _ := strings.Cut(id, "/")
	if err != nil || c.Object != "data/"+birth+"/"+unique+".arrow" {
		return "bad_request"
	}
	used := make([]int32, len(segments))
	told := make([]string, len(c.Requests))
	for i, r := range c.Requests {
		rows, ok := takeRows(c.Object, segments, used, r)
		if !ok {
			told[i] = "bad_request"
			continue
		}
		told[i] = m.request(r, segments, rows)
	}
	return strings.Join(told, " | ")
}

// takeRows names the rows that are the request's, batch by batch.
func takeRows(object string, segments []foz.Segment, used []int32, r *logpb.Request) (
	rows [][]string, ok bool,
) {
	for i, s := range r.Segment {
		if s < 0 || int(s) >= len(segments) || used[s]+r.Rows[i] > segments[s].Rows {
			return nil, false
		}
		var batch []string
		for range r.Rows[i] {
			batch = append(batch, fmt.Sprintf("%s/%d/%d", object, segments[s].ByteStart, used[s]))
			used[s]++
		}
		rows = append(rows, batch)
	}
	return rows, len(rows) > 0
}

func (m *model) request(r *logpb.Request, segments []foz.Segment, rows [][]string) string {
	parts := make([]*modelPart, len(r.Segment))
	for i, s := range r.Segment {
		p := segments[s].Partition
		t, ok := m.topics[string(r.Topic)]
		switch {
		case string(p.Topic[:]) != string(r.Topic):
			return "bad_request"
		case !ok:
			return "topic_not_found"
		case int(p.Number) >= len(t.parts):
			return "partition_not_found"
		}
		parts[i] = t.parts[p.Number]
	}
	if told, done := m.sequence(r); done {
		return told
	}
	if r.IfNextOffset != nil {
		if len(parts) != 1 {
			return "bad_request"
		}
		if next := len(parts[0].records); int64(next) != *r.IfNextOffset {
			return fmt.Sprintf("offset_conflict next_offset=%d", next)
		}
	}
	var bases []string
	again := fmt.Sprintf("again s%d", m.slot)
	for i, p := range parts {
		base := len(p.records)
		p.append(rows[i])
		bases = append(bases, fmt.Sprint(base))
		again += fmt.Sprintf(" %d:%d-%d", segments[r.Segment[i]].Partition.Number, base,
			len(p.records))
	}
	if q := r.Producer; q != nil {
		key := string(r.Topic) + q.Id
		p := m.producers[key]
		if p == nil || p.epoch != q.Epoch {
			p = &modelProducer{epoch: q.Epoch, answers: map[int64]string{}}
			m.producers[key] = p
		}
		p.next, p.slot, p.answers[q.Seq] = q.Seq+1, m.slot, again
	}
	return strings.Join(bases, " ")
}

// sequence: done is false when the request is the producer's next, or nobody's.
func (m *model) sequence(r *logpb.Request) (told string, done bool) {
	q := r.Producer
	if q == nil {
		return "", false
	}
	p := m.producers[string(r.Topic)+q.Id]
	switch {
	case p == nil && q.Seq == 0, p != nil && q.Epoch > p.epoch && q.Seq == 0,
		p != nil && q.Epoch == p.epoch && q.Seq == p.next:
		return "", false
	case p == nil:
		return "unknown_producer expected_seq=0", true
	case q.Epoch < p.epoch:
		return fmt.Sprintf("producer_fenced producer_epoch=%d", p.epoch), true
	case q.Epoch > p.epoch:
		return "sequence_gap expected_seq=0", true
	case q.Seq > p.next:
		return fmt.Sprintf("sequence_gap expected_seq=%d", p.next), true
	case q.Seq < p.next-16:
		return fmt.Sprintf("sequence_expired expected_seq=%d", p.next), true
	}
	return p.answers[q.Seq], true
}

func (m *model) create(t *logpb.Topic) string {
	for _, old := range m.topics {
		if old.name == t.Name {
			return fmt.Sprintf("%s %d r%d unchanged", old.name, len(old.parts), old.revision)
		}
	}
	if m.topics[string(t.Id)] != nil {
		return "topic_exists"
	}
	made := &modelTopic{name: t.Name, revision: m.slot, compact: isCompact(t.Config)}
	made.grow(t.Partitions)
	m.topics[string(t.Id)] = made
	return fmt.Sprintf("%s %d r%d", made.name, len(made.parts), made.revision)
}

func (t *modelTopic) grow(to int32) {
	for len(t.parts) < int(to) {
		t.parts = append(t.parts, &modelPart{})
	}
}

func (m *model) alter(a *logpb.AlterTopic) string {
	t := m.topics[string(a.Id)]
	if t == nil {
		return "topic_not_found"
	}
	if t.revision != a.Revision || int(a.Partitions) < len(t.parts) {
		return "topic_changed"
	}
	if a.Schema != nil {
		columns := ""
		for _, c := range a.Schema.Columns {
			columns += fmt.Sprintf("%s %s %s %v;", c.Name, c.Type, c.Pointer, c.Nullable)
		}
		if !strings.HasPrefix(columns, t.columns) {
			return "topic_exists"
		}
		t.columns = columns
	}
	t.grow(a.Partitions)
	t.revision, t.compact = m.slot, isCompact(a.Config)
	return fmt.Sprintf("%s %d r%d", t.name, len(t.parts), t.revision)
}

func (m *model) remove(id string) string {
	if m.topics[id] == nil {
		return "topic_not_found"
	}
	delete(m.topics, id)
	for key := range m.producers {
		if strings.HasPrefix(key, id) {
			delete(m.producers, key)
		}
	}
	for _, offsets := range m.groups {
		for key := range offsets {
			if strings.HasPrefix(key, id) {
				delete(offsets, key)
			}
		}
	}
	return "ok"
}

func (m *model) trim(c *logpb.Trim) string {
	t := m.topics[string(c.Topic)]
	if t == nil {
		return "topic_not_found"
	}
	if int(c.Partition) >= len(t.parts) {
		return "partition_not_found"
	}
	p := t.parts[c.Partition]
	if next := int64(len(p.records)); c.Before > next {
		return fmt.Sprintf("offset_out_of_range earliest_offset=%d next_offset=%d", p.earliest, next)
	}
	p.earliest = max(p.earliest, c.Before)
	return fmt.Sprint(p.earliest)
}

func (m *model) commitOffsets(c *logpb.CommitOffsets) string {
	for _, o := range c.Offsets {
		t := m.topics[string(o.Topic)]
		if t == nil {
			return "topic_not_found"
		}
		if int(o.Partition) >= len(t.parts) {
			return "partition_not_found"
		}
		stands, ok := m.groups[c.Group][groupKey(o.Topic, o.Partition)]
		if !ok {
			stands = -1
		}
		if o.IfOffset == nil && o.Offset < stands || o.IfOffset != nil && *o.IfOffset != stands {
			return fmt.Sprintf("offset_conflict next_offset=%d", stands)
		}
	}
	if m.groups[c.Group] == nil {
		m.groups[c.Group] = map[string]int64{}
	}
	for _, o := range c.Offsets {
		m.groups[c.Group][groupKey(o.Topic, o.Partition)] = o.Offset
	}
	return "ok"
}

// differs names what s and m disagree on.
func (m *model) differs(s *State) (found []string) {
	if s.Floor() != m.floor {
		found = append(found, fmt.Sprintf("floor %d, want %d", s.Floor(), m.floor))
	}
	live := map[string]bool{}
	for topic, t := range m.topics {
		for number, p := range t.parts {
			at := foz.Partition{Topic: foz.TopicID([]byte(topic)), Number: int32(number)}
			got, want := records(s, at), p.records[p.earliest:]
			if !slices.Equal(got, want) {
				found = append(found, fmt.Sprintf("%v holds %v, want %v", at, got, want))
			}
			if _, bounds, _ := s.Locate(at, 0, 0); bounds.Generation != p.generation {
				found = append(found, fmt.Sprintf("%v is of generation %d, want %d", at,
					bounds.Generation, p.generation))
			}
			for _, record := range want {
				live[record[:strings.LastIndex(record, ".arrow/")+6]] = true
			}
		}
	}
	if s.topics.Len() != len(m.topics) {
		found = append(found, fmt.Sprintf("%d topics, want %d", s.topics.Len(), len(m.topics)))
	}
	for object := range s.Objects {
		if !live[object] {
			found = append(found, object+" is live")
		}
		delete(live, object)
	}
	if len(live) > 0 {
		found = append(found, fmt.Sprintf("not live: %v", live))
	}
	return append(found, m.groupsDiffer(s)...)
}

func (m *model) groupsDiffer(s *State) (found []string) {
	if got := len(s.Groups()); got != len(m.groups) {
		found = append(found, fmt.Sprintf("%d groups, want %d", got, len(m.groups)))
	}
	for name, want := range m.groups {
		offsets, _ := s.GroupOffsets(name)
		got := map[string]int64{}
		for _, o := range offsets {
			got[groupKey(o.Topic[:], o.Partition)] = o.Offset
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			found = append(found, fmt.Sprintf("group %s at %v, want %v", name, got, want))
		}
	}
	return found
}

// records lists what a partition's placements say of each live offset, as a model does.
func records(s *State, at foz.Partition) (found []string) {
	placements, bounds, err := s.Locate(at, -1, 1<<20)
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range placements {
		for offset := max(p.Base, bounds.Earliest); offset < p.Next(); offset++ {
			if p.Segment.Level == 0 {
				found = append(found, fmt.Sprintf("%s/%d/%d", p.Object, p.Segment.ByteStart,
					int64(p.RowStart)+offset-p.Base))
				continue
			}
			found = append(found, mergedRecord(p.Object, p.Segment, p.Base, p.Next()))
		}
	}
	return found
}
