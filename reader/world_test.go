package reader

// The world of these tests: a bucket in memory that notes every GET and lets a test spoil
// it, an index that lags until it is told to catch up, and a writer that encodes objects
// with segment.Encode and places their rows. What each partition must read is kept beside.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

var topic = foz.TopicID{1}

func part(n int32) foz.Partition { return foz.Partition{Topic: topic, Number: n} }

// bucket notes GETs. spoil, if set, sees each before it returns: n counts from 1.
type bucket struct {
	*objectstore.Memory
	mu    sync.Mutex
	gets  int
	bytes int64
	keys  []string
	spoil func(ctx context.Context, n int, key string, data []byte, err error) ([]byte, error)
}

func (b *bucket) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := b.Memory.Get(ctx, key, offset, length)
	b.mu.Lock()
	b.gets++
	n, spoil := b.gets, b.spoil
	b.bytes += int64(len(data))
	b.keys = append(b.keys, key)
	b.mu.Unlock()
	if spoil != nil {
		return spoil(ctx, n, key, data, err)
	}
	return data, err
}

func (b *bucket) counts() (gets int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gets, b.bytes
}

// index is a replica that lags: what is in behind is applied by CatchUp.
type index struct {
	mu       sync.Mutex
	logs     map[foz.Partition]*partitionLog
	changed  chan struct{}
	behind   []func()
	catchUps int
	broken   error // what CatchUp answers
	locates  int

	onLocate  func(n int) // called before each Locate, without the lock
	onChanged func()      // called before each Changed, without the lock
}

type partitionLog struct {
	earliest, next int64
	placements     []foz.Placement
}

