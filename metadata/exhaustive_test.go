package metadata

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/bus"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

// How: a small exhaustive model. Three nodes run short scripts of production steps (claim,
// append, snapshot and trim, read) on one bucket. Each request of a node waits until the
// driver picks it, and every order of picking is tried, with an answer lost here and there:
// depth first, each order from the beginning, cut off where bucket and nodes are in a state
// that was seen. What a node knows is what it was answered so far, so its answers stand for
// its memory. After each request the lemmas of the protocol's argument are checked against
// the history, the first body of each slot.

// Steps of a script: c claims, a appends if it leads, s takes a snapshot and trims, r reads.
// What stands before | has happened before the others begin, node by node.
type modelCheck struct {
	scripts []string // by node
	faults  int      // creates whose answer is lost
	defects Defects
}

var modelChecks = []struct {
	name string
	modelCheck
	found bool // a violation must be found
}{
	{"void claims", modelCheck{[]string{"caasas", "rca", ""}, 0, Defects{}}, false},
	{"void claims read", modelCheck{[]string{"ca|asas", "r|ca", "r|r"}, 0, Defects{}}, false},
	{"zombies", modelCheck{[]string{"casa", "rcasas", ""}, 0, Defects{}}, false},
	{"lost answers", modelCheck{[]string{"casa", "rcas", ""}, 1, Defects{}}, false},
	{"three claimants", modelCheck{[]string{"ca", "ca", "ca"}, 1, Defects{}}, false},
	{"three claimants that trim", modelCheck{[]string{"cas", "cas", "car"}, 0, Defects{}}, false},

	{"author uncovered", modelCheck{[]string{"caasas", "rca", ""}, 0,
		Defects{ClaimUncovered: true}}, true},
	{"reader uncovered", modelCheck{[]string{"ca|asas", "r|c", "r|r"}, 0,
		Defects{ReaderUncovered: true}}, true},
	{"claims trimmed", modelCheck{[]string{"caa", "casas", ""}, 0,
		Defects{ClaimsTrimmed: true}}, true},
	{"trim bound from the listing", modelCheck{[]string{"casa", "rcasas", ""}, 0,
		Defects{TrimBoundListed: true}}, true},
	{"trim to the newest", modelCheck{[]string{"casas", "ca", ""}, 0,
		Defects{TrimToNewest: true}}, true},
	{"trim before the snapshot", modelCheck{[]string{"casasas", "r", ""}, 0,
		Defects{TrimEarly: true, TrimToNewest: true}}, true},
	{"exists is mine", modelCheck{[]string{"ca", "ca", ""}, 1, Defects{ExistsIsMine: true}}, true},
}

func TestEveryOrder(t *testing.T) {
	for _, c := range modelChecks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && !c.found {
				t.Skip("some thousand orders")
			}
			synctest.Test(t, func(t *testing.T) {
				d := &modelDriver{modelCheck: c.modelCheck, seen: map[uint64]bool{}}
				d.explore()
				t.Logf("%d states, %d orders", len(d.seen), d.orders)
				if len(d.seen) < 1000 && !c.found {
					t.Error("the model has gone blind")
				}
				if found := d.violation != ""; found != c.found {
					t.Errorf("violation %q, after %v", d.violation, d.picked)
				}
			})
		})
	}
}

// modelDriver tries the orders.
type modelDriver struct {
	modelCheck
	seen      map[uint64]bool
	orders    int
	violation string
	picked    []choice // the order under way
}

// choice has one node's request executed; lost: its answer is not told.
type choice struct {
	node int
	lost bool
}

func (d *modelDriver) explore() {
	todo := [][]choice{nil}
	for len(todo) > 0 && d.violation == "" {
		prefix := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		d.orders++
		w := newModelWorld(d)
		d.picked = nil
		for _, p := range prefix {
			w.execute(p)
		}
		for {
			w.check()
			state := w.hash()
			if d.violation != "" || d.seen[state] {
				break
			}
			d.seen[state] = true
			choices := w.choices()
			if len(choices) == 0 {
				break
			}
			for _, p := range choices[1:] {
				todo = append(todo, append(slices.Clone(d.picked), p))
			}
			w.execute(choices[0])
		}
		w.stop()
	}
}

