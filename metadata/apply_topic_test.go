package metadata

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

// How: stories of topics, of trims, of the floor and of groups: what each command is told,
// and what is live afterwards.

func TestCreateTopic(t *testing.T) {
	for _, c := range []struct {
		name    string
		command *logpb.Command
		told    string
	}{
		{"new", create("u", id("u"), 3), "u 3 r3"},
		{"taken name", create("t", id("other"), 9), "t 2 r2 unchanged"},
		{"taken name and id", create("t", topicT, 9), "t 2 r2 unchanged"},
		{"taken id", create("u", topicT, 1), "topic_exists"},
		{"no partitions", create("u", id("u"), 0), "bad_request"},
		{"fewer than none", create("u", id("u"), -1), "bad_request"},
		{"most partitions", create("u", id("u"), foz.PartitionsMax), "u 10000 r3"},
		{"too many partitions", create("u", id("u"), foz.PartitionsMax+1), "bad_request"},
		{"no name", create("", id("u"), 1), "bad_request"},
		{"dot", create(".", id("u"), 1), "bad_request"},
		{"dots", create("..", id("u"), 1), "bad_request"},
		{"three dots", create("...", id("u"), 1), "... 1 r3"},
		{"long name", create(strings.Repeat("a", 249), id("u"), 1),
			strings.Repeat("a", 249) + " 1 r3"},
		{"longer name", create(strings.Repeat("a", 250), id("u"), 1), "bad_request"},
		{"newline", create("a\n", id("u"), 1), "bad_request"},
		{"slash", create("a/b", id("u"), 1), "bad_request"},
		{"no topic", command(&logpb.CreateTopic{}), "bad_request"},
		{"a policy", withPolicy("compact,delete"), "u 3 r3"},
		{"no such policy", withPolicy("compact,delete,compact"), "bad_request"},
		{"short id", command(&logpb.CreateTopic{Topic: &logpb.Topic{
			Id: []byte("u"), Name: "u", Partitions: 1}}), "bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 2), "t 2 r2")
			y.expect(c.command, c.told)
		})
	}
}

func withPolicy(policy string) *logpb.Command {
	c := create("u", id("u"), 3)
	c.GetCreateTopic().Topic.Config = &logpb.TopicConfig{CleanupPolicy: policy}
	return c
}

func TestSchemaInTheLog(t *testing.T) {
	a := &logpb.SchemaColumn{Name: "a", Type: "int64", Pointer: "/a", Nullable: true}
	b := &logpb.SchemaColumn{Name: "b", Type: "utf8", Pointer: "/b"}
	schema := func(columns ...*logpb.SchemaColumn) *logpb.Schema {
		return &logpb.Schema{Columns: columns}
	}
	alter := func(revision uint64, s *logpb.Schema) *logpb.Command {
		return command(&logpb.AlterTopic{
			Id: topicT[:], Revision: revision, Partitions: 2, Schema: s})
	}
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	y.expect(alter(1, schema(a)), "topic_changed")
	y.expect(alter(2, &logpb.Schema{OnMismatch: "reject"}), "t 2 r4")
	if topic, _ := y.state.Topic("t"); topic.Schema.OnMismatch != "" {
		t.Errorf("schema %+v of no columns", topic.Schema)
	}
	y.expect(alter(4, schema(a)), "t 2 r5")
	y.expect(alter(5, schema(b)), "topic_exists")
	y.expect(alter(5, schema(&logpb.SchemaColumn{Name: "a", Type: "utf8"})), "topic_exists")
	y.expect(alter(5, &logpb.Schema{}), "topic_exists")
	y.expect(alter(5, schema(a, &logpb.SchemaColumn{Name: "b"})), "bad_request")
	huge := &logpb.SchemaColumn{Name: strings.Repeat("b", foz.SchemaBytesMax), Type: "utf8"}
	y.expect(alter(5, schema(a, huge)), "bad_request")
	y.expect(alter(5, nil), "t 2 r11")
	y.expect(alter(11, schema(a, b)), "t 2 r12")
	topic, _ := y.state.Topic("t")
	want := foz.Schema{Columns: []foz.SchemaColumn{
		{Name: "a", Type: foz.TypeInt64, Pointer: "/a", Nullable: true},
		{Name: "b", Type: foz.TypeUTF8, Pointer: "/b"},
	}}
	if !reflect.DeepEqual(topic.Schema, want) {
		t.Errorf("schema %+v, want %+v", topic.Schema, want)
	}
	restored, err := decodeSnapshot(encodeSnapshot(y.state, Defects{}))
	if err != nil {
		t.Fatal(err)
	}
	if topic, _ := restored.Topic("t"); !reflect.DeepEqual(topic.Schema, want) {
		t.Errorf("schema %+v of the snapshot, want %+v", topic.Schema, want)
	}
}

