package compactor

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// How: a compactor on a bucket in memory and on a ledger, in a bubble with virtual time.
// Objects are real ones, as ingest writes them, and every check reads them back as a reader
// does.

type mill struct {
	*Compactor
	t      testing.TB
	store  *objectstore.Memory
	ledger *ledger
	calls  map[string]int // requests of the compactor, by operation
	bytes  map[string]int64
	fate   func(objectstore.Call) objectstore.Fate
	rng    *rand.Rand
	truth  map[foz.Partition][]string // every record appended, by offset
	wrote  int64                      // bytes of fresh objects
}

// rows is what one flush appends to one partition: values; a key before "=" where there is
// one, and nothing after it for a tombstone.
type rows map[foz.Partition][]string

func inMill(t *testing.T, cfg Config, f func(t *testing.T, m *mill)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newMill(t, cfg)) })
}

func newMill(t testing.TB, cfg Config) *mill {
	m := &mill{t: t, store: objectstore.NewMemory(), ledger: newLedger(), calls: map[string]int{},
		bytes: map[string]int64{}, truth: map[foz.Partition][]string{},
		rng: rand.New(rand.NewPCG(1, 2))}
	m.restart(cfg)
	return m
}

// restart gives the mill a compactor that knows nothing.
func (m *mill) restart(cfg Config) {
	m.Compactor = New(Deps{Store: objectstore.NewGated(m.store, m.gate), Catalog: m.ledger,
		Tables: m.ledger, Entropy: entropy{m.rng}}, cfg)
}

var drawing sync.Mutex

type entropy struct{ rng *rand.Rand }

func (e entropy) Read(b []byte) (int, error) {
	drawing.Lock() // a test draws names, and so does what it runs
	defer drawing.Unlock()
	for i := range b {
		b[i] = byte(e.rng.Uint32())
	}
	return len(b), nil
}

func (m *mill) gate(_ context.Context, c objectstore.Call) objectstore.Fate {
	m.calls[c.Op]++
	m.bytes[c.Op] += c.Length
	if m.fate != nil {
		return m.fate(c)
	}
	return objectstore.Fate{}
}

