package metadata

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: the small language in which the tests of Apply are written. A story is a log that
// grows by entries; a command is written as a call, its result and a partition's placements
// are read as one line of text. Every entry goes through its bytes, and after every entry
// the state's invariants are checked and its snapshot is taken and read back.

type story struct {
	t      testing.TB
	state  *State
	bodies [][]byte // of all entries
	named  int
}

var testCluster = [16]byte{0xc1, 15: 0x05}

// newStory is a log that holds one claim.
func newStory(t testing.TB) *story {
	y := &story{t: t, state: NewState(testCluster)}
	y.claim("a")
	return y
}

func (y *story) claim(node string) {
	y.t.Helper()
	y.must(&logpb.Entry{Kind: &logpb.Entry_Claim{
		Claim: &logpb.Claim{Node: node, Nonce: make([]byte, 16)}}})
}

// entry is the next entry of a log at s.
func entryAfter(s *State, commands ...*logpb.Command) *logpb.Entry {
	return &logpb.Entry{
		Cluster: s.cluster[:], Slot: s.slot + 1, Prev: s.chain[:],
		Kind: &logpb.Entry_Commands{
			Commands: &logpb.Commands{Epoch: s.Epoch(), Commands: commands},
		},
	}
}

func (y *story) must(e *logpb.Entry) []*logpb.Result {
	y.t.Helper()
	e.Cluster, e.Slot, e.Prev = y.state.cluster[:], y.state.slot+1, y.state.chain[:]
	body := encodeEntry(e)
	decoded, err := DecodeEntry(body)
	if err != nil {
		y.t.Fatal(err)
	}
	next, results, err := y.state.Apply(decoded, body)
	if err != nil {
		y.t.Fatal(err)
	}
	y.state, y.bodies = next, append(y.bodies, body)
	if broken := invariants(next); len(broken) > 0 {
		y.t.Fatalf("slot %d: %s", next.slot, strings.Join(broken, "\n"))
	}
	checkRoundTrip(y.t, next)
	return results
}

// entry applies commands as one entry and reads their results.
func (y *story) entry(commands ...*logpb.Command) []string {
	y.t.Helper()
	for _, c := range commands {
		if c.Id == "" {
			y.named++
			c.Id = CommandID(y.state.slot, fmt.Sprintf("c%d", y.named))
		}
	}
	results := y.must(entryAfter(y.state, commands...))
	told := make([]string, len(results))
	for i, r := range results {
		told[i] = tell(commands[i], r)
	}
	return told
}

func (y *story) do(c *logpb.Command) string {
	y.t.Helper()
	return y.entry(c)[0]
}

// expect applies one command and compares what it is told.
func (y *story) expect(c *logpb.Command, want string) {
	y.t.Helper()
	if got := y.do(c); got != want {
		y.t.Errorf("slot %d told %q, want %q", y.state.slot, got, want)
	}
}

// holds compares what a partition holds.
func (y *story) holds(topic foz.TopicID, number int32, want string) {
	y.t.Helper()
	if got := contents(y.state, topic, number); got != want {
		y.t.Errorf("slot %d partition %d holds\n%s, want\n%s", y.state.slot, number, got, want)
	}
}

// id makes 16 bytes of a name.
func id(name string) (topic foz.TopicID) {
	copy(topic[:], name)
	return topic
}

func command(body any) *logpb.Command {
	c := &logpb.Command{}
	switch b := body.(type) {
	case *logpb.Commit:
		c.Body = &logpb.Command_Commit{Commit: b}
	case *logpb.CreateTopic:
		c.Body = &logpb.Command_CreateTopic{CreateTopic: b}
	case *logpb.AlterTopic:
		c.Body = &logpb.Command_AlterTopic{AlterTopic: b}
	case *logpb.DeleteTopic:
		c.Body = &logpb.Command_DeleteTopic{DeleteTopic: b}
	case *logpb.Trim:
		c.Body = &logpb.Command_Trim{Trim: b}
	case *logpb.Floor:
		c.Body = &logpb.Command_Floor{Floor: b}
	case *logpb.CommitOffsets:
		c.Body = &logpb.Command_CommitOffsets{CommitOffsets: b}
	case *logpb.DeleteGroup:
		c.Body = &logpb.Command_DeleteGroup{DeleteGroup: b}
	case *logpb.ForgetProducers:
		c.Body = &logpb.Command_ForgetProducers{ForgetProducers: b}
	case *logpb.Swap:
		c.Body = &logpb.Command_Swap{Swap: b}
	case *logpb.Retain:
		c.Body = &logpb.Command_Retain{Retain: b}
	case *logpb.Format:
		c.Body = &logpb.Command_Format{Format: b}
	case *logpb.Noop:
		c.Body = &logpb.Command_Noop{Noop: b}
	default:
		panic(fmt.Sprintf("no command has a body %T", body))
	}
	return c
}

// born gives a command its id.
func born(birth uint64, unique string, c *logpb.Command) *logpb.Command {
	c.Id = CommandID(birth, unique)
	return c
}

func create(name string, topic foz.TopicID, partitions int32) *logpb.Command {
	return command(&logpb.CreateTopic{Topic: &logpb.Topic{
		Id: topic[:], Name: name, Partitions: partitions}})
}

func remove(topic foz.TopicID) *logpb.Command { return command(&logpb.DeleteTopic{Id: topic[:]}) }

