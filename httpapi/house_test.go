package httpapi

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
)

// house stands for everything behind an API: a log in memory, one foz.Rows per partition.
// Faults are planted in its func members.
type house struct {
	mu       sync.Mutex
	topics   map[string]foz.Topic
	logs     map[foz.Partition]*foz.Rows
	earliest map[foz.Partition]int64
	acks     map[foz.Producer]foz.Ack
	offsets  map[string][]foz.GroupOffset
	requests []foz.Request // of Produce, without their rows
	slot     uint64
	changed  chan struct{}
	catchUps int
	keepUp   func()               // what a node hears that has heard nothing for a while
	stale    map[string]foz.Topic // what a lagging node still believes

	maintainer maintainer

	produce func(foz.Request) error              // before a request is taken
	scan    func(foz.Partition, foz.Range) error // after a scan's first run
	ready   func() error
	sparse  bool // bounds count fewer records than offsets, as after key compaction
	runRows int  // rows per run; 0: all

	removed    func(offset int64) bool // by key compaction; nil: none
	generation uint64
}

func newHouse() *house {
	return &house{
		topics: map[string]foz.Topic{}, logs: map[foz.Partition]*foz.Rows{},
		earliest: map[foz.Partition]int64{}, acks: map[foz.Producer]foz.Ack{},
		offsets: map[string][]foz.GroupOffset{}, changed: make(chan struct{}),
		stale: map[string]foz.Topic{},
	}
}

// api is an API over the house.
func (h *house) api(c Config) *API {
	return New(Deps{
		Producer: h, Reader: h, Topics: h, Sessions: h,
		TopicAdmin: admin{h}, Groups: groups{h}, Cluster: cluster{},
		Maintainer: &h.maintainer, Planner: planned{h},
		Ready: func() error {
			if h.ready != nil {
				return h.ready()
			}
			return nil
		},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "foz_up 1\n")
		}),
		Logger: slog.New(slog.DiscardHandler),
	}, c)
}

// topic makes a topic.
func (h *house) topic(name string, partitions int32, c foz.TopicConfig) foz.Topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := foz.Topic{Name: name, Partitions: partitions, Config: c, CreatedMS: 1700000000123}
	t.ID[0], t.ID[15] = byte(len(h.topics)+1), byte(h.slot)
	h.next()
	t.Revision = h.slot
	h.topics[name] = t
	return t
}

// next moves to the next slot and wakes who waits.
func (h *house) next() {
	h.slot++
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *house) log(p foz.Partition) *foz.Rows {
	if h.logs[p] == nil {
		h.logs[p] = &foz.Rows{}
	}
	return h.logs[p]
}

func (h *house) Produce(_ context.Context, r foz.Request) (foz.Ack, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.produce != nil {
		if err := h.produce(r); err != nil {
			return foz.Ack{}, err
		}
	}
	if r.Producer != nil {
		if ack, ok := h.acks[*r.Producer]; ok {
			ack.Duplicate = true
			return ack, nil
		}
	}
	h.next()
	ack := foz.Ack{Slot: h.slot, AppendedMS: 1700000000999}
	for _, b := range r.Batches {
		rows := h.log(foz.Partition{Topic: r.Topic, Number: b.Partition})
		base := int64(rows.Len())
		if r.IfNextOffset != nil && *r.IfNextOffset != base {
			return foz.Ack{}, foz.Errorf(foz.CodeOffsetConflict, "next is %d", base).
				With(foz.NumberNextOffset, base)
		}
		rows.AppendRows(b.Rows, 0, b.Rows.Len())
		ack.Ranges = append(ack.Ranges, foz.PartitionRange{
			Partition: b.Partition, Range: foz.Range{Base: base, Next: int64(rows.Len())},
		})
	}
	if r.Producer != nil {
		h.acks[*r.Producer] = ack
	}
	h.requests = append(h.requests, foz.Request{Topic: r.Topic, Producer: r.Producer})
	return ack, nil
}

// Answered knows requests of one topic.
func (h *house) Answered(
	_ context.Context, _ foz.TopicID, by foz.Producer,
) (foz.Ack, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ack, found := h.acks[by]
	ack.Duplicate = true
	return ack, found, nil
}

