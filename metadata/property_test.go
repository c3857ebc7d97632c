package metadata

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// How: logs of random commands, drawn from few names so that they meet each other, applied
// to a State and to the model. All that was made on the way is kept and looked at again at
// the end: old states are what they were, and replays come to the same state.

var (
	drawnTopics = []foz.TopicID{id("A"), id("B"), id("C")}
	drawnNames  = []string{"t", "u"}
)

// drawer draws commands that make sense, mostly: it looks at the model for what to expect.
type drawer struct {
	*rapid.T
	m    *model
	sent []*logpb.Command
	kept []*logpb.Command // to be sent later

	topics []foz.TopicID
	kinds  []int // of commands; the first are drawn more often
}

func allKinds(t *rapid.T) *drawer {
	d := &drawer{T: t, m: newModel(), topics: drawnTopics}
	for kind := range 28 {
		d.kinds = append(d.kinds, kind)
	}
	return d
}

// mergesMostly draws for one topic: swaps and commits, and what comes between them.
func mergesMostly(t *rapid.T) *drawer {
	return &drawer{T: t, m: newModel(), topics: drawnTopics[:1],
		kinds: []int{19, 20, 0, 1, 2, 21, 25, 12, 14, 22, 3, 10, 26, 16, 13}}
}

func pick[V any](d *drawer, label string, from ...V) V {
	return rapid.SampledFrom(from).Draw(d.T, label)
}

func (d *drawer) upTo(label string, n int) int { return rapid.IntRange(0, n).Draw(d.T, label) }

// chance is true once in n.
func (d *drawer) chance(label string, n int) bool { return d.upTo(label, n-1) == n-1 }

func (d *drawer) topic() foz.TopicID { return pick(d, "topic", d.topics...) }

func (d *drawer) command() *logpb.Command {
	if len(d.sent) > 0 && d.chance("again", 6) {
		return proto.CloneOf(d.sent[d.upTo("which", len(d.sent)-1)])
	}
	if len(d.kept) > 0 && d.chance("late", 3) {
		late := d.kept[0]
		d.kept, d.sent = d.kept[1:], append(d.sent, late)
		return proto.CloneOf(late)
	}
	birth := d.m.slot - min(d.m.slot, uint64(d.upTo("age", 6)))
	unique := fmt.Sprint("c", len(d.sent)+len(d.kept))
	var c *logpb.Command
	switch kind := pick(d, "kind", d.kinds...); {
	case kind < 10:
		c = d.commit(birth, unique)
	case kind < 12:
		c = create(pick(d, "name", drawnNames...), d.topic(), int32(1+d.upTo("partitions", 2)))
		c.GetCreateTopic().Topic.Config = d.config()
	case kind == 12:
		c = d.alter()
	case kind == 13:
		c = remove(d.topic())
	case kind < 16:
		topic, number := d.topic(), int32(d.upTo("partition", 2))
		c = trim(topic, number, d.near(topic, number))
	case kind == 16:
		c = floor(uint64(d.upTo("floor", int(d.m.slot)+2)))
	case kind == 17:
		c = d.offsets()
	case kind < 25 && kind > 18:
		c = d.swap(birth, unique)
	case kind == 25 || kind == 26:
		c = d.retain()
	case kind == 18:
		c = pick(d, "group", command(&logpb.DeleteGroup{Group: "g"}), noop())
	default:
		topic := d.topic()
		c = command(&logpb.ForgetProducers{Topic: topic[:], Ids: []string{"p"},
			Decided: uint64(d.upTo("decided", int(d.m.slot)))})
	}
	c.Id = CommandID(birth, unique)
	d.sent = append(d.sent, c)
	return c
}

// near is an offset about where a partition ends.
func (d *drawer) near(topic foz.TopicID, number int32) int64 {
	next := 0
	if t := d.m.topics[string(topic[:])]; t != nil && int(number) < len(t.parts) {
		next = len(t.parts[number].records)
	}
	return max(0, int64(next+2-d.upTo("below", 8)))
}

func (d *drawer) commit(birth uint64, unique string) *logpb.Command {
	o := newObject(birth, unique, d.topic())
	var segments []foz.Segment
	for range 1 + d.upTo("segments", 2) {
		topic := o.topic
		if d.chance("other topic", 8) {
			topic = d.topic()
		}
		segments = append(segments, o.segment(topic, int32(d.upTo("partition", 2)),
			int32(1+d.upTo("rows", 7))))
	}
	o.commit.Segments = segmentColumns(segments)
	for range 1 + d.upTo("requests", 4) {
		rows := make([]int32, len(segments))
		for i := range rows {
			rows[i] = int32(d.upTo("take", 2))
		}
		o.ask(rows...)
		d.conditions(o)
	}
	return o.Command
}

