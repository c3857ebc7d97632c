package metadata

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// How: the bucket's single steps on a bucket in memory, whose gate gives each request its
// fate from a script and writes down what was asked: "create log/5". Faults come in pairs,
// not applied and applied. A row says what the step answers and exactly what it asks for.

// scripted is a store that follows a script.
type scripted struct {
	*objectstore.Memory
	*bucket
	script map[string][]objectstore.Fate // by operation; then everything passes
	calls  []string
	sums   map[uint32]bool // of bodies created
	before func(call string)
}

func newScripted(script map[string][]objectstore.Fate) *scripted {
	s := &scripted{Memory: objectstore.NewMemory(), script: script, sums: map[uint32]bool{}}
	s.bucket = &bucket{seed: 1, store: objectstore.NewGated(s.Memory,
		func(_ context.Context, c objectstore.Call) objectstore.Fate {
			call := c.Op + " " + short(c.Key)
			s.calls = append(s.calls, call)
			if c.Op == objectstore.OpCreate {
				s.sums[c.Sum] = true
			}
			if s.before != nil {
				s.before(call)
			}
			if len(s.script[c.Op]) == 0 {
				return objectstore.Fate{}
			}
			fate := s.script[c.Op][0]
			s.script[c.Op] = s.script[c.Op][1:]
			return fate
		})}
	return s
}

// short is a key without its zeroes: "log/5".
func short(key string) string {
	prefix, digits, _ := strings.Cut(key, "/")
	return prefix + "/" + strings.TrimLeft(digits, "0")
}

func (s *scripted) put(t *testing.T, key string, body []byte) {
	t.Helper()
	if _, err := s.Memory.Create(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

// keys lists what is in the bucket, "log/1 log/5 snap/4".
func (s *scripted) keys(t *testing.T) string {
	t.Helper()
	page, more, err := s.Memory.List(t.Context(), "", "", 0)
	if err != nil || more {
		t.Fatal(err, more)
	}
	keys := make([]string, len(page))
	for i, info := range page {
		keys[i] = short(info.Key)
	}
	return strings.Join(keys, " ")
}

func (s *scripted) expect(t *testing.T, calls string) {
	t.Helper()
	if got := strings.Join(s.calls, ", "); got != calls {
		t.Errorf("asked for %s\nwant %s", got, calls)
	}
	s.calls = nil
}

func fates(outcomes ...objectstore.Outcome) (f []objectstore.Fate) {
	for _, o := range outcomes {
		f = append(f, objectstore.Fate{Outcome: o})
	}
	return f
}

const (
	pass     = objectstore.Pass
	drop     = objectstore.Drop
	applied  = objectstore.ApplyThenFail
	throttle = objectstore.Throttle
	full     = objectstore.Full
	flip     = objectstore.Flip
	cut      = objectstore.Truncate
)

var (
	errConflict = errors.New("409 conflict")
	mineBody    = []byte("mine")
	otherBody   = []byte("other")
)

// resolveFaults are the fates of creates that resolve and save share, each with how often
// they ask and whether the create of the first try has happened in spite of its error.
var resolveFaults = []struct {
	name    string
	creates []objectstore.Fate
	asked   int
	taken   bool // the last create meets an earlier one's object
}{
	{"no fault", nil, 1, false},
	{"not applied", fates(drop), 2, false},
	{"applied, answer lost", fates(applied), 2, true},
	{"not applied, then applied", fates(drop, applied), 3, true},
	{"applied, then nothing heard", fates(applied, drop, drop), 4, true},
	{"throttled", fates(throttle, throttle), 3, false},
	{"full", fates(full, full, full), 4, false},
	{"conflict", []objectstore.Fate{{Outcome: drop, Err: errConflict}}, 2, false},
	{"timeout, not applied", []objectstore.Fate{{Outcome: drop,
		Err: context.DeadlineExceeded}}, 2, false},
	{"timeout, applied", []objectstore.Fate{{Outcome: applied,
		Err: context.DeadlineExceeded}}, 2, true},
	{"throttled, full, not applied, applied", fates(throttle, full, drop, applied), 5, true},
}

func TestRule1ResolveFaults(t *testing.T) {
	for _, c := range resolveFaults {
		for _, gets := range [][]objectstore.Outcome{nil, {drop}, {throttle, applied}} {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(map[string][]objectstore.Fate{
					"create": slices.Clone(c.creates), "get": fates(gets...),
				})
				mine, err := s.resolve(t.Context(), 5, mineBody)
				if !mine || err != nil {
					t.Errorf("%s: mine %v, %v", c.name, mine, err)
				}
				want := slices.Repeat([]string{"create log/5"}, c.asked)
				if c.taken {
					want = append(want, slices.Repeat([]string{"get log/5"}, 1+len(gets))...)
				}
				s.expect(t, strings.Join(want, ", "))
				if len(s.sums) != 1 {
					t.Errorf("%s: %d different bodies", c.name, len(s.sums))
				}
			})
		}
	}
}