func TestAlterTopic(t *testing.T) {
	alter := func(topic foz.TopicID, revision uint64, partitions int32) *logpb.Command {
		return command(&logpb.AlterTopic{
			Id: topic[:], Revision: revision, Partitions: partitions,
			Config: &logpb.TopicConfig{RetentionMs: 7},
		})
	}
	for _, c := range []struct {
		name    string
		command *logpb.Command
		told    string
	}{
		{"settings", alter(topicT, 2, 2), "t 2 r3"},
		{"more partitions", alter(topicT, 2, 5), "t 5 r3"},
		{"fewer partitions", alter(topicT, 2, 1), "topic_changed"},
		{"too many partitions", alter(topicT, 2, foz.PartitionsMax+1), "topic_changed"},
		{"an older revision", alter(topicT, 1, 2), "topic_changed"},
		{"a revision to come", alter(topicT, 3, 2), "topic_changed"},
		{"no such topic", alter(id("u"), 2, 2), "topic_not_found"},
		{"no id", command(&logpb.AlterTopic{}), "topic_not_found"},
		{"no such policy", command(&logpb.AlterTopic{Id: topicT[:], Revision: 2, Partitions: 2,
			Config: &logpb.TopicConfig{CleanupPolicy: "Delete"}}), "bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 2), "t 2 r2")
			before := y.state
			y.expect(c.command, c.told)
			got, _ := y.state.TopicByID(topicT)
			changed := strings.HasPrefix(c.told, "t ")
			if changed != (got.Config.RetentionMS == 7) || changed != (got.Revision == 3) {
				t.Errorf("told %q, topic is %+v", c.told, got)
			}
			if old, _ := before.Topic("t"); old.Partitions != 2 || old.Config.RetentionMS != 0 {
				t.Errorf("the state before says %+v", old)
			}
			y.do(newObject(0, "o", topicT, 1, 1, 1, 1, 1).ask(0, 0, 0, 0, 1).Command)
		})
	}
}

// A topic deleted and made again under its name is another one: it begins at 0, knows no
// producer and no group offset, and a retry of the deletion does not meet it.
func TestDeleteAndRecreate(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	x := newObject(0, "x", topicT, 3, 3).ask(3, 3).by("p", 0, 0)
	y.expect(x.Command, "0 0")
	y.expect(at("g", offsetAt(topicT, 1, 2)), "ok")
	gone := born(2, "gone", remove(topicT))
	y.expect(gone, "ok")
	if y.state.Live(x.commit.Object) || y.state.ReleasedSlot() != y.state.Slot() {
		t.Error("the deleted topic's object is live")
	}
	again := id("t again")
	y.expect(create("t", again, 1), "t 1 r6")
	y.expect(gone, "ok") // the answer it was given
	y.expect(born(2, "gone twice", remove(topicT)), "topic_not_found")
	if _, ok := y.state.Topic("t"); !ok {
		t.Fatal("the new topic is gone")
	}
	y.expect(newObject(0, "y", topicT, 1).ask(1).Command, "topic_not_found")
	y.expect(newObject(0, "z", again, 1).ask(1).by("p", 0, 1).Command,
		"unknown_producer expected_seq=0")
	y.expect(newObject(0, "w", again, 1).ask(1).by("p", 0, 0).Command, "0")
	y.expect(x.Command, "0 0") // decided once, whatever happened since
	if offsets, ok := y.state.GroupOffsets("g"); !ok || len(offsets) != 0 {
		t.Errorf("the group stands at %v", offsets)
	}
	y.expect(at("g", offsetAt(topicT, 1, 2)), "topic_not_found")
}