func trim(topic foz.TopicID, number int32, before int64) *logpb.Command {
	return command(&logpb.Trim{Topic: topic[:], Partition: number, Before: before})
}

func floor(slot uint64) *logpb.Command { return command(&logpb.Floor{Floor: slot}) }

func noop() *logpb.Command { return command(&logpb.Noop{}) }

// object is a commit being written: segment i has rows[i] rows of partition i of the topic,
// 10 bytes each.
type object struct {
	*logpb.Command
	commit *logpb.Commit
	topic  foz.TopicID
	start  int64
}

func newObject(birth uint64, unique string, topic foz.TopicID, rows ...int32) *object {
	o := &object{topic: topic, start: 8}
	o.commit = &logpb.Commit{Object: foz.ObjectKey(birth, unique), AppendedMs: 1000}
	o.Command = born(birth, unique, command(o.commit))
	var segments []foz.Segment
	for i, n := range rows {
		segments = append(segments, o.segment(topic, int32(i), n))
	}
	o.commit.Segments = segmentColumns(segments)
	return o
}

func (o *object) segment(topic foz.TopicID, number, rows int32) foz.Segment {
	s := foz.Segment{
		Partition: foz.Partition{Topic: topic, Number: number}, Rows: rows,
		ByteStart: o.start, ByteEnd: o.start + int64(rows)*10,
		MinTimestamp: -5, MaxTimestamp: 5, CRC32C: uint32(o.start),
	}
	o.start = s.ByteEnd
	return s
}

// ask adds a request for rows[i] rows of segment i; 0: it does not name the segment.
func (o *object) ask(rows ...int32) *object {
	r := &logpb.Request{Topic: o.topic[:]}
	for i, n := range rows {
		if n != 0 {
			r.Segment, r.Rows = append(r.Segment, int32(i)), append(r.Rows, n)
		}
	}
	o.commit.Requests = append(o.commit.Requests, r)
	return o
}

func (o *object) last() *logpb.Request { return o.commit.Requests[len(o.commit.Requests)-1] }

// by makes the last request idempotent.
func (o *object) by(producer string, epoch, seq int64) *object {
	o.last().Producer = &logpb.Producer{Id: producer, Epoch: epoch, Seq: seq}
	return o
}

// ifNext gives the last request its condition.
func (o *object) ifNext(offset int64) *object {
	o.last().IfNextOffset = &offset
	return o
}

// of has the last request name another topic.
func (o *object) of(topic foz.TopicID) *object {
	o.last().Topic = topic[:]
	return o
}

// tell reads a result as a line: what was refused and why, or what came of it.
func tell(c *logpb.Command, r *logpb.Result) string {
	if r.Refusal != nil {
		return tellRefusal(r.Refusal)
	}
	switch c.Body.(type) {
	case *logpb.Command_Commit:
		told := make([]string, len(r.Requests))
		for i, q := range r.Requests {
			told[i] = tellRequest(q)
		}
		return strings.Join(told, " | ")
	case *logpb.Command_Swap:
		return tellAccepted(r.Accepted)
	case *logpb.Command_Trim, *logpb.Command_Floor:
		return fmt.Sprint(r.Offset)
	case *logpb.Command_CreateTopic, *logpb.Command_AlterTopic:
		told := fmt.Sprintf("%s %d r%d", r.Topic.Name, r.Topic.Partitions, r.Topic.Revision)
		if r.Unchanged {
			told += " unchanged"
		}
		return told
	}
	return "ok"
}

func tellRequest(q *logpb.RequestResult) string {
	switch {
	case q.Refusal != nil:
		return tellRefusal(q.Refusal)
	case q.Duplicate != nil:
		told := fmt.Sprintf("again s%d", q.Duplicate.Slot)
		for _, p := range q.Duplicate.Ranges {
			told += fmt.Sprintf(" %d:%d-%d", p.Partition, p.Base, p.Next)
		}
		return told
	}
	return strings.Trim(fmt.Sprint(q.Bases), "[]")
}

func tellAccepted(accepted []bool) string {
	told := make([]string, len(accepted))
	for i, yes := range accepted {
		told[i] = map[bool]string{true: "yes", false: "no"}[yes]
	}
	return strings.Join(told, " ")
}

func tellRefusal(r *logpb.Refusal) string {
	told := r.Code
	names := make([]string, 0, len(r.Numbers))
	for name := range r.Numbers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		told += fmt.Sprintf(" %s=%d", name, r.Numbers[name])
	}
	return told
}

// contents reads a partition as a line: "[0 9) x[0:4]@0 y[2:5]@4-2", if two offsets of y's
// placement have no record any more.
func contents(s *State, topic foz.TopicID, number int32) string {
	placements, bounds, err := s.Locate(foz.Partition{Topic: topic, Number: number}, -1, 1<<20)
	if err != nil {
		return err.Error()
	}
	told := fmt.Sprintf("[%d %d)", bounds.Earliest, bounds.Next)
	for _, p := range placements {
		_, unique, err := foz.ParseObjectKey(p.Object)
		if err != nil {
			return err.Error()
		}
		told += fmt.Sprintf(" %s[%d:%d]@%d", unique, p.RowStart, p.RowStart+p.RowCount, p.Base)
		if p.Missing != 0 {
			told += fmt.Sprint(-p.Missing)
		}
	}
	return told
}