// modelWorld is one order being run.
type modelWorld struct {
	*modelDriver
	store  *objectstore.Memory
	first  map[uint64][]byte // H: the first body created at each slot
	chains []chainHash       // of H, by slot
	claims []uint64          // of H
	nodes  []*modelNode
	faults int // left
	cancel context.CancelFunc
}

// modelNode is a node and its bucket: each request waits for its turn.
type modelNode struct {
	*Replica
	world   *modelWorld
	parked  chan string // a request is waiting; closed: the script has ended
	turn    chan bool   // it is executed now; true: its answer is lost
	waiting string
	history uint64 // of what it asked and was answered
	ended   bool
}

var modelCluster = [16]byte{6: 0x40, 8: 0x80}

func newModelWorld(d *modelDriver) *modelWorld {
	ctx, cancel := context.WithCancel(context.Background())
	chain := genesisChain(modelCluster)
	genesis := encodeEntry(&logpb.Entry{Cluster: modelCluster[:], Slot: 1, Prev: chain[:],
		Kind: &logpb.Entry_Claim{Claim: &logpb.Claim{Node: "genesis", Nonce: make([]byte, 16)}}})
	w := &modelWorld{
		modelDriver: d, store: objectstore.NewMemory(), first: map[uint64][]byte{},
		chains: []chainHash{chain}, faults: d.faults, cancel: cancel,
	}
	_, _ = w.store.Create(ctx, LogKey(1), genesis)
	w.record(1, genesis)
	for i, script := range d.scripts {
		n := &modelNode{world: w, parked: make(chan string), turn: make(chan bool)}
		n.Replica = New(Deps{
			Store: n, Bus: noBus{}, Entropy: rand.NewChaCha8([32]byte{byte(i)}),
			Logger: slog.New(slog.DiscardHandler),
		}, Config{Cluster: modelCluster, Node: fmt.Sprint("n", i), Candidate: true, Defects: d.defects})
		e, err := DecodeEntry(genesis)
		if err == nil {
			err = n.apply(e, genesis)
		}
		if err != nil {
			panic(err)
		}
		w.nodes = append(w.nodes, n)
		go n.run(ctx, script)
		n.await()
		for strings.Contains(script, "|") && n.waiting != "|" {
			n.turn <- false
			n.await()
		}
	}
	return w
}

type noBus struct{ Bus }

func (noBus) Publish(string, []byte) error { return bus.ErrNoResponder }

