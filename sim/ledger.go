package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
	"google.golang.org/protobuf/proto"
)

// ledger is the bucket as the checker sees it: every request at the moment it takes effect.
// It keeps the history of the log (the first body ever created at each slot) and the state
// after each slot, and holds the writers of log/, snap/ and data/ to the rules.
type ledger struct {
	*objectstore.Memory
	judge *judge
	// unconditional, if not nil, is a planted bug: a Create that overwrites.
	unconditional func(key string) bool

	mu        sync.Mutex // guards what follows, and makes effect and record one step
	bodies    [][]byte   // history: bodies[x] is the first body at slot x; 0 is empty
	states    []*metadata.State
	hashes    map[uint64][32]byte      // of states, as far as asked for
	snapshots map[uint64]bool          // that exist
	uploads   map[string]uint32        // data objects ever created, and their checksums
	firsts    map[string]*logpb.Result // the decision on each command
	live      map[string]bool          // data objects that have been live
	ruined    map[string]bool          // data objects that are damaged for good
	wrote     map[string]wrote         // producers by topic and id
	newestMS  int64                    // of these
}

func newLedger(j *judge) *ledger {
	return &ledger{
		Memory: objectstore.NewMemory(), judge: j,
		bodies: make([][]byte, 1), states: make([]*metadata.State, 1),
		hashes:    map[uint64][32]byte{},
		snapshots: map[uint64]bool{}, uploads: map[string]uint32{}, live: map[string]bool{},
		firsts: map[string]*logpb.Result{}, ruined: map[string]bool{}, wrote: map[string]wrote{},
	}
}

// tail is the highest used slot.
func (l *ledger) tail() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.bodies) - 1)
}

// state is what the log says after slot, nil if it has not been used.
func (l *ledger) state(slot uint64) *metadata.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slot >= uint64(len(l.states)) {
		return nil
	}
	return l.states[slot]
}

// newest is what the log says now, nil before genesis.
func (l *ledger) newest() *metadata.State { return l.state(l.tail()) }

// Create records what becomes of an object that now exists.
func (l *ledger) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	date, err := l.Memory.Create(ctx, key, data)
	if errors.Is(err, objectstore.ErrExists) && l.unconditional != nil && l.unconditional(key) {
		err = l.Memory.Delete(ctx, key)
		if err == nil {
			date, err = l.Memory.Create(ctx, key, data)
		}
	}
	if err != nil {
		if errors.Is(err, objectstore.ErrExists) {
			l.met(key, data)
		}
		return date, err
	}
	switch prefix, _, _ := strings.Cut(key, "/"); prefix {
	case "log":
		l.logged(key, bytes.Clone(data))
	case "snap":
		l.snapshotted(key, data)
	case "data":
		l.uploaded(key, data)
	}
	return date, nil
}

// met counts what lies where somebody wanted to create a log slot.
func (l *ledger) met(key string, data []byte) {
	slot, err := metadata.SlotOf(key)
	if err != nil || !strings.HasPrefix(key, "log/") {
		return
	}
	there, _ := l.Memory.Get(context.Background(), key, 0, -1)
	switch {
	case bytes.Equal(there, data):
		l.judge.sometimes("ambiguous append finds its own bytes")
	case isClaim(data):
		l.judge.sometimes("claim finds its slot taken")
	case isClaim(there) && !bytes.Equal(there, l.bodies[slot]):
		l.judge.sometimes("append finds a void claim")
	case isClaim(there):
		l.judge.sometimes("zombie append stopped by a claim")
		for s := range l.snapshots {
			if s > slot {
				l.judge.sometimes("zombie append stopped by a claim below a snapshot")
				return
			}
		}
	default:
		l.judge.sometimes("append finds another entry")
	}
}

// Get counts who meets a claim that is not the history of its slot.
func (l *ledger) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	data, err := l.Memory.Get(ctx, key, offset, length)
	if err == nil && strings.HasPrefix(key, "log/") && l.isVoid(key, data) {
		l.judge.sometimes("void claim met by a reader")
	}
	return data, err
}