func TestTrim(t *testing.T) {
	for _, c := range []struct {
		name     string
		before   int64
		told     string
		holds    string
		released bool
	}{
		{"nothing", 0, "0", "[0 15) x[0:5]@0 y[0:5]@5 z[0:5]@10", false},
		{"below the start", -3, "0", "[0 15) x[0:5]@0 y[0:5]@5 z[0:5]@10", false},
		{"inside a placement", 3, "3", "[3 15) x[0:5]@0 y[0:5]@5 z[0:5]@10", false},
		{"one placement", 5, "5", "[5 15) y[0:5]@5 z[0:5]@10", true},
		{"into the second", 7, "7", "[7 15) y[0:5]@5 z[0:5]@10", true},
		{"everything", 15, "15", "[15 15)", true},
		{"past the end", 16, "offset_out_of_range earliest_offset=0 next_offset=15",
			"[0 15) x[0:5]@0 y[0:5]@5 z[0:5]@10", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 1), "t 1 r2")
			for i, name := range []string{"x", "y", "z"} {
				y.expect(newObject(0, name, topicT, 5).ask(5).Command, []string{"0", "5", "10"}[i])
			}
			y.expect(trim(topicT, 0, c.before), c.told)
			y.holds(topicT, 0, c.holds)
			if released := y.state.ReleasedSlot() == y.state.Slot(); released != c.released {
				t.Errorf("released at %d", y.state.ReleasedSlot())
			}
			y.do(trim(topicT, 0, 2)) // never back
			y.expect(newObject(0, "w", topicT, 1).ask(1).Command, "15")
		})
	}
	y := newStory(t)
	y.expect(trim(topicT, 0, 0), "topic_not_found")
	y.expect(create("t", topicT, 1), "t 1 r3")
	y.expect(trim(topicT, 1, 0), "partition_not_found")
	y.expect(trim(topicT, -1, 0), "partition_not_found")
}

// An object of two partitions dies with the last of its placements.
func TestObjectDiesWithItsLastPlacement(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 2), "t 2 r2")
	x := newObject(0, "x", topicT, 6, 2).ask(2, 2).ask(2).ifNext(0).ask(2)
	y.expect(x.Command, "0 0 | offset_conflict next_offset=2 | 2")
	y.holds(topicT, 0, "[0 4) x[0:2]@0 x[4:6]@2") // three placements name x
	for _, c := range []struct {
		number int32
		before int64
		live   bool
	}{{0, 2, true}, {1, 2, true}, {0, 3, true}, {0, 4, false}} {
		y.do(trim(topicT, c.number, c.before))
		if y.state.Live(x.commit.Object) != c.live {
			t.Errorf("after trimming %d to %d: live is %v", c.number, c.before, !c.live)
		}
	}
	if y.state.Size() != y.state.results.Len() {
		t.Errorf("size %d with %d results and nothing live", y.state.Size(), y.state.results.Len())
	}
	for object := range y.state.Objects {
		t.Errorf("%s is live", object)
	}
}

func TestFloor(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	for range 3 {
		y.expect(noop(), "ok") // ids born at slots 2, 3, 4
	}
	y.expect(born(5, "f", floor(4)), "4")
	if n := y.state.results.Len(); n != 2 { // the one born at 4, and the floor's own
		t.Errorf("%d results above the floor", n)
	}
	y.expect(born(6, "g", floor(3)), "4")            // never back
	y.expect(born(6, "h", floor(99)), "bad_request") // never ahead of the log
	y.expect(born(3, "late", noop()), "ack_timeout")
	// A floor above its own birth is applied; its result is below it and forgotten at once.
	y.expect(born(4, "i", floor(8)), "8")
	y.expect(born(4, "i", floor(8)), "ack_timeout")
	if y.state.Floor() != 8 {
		t.Errorf("floor %d", y.state.Floor())
	}
}

func offsetAt(topic foz.TopicID, number int32, offset int64) *logpb.GroupOffset {
	return &logpb.GroupOffset{Topic: topic[:], Partition: number, Offset: offset, CommittedMs: 7}
}

func onlyIf(o *logpb.GroupOffset, offset int64) *logpb.GroupOffset {
	o.IfOffset = &offset
	return o
}

func noted(o *logpb.GroupOffset, bytes int) *logpb.GroupOffset {
	o.Metadata = strings.Repeat("n", bytes)
	return o
}

func at(group string, offsets ...*logpb.GroupOffset) *logpb.Command {
	return command(&logpb.CommitOffsets{Group: group, Offsets: offsets})
}

