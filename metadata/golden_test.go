package metadata

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/encoding/protowire"
)

// How: the bytes of format version 1 lie in testdata: a log in which every command is told
// everything it can be told, and the snapshot of its end. Encoding must write exactly them
// and every later version must read them and come to the same state. They are made by
// UPDATE_GOLDEN=1 go test ./metadata and are never edited or written again: a change of
// format is a new version and new files. The words of a refusal are remembered with its
// result, so they belong to the format, too. What was added to version 1 later has a log of
// its own: the first one's bytes are those of a foz that knew nothing of it. The damage is
// done to these files.

// goldenCommands is one entry a row: never change them.
var goldenCommands = []struct {
	name    string
	command *logpb.Command
}{
	{"create-topic", born(1, "a", command(&logpb.CreateTopic{Topic: &logpb.Topic{
		Id: topicT[:], Name: "t", Partitions: 2, CreatedMs: 1700000000000,
		Config: &logpb.TopicConfig{RetentionMs: 1, RetentionBytes: 2, MaxMessageBytes: 3,
			CleanupPolicy: "delete", ProducerTtlMs: 4}}}))},
	{"commit", newObject(2, "b", topicT, 5, 7).ask(2, 3).by("p", 1, 0).ask(3, 0).ifNext(9).
		ask(0, 4).ifNext(3).Command},
	{"commit-again", newObject(3, "c", topicT, 5).ask(2).by("p", 1, 0).ask(3).by("p", 1, 1).Command},
	{"alter-topic", born(3, "d", command(&logpb.AlterTopic{
		Id: topicT[:], Revision: 2, Partitions: 3, Config: &logpb.TopicConfig{RetentionMs: 9}}))},
	{"trim", born(3, "e", trim(topicT, 1, 2))},
	{"commit-offsets", born(4, "f", command(&logpb.CommitOffsets{Group: "g",
		Offsets: []*logpb.GroupOffset{onlyIf(offsetAt(topicT, 1, 3), -1)}}))},
	{"delete-group", born(5, "g", command(&logpb.DeleteGroup{Group: "nobody"}))},
	{"forget-producers", born(6, "h", command(&logpb.ForgetProducers{
		Topic: topicT[:], Ids: []string{"q"}, Decided: 7}))},
	{"delete-topic", born(7, "i", remove(id("u")))},
	{"format", born(8, "j", command(&logpb.Format{Version: 1}))},
	{"noop", born(9, "k", noop())},
	{"floor", born(10, "l", floor(3))},
}

// goldenMerges is the log of what came with merged segments: never change them.
var goldenMerges = []struct {
	name    string
	command *logpb.Command
}{
	{"create-topic", born(1, "a", command(&logpb.CreateTopic{Topic: &logpb.Topic{
		Id: topicT[:], Name: "t", Partitions: 2, CreatedMs: 1700000000000,
		Config: &logpb.TopicConfig{CleanupPolicy: "compact", DeleteRetentionMs: 5}}}))},
	{"commit", newObject(0, "x", topicT, 5, 7).ask(5, 7).Command},
	{"commit-next", newObject(0, "y", topicT, 5).ask(2).ask(3).ifNext(9).Command},
	{"commit-last", newObject(0, "z", topicT, 5).ask(5).Command},
	{"swap", merge(5, "m").from(0, 3, "x 0-5, y 5-7").from(1, 7, "x 0-7").
		from(0, 2, "y 5-7").command()},
	{"retain", born(6, "b", command(&logpb.Retain{Topic: topicT[:], Revision: 2,
		Partition: []int32{0, 1}, Earliest: []int64{4, 7}}))},
	{"retain-late", born(7, "c", command(&logpb.Retain{Topic: topicT[:], Revision: 1}))},
}

// goldenSchemas is the log of what came with typed topics: never change them.
var goldenSchemas = []struct {
	name    string
	command *logpb.Command
}{
	{"create-topic", born(1, "a", command(&logpb.CreateTopic{Topic: &logpb.Topic{
		Id: topicT[:], Name: "t", Partitions: 1, CreatedMs: 1700000000000,
		Schema: &logpb.Schema{OnMismatch: "reject", Columns: []*logpb.SchemaColumn{
			{Name: "a", Type: "int64", Pointer: "/a", Nullable: true}}}}}))},
	{"alter-topic", born(2, "b", command(&logpb.AlterTopic{
		Id: topicT[:], Revision: 2, Partitions: 1,
		Schema: &logpb.Schema{Columns: []*logpb.SchemaColumn{
			{Name: "a", Type: "int64", Pointer: "/a", Nullable: true},
			{Name: "b", Type: "utf8", Pointer: "/b/c"}}}}))},
	{"alter-topic-refused", born(3, "c", command(&logpb.AlterTopic{
		Id: topicT[:], Revision: 3, Partitions: 1,
		Schema: &logpb.Schema{Columns: []*logpb.SchemaColumn{
			{Name: "a", Type: "utf8", Pointer: "/a", Nullable: true}}}}))},
}