func (d *drawer) conditions(o *object) {
	if d.chance("conditional", 4) {
		o.ifNext(d.near(o.topic, 0))
	}
	if d.chance("plain", 3) {
		return
	}
	name, epoch, seq := pick(d, "producer", "p", "q"), int64(0), int64(0)
	if p := d.m.producers[string(o.topic[:])+name]; p != nil {
		epoch, seq = p.epoch, p.next
	}
	switch d.upTo("sequence", 9) {
	case 0:
		seq = max(0, seq-int64(d.upTo("back", 18)))
	case 1:
		seq++
	case 2:
		epoch, seq = epoch+int64(d.upTo("epoch", 2))-1, int64(d.upTo("from", 1))
	}
	o.by(name, epoch, seq)
}

func (d *drawer) config() *logpb.TopicConfig {
	return &logpb.TopicConfig{CleanupPolicy: pick(d, "policy", "compact", "", "delete")}
}

func (d *drawer) alter() *logpb.Command {
	topic := d.topic()
	a := &logpb.AlterTopic{Id: topic[:], Partitions: int32(1 + d.upTo("partitions", 3)),
		Config: d.config()}
	if t := d.m.topics[string(topic[:])]; t != nil {
		a.Revision = t.revision - uint64(d.upTo("stale", 1))
	}
	if d.chance("typed", 2) {
		a.Schema = d.schema()
	}
	return command(a)
}

// schema is often, but not always, a longer or shorter version of the others.
func (d *drawer) schema() *logpb.Schema {
	s := &logpb.Schema{OnMismatch: pick(d, "mismatch", "", "reject")}
	for _, name := range []string{"a", "b", "c"}[:d.upTo("columns", 3)] {
		s.Columns = append(s.Columns, &logpb.SchemaColumn{Name: name, Type: "int64", Pointer: "/" + name})
	}
	if n := len(s.Columns); n > 0 && d.chance("other", 4) {
		s.Columns[n-1].Nullable = true
	}
	return s
}

func (d *drawer) offsets() *logpb.Command {
	c := &logpb.CommitOffsets{Group: pick(d, "group", "g", "h")}
	for range d.upTo("offsets", 2) {
		topic := d.topic()
		o := offsetAt(topic, int32(d.upTo("partition", 1)), int64(d.upTo("offset", 5)))
		if d.chance("conditional", 3) {
			onlyIf(o, int64(d.upTo("if", 5))-1)
		}
		c.Offsets = append(c.Offsets, o)
	}
	return command(c)
}

// drawnLog is a log, with every state on its way and what was seen of it when it was new.
type drawnLog struct {
	bodies [][]byte
	states []*State
	hashes [][32]byte
	views  [][]string
	told   []string
}

func (l *drawnLog) add(s *State, body []byte) {
	l.bodies, l.states = append(l.bodies, body), append(l.states, s)
	l.hashes, l.views = append(l.hashes, s.Hash()), append(l.views, view(s))
}

func (l *drawnLog) last() *State { return l.states[len(l.states)-1] }

