package metadata

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
	"google.golang.org/protobuf/proto"
)

// How: replicas that do not run. A test calls their steps one by one, so that it chooses the
// order; to stop a node inside a step it names the request before which somebody else acts:
//
//	e.before("create log/21", func() { ... what the others do while e stalls ... })
//
// Everything happens in the test's goroutine. Requests are written down by node.
type lab struct {
	t     *testing.T
	store *objectstore.Memory
	sent  []*logpb.News // all that was broadcast
}

type labNode struct {
	*Replica
	lab *lab

	mu    sync.Mutex
	calls []string
	hooks map[string]func()                // before requests
	held  map[string]chan struct{}         // answers on their way, by request
	fates map[string][]objectstore.Outcome // by request
}

// inLab runs f in a bubble, where waiting costs nothing.
func inLab(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, &lab{t: t, store: objectstore.NewMemory()}) })
}

// Publish writes down what is said on the bus. Nobody hears it.
func (l *lab) Publish(subject string, data []byte) error {
	news := new(logpb.News)
	if subject != subjectNews || proto.Unmarshal(data, news) != nil {
		l.t.Errorf("strange message on %s", subject)
	}
	l.sent = append(l.sent, news)
	return nil
}

func (l *lab) Subscribe(string, func([]byte)) (func(), error) { return func() {}, nil }

func (l *lab) Serve(string, func(context.Context, []byte) []byte) (func(), error) {
	return func() {}, nil
}

func (l *lab) Request(context.Context, string, []byte) ([]byte, error) {
	return nil, bus.ErrNoResponder
}

