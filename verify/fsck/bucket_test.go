package fsck

// How: a bucket in memory gets objects as ingest and compactors write them, and a log by a
// real metadata replica, which names them. Nothing of it runs while it is checked, but in the
// tests that say so.

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

type bucket struct {
	t       *testing.T
	store   *objectstore.Memory
	replica *metadata.Replica
	client  *metadata.Client
	topic   foz.Topic
	made    int // objects
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{t: t, store: objectstore.NewMemory()}
	entropy := rand.NewChaCha8([32]byte{1})
	cluster, err := metadata.Genesis(t.Context(), b.store, entropy, "n")
	if err != nil {
		t.Fatal(err)
	}
	conn := bus.NewHub(nil).Conn("n")
	b.replica = metadata.New(metadata.Deps{Store: b.store, Bus: conn, Entropy: entropy,
		Logger: slog.New(slog.DiscardHandler)},
		metadata.Config{Cluster: cluster, Node: "n", Roles: []string{metadata.RoleMetadata},
			Candidate: true})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.replica.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
	<-b.replica.Ready()
	b.client = metadata.NewClient(b.replica)
	b.topic, _, err = b.client.CreateTopic(ctx, foz.Topic{Name: "t", Partitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bucket) partition(number int32) foz.Partition {
	return foz.Partition{Topic: b.topic.ID, Number: number}
}

// put creates an object that was born at the slot applied last.
func (b *bucket) put(data []byte) (key string, ms int64) {
	b.t.Helper()
	b.made++
	key = foz.ObjectKey(b.replica.State().Slot(), fmt.Sprintf("%026d", b.made))
	date, err := b.store.Create(b.t.Context(), key, data)
	if err != nil {
		b.t.Fatal(err)
	}
	return key, date.UnixMilli()
}

// flush appends so many records to partitions 0, 1, ... by one object.
func (b *bucket) flush(counts ...int) string {
	b.t.Helper()
	request := foz.CommitRequest{Topic: b.topic.ID}
	var parts []segment.Part
	for number, n := range counts {
		rows := &foz.Rows{}
		for i := range n {
			rows.Append(int64(i), nil, fmt.Appendf(nil, "record %d of %d", i, b.made), nil)
		}
		parts = append(parts, segment.Part{Partition: b.partition(int32(number)), Rows: rows})
		request.Batches = append(request.Batches,
			foz.CommitBatch{Segment: int32(number), Rows: int32(n)})
	}
	requests := []foz.CommitRequest{request}
	object, segments, err := new(segment.Encoder).Encode(nil, parts, requests)
	if err != nil {
		b.t.Fatal(err)
	}
	key, ms := b.put(object)
	_, err = b.client.Commit(b.t.Context(), []foz.Commit{
		{Object: key, AppendedMS: ms, Segments: segments, Requests: requests},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return key
}

// merge puts all that partitions hold into one object and swaps it in. Record batches are of
// batchBytes.
func (b *bucket) merge(batchBytes int, numbers ...int32) string {
	b.t.Helper()
	m := segment.NewMerged(segment.MergedOptions{BatchBytes: batchBytes})
	var all []foz.SwapInput
	var outputs []foz.SwapOutput
	for _, number := range numbers {
		p := b.partition(number)
		placements, bounds, err := b.replica.Locate(p, 0, math.MaxInt)
		if err != nil {
			b.t.Fatal(err)
		}
		o := foz.SwapOutput{Range: foz.Range{Base: bounds.Earliest, Next: bounds.Next}}
		for _, pl := range placements {
			b.append(m, pl)
			o.Inputs = append(o.Inputs, foz.SwapInput{Object: pl.Object,
				Range: foz.Range{Base: pl.Base, Next: pl.Next()}})
		}
		outputs, all = append(outputs, o), append(all, o.Inputs...)
	}
	object, segments, err := m.Finish(all)
	if err != nil {
		b.t.Fatal(err)
	}
	key, _ := b.put(object)
	for i := range outputs {
		outputs[i].Segment = segments[i]
	}
	got, err := b.client.Swap(b.t.Context(), foz.Swap{Object: key, Outputs: outputs})
	if err != nil {
		b.t.Fatal(err)
	}
	for i, accepted := range got.Accepted {
		if !accepted {
			b.t.Fatalf("output %d of %s is refused", i, key)
		}
	}
	return key
}

func (b *bucket) append(m *segment.Merged, pl foz.Placement) {
	b.t.Helper()
	data, err := b.store.Get(b.t.Context(), pl.Object, pl.Segment.ByteStart,
		pl.Segment.ByteEnd-pl.Segment.ByteStart)
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := segment.Decode(data, pl.Segment)
	if err != nil {
		b.t.Fatal(err)
	}
	run := foz.Run{Base: pl.Base, Rows: rows, From: int(pl.RowStart),
		To: int(pl.RowStart + pl.RowCount)}
	if err := m.Append(pl.Segment.Partition, run); err != nil {
		b.t.Fatal(err)
	}
}

// copied gives the bucket's objects as change leaves them; nil removes one.
func (b *bucket) copied(change func(key string, data []byte) []byte) *objectstore.Memory {
	b.t.Helper()
	other := objectstore.NewMemory()
	page, more, err := b.store.List(b.t.Context(), "", "", 0)
	if err != nil || more {
		b.t.Fatal(err, more)
	}
	for _, info := range page {
		data, err := b.store.Get(b.t.Context(), info.Key, 0, -1)
		if err != nil {
			b.t.Fatal(err)
		}
		if data = change(info.Key, data); data == nil {
			continue
		}
		if _, err := other.Create(b.t.Context(), info.Key, data); err != nil {
			b.t.Fatal(err)
		}
	}
	return other
}

func run(t *testing.T, s objectstore.Store) *Report {
	t.Helper()
	check := Check{Store: s}
	r, err := check.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