// What lies in the slot is not ours, or nobody can say any more.
func TestRule1ResolveLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		script map[string][]objectstore.Fate
		there  []byte // in the slot before; nil: nothing
		trim   string // before this request somebody deletes the slot
		mine   bool
		calls  string
	}{
		{name: "another's", there: otherBody, calls: "create log/5, get log/5"},
		{name: "another's, longer", there: []byte("mine and more"),
			calls: "create log/5, get log/5"},
		{name: "our own bytes", there: mineBody, mine: true, calls: "create log/5, get log/5"},
		{name: "412, then 404: trimmed meanwhile", there: otherBody, trim: "get log/5",
			calls: "create log/5, get log/5"},
		{name: "applied, 412, then 404: ours, and nobody knows", trim: "get log/5",
			script: map[string][]objectstore.Fate{"create": fates(applied)},
			calls:  "create log/5, create log/5, get log/5"},
		{name: "read back damaged", there: mineBody,
			script: map[string][]objectstore.Fate{"get": {{Outcome: flip, At: 3}}},
			calls:  "create log/5, get log/5"},
		{name: "read back cut", there: mineBody,
			script: map[string][]objectstore.Fate{"get": {{Outcome: cut, At: 3}}},
			calls:  "create log/5, get log/5"},
		{name: "another's, after a fault", there: otherBody,
			script: map[string][]objectstore.Fate{"create": fates(drop), "get": fates(drop)},
			calls:  "create log/5, create log/5, get log/5, get log/5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(c.script)
				if c.there != nil {
					s.put(t, LogKey(5), c.there)
				}
				s.before = func(call string) {
					if call == c.trim {
						_ = s.Memory.Delete(t.Context(), LogKey(5))
					}
				}
				mine, err := s.resolve(t.Context(), 5, mineBody)
				if mine != c.mine || err != nil {
					t.Errorf("mine %v, %v", mine, err)
				}
				s.expect(t, c.calls)
			})
		})
	}
}

// A create that its store executes after the retry was answered changes nothing.
func TestRule1ResolveLateCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late func() error
		s := newScripted(map[string][]objectstore.Fate{"create": {{
			Outcome: objectstore.FailLate, Later: func(execute func() error) { late = execute },
		}}})
		mine, err := s.resolve(t.Context(), 5, mineBody)
		if !mine || err != nil {
			t.Fatal(mine, err)
		}
		if err := late(); !errors.Is(err, objectstore.ErrExists) {
			t.Error(err)
		}
		s.expect(t, "create log/5, create log/5")
	})
}

// While the store says nothing, nothing is known: the step goes on until its time is over
// and then says so.
func TestStepsEndWithTheirContext(t *testing.T) {
	for name, step := range map[string]func(context.Context, *bucket) error{
		"resolve": func(ctx context.Context, b *bucket) error {
			mine, err := b.resolve(ctx, 5, mineBody)
			if mine {
				t.Error("mine, although nothing was heard")
			}
			return err
		},
		"save": func(ctx context.Context, b *bucket) error { return b.save(ctx, SnapshotKey(5), nil) },
		"tail": func(ctx context.Context, b *bucket) error { _, err := b.tail(ctx, 0); return err },
		"read": func(ctx context.Context, b *bucket) error {
			_, err := b.read(ctx, LogKey(5))
			return err
		},
		"covered": func(ctx context.Context, b *bucket) error {
			_, err := b.covered(ctx, 5)
			return err
		},
		"load": func(ctx context.Context, b *bucket) error { _, err := b.load(ctx, 0); return err },
		"trim": func(ctx context.Context, b *bucket) error {
			_, err := b.trim(ctx, NewState(testCluster), 0)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &bucket{store: objectstore.NewFaulty(objectstore.NewMemory(),
				func(op, key string) objectstore.Fate {
					time.Sleep(time.Second)
					return objectstore.Fate{Outcome: applied}
				})}
			ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
			defer cancel()
			if err := step(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// Who finds a snapshot there asks no more: it is what he wanted to write.
func TestRule8SaveFaults(t *testing.T) {
	for _, c := range resolveFaults {
		synctest.Test(t, func(t *testing.T) {
			s := newScripted(map[string][]objectstore.Fate{"create": slices.Clone(c.creates)})
			if err := s.save(t.Context(), SnapshotKey(5), mineBody); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			s.expect(t, strings.Join(slices.Repeat([]string{"create snap/5"}, c.asked), ", "))
			body, err := s.Memory.Get(t.Context(), SnapshotKey(5), 0, -1)
			if !bytes.Equal(body, mineBody) {
				t.Errorf("%s: %q, %v", c.name, body, err)
			}
		})
	}
}

// Bytes that do not decode are read three times, in case it happened on the way. What does
// not decode because it is newer will not decode the next time either.
func TestReadSound(t *testing.T) {
	y := newStory(t)
	sound := y.bodies[0]
	for _, c := range []struct {
		name  string
		body  []byte
		gets  []objectstore.Fate
		err   error
		calls int
	}{
		{"sound", sound, nil, nil, 1},
		{"not there", nil, nil, objectstore.ErrNotFound, 1},
		{"no answer", sound, fates(drop, throttle), nil, 3},
		{"damaged on the way", sound, []objectstore.Fate{{Outcome: flip, At: 77}}, nil, 2},
		{"cut on the way, twice", sound, []objectstore.Fate{{Outcome: cut, At: 7}, {Outcome: cut}},
			nil, 3},
		{"damaged", sound[1:], nil, ErrDamaged, 3},
		{"empty", []byte{}, nil, ErrDamaged, 3},
		{"newer", seal(logMagic, []byte{8, 2}), nil, ErrNewer, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(map[string][]objectstore.Fate{"get": c.gets})
				if c.body != nil {
					s.put(t, LogKey(1), c.body)
				}
				err := s.readSound(t.Context(), LogKey(1), func(b []byte) error {
					_, err := DecodeEntry(b)
					return err
				})
				if !errors.Is(err, c.err) {
					t.Error(err)
				}
				if errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), LogKey(1)) {
					t.Errorf("%v: does not name the object", err)
				}
				s.expect(t, strings.Join(slices.Repeat([]string{"get log/1"}, c.calls), ", "))
			})
		})
	}
}