func (x *index) Locate(
	p foz.Partition, from int64, limit int,
) ([]foz.Placement, foz.Bounds, error) {
	x.mu.Lock()
	x.locates++
	n, hook := x.locates, x.onLocate
	x.mu.Unlock()
	if hook != nil {
		hook(n)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	log := x.logs[p]
	if log == nil {
		return nil, foz.Bounds{}, foz.Errorf(foz.CodeTopicNotFound, "no topic %s", p.Topic)
	}
	i := slices.IndexFunc(log.placements, func(pl foz.Placement) bool {
		return pl.Next() > max(from, log.earliest)
	})
	var page []foz.Placement
	if i >= 0 {
		page = slices.Clone(log.placements[i:min(i+limit, len(log.placements))])
	}
	return page, foz.Bounds{Earliest: log.earliest, Next: log.next}, nil
}

func (x *index) Changed() <-chan struct{} {
	if x.onChanged != nil {
		x.onChanged()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

func (x *index) CatchUp(context.Context) error {
	x.mu.Lock()
	x.catchUps++
	behind, err := x.behind, x.broken
	if err == nil {
		x.behind = nil
	}
	x.mu.Unlock()
	if err != nil {
		return err
	}
	for _, apply := range behind {
		apply()
	}
	return nil
}

func (x *index) WaitSlot(context.Context, uint64) error { return nil }

// apply changes the index and wakes who waits.
func (x *index) apply(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	close(x.changed)
	x.changed = make(chan struct{})
}

func (x *index) log(p foz.Partition) *partitionLog {
	if x.logs[p] == nil {
		x.logs[p] = &partitionLog{}
	}
	return x.logs[p]
}

// world is all of it, with a Reader.
type world struct {
	t      testing.TB
	bucket *bucket
	index  *index
	reader *Reader
	made   int
	at     int // records made by events

	batchBytes int                            // of what mergeTyped makes; 0: 16 KiB
	want       map[foz.Partition][]foz.Record // what must be read, by offset
}

func newWorld(t testing.TB, c Config) *world {
	w := &world{
		t:      t,
		bucket: &bucket{Memory: objectstore.NewMemory()},
		index:  &index{logs: map[foz.Partition]*partitionLog{}, changed: make(chan struct{})},
		want:   map[foz.Partition][]foz.Record{},
	}
	w.reader = New(Deps{
		Store: w.bucket, Locator: w.index, Jitter: func() float64 { return 0.5 },
	}, c)
	return w
}

// object is an object in the bucket that has no offsets yet.
type object struct {
	key        string
	data       []byte
	segments   []foz.Segment
	rows       []*foz.Rows
	appendedMS int64
}

// rowsOf makes n rows that tell where they are from; every third has headers, every fifth is
// a tombstone, and the first has no key.
func (w *world) rowsOf(p foz.Partition, n, valueBytes int) *foz.Rows {
	rows := &foz.Rows{}
	for i := range n {
		name := fmt.Sprintf("%d/%d/%d", w.made, p.Number, i)
		value := append([]byte(name), bytes.Repeat([]byte{'.'}, valueBytes)...)
		var key, headers []byte
		if i > 0 {
			key = []byte(name)
		}
		if i%5 == 4 {
			value = nil
		}
		if i%3 == 2 {
			headers = foz.AppendHeaders(nil, []foz.Header{{Key: "h", Value: key}})
		}
		rows.Append(int64(1000*w.made+i), key, value, headers)
	}
	return rows
}

// object writes one object with a segment of n rows for each partition.
func (w *world) object(n, valueBytes int, partitions ...int32) *object {
	w.t.Helper()
	w.made++
	var parts []segment.Part
	for _, number := range partitions {
		p := part(number)
		parts = append(parts, segment.Part{Partition: p, Rows: w.rowsOf(p, n, valueBytes)})
	}
	return w.encode(parts)
}

func (w *world) encode(parts []segment.Part) *object {
	w.t.Helper()
	o := &object{
		key:        fmt.Sprintf("data/%020d/o%d.arrow", w.made, w.made),
		appendedMS: int64(w.made),
	}
	var err error
	if o.data, o.segments, err = segment.Encode(nil, parts, nil); err != nil {
		w.t.Fatal(err)
	}
	for _, part := range parts {
		o.rows = append(o.rows, part.Rows)
	}
	w.create(o)
	return o
}

func (w *world) create(o *object) {
	w.t.Helper()
	if _, err := w.bucket.Create(w.t.Context(), o.key, o.data); err != nil {
		w.t.Fatal(err)
	}
}

// batches writes an object of one partition with several segments, as a compactor does.
func (w *world) batches(count, n, valueBytes int, number int32) *object {
	w.t.Helper()
	whole := &object{}
	for range count {
		w.made++
		p := part(number)
		rows := w.rowsOf(p, n, valueBytes)
		data, segments, err := segment.Encode(nil, []segment.Part{{Partition: p, Rows: rows}}, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		segments[0].ByteStart += int64(len(whole.data))
		segments[0].ByteEnd += int64(len(whole.data))
		whole.data = append(whole.data, data...)
		whole.segments = append(whole.segments, segments[0])
		whole.rows = append(whole.rows, rows)
	}
	whole.key = fmt.Sprintf("data/%020d/o%d.arrow", w.made, w.made)
	w.create(whole)
	return whole
}

// place gives rows [from, to) of an object's segment the next offsets.
func (w *world) place(o *object, segment, from, to int) {
	s := o.segments[segment]
	w.index.apply(func() {
		log := w.index.log(s.Partition)
		log.placements = append(log.placements, foz.Placement{
			Object: o.key, Segment: s,
			RowStart: int32(from), RowCount: int32(to - from), Base: log.next,
			AppendedMS: o.appendedMS,
		})
		for i := from; i < to; i++ {
			record, err := o.rows[segment].Record(i, log.next)
			if err != nil {
				w.t.Fatal(err)
			}
			w.want[s.Partition] = append(w.want[s.Partition], record)
			log.next++
		}
	})
}

// placeAll places every row of an object.
func (w *world) placeAll(o *object) *object {
	for i, s := range o.segments {
		w.place(o, i, 0, int(s.Rows))
	}
	return o
}

// lag makes a change of the index one that only CatchUp brings.
func (w *world) lag(change func()) {
	w.index.behind = append(w.index.behind, change)
}

// read scans a range and gives all records, copied.
func (w *world) read(p foz.Partition, base, next int64) ([]foz.Record, error) {
	var records []foz.Record
	position := base
	for run, err := range w.reader.Scan(w.t.Context(), p, foz.Range{Base: base, Next: next}) {
		if err != nil {
			return records, err
		}
		if run.Base != position {
			return records, fmt.Errorf("run begins at %d, after %d", run.Base, position)
		}
		position = run.Next()
		if records, err = appendRun(records, run); err != nil {
			return records, err
		}
	}
	if to := max(base, min(next, w.index.log(p).next)); position != to {
		return records, fmt.Errorf("the scan ended at %d, not %d", position, to)
	}
	return records, nil
}

func appendRun(records []foz.Record, run foz.Run) ([]foz.Record, error) {
	for i := range run.Len() {
		record, err := run.Rows.Record(run.From+i, run.Offset(i))
		if err != nil {
			return records, err
		}
		records = append(records, record)
	}
	return records, nil
}

// mustRead reads a range and compares it with what was written.
func (w *world) mustRead(p foz.Partition, base, next int64) {
	w.t.Helper()
	got, err := w.read(p, base, next)
	if err != nil {
		w.t.Fatalf("scan of [%d,%d): %v", base, next, err)
	}
	var want []foz.Record
	for _, record := range w.want[p] {
		if base <= record.Offset && record.Offset < next {
			want = append(want, record)
		}
	}
	if !slices.EqualFunc(got, want, sameRecord) {
		w.t.Fatalf("scan of [%d,%d) gave %d records, want %d: %v", base, next,
			len(got), len(want), got)
	}
}

func sameRecord(a, b foz.Record) bool {
	return a.Offset == b.Offset && a.Timestamp == b.Timestamp && sameBytes(a.Key, b.Key) &&
		sameBytes(a.Value, b.Value) && slices.EqualFunc(a.Headers, b.Headers,
		func(a, b foz.Header) bool { return a.Key == b.Key && sameBytes(a.Value, b.Value) })
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// mustFail reads all from an offset and wants an error of a kind.
func (w *world) mustFail(p foz.Partition, base int64, code foz.Code) *foz.Error {
	w.t.Helper()
	records, err := w.read(p, base, math.MaxInt64)
	var got *foz.Error
	if !errors.As(err, &got) || got.Code != code {
		w.t.Fatalf("scan from %d gave %d records and %v, want %s", base, len(records), err, code)
	}
	return got
}

// mustCount wants so many GETs and CatchUps since the world began.
func (w *world) mustCount(gets, catchUps int) {
	w.t.Helper()
	if got, _ := w.bucket.counts(); got != gets || w.index.catchUps != catchUps {
		w.t.Errorf("%d GETs and %d catch-ups, want %d and %d: %v",
			got, w.index.catchUps, gets, catchUps, w.bucket.keys[:min(100, len(w.bucket.keys))])
	}
}

func (w *world) metric(name string) float64 {
	w.t.Helper()
	for _, m := range w.reader.Metrics() {
		if m.Name == "foz_reader_"+name {
			return m.Value
		}
	}
	w.t.Fatalf("no metric %s", name)
	return 0
}