// node makes a node that holds what is in the bucket now.
func (l *lab) node(name string, configure ...func(*Config)) *labNode {
	l.t.Helper()
	n := &labNode{lab: l, hooks: map[string]func(){}, held: map[string]chan struct{}{},
		fates: map[string][]objectstore.Outcome{}}
	entropy := rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", name))))
	cluster, err := Genesis(l.t.Context(), l.store, entropy, name)
	if err != nil {
		l.t.Fatal(err)
	}
	cfg := Config{Cluster: cluster, Node: name, Candidate: true, Seed: uint64(len(name))}
	for _, c := range configure {
		c(&cfg)
	}
	n.Replica = New(Deps{
		Store:   objectstore.NewGated(l.store, n.gate),
		Bus:     l,
		Entropy: entropy,
		Logger:  slog.New(slog.DiscardHandler),
	}, cfg)
	if err := n.load(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	n.calls = nil
	return n
}

func (n *labNode) gate(_ context.Context, c objectstore.Call) (f objectstore.Fate) {
	call := c.Op + " " + short(c.Key)
	n.mu.Lock()
	n.calls = append(n.calls, call)
	hook, held := n.hooks[call], n.held[call]
	delete(n.hooks, call)
	delete(n.held, call)
	n.mu.Unlock()
	if hook != nil {
		hook()
	}
	if held != nil {
		f.Answer = func(_, _ error) { <-held }
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if left := n.fates[call]; len(left) > 0 {
		n.fates[call], f.Outcome = left[1:], left[0]
	}
	return f
}

// hold keeps the answer to the node's next such request on its way until it is released.
func (n *labNode) hold(call string) (release func()) {
	held := make(chan struct{})
	n.held[call] = held
	return func() { close(held) }
}

// start has the node's loop and its reads run until stop is called.
func (n *labNode) start() (stop func()) {
	ctx, cancel := context.WithCancel(n.lab.t.Context())
	var running sync.WaitGroup
	for _, run := range []func() error{
		func() error { return n.loop(ctx) },
		func() error { return n.tails.run(ctx, n.Replica) },
		func() error { return n.snaps.run(ctx, n.deps.Logger) },
	} {
		running.Go(func() {
			if err := run(); err != nil {
				n.lab.t.Errorf("%s: %v", n.cfg.Node, err)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// hears has the node hear a heartbeat of the leader.
func (n *labNode) hears(leader *labNode) {
	b := &logpb.Beat{Node: leader.cfg.Node, Epoch: leader.leads.Load(), Applied: leader.slot()}
	n.heard.beat(b, time.Now())
	n.inbox.beat(b.Applied, b.Epoch)
}

// read begins a linearizable read; the channel gives the slot it is answered from.
func (n *labNode) read() <-chan uint64 {
	answered := make(chan uint64, 1)
	go func() {
		if err := n.CatchUp(n.lab.t.Context()); err != nil {
			n.lab.t.Errorf("read at %s: %v", n.cfg.Node, err)
		}
		answered <- n.slot()
	}()
	synctest.Wait()
	return answered
}

// before has something happen before the node's next such request.
func (n *labNode) before(call string, hook func()) { n.hooks[call] = hook }

// fate decides what becomes of the node's next such requests.
func (n *labNode) fate(call string, outcomes ...objectstore.Outcome) { n.fates[call] = outcomes }

// asked compares what the node asked the store for since the last call.
func (n *labNode) asked(want string) {
	n.lab.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if got := strings.Join(n.calls, ", "); got != want {
		n.lab.t.Errorf("%s asked for %s\nwant %s", n.cfg.Node, got, want)
	}
	n.calls = nil
}

// lead claims and must succeed.
func (n *labNode) lead() {
	n.lab.t.Helper()
	if led, err := n.claim(n.lab.t.Context()); !led || err != nil {
		n.lab.t.Fatalf("%s does not lead: %v", n.cfg.Node, err)
	}
}

// write appends commands as one entry and gives the answer.
func (n *labNode) write(commands ...*logpb.Command) *logpb.Reply {
	n.lab.t.Helper()
	a := newAsk(n.Replica, commands...)
	if _, err := n.appendEntry(n.lab.t.Context(), []*ask{a}); err != nil {
		n.lab.t.Fatal(err)
	}
	return <-a.reply
}

func newAsk(r *Replica, commands ...*logpb.Command) *ask {
	for i, c := range commands {
		if c.Id == "" {
			c.Id = CommandID(r.slot(), fmt.Sprintf("%s%d-%d", r.cfg.Node, r.slot(), i))
		}
	}
	return &ask{commands: commands, reply: make(chan *logpb.Reply, 1)}
}

// writeTo appends entries until the node is at slot.
func (n *labNode) writeTo(slot uint64) {
	n.lab.t.Helper()
	for n.slot() < slot {
		if r := n.write(noop()); r.Status != logpb.Reply_STATUS_DONE {
			n.lab.t.Fatalf("%s at slot %d: %v", n.cfg.Node, n.slot(), r)
		}
	}
}

// snapshot takes one of what the node holds, and trims.
func (n *labNode) snapshot() {
	n.lab.t.Helper()
	if err := n.snaps.snapshot(n.lab.t.Context(), n.State()); err != nil {
		n.lab.t.Fatal(err)
	}
}

// catchUp brings the node to the tail, as a read does.
func (n *labNode) catchUp() {
	n.lab.t.Helper()
	tail, err := n.bucket.tail(n.lab.t.Context(), n.slot())
	if err == nil {
		err = n.reach(n.lab.t.Context(), tail)
	}
	if err != nil {
		n.lab.t.Errorf("%s catches up: %v", n.cfg.Node, err)
	}
}

// there says whether an object exists.
func (l *lab) there(key string) bool {
	_, err := l.store.Get(l.t.Context(), key, 0, -1)
	return err == nil
}

// agree: all nodes hold the same state.
func (l *lab) agree(nodes ...*labNode) {
	l.t.Helper()
	for _, n := range nodes[1:] {
		if n.slot() != nodes[0].slot() || n.State().Hash() != nodes[0].State().Hash() {
			l.t.Errorf("%s at slot %d, claims %v, is not %s at slot %d, claims %v", n.cfg.Node,
				n.slot(), n.State().Claims(), nodes[0].cfg.Node, nodes[0].slot(),
				nodes[0].State().Claims())
		}
	}
}

// claimsSent lists the slots of the claims that were broadcast.
func (l *lab) claimsSent() (slots []uint64) {
	for _, news := range l.sent {
		if e, err := DecodeEntry(news.Entry); err == nil && e.GetClaim() != nil {
			slots = append(slots, e.Slot)
		}
	}
	return slots
}