// Every page is read, whatever the size the store chooses for it. A page without a line that
// is not the last says nothing: whoever took it for the end would miss a snapshot.
func TestListPages(t *testing.T) {
	for _, c := range []struct {
		name  string
		slots int
		lists []objectstore.Fate
		asked int
	}{
		{"none", 0, nil, 1},
		{"one page", 1000, nil, 1},
		{"three pages", 2500, nil, 3},
		{"no answer", 3, fates(drop, applied, throttle), 4},
		{"no answer in the middle", 2500, fates(pass, drop, pass, throttle), 5},
		{"short pages", 5, []objectstore.Fate{{Outcome: cut, At: 2}, {Outcome: cut, At: 1}}, 3},
		{"an empty page first", 5, []objectstore.Fate{{Outcome: cut, At: 0}}, 2},
		{"an empty page in the middle", 5,
			[]objectstore.Fate{{Outcome: cut, At: 3}, {Outcome: cut, At: 0}}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScripted(map[string][]objectstore.Fate{"list": c.lists})
				for i := range c.slots {
					s.put(t, LogKey(uint64(i+1)), nil)
				}
				tail, err := s.tail(t.Context(), 0)
				if err != nil || tail != uint64(c.slots) {
					t.Errorf("tail %d, %v", tail, err)
				}
				if len(s.calls) != c.asked {
					t.Errorf("%d LISTs, want %d", len(s.calls), c.asked)
				}
			})
		})
	}
}

func TestRule7Tail(t *testing.T) {
	s := newScripted(nil)
	for _, slot := range []uint64{1, 2, 7} { // trimmed between
		s.put(t, LogKey(slot), nil)
	}
	for applied, want := range map[uint64]uint64{0: 7, 2: 7, 6: 7, 7: 7, 9: 9} {
		if tail, err := s.tail(t.Context(), applied); tail != want || err != nil {
			t.Errorf("tail above %d: %d, %v", applied, tail, err)
		}
	}
	s.put(t, "log/readme", nil)
	if _, err := s.tail(t.Context(), 7); !errors.Is(err, ErrDamaged) {
		t.Errorf("what is no slot: %v", err)
	}
}

func TestRule3Covered(t *testing.T) {
	s := newScripted(nil)
	covered := func(slot uint64) string {
		got, err := s.covered(t.Context(), slot)
		return fmt.Sprint(got, err)
	}
	if got := covered(1); got != "false <nil>" {
		t.Error(got)
	}
	for _, slot := range []uint64{4, 20, 100} {
		s.put(t, SnapshotKey(slot), nil)
	}
	s.calls = nil
	for slot, want := range map[uint64]string{
		3: "true <nil>", 21: "true <nil>", 100: "true <nil>", 101: "false <nil>",
	} {
		if got := covered(slot); got != want {
			t.Errorf("slot %d: %s", slot, got)
		}
	}
	s.expect(t, "list snap/, list snap/, list snap/, list snap/")
}