func (l *ledger) isVoid(key string, data []byte) bool {
	slot, err := metadata.SlotOf(key)
	l.mu.Lock()
	defer l.mu.Unlock()
	return err == nil && slot < uint64(len(l.bodies)) && !bytes.Equal(data, l.bodies[slot])
}

// uploaded holds keys to one content for ever: a late PUT may bring back what was swept, and
// no other bytes.
func (l *ledger) uploaded(key string, data []byte) {
	sum := crc32.ChecksumIEEE(data)
	if old, again := l.uploads[key]; again && old != sum {
		l.judge.violation(15, "%s was created again with other bytes", key)
	} else if again {
		l.judge.sometimes("late upload of a swept object")
	}
	l.uploads[key] = sum
}

// logged extends the history, or judges what was created in trimmed ground.
func (l *ledger) logged(key string, body []byte) {
	slot, err := metadata.SlotOf(key)
	if err != nil {
		l.judge.violation(14, "log key %s: %v", key, err)
		return
	}
	e, err := metadata.DecodeEntry(body)
	if err != nil || e.Slot != slot {
		l.judge.violation(14, "%s holds no entry of its own: %v", key, err)
		return
	}
	next := uint64(len(l.bodies))
	switch {
	case slot > next:
		l.judge.violation(13, "slot %d was used before slot %d: a hole", slot, next)
	case slot < next && bytes.Equal(l.bodies[slot], body) && e.GetClaim() != nil:
		l.judge.violation(13, "the valid claim %d was gone and is created again", slot)
	case slot < next && e.GetClaim() != nil:
		l.judge.sometimes("void claim landed")
	case slot < next && bytes.Equal(l.bodies[slot], body):
		l.judge.sometimes("zombie re-created its own trimmed entry")
	case slot < next:
		l.judge.violation(13, "slot %d was written a second time, with another body", slot)
	default:
		l.extend(e, body)
	}
}

func (l *ledger) extend(e *logpb.Entry, body []byte) {
	if len(l.bodies) == 1 {
		l.states[0] = metadata.NewState([16]byte(e.Cluster))
	}
	last := l.states[len(l.states)-1]
	state, results, err := last.Apply(e, body)
	if err != nil {
		l.judge.violation(13, "slot %d does not continue the log: %v", e.Slot, err)
		state, results = last, nil // for the numbering: the seed ends here
	}
	l.bodies, l.states = append(l.bodies, body), append(l.states, state)
	if e.GetClaim() != nil {
		l.judge.sometimes("claim")
		return
	}
	var decided []decision
	for i, c := range e.GetCommands().GetCommands() {
		if results == nil {
			return
		}
		if l.command(c, results[i]) {
			decided = append(decided, decision{c, results[i]})
		}
		if c.GetCommit() != nil {
			l.committed(c.GetCommit().Object, state)
		}
	}
	l.follow(last, state, decided)
}

// command counts what became of a command, and holds it to one decision: is it this one?
func (l *ledger) command(c *logpb.Command, r *logpb.Result) bool {
	expired := r.GetRefusal().GetCode() == string(foz.CodeAckTimeout)
	first, again := l.firsts[c.Id]
	switch {
	case expired && again:
		l.judge.sometimes("EXPIRED although decided before")
	case expired:
		l.judge.sometimes("EXPIRED")
	case again && !proto.Equal(first, r):
		l.judge.violation(6, "command %s was decided as %v and now as %v", c.Id, first, r)
	case again:
		l.judge.sometimes("command answered again")
	default:
		l.firsts[c.Id] = r
		return true
	}
	return false
}

// committed holds a COMMIT to the promise that what it names is there.
func (l *ledger) committed(object string, state *metadata.State) {
	if !state.Live(object) || l.live[object] {
		return
	}
	l.live[object] = true
	if _, err := l.Memory.Get(context.Background(), object, 0, 0); err != nil {
		l.judge.violation(15, "slot %d names %s: %v", state.Slot(), object, err)
	}
}

func (l *ledger) snapshotted(key string, body []byte) {
	slot, err := metadata.SlotOf(key)
	if err != nil || slot >= uint64(len(l.states)) {
		l.judge.violation(14, "%s is no snapshot of the log's %d slots", key, len(l.states)-1)
		return
	}
	l.snapshots[slot] = true
	l.judge.sometimes("snapshot")
	if sha256.Sum256(body) != l.hash(slot) {
		l.judge.violation(14, "%s is not the state at its slot", key)
	}
}