// drawLog draws a log and applies it; every step must agree with the model.
func drawLog(t *rapid.T, d *drawer, entries int) *drawnLog {
	l := &drawnLog{}
	s := NewState(testCluster)
	claim := encodeEntry(&logpb.Entry{Cluster: s.cluster[:], Slot: 1, Prev: s.chain[:],
		Kind: &logpb.Entry_Claim{Claim: &logpb.Claim{Node: "a"}}})
	s, _ = mustApply(t, s, claim)
	l.add(s, claim)
	d.m.slot = 1
	for range entries {
		commands := make([]*logpb.Command, 1+d.upTo("commands", 3))
		for i := range commands {
			commands[i] = d.command()
		}
		if len(d.topics) == 1 && len(d.m.topics) == 0 {
			commands[0] = born(d.m.slot, fmt.Sprint("new", d.m.slot), create("t", d.topics[0], 2))
			commands[0].GetCreateTopic().Topic.Config = d.config()
		}
		body := encodeEntry(entryAfter(s, commands...))
		next, results := mustApply(t, s, body)
		told := d.m.entry(commands)
		l.told = append(l.told, told...)
		for i, r := range results {
			if got := tell(commands[i], r); got != told[i] {
				t.Fatalf("slot %d, %v\ntold %q, want %q", next.slot, commands[i], got, told[i])
			}
		}
		if broken := append(invariants(next), d.m.differs(next)...); len(broken) > 0 {
			t.Fatalf("slot %d, after %v:\n%v", next.slot, commands, broken)
		}
		s = next
		l.add(s, body)
	}
	return l
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func mustApply(t fataler, s *State, body []byte) (*State, []*logpb.Result) {
	t.Helper()
	e, err := DecodeEntry(body)
	if err != nil {
		t.Fatal(err)
	}
	next, results, err := s.Apply(e, body)
	if err != nil {
		t.Fatal(err)
	}
	return next, results
}

func replay(t fataler, s *State, bodies [][]byte) *State {
	for _, body := range bodies {
		s, _ = mustApply(t, s, body)
	}
	return s
}

func TestRandomLogs(t *testing.T) {
	checkLogs(t, allKinds,
		"ok", "again", "bad_request", "ack_timeout", "topic_not_found", "partition_not_found",
		"offset_conflict", "offset_out_of_range", "topic_exists", "topic_changed",
		"yes", "producer_fenced", "sequence_gap", "unknown_producer", "group_not_found")
}

func TestRandomMerges(t *testing.T) {
	checkLogs(t, mergesMostly, "ok", "yes", "no", "ack_timeout", "topic_changed")
}

// checkLogs draws logs; among what their commands are told must be all of want.
func checkLogs(t *testing.T, draw func(*rapid.T) *drawer, want ...string) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		l := drawLog(t, draw(t), 25)
		l.checkReplays(t)
		l.checkOldStates(t)
		for _, told := range l.told {
			for _, part := range strings.Split(told, " | ") {
				seen[strings.TrimRight(strings.Fields(part + " ok")[0], "0123456789")]++
			}
		}
	})
	for _, told := range want {
		if seen[told] == 0 && !testing.Short() {
			t.Errorf("no command was ever told %q: the drawing has gone blind", told)
		}
	}
}

// checkReplays: a snapshot at any slot gives the same state, and the same entries after it
// come to the same end. So do two replays from the beginning.
func (l *drawnLog) checkReplays(t *rapid.T) {
	i := rapid.IntRange(0, len(l.states)-1).Draw(t, "snapshot")
	loaded, err := decodeSnapshot(encodeSnapshot(l.states[i], Defects{}))
	if err != nil {
		t.Fatal(err)
	}
	if broken := invariants(loaded); len(broken) > 0 {
		t.Fatal(broken)
	}
	if loaded.Hash() != l.hashes[i] || !slices.Equal(view(loaded), l.views[i]) {
		t.Errorf("the state at slot %d is not its snapshot", loaded.slot)
	}
	for name, s := range map[string]*State{
		"from a snapshot": replay(t, loaded, l.bodies[i+1:]),
		"once":            replay(t, NewState(testCluster), l.bodies),
		"twice":           replay(t, NewState(testCluster), l.bodies),
	} {
		if s.Hash() != l.last().Hash() || s.chain != l.last().chain {
			t.Errorf("replayed %s: another state at slot %d", name, s.slot)
		}
	}
}

// checkOldStates: an old state is what it was when it was new, however many came after it.
func (l *drawnLog) checkOldStates(t *rapid.T) {
	for i, s := range l.states {
		if s.Hash() != l.hashes[i] || !slices.Equal(view(s), l.views[i]) {
			t.Errorf("the state at slot %d has changed under %d successors", s.slot,
				len(l.states)-1-i)
		}
	}
}

// view is all that a state answers about its partitions.
func view(s *State) (found []string) {
	for _, topic := range drawnTopics {
		for number := range int32(3) {
			at := foz.Partition{Topic: topic, Number: number}
			_, bounds, _ := s.Locate(at, 0, 0)
			found = append(found, fmt.Sprint(bounds))
			found = append(found, records(s, at)...)
		}
	}
	return found
}

// Readers hold old states while the next are made: under -race this finds what is shared
// and written to.
func TestStatesAreSharedSafely(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	var readers sync.WaitGroup
	for i := range 40 {
		old := y.state
		want := old.Hash()
		readers.Go(func() {
			if old.Hash() != want {
				t.Errorf("state at slot %d has changed", old.slot)
			}
		})
		y.do(newObject(uint64(i), "x", topicT, 3, 2).ask(2, 1).by("p", 0, int64(i)).ask(1, 1).Command)
		y.do(trim(topicT, 0, int64(i)))
		y.do(at("g", offsetAt(topicT, 0, int64(i))))
		y.do(command(&logpb.AlterTopic{Id: topicT[:], Revision: y.revision(), Partitions: 2}))
	}
	readers.Wait()
}

func (y *story) revision() uint64 {
	t, _ := y.state.TopicByID(topicT)
	return t.Revision
}
