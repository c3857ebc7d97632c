package metadata

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/fozlog/foz/metadata/logpb"
	"google.golang.org/protobuf/proto"
)

// FuzzS17Hear: whatever is broadcast, a node that hears it does not panic, needs no more
// memory than what came is worth, and its state moves only by an entry that continues it to
// the byte: everything else is a hint.
func FuzzS17Hear(f *testing.F) {
	y := newStory(f)
	for i, c := range goldenCommands {
		y.entry(c.command)
		add(f, &logpb.News{Entry: y.bodies[min(i, len(y.bodies)-1)]})
	}
	add(f, &logpb.News{Entry: []byte("no entry"), Beat: &logpb.Beat{Node: "b", Applied: 1 << 63}})
	add(f, &logpb.News{Beat: &logpb.Beat{Node: "b", Epoch: 9, Applied: 7, Http: "http://x"}})
	add(f, &logpb.News{Beat: &logpb.Beat{}})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := New(Deps{Logger: slog.New(slog.DiscardHandler)}, Config{Cluster: testCluster, Node: "a"})
		if n := allocated(func() { r.hear(data) }); n > decodeBytesMax(len(data)) {
			t.Errorf("%d bytes allocated for %d", n, len(data))
		}
		for _, body := range r.inbox.take().entries {
			before := r.state.Load()
			r.offer(body)
			after := r.state.Load()
			if after == before {
				continue
			}
			chain := before.Chain()
			e, err := DecodeEntry(body)
			if err != nil || string(e.Prev) != string(chain[:]) || e.Slot != before.slot+1 {
				t.Errorf("%v moved the state from slot %d to %d (%v)", e, before.slot, after.slot, err)
			}
		}
	})
}

func add(f *testing.F, news *logpb.News) {
	data, err := proto.Marshal(news)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
}

// A stranger who makes up nodes fills a list of bounded length.
func TestS17MadeUpNodes(t *testing.T) {
	r := New(Deps{Logger: slog.New(slog.DiscardHandler)}, Config{Cluster: testCluster, Node: "a"})
	later := time.Now().Add(time.Hour) // so that none is forgotten meanwhile
	for i := range membersMax {
		r.heard.beats[fmt.Sprint("b", i)] = heardBeat{&logpb.Beat{}, later}
	}
	data, err := proto.Marshal(&logpb.News{Beat: &logpb.Beat{Node: "one more"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.hear(data); len(r.heard.beats) != membersMax {
		t.Errorf("%d nodes are remembered", len(r.heard.beats))
	}
}