// run makes the script's steps; the driver sees only requests.
func (n *modelNode) run(ctx context.Context, script string) {
	defer close(n.parked)
	for i, step := range script {
		var err error
		switch {
		case step == '|':
			n.answered("|", n.ask("|"))
		case step == 'c':
			_, err = n.claim(ctx)
		case step == 'a' && n.leads.Load() != 0:
			err = n.write(ctx, fmt.Sprint(n.cfg.Node, i))
		case step == 's' && !slices.Contains(n.State().Claims(), n.slot()):
			err = n.snaps.snapshot(ctx, n.State())
		case step == 'r':
			err = n.read(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			n.world.violate("%s stops: %v", n.cfg.Node, err)
		}
	}
}

// write appends a command. Told that it is done, it is in the history, in that slot.
func (n *modelNode) write(ctx context.Context, unique string) error {
	a := &ask{commands: []*logpb.Command{born(9, unique, noop())}, reply: make(chan *logpb.Reply, 1)}
	if _, err := n.appendEntry(ctx, []*ask{a}); err != nil {
		return err
	}
	reply := <-a.reply
	if reply.Status != logpb.Reply_STATUS_DONE {
		return nil
	}
	if !bytes.Contains(n.world.first[reply.Results[0].Slot], []byte(unique)) {
		n.world.violate("L6: %s is told that %s is in slot %d", n.cfg.Node, unique,
			reply.Results[0].Slot)
	}
	return nil
}

// read is linearizable: it is answered from what was there when it began, or later.
func (n *modelNode) read(ctx context.Context) error {
	began := uint64(len(n.world.chains) - 1)
	tail, err := n.bucket.tail(ctx, n.slot())
	if err != nil {
		return err
	}
	if tail < began {
		n.world.violate("L8: a read that began at tail %d is answered from %d", began, tail)
	}
	for n.slot() < tail { // as reach does, but one request at a time
		found, err := n.advance(ctx)
		if err == nil && !found {
			found, err = n.reload(ctx)
		}
		if err != nil || !found {
			return fmt.Errorf("slot %d is gone and not covered: %w", n.slot()+1, err)
		}
	}
	return nil
}

// ask waits for the request's turn.
func (n *modelNode) ask(call string) (lost bool) {
	n.parked <- call
	return <-n.turn
}

func (n *modelNode) answered(call string, answer any) {
	h := fnv.New64a()
	if body, ok := answer.([]byte); ok {
		_, _ = h.Write(body)
		answer = nil
	}
	fmt.Fprint(h, n.history, call, answer)
	n.history = h.Sum64()
}

func (n *modelNode) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	call := "create " + short(key)
	lost := n.ask(call)
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	date, err := n.world.store.Create(ctx, key, data)
	if slot, serr := SlotOf(key); err == nil && serr == nil && strings.HasPrefix(key, logPrefix) {
		n.world.record(slot, bytes.Clone(data))
	}
	if lost {
		date, err = time.Time{}, objectstore.ErrFault
	}
	n.answered(call, err)
	return date, err
}

func (n *modelNode) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	call := "get " + short(key)
	n.ask(call)
	body, err := n.world.store.Get(ctx, key, offset, length)
	n.answered(call, body)
	return body, err
}

func (n *modelNode) List(ctx context.Context, prefix, after string, limit int) (
	[]objectstore.Info, bool, error,
) {
	call := "list " + prefix
	n.ask(call)
	page, more, err := n.world.store.List(ctx, prefix, after, limit)
	n.answered(call, page)
	return page, more, err
}

func (n *modelNode) Delete(ctx context.Context, keys ...string) error {
	call := "delete " + strings.Join(keys, " ")
	n.ask(call)
	err := n.world.store.Delete(ctx, keys...)
	n.answered(call, err)
	return err
}

// await returns when the node's next request waits, or its script has ended. Pauses between
// tries pass meanwhile, in no time.
func (n *modelNode) await() {
	call, more := <-n.parked
	n.waiting, n.ended = call, !more
}

// choices are the requests that wait, in a fixed order.
func (w *modelWorld) choices() (choices []choice) {
	for i, n := range w.nodes {
		if n.ended {
			continue
		}
		choices = append(choices, choice{node: i})
		if w.faults > 0 && strings.HasPrefix(n.waiting, "create ") {
			choices = append(choices, choice{node: i, lost: true})
		}
	}
	return choices
}

// execute has one request executed, and its node go on to its next.
func (w *modelWorld) execute(p choice) {
	w.picked = append(w.picked, p)
	if p.lost {
		w.faults--
	}
	n := w.nodes[p.node]
	n.turn <- p.lost
	n.await()
}

// stop ends all scripts where they are.
func (w *modelWorld) stop() {
	w.cancel()
	for _, n := range w.nodes {
		for !n.ended {
			n.turn <- true
			n.await()
		}
	}
}

func (w *modelWorld) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, w.faults)
	for _, n := range w.nodes {
		fmt.Fprint(h, " ", n.history)
	}
	page, _, _ := w.store.List(context.Background(), "", "", 0)
	for _, info := range page {
		body, _ := w.store.Get(context.Background(), info.Key, 0, -1)
		_, _ = h.Write([]byte(info.Key))
		_, _ = h.Write(body)
	}
	return h.Sum64()
}

func (w *modelWorld) violate(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}