// asked compares the number of requests since it was last called.
func (m *mill) asked(gets, creates, deletes, lists int) {
	m.t.Helper()
	want := map[string]int{"get": gets, "create": creates, "delete": deletes, "list": lists}
	maps.DeleteFunc(want, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(m.calls, want) {
		m.t.Errorf("asked for %v, want %v", m.calls, want)
	}
	m.calls = map[string]int{}
}

// flush writes an object and commits it.
func (m *mill) flush(what rows) string {
	m.t.Helper()
	var parts []segment.Part
	for _, p := range slices.SortedFunc(maps.Keys(what), foz.Partition.Compare) {
		r := &foz.Rows{}
		for _, text := range what[p] {
			key, value, _ := bytes.Cut([]byte(text), []byte("="))
			if !bytes.Contains([]byte(text), []byte("=")) {
				key, value = nil, []byte(text)
			} else if len(value) == 0 {
				value = nil
			}
			r.Append(int64(len(m.truth[p])), key, value, nil)
			m.truth[p] = append(m.truth[p], show(key, value))
		}
		parts = append(parts, segment.Part{Partition: p, Rows: r})
	}
	object, segments, err := new(segment.Encoder).Encode(nil, parts, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	id, _ := m.newID()
	key := foz.ObjectKey(m.ledger.now.slot, id)
	date, err := m.store.Create(m.t.Context(), key, object)
	if err != nil {
		m.t.Fatal(err)
	}
	m.wrote += int64(len(object))
	c := m.ledger.next()
	c.committed = c.slot
	for _, s := range segments {
		shelf := c.parts[s.Partition]
		shelf.placements = append(slices.Clip(shelf.placements), foz.Placement{Object: key,
			Segment: s, RowCount: s.Rows, Base: shelf.end(), AppendedMS: date.UnixMilli()})
		c.parts[s.Partition] = shelf
	}
	return key
}

func show(key, value []byte) string {
	return fmt.Sprintf("%q %v=%q %v", key, key == nil, value, value == nil)
}

// noise is n bytes that cannot be compressed.
func (m *mill) noise(n int) string {
	b := make([]byte, n)
	_, _ = entropy{m.rng}.Read(b)
	for i := range b {
		if b[i] == '=' {
			b[i] = '-'
		}
	}
	return string(b)
}

// read gives all records of a partition by offset, and checks that its placements tile it.
func (m *mill) read(p foz.Partition) map[int64]string {
	m.t.Helper()
	found := map[int64]string{}
	shelf := m.ledger.now.parts[p]
	next := shelf.earliest
	for i, pl := range shelf.placements {
		if pl.Base != next && (i > 0 || pl.Base > next || pl.Next() <= next) {
			m.t.Fatalf("%s: placement [%d,%d) where %d is next", p, pl.Base, pl.Next(), next)
		}
		next = pl.Next()
		o := m.open(pl)
		if err := o.each(func(run foz.Run) error {
			for i := range run.Len() {
				r, err := run.Rows.Record(run.From+i, run.Offset(i))
				if err != nil || r.Timestamp != r.Offset {
					m.t.Fatalf("%s: offset %d has timestamp %d, %v", p, r.Offset, r.Timestamp, err)
				}
				if r.Offset >= shelf.earliest {
					found[r.Offset] = show(r.Key, r.Value)
				}
			}
			return nil
		}); err != nil {
			m.t.Fatalf("%s: %v", p, err)
		}
	}
	return found
}

func (m *mill) open(pl foz.Placement) opened {
	m.t.Helper()
	want := wanted(pl)
	length := int64(-1)
	if want.end != toEnd {
		length = want.end - want.start
	}
	data, err := m.store.Get(m.t.Context(), pl.Object, want.start, length)
	if err != nil {
		m.t.Fatalf("get %s: %v", pl.Object, err)
	}
	o, err := open(pl, data)
	if err != nil {
		m.t.Fatalf("open %s: %v", pl.Object, err)
	}
	return o
}

// same checks invariant 17: every record that was appended is where it was, and no other.
func (m *mill) same() {
	m.t.Helper()
	for p, all := range m.truth {
		shelf, there := m.ledger.now.parts[p]
		if !there {
			continue
		}
		found := m.read(p)
		if want := int64(len(all)) - shelf.earliest; int64(len(found)) != want {
			m.t.Errorf("%s has %d records, not %d", p, len(found), want)
		}
		for offset, text := range found {
			if all[offset] != text {
				m.t.Fatalf("%s: offset %d is %.80s, was %.80s", p, offset, text, all[offset])
			}
		}
	}
}

// levels counts placements by level.
func (m *mill) levels() (fresh, merged int) {
	for _, s := range m.ledger.now.parts {
		for _, pl := range s.placements {
			if pl.Segment.Level == 0 {
				fresh++
			} else {
				merged++
			}
		}
	}
	return fresh, merged
}

// objects gives what lies under data/.
func (m *mill) objects() (keys []string) {
	m.t.Helper()
	page, more, err := m.store.List(m.t.Context(), foz.ObjectPrefix, "", 0)
	if err != nil || more {
		m.t.Fatal(err, more)
	}
	for _, info := range page {
		keys = append(keys, info.Key)
	}
	return keys
}

// step makes one step of every job.
func (m *mill) step() {
	m.t.Helper()
	if err := m.Step(m.t.Context()); err != nil {
		m.t.Error(err)
	}
}

// maintain does all that is due of some jobs.
func (m *mill) maintain(run ...string) Report {
	m.t.Helper()
	e := &errand{ctx: m.t.Context(), run: run, done: make(chan struct{})}
	m.serve(m.t.Context(), e)
	if e.err != nil {
		m.t.Error(e.err)
	}
	return e.report
}

func (m *mill) all(p foz.Partition) []foz.Placement {
	all, _, _ := m.ledger.now.Locate(p, 0, math.MaxInt)
	return all
}
