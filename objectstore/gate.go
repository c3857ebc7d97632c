package objectstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"
)

// The operations, as Call and Count name them.
const (
	OpCreate = "create"
	OpGet    = "get"
	OpList   = "list"
	OpDelete = "delete"
)

// Call is one request on its way to a store, described by nothing but its content: the same
// request has the same Call in every run, so that a driver can sort and replay by it.
type Call struct {
	Op     string
	Key    string   // create, get: the key; list: the prefix; delete: the first key
	Keys   []string // delete: all keys. Not to be changed
	After  string   // list: startAfter
	Offset int64    // get
	Length int64    // get: length as asked; list: limit as asked; create: bytes of data
	Sum    uint32   // create: crc32c of data; delete: crc32c of all keys
	Cause  string   // what WithCause named
}

// String is the Call on one line, with all that tells it from others.
func (c Call) String() string {
	switch c.Op {
	case OpCreate:
		return fmt.Sprintf("create %s %d bytes %08x for %s", c.Key, c.Length, c.Sum, c.Cause)
	case OpGet:
		return fmt.Sprintf("get %s [%d +%d] for %s", c.Key, c.Offset, c.Length, c.Cause)
	case OpList:
		return fmt.Sprintf("list %s after %s limit %d for %s", c.Key, c.After, c.Length, c.Cause)
	}
	return fmt.Sprintf("delete %s of %d %08x for %s", c.Key, len(c.Keys), c.Sum, c.Cause)
}

// Outcome is what a Gate decides about one request.
type Outcome int

// The faults come in pairs: failed and not applied, failed but applied.
const (
	// Pass executes the request and answers what the store answers.
	Pass Outcome = iota
	// Drop does not execute it; the caller gets an unknown outcome.
	Drop
	// ApplyThenFail executes it; the caller gets an unknown outcome.
	ApplyThenFail
	// FailLate gives the caller an unknown outcome now, and Fate.Later the request, to be
	// executed whenever the driver likes, or never. Get and List have no effect: Drop.
	FailLate
	// Throttle does not execute it; ErrThrottled.
	Throttle
	// Full does not execute a Create: ErrFull. Anything else passes.
	Full
	// Truncate executes it on less. Get: only the first At bytes come back, with no error.
	// List: only the first At lines, and more is true. Create: the object is stored with its
	// first At bytes, with no error. Delete: only the first At keys, and an unknown outcome.
	Truncate
	// Flip changes bit At (modulo the size): of what a Get answers, of what a Create stores.
	// Anything else passes.
	Flip
	// IgnoreCondition makes a Create overwrite an object that exists. Anything else passes.
	IgnoreCondition
)

var outcomes = [...]string{"pass", "drop", "apply-then-fail", "fail-late", "throttle", "full",
	"truncate", "flip", "ignore-condition"}

func (o Outcome) String() string { return outcomes[o] }

// ErrFault is the unknown outcome a Gated makes up. Like every error that is no other
// sentinel of this package, it says nothing about what happened.
var ErrFault = errors.New("no answer from the store")

// Fate is what happens to one request. The zero Fate lets it pass.
type Fate struct {
	Outcome Outcome
	// Err is what the caller gets where the outcome is unknown; nil means ErrFault.
	Err error
	// At is a size or a position for Truncate and Flip, >= 0.
	At int64
	// Later takes over a FailLate request, in the caller's goroutine, before the caller has
	// its error. execute may be called once, from any goroutine; it holds its own copy of the
	// data, minds no deadline, and returns the store's answer. A nil Later forgets it.
	Later func(execute func() error)
	// Answer, if not nil, is called once the request was executed or refused, in the caller's
	// goroutine and before the caller has its answer, with what the caller will be told and
	// the store's own answer (nil if it was not asked). Block here to keep an answer on its
	// way, sleep here for a slow store. A FailLate's execute does not call it.
	Answer func(told, real error)
}

// Gate decides the fate of one request, in its caller's goroutine, before it is executed. It
// may block as long as it likes (a simulator parks the call here) and may sleep (a slow
// store). It should return when ctx ends; Pass with an ended ctx does nothing and says so.
type Gate func(ctx context.Context, c Call) Fate

// Gated is a Store whose every request first passes a Gate, which a simulator or a test
// drives. It starts no goroutine, holds no lock, keeps no state, and is as safe for
// concurrent use as its Gate.
type Gated struct {
	store Store
	gate  Gate
}