func (h *house) known(p foz.Partition) error {
	for _, t := range h.topics {
		if t.ID == p.Topic {
			if p.Number < t.Partitions {
				return nil
			}
			return foz.Errorf(foz.CodePartitionNotFound, "no partition %d", p.Number)
		}
	}
	return foz.Errorf(foz.CodeTopicNotFound, "no topic %s", p.Topic)
}

func (h *house) bounds(p foz.Partition) foz.Bounds {
	b := foz.Bounds{Earliest: h.earliest[p], Next: int64(h.log(p).Len()), Segments: 1}
	b.Records, b.Bytes = b.Next-b.Earliest, int64(h.log(p).Bytes())
	if h.sparse {
		b.Records--
	}
	if b.Generation = h.generation; h.removed != nil {
		for offset := b.Earliest; offset < b.Next; offset++ {
			if h.removed(offset) {
				b.Records--
			}
		}
	}
	return b
}

func (h *house) Bounds(_ context.Context, p foz.Partition, catchUp bool) (foz.Bounds, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.known(p); err != nil || catchUp {
		h.catchUps++
		clear(h.stale)
		return h.bounds(p), err
	}
	return h.bounds(p), nil
}

func (h *house) Scan(
	_ context.Context, p foz.Partition, rg foz.Range,
) iter.Seq2[foz.Run, error] {
	return func(yield func(foz.Run, error) bool) {
		h.mu.Lock()
		b, rows := h.bounds(p), foz.Rows{}
		rows.AppendRows(h.log(p), 0, int(b.Next))
		h.mu.Unlock()
		if rg.Base < b.Earliest || rg.Next > b.Next {
			yield(foz.Run{}, outOfRange(rg.Base, b))
			return
		}
		step := int64(h.runRows)
		if step == 0 {
			step = max(1, rg.Len())
		}
		for at := rg.Base; at < rg.Next; at += step {
			to := min(at+step, rg.Next)
			run := foz.Run{Base: at, Rows: &rows, From: int(at), To: int(to)}
			if h.removed != nil {
				run = h.sparseRun(run)
			}
			if !yield(run, nil) {
				return
			}
			if h.scan != nil {
				if err := h.scan(p, rg); err != nil {
					yield(foz.Run{}, err)
					return
				}
			}
		}
	}
}

// sparseRun is what key compaction left of a run.
func (h *house) sparseRun(whole foz.Run) foz.Run {
	run := foz.Run{Base: whole.Base, Rows: &foz.Rows{}, End: whole.Next()}
	for i := range whole.Len() {
		if offset := whole.Offset(i); !h.removed(offset) {
			run.Rows.AppendRows(whole.Rows, whole.From+i, whole.From+i+1)
			run.Offsets = append(run.Offsets, offset)
		}
	}
	run.To = run.Rows.Len()
	return run
}