func golden(t testing.TB, name string, made []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil { // otherwise it is there: written once
			if _, err = f.Write(made); err == nil {
				err = f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestGoldenLog(t *testing.T) {
	y := newStory(t)
	for _, c := range goldenCommands {
		y.entry(c.command)
	}
	y.isGolden("v1-snapshot.bin", func(i int) string {
		if i == 0 {
			return "v1-entry-claim.bin"
		}
		return "v1-entry-" + goldenCommands[i-1].name + ".bin"
	})
	y.holds(topicT, 0, "[0 5) b[0:2]@0 c[2:5]@2")
	y.holds(topicT, 1, "[2 7) b[0:7]@0")
}

func TestGoldenMerges(t *testing.T) {
	y := newStory(t)
	for _, c := range goldenMerges {
		y.entry(c.command)
	}
	y.isGolden("v1-merges-snapshot.bin", func(i int) string {
		if i == 0 {
			return "v1-entry-claim.bin"
		}
		return "v1-merges-entry-" + goldenMerges[i-1].name + ".bin"
	})
	y.holds(topicT, 0, "[4 12) m[0:3]@0-4 z[0:5]@7")
	y.holds(topicT, 1, "[7 7)")
}

func TestGoldenSchemas(t *testing.T) {
	y := newStory(t)
	for _, c := range goldenSchemas {
		y.entry(c.command)
	}
	y.isGolden("v1-schemas-snapshot.bin", func(i int) string {
		if i == 0 {
			return "v1-entry-claim.bin"
		}
		return "v1-schemas-entry-" + goldenSchemas[i-1].name + ".bin"
	})
}

// isGolden: the story's entries and the snapshot of its end are the golden files, and the
// one is the end of the others.
func (y *story) isGolden(snapshot string, entry func(i int) string) {
	y.t.Helper()
	made := encodeSnapshot(y.state, Defects{})
	want := golden(y.t, snapshot, made)
	if !bytes.Equal(made, want) {
		y.t.Errorf("%s is not the golden one", snapshot)
	}
	s := NewState(testCluster)
	for i, body := range y.bodies {
		was := golden(y.t, entry(i), body)
		if !bytes.Equal(body, was) {
			y.t.Errorf("%s is not the golden one", entry(i))
		}
		s, _ = mustApply(y.t, s, was)
	}
	loaded, err := decodeSnapshot(want)
	if err != nil {
		y.t.Fatal(err)
	}
	if loaded.Hash() != s.Hash() {
		y.t.Errorf("%s is not its log's end", snapshot)
	}
}

// Every entry and the snapshot, with each of their bytes changed and at each length: it is
// damaged, and nothing else.
func TestDamage(t *testing.T) {
	files, err := filepath.Glob("testdata/v1-*.bin")
	if err != nil || len(files) != len(goldenCommands)+2+len(goldenMerges)+1+len(goldenSchemas)+1 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decode := func(b []byte) error { _, err := DecodeEntry(b); return err }
		if strings.HasSuffix(file, "snapshot.bin") {
			decode = func(b []byte) error { _, err := decodeSnapshot(b); return err }
		}
		if err := decode(body); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for i := range body {
			for _, mask := range []byte{0x01, 0x80, 0xff} {
				spoilt := bytes.Clone(body)
				spoilt[i] ^= mask
				if err := decode(spoilt); !errors.Is(err, ErrDamaged) {
					t.Fatalf("%s, byte %d ^ %x: %v", file, i, mask, err)
				}
			}
			if err := decode(body[:i]); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s, cut at %d: %v", file, i, err)
			}
		}
		if err := decode(append(bytes.Clone(body), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s, one byte more: %v", file, err)
		}
	}
}

// field is one more field of a message, of a number that version 1 does not have.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

// What a newer version may write halts a node: unknown fields wherever they are, unknown
// kinds, unknown commands, a newer version.
func TestNewerEntry(t *testing.T) {
	s := newStory(t).state
	message := func(change func(*logpb.Entry)) []byte {
		e := entryAfter(s, born(1, "a", newObject(1, "a", topicT, 1).ask(1).by("p", 0, 0).Command))
		change(e)
		_, message, _ := bytes.Cut(encodeEntry(e), []byte(logMagic))
		return message[:len(message)-4]
	}
	same := func(*logpb.Entry) {}
	commit := func(e *logpb.Entry) *logpb.Commit {
		return e.GetCommands().Commands[0].GetCommit()
	}
	unknown := field(99, []byte("new"))
	version2 := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	for name, m := range map[string][]byte{
		"a newer version":      append(message(same), version2...),
		"a field of the entry": append(message(same), unknown...),
		"a kind":               append(message(func(e *logpb.Entry) { e.Kind = nil }), unknown...),
		"no kind":              message(func(e *logpb.Entry) { e.Kind = nil }),
		"a command": message(func(e *logpb.Entry) {
			e.GetCommands().Commands[0].Body = nil
			e.GetCommands().Commands[0].ProtoReflect().SetUnknown(unknown)
		}),
		"a command without a body": message(func(e *logpb.Entry) {
			e.GetCommands().Commands[0].Body = nil
		}),
		"a field of a command": message(func(e *logpb.Entry) {
			e.GetCommands().Commands[0].ProtoReflect().SetUnknown(unknown)
		}),
		"a field of a commit": message(func(e *logpb.Entry) {
			commit(e).ProtoReflect().SetUnknown(unknown)
		}),
		"a column": message(func(e *logpb.Entry) {
			commit(e).Segments.ProtoReflect().SetUnknown(unknown)
		}),
		"a field of a request": message(func(e *logpb.Entry) {
			commit(e).Requests[0].ProtoReflect().SetUnknown(unknown)
		}),
		"a field of a producer": message(func(e *logpb.Entry) {
			commit(e).Requests[0].Producer.ProtoReflect().SetUnknown(unknown)
		}),
	} {
		if e, err := DecodeEntry(seal(logMagic, m)); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	if _, err := DecodeEntry(seal(logMagic, message(same))); err != nil {
		t.Errorf("nothing new: %v", err)
	}
}

func TestNewerSnapshot(t *testing.T) {
	s := newStory(t).state
	var header *logpb.SnapshotHeader
	write := func(parts ...*logpb.SnapshotPart) []byte {
		w := &snapshotWriter{}
		w.buf.WriteString(snapMagic)
		w.header(header)
		for _, p := range parts {
			w.part(p)
		}
		return seal("", w.buf.Bytes())
	}
	old := func() {
		header = &logpb.SnapshotHeader{Version: 1, Cluster: s.cluster[:], Slot: 1,
			Chain: s.chain[:], Claims: []uint64{1}, Format: 1}
	}
	old()
	if _, err := decodeSnapshot(write()); err != nil {
		t.Fatal(err)
	}
	strange := &logpb.SnapshotPart{}
	strange.ProtoReflect().SetUnknown(field(99, nil))
	for name, body := range map[string][]byte{
		"a part":       write(strange),
		"an old part":  write(&logpb.SnapshotPart{}),
		"two versions": write(&logpb.SnapshotPart{Part: &logpb.SnapshotPart_Header{Header: header}}),
	} {
		if _, err := decodeSnapshot(body); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(){
		"a field":         func() { header.ProtoReflect().SetUnknown(field(99, nil)) },
		"a newer format":  func() { header.Format = 2 },
		"a newer version": func() { header.Version = 2 },
	} {
		old()
		change()
		if _, err := decodeSnapshot(write()); !errors.Is(err, ErrNewer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What Apply refuses, it refuses before anything is changed: the state takes the right entry
// afterwards. It takes only one.
func TestApplyRefusals(t *testing.T) {
	y := storyOfTen(t)
	s := y.state
	hash := s.Hash()
	for name, c := range map[string]struct {
		change func(*logpb.Entry)
		want   error
	}{
		"the slot before": {func(e *logpb.Entry) { e.Slot-- }, errOutOfOrder},
		"a slot left out": {func(e *logpb.Entry) { e.Slot++ }, errOutOfOrder},
		"another cluster": {func(e *logpb.Entry) { e.Cluster = make([]byte, 16) }, errMismatch},
		"another history": {func(e *logpb.Entry) { e.Prev = make([]byte, 32) }, errMismatch},
		"an older epoch":  {func(e *logpb.Entry) { e.GetCommands().Epoch-- }, errMismatch},
		"a newer epoch":   {func(e *logpb.Entry) { e.GetCommands().Epoch++ }, errMismatch},
		"a format to come": {func(e *logpb.Entry) {
			e.GetCommands().Commands = append(e.GetCommands().Commands,
				born(1, "f", command(&logpb.Format{Version: FormatVersion + 1})))
		}, ErrNewer},
	} {
		e := entryAfter(s, born(1, "n", noop()))
		c.change(e)
		if _, _, err := s.Apply(e, encodeEntry(e)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if s.Hash() != hash {
		t.Error("a refused entry changed the state")
	}
	y.expect(born(1, "n", noop()), "ok")
	defer func() {
		if recover() == nil {
			t.Error("a state was applied to twice")
		}
	}()
	e := entryAfter(s, noop())
	_, _, _ = s.Apply(e, encodeEntry(e))
}