// Delete judges every object that goes.
func (l *ledger) Delete(ctx context.Context, keys ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if _, err := l.Memory.Get(ctx, key, 0, 0); err != nil {
			continue
		}
		switch prefix, _, _ := strings.Cut(key, "/"); prefix {
		case "log":
			l.trimming(key)
		case "snap":
			l.dropping(key)
		case "data":
			l.sweeping(key)
		}
	}
	return l.Memory.Delete(ctx, keys...)
}

func (l *ledger) trimming(key string) {
	slot, err := metadata.SlotOf(key)
	if err != nil {
		l.judge.violation(14, "delete of %s: %v", key, err)
		return
	}
	l.judge.sometimes("trim")
	covered := false
	for s := range l.snapshots {
		covered = covered || s > slot
	}
	tail := uint64(len(l.bodies) - 1)
	switch {
	case !covered:
		l.judge.violation(14, "slot %d was deleted and no newer snapshot covers it", slot)
	case slot >= tail:
		l.judge.violation(14, "slot %d, the tail, was deleted", slot)
	case isClaim(l.bodies[slot]) && l.holdsHistory(key, slot):
		l.judge.violation(13, "the valid claim %d was deleted", slot)
	}
}

func (l *ledger) holdsHistory(key string, slot uint64) bool {
	body, err := l.Memory.Get(context.Background(), key, 0, -1)
	return err == nil && bytes.Equal(body, l.bodies[slot])
}

func isClaim(body []byte) bool {
	e, err := metadata.DecodeEntry(body)
	return err == nil && e.GetClaim() != nil
}

func (l *ledger) dropping(key string) {
	slot, err := metadata.SlotOf(key)
	if err != nil {
		l.judge.violation(14, "delete of %s: %v", key, err)
		return
	}
	newest := uint64(0)
	for s := range l.snapshots {
		newest = max(newest, s)
	}
	if slot == newest {
		l.judge.violation(14, "the newest snapshot, %d, was deleted", slot)
	}
	delete(l.snapshots, slot)
}

func (l *ledger) sweeping(key string) {
	state := l.states[len(l.states)-1]
	if state == nil {
		return
	}
	l.judge.sometimes("swept object")
	birth, _, err := foz.ParseObjectKey(key)
	switch {
	case state.Live(key):
		l.judge.violation(15, "%s was deleted while placements name it", key)
	case err != nil || birth >= state.Floor():
		l.judge.violation(15, "%s was deleted above the floor %d: it may yet become live",
			key, state.Floor())
	}
}

// hash is the digest of the state after a slot. The caller holds the lock.
func (l *ledger) hash(slot uint64) [32]byte {
	hash, known := l.hashes[slot]
	if !known {
		hash = l.states[slot].Hash()
		l.hashes[slot] = hash
	}
	return hash
}

// agrees says whether a state is the one after its slot, which has been used.
func (l *ledger) agrees(s *metadata.State) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hash(s.Slot()) == s.Hash()
}

// checkState compares a replica's state with the history.
func (l *ledger) checkState(who string, s *metadata.State, deep bool) {
	want := l.state(s.Slot())
	switch {
	case s.Slot() == 0:
	case want == nil:
		l.judge.violation(14, "%s holds slot %d, which nobody wrote", who, s.Slot())
	case want.Chain() != s.Chain():
		l.judge.violation(14, "%s has another chain at slot %d", who, s.Slot())
	case deep && !l.agrees(s):
		l.judge.violation(14, "%s has another state at slot %d", who, s.Slot())
	}
}

// keys lists what is there under a prefix.
func (l *ledger) keys(prefix string) (keys []string) {
	for after := ""; ; {
		page, more, err := l.Memory.List(context.Background(), prefix, after, 0)
		if err != nil {
			panic(err) // Memory does not fail
		}
		for _, info := range page {
			after, keys = info.Key, append(keys, info.Key)
		}
		if !more {
			return keys
		}
	}
}