func (h *house) Query(ctx context.Context, topic foz.TopicID, parts []foz.PartitionRange,
	q filter.Query, visit func(int32, foz.Run) error,
) error {
	picker := filter.NewPicker(q)
	for _, part := range parts {
		p := foz.Partition{Topic: topic, Number: part.Partition}
		for run, err := range h.Scan(ctx, p, part.Range) {
			if err == nil {
				err = visit(part.Partition, picker.Pick(part.Partition, run))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *house) Wait(ctx context.Context, p foz.Partition, offset int64) error {
	for {
		h.mu.Lock()
		changed, err, next := h.changed, h.known(p), h.bounds(p).Next
		h.mu.Unlock()
		if err != nil || next > offset {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *house) OffsetAt(_ context.Context, p foz.Partition, ms int64) (int64, int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := h.log(p)
	for i := h.earliest[p]; i < int64(rows.Len()); i++ {
		if ts := rows.Timestamps[i]; ts >= ms && (h.removed == nil || !h.removed(i)) {
			return i, ts, nil
		}
	}
	return int64(rows.Len()), -1, h.known(p)
}

func (h *house) Topic(_ context.Context, name string) (foz.Topic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t, ok := h.stale[name]; ok {
		return t, nil
	}
	t, ok := h.topics[name]
	if !ok {
		return t, foz.Errorf(foz.CodeTopicNotFound, "there is no topic %s", name)
	}
	return t, nil
}

func (h *house) List(
	_ context.Context, prefix, after string, limit int,
) (list []foz.Topic, more bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, t := range h.topics {
		if strings.HasPrefix(name, prefix) && name > after {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b foz.Topic) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(limit, len(list))], len(list) > limit, nil
}

func (h *house) Applied() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slot
}

func (h *house) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

func (h *house) WaitSlot(ctx context.Context, slot uint64) error {
	for {
		h.mu.Lock()
		changed, at := h.changed, h.slot
		h.mu.Unlock()
		if at >= slot {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type groups struct{ *house }

func (g groups) Groups(context.Context) (names []string, err error) {
	for name := range g.offsets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (g groups) Offsets(_ context.Context, group string) ([]foz.GroupOffset, error) {
	if offsets, ok := g.offsets[group]; ok {
		return offsets, nil
	}
	return nil, foz.Errorf(foz.CodeGroupNotFound, "no group %s", group)
}

func (g groups) Commit(_ context.Context, group string, offsets []foz.GroupOffset) error {
	for _, o := range offsets {
		at := int64(-1)
		for _, old := range g.offsets[group] {
			if old.Topic == o.Topic && old.Partition == o.Partition {
				at = old.Offset
			}
		}
		if o.IfOffset != nil && *o.IfOffset != at {
			return foz.Errorf(foz.CodeOffsetConflict, "group is at %d", at).
				With(foz.NumberNextOffset, at)
		}
	}
	g.offsets[group] = offsets
	return nil
}

func (g groups) Delete(_ context.Context, group string) error {
	if _, ok := g.offsets[group]; !ok {
		return foz.Errorf(foz.CodeGroupNotFound, "no group %s", group)
	}
	delete(g.offsets, group)
	return nil
}

type cluster struct{}

func (cluster) Info(context.Context) (ClusterInfo, error) {
	return ClusterInfo{
		ClusterID: "c1", Version: "v0", Bucket: "mem://", Health: "ok",
		Nodes:  []foz.Member{{ID: "n1", HTTP: "http://h:1", Roles: []string{"ingest"}, Applied: 7}},
		Leader: foz.Leader{ID: "n1", HTTP: "http://h:1", ClaimSlot: 3},
		Requests: []RequestCount{
			{Op: "get", Cause: "fetch", Requests: 2, Bytes: 10},
			{Op: "create", Cause: "log", Requests: 1},
			{Op: "create", Cause: "flush", Requests: 3, Errors: 1},
		},
		Cost: Cost{USD: 0.00002, USDPerDay: 0.5, PutUSDPerMillion: 5, GetUSDPerMillion: 0.4},
	}, nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request to a handler. header has "Name: value" lines.
func do(h http.Handler, method, target, body string, header ...string) answer {
	r := httptest.NewRequest(method, "http://foz"+target, strings.NewReader(body))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// records gives what a partition holds, a line each: timestamp key value headers, %q.
func (h *house) records(p foz.Partition) (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rows := h.log(p)
	for i := range rows.Len() {
		r, err := rows.Record(i, int64(i))
		if err != nil {
			panic(err)
		}
		line := fmt.Sprintf("%s %s", quoted(r.Key), quoted(r.Value))
		for _, header := range r.Headers {
			line += fmt.Sprintf(" %s=%q", header.Key, header.Value)
		}
		lines = append(lines, line)
	}
	return lines
}

func quoted(cell []byte) string {
	if cell == nil {
		return "null"
	}
	return fmt.Sprintf("%q", cell)
}

func (h *house) total() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, rows := range h.logs {
		n += rows.Len()
	}
	return n
}

func wantEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// patience is how long a test waits for what takes no time, on a machine that is busy.
const patience = 30 * time.Second

// soon fails the test if the condition does not become true.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func (h *house) KeepUp(context.Context) error {
	if h.keepUp != nil {
		h.keepUp()
	}
	return nil
}

func (h *house) CatchUp(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.stale)
	return nil
}
