package sim

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
)

// Options say what one seed runs.
type Options struct {
	Seed uint64
	// StormMax bounds the storm in virtual time; 0: a minute. It lasts a third at least.
	StormMax time.Duration
	Defects  metadata.Defects // planted bugs
	// More planted bugs, beside metadata's own.
	Unconditional     float64 // share of failing conditions that the store ignores
	ExpiredIsDefinite bool    // an expired commit is told as a definite failure
	SweepAnyBirth     bool    // the sweeper minds no floor
	SweepAhead        bool    // the sweeper minds a floor that was not applied yet
	SweepSpares       bool    // the sweeper takes some dead objects for live ones
	DeleteRefused     bool    // a compactor deletes what it wrote when the swap is not accepted
	RetainLess        bool    // retention drops a record too many
	DeleteByName      bool    // who deletes a topic asks again by name
	CommitAhead       bool    // ingest commits an object before the last was answered
	PassPartly        bool    // key compaction leaves out where a partition begins
	OffsetsNarrow     bool    // merges compute with offsets of a byte
	EmptyOnMissing    bool    // an object that is not there is read as empty
	ChecksumUnchecked bool    // damage goes by unseen
	UnknownSkipped    bool    // an old binary goes on where it should halt
	AckEarly          bool    // log entries are written behind the acknowledgement
}

// Report is what came of a seed.
type Report struct {
	Seed       uint64
	Hash       uint64 // of the trace
	Steps      int
	Virtual    time.Duration
	Slots      uint64
	Acked      int // records
	AckedStorm int // of these while faults were going on
	Read       int // records compared
	Faults     map[string]int
	Counts     map[string]int // things that happen sometimes
	Violations []string
	Trace      []string // its end
}

// healWithin is liveness: all is well so long after the last fault, in virtual time.
const healWithin = 10 * time.Second

// house is the whole system of one seed.
type house struct {
	*World
	judge  *judge
	ledger *ledger
	rng    *rand.Rand // the driver's

	nodes         []*node
	options       Options
	snapshotSlots int
	watched       bool        // every state is compared; watching keeps a replica from falling idle
	topics        []foz.Topic // as clients want them: they find them by name

	ctx       context.Context // of the clients
	cancel    context.CancelFunc
	merging   context.Context // of the nodes' own compactors
	rest      context.CancelFunc
	actors    int // running, the driver's
	producers uint32
}

// Run runs one seed and reports.
func Run(t *testing.T, o Options) (report Report) {
	synctest.Test(t, func(*testing.T) {
		h := newHouse(o)
		h.live()
		h.teardown()
		report = h.report(o.Seed)
	})
	return report
}

func newHouse(o Options) *house {
	o.StormMax = cmp.Or(o.StormMax, time.Minute)
	j := newJudge()
	l := newLedger(j)
	w := NewWorld(o.Seed, l)
	w.bugs = o
	j.driver = w.Driver
	h := &house{World: w, judge: j, ledger: l, rng: w.rngFor("house"), options: o}
	h.topics = drawTopics(w.rngFor("topics"))
	h.snapshotSlots = 3 + h.rng.IntN(1+h.rng.IntN(14))
	h.watched = h.rng.IntN(4) > 0
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.merging, h.rest = context.WithCancel(context.Background())
	if o.Unconditional > 0 {
		l.unconditional = func(key string) bool {
			return w.rngFor(key).Float64() < o.Unconditional
		}
	}
	for i := range 3 + h.rng.IntN(2) {
		n := &node{id: fmt.Sprintf("n%d", i+1), candidate: i < 3}
		n.old = !n.candidate && h.rng.IntN(2) == 0
		h.nodes = append(h.nodes, n)
	}
	return h
}

// live is the seed's story: a house is founded, storms, heals and is looked over.
func (h *house) live() {
	h.calm = true
	for _, n := range h.nodes {
		h.start(n)
	}
	if !h.found() {
		h.judge.violation(19, "no topic within a minute of a calm start")
		return
	}
	h.calm = false
	storm := h.Now() + h.options.StormMax/3 + jitter(h.rng, h.options.StormMax*2/3)
	h.clients()
	h.chaos(storm)
	h.RunUntil(storm, h.broken)
	if !h.broken() {
		h.aftermath()
	}
}

func (h *house) broken() bool { return !h.judge.ok() }

// found makes the topics.
func (h *house) found() bool {
	founded := false
	h.actor("founder", func(ctx context.Context, rng *rand.Rand) {
		for i := 0; i < len(h.topics) && ctx.Err() == nil; {
			s := h.pick(rng)
			if s == nil {
				_ = sleep(ctx, 10*time.Millisecond+jitter(rng, 10*time.Millisecond))
				continue
			}
			if _, _, err := s.client.CreateTopic(ctx, h.topics[i]); err == nil {
				i++
			}
		}
		h.After(0, "founded", func() { founded = true })
	})
	return h.RunUntil(time.Minute, func() bool { return founded || h.broken() }) && founded
}

// actor runs a client until the clients' context ends.
func (h *house) actor(name string, act func(ctx context.Context, rng *rand.Rand)) {
	h.actors++
	rng, ctx := h.rngFor("actor "+name), asActor(h.ctx, name)
	go func() {
		act(ctx, rng)
		h.After(0, name+" leaves", func() { h.actors-- })
	}()
}

// pick is the services of some node that is up; nil if none is. Nodes change only between
// steps, so that concurrent actors see the same.
func (h *house) pick(rng *rand.Rand) *services {
	up := h.up()
	if len(up) == 0 {
		return nil
	}
	return up[rng.IntN(len(up))]
}

func (h *house) up() []*services {
	h.mu.Lock()
	defer h.mu.Unlock()
	var up []*services
	for _, n := range h.nodes {
		if n.services != nil {
			up = append(up, n.services)
		}
	}
	return up
}

// teardown ends everything that runs, so that the bubble can end.
func (h *house) teardown() {
	h.cancel()
	h.rest()
	for _, n := range h.nodes {
		h.down(n)
	}
	time.Sleep(time.Minute) // what is left ends by its own deadlines
	synctest.Wait()
}

func (h *house) report(seed uint64) Report {
	h.admit()
	j := h.judge
	j.mu.Lock()
	defer j.mu.Unlock()
	for what, n := range h.seen {
		j.counts[what] += n
	}
	return Report{
		Seed: seed, Hash: h.trace.hash.Sum64(), Steps: h.steps, Virtual: h.Now(),
		Slots: h.ledger.tail(), Acked: j.acked, AckedStorm: j.ackedStorm, Read: j.reads,
		Faults: h.faults, Counts: j.counts,
		Violations: slices.Clone(j.violations), Trace: h.trace.last(traceKept),
	}
}