// NewGated puts gate in front of s.
func NewGated(s Store, gate Gate) *Gated { return &Gated{store: s, gate: gate} }

// NewFaulty is NewGated for tests that look at no more than the operation and the key
// (the prefix of a List, the first key of a Delete).
func NewFaulty(s Store, fate func(op, key string) Fate) *Gated {
	return NewGated(s, func(_ context.Context, c Call) Fate { return fate(c.Op, c.Key) })
}

// Create is Store.Create with the fate the Gate decides.
func (g *Gated) Create(ctx context.Context, key string, data []byte) (time.Time, error) {
	f := g.gate(ctx, Call{Op: OpCreate, Key: key, Length: int64(len(data)),
		Sum: crc32.Checksum(data, castagnoli), Cause: Cause(ctx)})
	switch f.Outcome {
	case FailLate:
		kept := append([]byte(nil), data...)
		f.later(func() error {
			_, err := g.store.Create(context.WithoutCancel(ctx), key, kept)
			return err
		})
	case Truncate:
		data = data[:min(f.At, int64(len(data)))]
	case Flip:
		data = flipped(data, f.At)
	}
	var date time.Time
	err := f.settle(OpCreate, func() (err error) {
		if f.Outcome == IgnoreCondition {
			if err := g.store.Delete(ctx, key); err != nil {
				return err
			}
		}
		date, err = g.store.Create(ctx, key, data)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	return date, nil
}

// Get is Store.Get with the fate the Gate decides.
func (g *Gated) Get(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	f := g.gate(ctx, Call{Op: OpGet, Key: key, Offset: offset, Length: length, Cause: Cause(ctx)})
	var data []byte
	err := f.settle(OpGet, func() (err error) {
		data, err = g.store.Get(ctx, key, offset, length)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case f.Outcome == Truncate:
		data = data[:min(f.At, int64(len(data)))]
	case f.Outcome == Flip:
		data = flipped(data, f.At)
	}
	return data, nil
}

// List is Store.List with the fate the Gate decides.
func (g *Gated) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]Info, bool, error) {
	f := g.gate(ctx, Call{Op: OpList, Key: prefix, After: startAfter, Length: int64(limit),
		Cause: Cause(ctx)})
	var page []Info
	var more bool
	err := f.settle(OpList, func() (err error) {
		page, more, err = g.store.List(ctx, prefix, startAfter, limit)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if f.Outcome == Truncate && f.At < int64(len(page)) {
		return page[:f.At], true, nil
	}
	return page, more, nil
}

// Delete is Store.Delete with the fate the Gate decides.
func (g *Gated) Delete(ctx context.Context, keys ...string) error {
	c := Call{Op: OpDelete, Keys: keys, Cause: Cause(ctx),
		Sum: crc32.Checksum([]byte(strings.Join(keys, "\n")), castagnoli)}
	if len(keys) > 0 {
		c.Key = keys[0]
	}
	f := g.gate(ctx, c)
	switch f.Outcome {
	case FailLate:
		kept := append([]string(nil), keys...)
		f.later(func() error { return g.store.Delete(context.WithoutCancel(ctx), kept...) })
	case Truncate:
		keys = keys[:min(f.At, int64(len(keys)))]
	}
	return f.settle(OpDelete, func() error { return g.store.Delete(ctx, keys...) })
}

func (f Fate) later(execute func() error) {
	if f.Later != nil {
		f.Later(execute)
	}
}

// settle executes a request, or does not, and says what its caller is told.
func (f Fate) settle(op string, execute func() error) error {
	unknown := f.Err
	if unknown == nil {
		unknown = ErrFault
	}
	var told, real error
	switch {
	case f.Outcome == Drop || f.Outcome == FailLate:
		told = unknown
	case f.Outcome == Throttle:
		told = ErrThrottled
	case f.Outcome == Full && op == OpCreate:
		told = ErrFull
	default:
		real = execute()
		told = real
		if f.Outcome == ApplyThenFail || f.Outcome == Truncate && op == OpDelete {
			told = unknown
		}
	}
	if f.Answer != nil {
		f.Answer(told, real)
	}
	return told
}

func flipped(data []byte, bit int64) []byte {
	data = append([]byte(nil), data...)
	if len(data) > 0 {
		bit %= int64(len(data)) * 8
		data[bit/8] ^= 1 << (bit % 8)
	}
	return data
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
