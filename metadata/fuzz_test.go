package metadata

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
)

// How: bytes that anybody may have written, as they are and (so that fuzzing gets past the
// checksum) sealed as if foz had written them. Nothing panics, what is allocated is bounded
// by what came, and what is taken can be written, read and applied by every node.

// seeds adds the golden files whose names match, and their messages without the frame.
func seeds(f *testing.F, pattern, magic string) {
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files, %v", err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(body[len(magic) : len(body)-4])
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// decodeBytesMax is what decoding n bytes may allocate: an empty message of two bytes is a
// struct and a pointer to it.
func decodeBytesMax(n int) uint64 { return 1<<20 + 256*uint64(n) }

func FuzzDecodeEntry(f *testing.F) {
	seeds(f, "v1-*entry-*.bin", logMagic)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, body := range [][]byte{data, seal(logMagic, data)} {
			var e *logpb.Entry
			var err error
			if n := allocated(func() { e, err = DecodeEntry(body) }); n > decodeBytesMax(len(body)) {
				t.Errorf("%d bytes allocated for %d", n, len(body))
			}
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
					t.Error(err)
				}
				continue
			}
			again, err := DecodeEntry(encodeEntry(proto.CloneOf(e)))
			if err != nil || !proto.Equal(e, again) {
				t.Errorf("%v\nwritten and read is %v, %v", e, again, err)
			}
		}
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	seeds(f, "v1-*snapshot.bin", snapMagic)
	for _, part := range []*logpb.SnapshotPart{
		{Part: &logpb.SnapshotPart_Producer{Producer: &logpb.ProducerPart{Topic: []byte("short")}}},
		{Part: &logpb.SnapshotPart_Result{Result: &logpb.ResultPart{Id: "x"}}},
		{Part: &logpb.SnapshotPart_Group{Group: &logpb.GroupPart{Id: "g",
			Offsets: []*logpb.GroupOffset{{Topic: []byte("short")}}}}},
		{Part: &logpb.SnapshotPart_Topic{}},
		{Part: &logpb.SnapshotPart_Topic{Topic: &logpb.TopicPart{
			Topic: &logpb.Topic{Id: topicT[:], Name: "t", Partitions: 1}}}},
		{Part: &logpb.SnapshotPart_Partition{Partition: &logpb.PartitionPart{
			Topic: topicT[:], Earliest: 5, Next: 3}}},
	} {
		w := &snapshotWriter{}
		w.header(&logpb.SnapshotHeader{Version: 1, Cluster: testCluster[:], Slot: 9,
			Chain: make([]byte, 32), Format: 1})
		w.topic(&topic{Topic: topicFromWire(&logpb.Topic{Id: topicT[:], Name: "t", Partitions: 1})})
		w.part(part)
		f.Add(w.buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, body := range [][]byte{data, seal(snapMagic, data)} {
			checkDecodedSnapshot(t, body)
		}
	})
}

// A topic may have 10,000 partitions, however few bytes say so.
const topicBytesMax = foz.PartitionsMax * 128

func checkDecodedSnapshot(t *testing.T, body []byte) {
	var s *State
	var err error
	n := allocated(func() { s, err = decodeSnapshot(body) })
	if bound := decodeBytesMax(len(body)) + uint64(len(body)/20)*topicBytesMax; n > bound {
		t.Errorf("%d bytes allocated for %d", n, len(body))
	}
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Error(err)
		}
		return
	}
	for _, name := range s.Groups() {
		s.GroupOffsets(name)
	}
	s.topics.Scan(func(_ string, t *topic) bool {
		for number := range t.partitions {
			_, _, _ = s.Locate(foz.Partition{Topic: t.ID, Number: int32(number)}, 1, 2)
		}
		return true
	})
	if again, err := decodeSnapshot(encodeSnapshot(s, Defects{})); err != nil ||
		again.Hash() != s.Hash() {
		t.Errorf("written and read again: %v", err)
	}
}

// FuzzAsk: what a node takes from the bus into its queue goes into the log if it leads. So
// it must be possible to write it, read it and apply it: an entry that nobody can apply
// would halt every node for good.
func FuzzAsk(f *testing.F) {
	for _, c := range slices.Concat(goldenCommands, goldenMerges, goldenSchemas) {
		data, err := proto.Marshal(&logpb.Ask{Commands: []*logpb.Command{c.command}, SilentEpoch: 3})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, c := range []*logpb.Command{
		command(&logpb.Format{Version: FormatVersion + 1}), {Id: "no body"}, noop(),
		command(&logpb.Commit{}), command(&logpb.CreateTopic{}), command(&logpb.AlterTopic{}),
		command(&logpb.DeleteTopic{}), command(&logpb.Trim{}), command(&logpb.CommitOffsets{}),
		command(&logpb.Swap{}), command(&logpb.Retain{}),
	} {
		data, err := proto.Marshal(&logpb.Ask{Commands: []*logpb.Command{born(0, "x", c)}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(Deps{Logger: slog.New(slog.DiscardHandler)}, Config{Cluster: testCluster, Node: "a"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var reply *logpb.Reply
		if n := allocated(func() { reply = r.ask(ctx, data) }); n > decodeBytesMax(len(data)) {
			t.Errorf("%d bytes allocated for %d", n, len(data))
		}
		turn := r.inbox.take()
		if taken := reply.Status == logpb.Reply_STATUS_UNKNOWN; taken != (len(turn.asks) == 1) {
			t.Fatalf("status %v and %d asks", reply.Status, len(turn.asks))
		}
		for _, a := range turn.asks {
			if len(a.commands) == 0 {
				t.Error("an ask of nothing was taken")
			}
			applyTwice(t, a.commands)
		}
	})
}

func FuzzApply(f *testing.F) {
	seeds(f, "v1-*entry-*.bin", logMagic)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEntry(data)
		if err != nil {
			if e, err = DecodeEntry(seal(logMagic, data)); err != nil {
				return
			}
		}
		if e.GetClaim() != nil {
			return
		}
		for _, c := range e.GetCommands().GetCommands() {
			if f := c.GetFormat(); f != nil && f.Version > FormatVersion {
				return // halts, as it should
			}
		}
		applyTwice(t, e.GetCommands().GetCommands())
	})
}

// applyTwice applies commands after each golden log, in one entry and then in another: they
// are told the same.
func applyTwice(t *testing.T, commands []*logpb.Command) {
	t.Helper()
	y := newStory(t)
	for _, c := range goldenCommands[:8] {
		y.entry(c.command)
	}
	applyTwiceTo(t, y, commands)
	y = newStory(t)
	for _, c := range goldenMerges[:4] {
		y.entry(c.command)
	}
	applyTwiceTo(t, y, commands)
	y = newStory(t)
	for _, c := range goldenSchemas[:2] {
		y.entry(c.command)
	}
	applyTwiceTo(t, y, commands)
}

func applyTwiceTo(t *testing.T, y *story, commands []*logpb.Command) {
	t.Helper()
	first := y.must(entryAfter(y.state, commands...))
	floor := y.state.Floor()
	again := y.must(entryAfter(y.state, commands...))
	for i, c := range commands {
		if birth, err := birthOf(c.Id); err != nil || birth < max(floor, y.state.Floor()) {
			continue
		}
		if !proto.Equal(first[i], again[i]) {
			t.Errorf("%v\ntold %v, then %v", c, first[i], again[i])
		}
	}
}