func TestCommitOffsets(t *testing.T) {
	for _, c := range []struct {
		name    string
		command *logpb.Command
		told    string
		at      []int64 // where the group stands in partitions 0 and 1 afterwards; -1: nowhere
	}{
		{"forward", at("g", offsetAt(topicT, 0, 6)), "ok", []int64{6, -1}},
		{"the same", at("g", offsetAt(topicT, 0, 5)), "ok", []int64{5, -1}},
		{"back", at("g", offsetAt(topicT, 0, 4)), "offset_conflict next_offset=5", []int64{5, -1}},
		{"back, as asked", at("g", onlyIf(offsetAt(topicT, 0, 4), 5)), "ok", []int64{4, -1}},
		{"back from elsewhere", at("g", onlyIf(offsetAt(topicT, 0, 4), 6)),
			"offset_conflict next_offset=5", []int64{5, -1}},
		{"forward from elsewhere", at("g", onlyIf(offsetAt(topicT, 0, 9), 4)),
			"offset_conflict next_offset=5", []int64{5, -1}},
		{"first", at("g", onlyIf(offsetAt(topicT, 1, 0), -1)), "ok", []int64{5, 0}},
		{"not first", at("g", onlyIf(offsetAt(topicT, 0, 0), -1)),
			"offset_conflict next_offset=5", []int64{5, -1}},
		{"all or none", at("g", offsetAt(topicT, 1, 9), offsetAt(topicT, 0, 4)),
			"offset_conflict next_offset=5", []int64{5, -1}},
		{"two partitions", at("g", offsetAt(topicT, 1, 9), offsetAt(topicT, 0, 8)), "ok",
			[]int64{8, 9}},
		{"below zero", at("g", offsetAt(topicT, 1, -1)), "bad_request", []int64{5, -1}},
		{"no topic", at("g", offsetAt(id("u"), 0, 1)), "topic_not_found", []int64{5, -1}},
		{"no id", at("g", &logpb.GroupOffset{}), "topic_not_found", []int64{5, -1}},
		{"no partition", at("g", offsetAt(topicT, 2, 1)), "partition_not_found", []int64{5, -1}},
		{"below the first", at("g", offsetAt(topicT, -1, 1)), "partition_not_found",
			[]int64{5, -1}},
		{"no group", at("", offsetAt(topicT, 0, 9)), "bad_request", []int64{5, -1}},
		{"a long name", at(strings.Repeat("g", 249), offsetAt(topicT, 0, 1)), "ok", []int64{5, -1}},
		{"a longer name", at(strings.Repeat("g", 250), offsetAt(topicT, 0, 1)), "bad_request",
			[]int64{5, -1}},
		{"a long note", at("g", noted(offsetAt(topicT, 0, 6), 4096)), "ok", []int64{6, -1}},
		{"a longer note", at("g", noted(offsetAt(topicT, 0, 6), 4097)), "bad_request",
			[]int64{5, -1}},
		{"another group", at("h", offsetAt(topicT, 0, 1)), "ok", []int64{5, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newStory(t)
			y.expect(create("t", topicT, 2), "t 2 r2")
			y.expect(at("g", offsetAt(topicT, 0, 5)), "ok")
			before := y.state
			y.expect(c.command, c.told)
			got := []int64{-1, -1}
			offsets, _ := y.state.GroupOffsets("g")
			for _, o := range offsets {
				got[o.Partition] = o.Offset
			}
			if got[0] != c.at[0] || got[1] != c.at[1] {
				t.Errorf("stands at %v, want %v", got, c.at)
			}
			if old, _ := before.GroupOffsets("g"); len(old) != 1 || old[0].Offset != 5 {
				t.Errorf("the state before says %v", old)
			}
		})
	}
}

func TestDeleteGroup(t *testing.T) {
	y := newStory(t)
	y.expect(create("t", topicT, 1), "t 1 r2")
	y.expect(at("g", offsetAt(topicT, 0, 5)), "ok")
	gone := born(3, "gone", command(&logpb.DeleteGroup{Group: "g"}))
	y.expect(gone, "ok")
	y.expect(command(&logpb.DeleteGroup{Group: "g"}), "group_not_found")
	y.expect(at("g", offsetAt(topicT, 0, 1)), "ok") // it stood nowhere
	y.expect(gone, "ok")                            // a late retry is told, and takes nothing away
	if got := y.state.Groups(); len(got) != 1 || got[0] != "g" {
		t.Errorf("groups %v", got)
	}
}
