package ingest

// How: objects are made to finish their uploads in chosen orders, and the ledger
// (situation_test.go) records what it is asked; it panics when two calls overlap.

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

func TestCommitsInFlushOrderWhateverUploadsDo(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		// Object n takes delays[n]: 1 and 2 are done before 0, 4 before 3.
		delays := []time.Duration{300, 100, 200, 500, 400}
		at := 0
		h.setFate(func(objectstore.Call) objectstore.Fate {
			delay := delays[at] * time.Millisecond
			at++
			time.Sleep(delay)
			return objectstore.Fate{}
		})
		var all []*future
		for n := range delays {
			all = append(all, h.send(plain(fmt.Sprintf("0:%d", n))))
		}
		for n, f := range all {
			expect(t, "ranges", ranges(f.wait().ack), fmt.Sprintf("0:[%d,%d)", n, n+1))
		}
		// At 300 ms 0, 1, 2 go together; at 500 ms 3 and 4: 5 objects, 2 commit calls.
		expect(t, "commit calls", h.ledger.objects(), []int{3, 2})
		h.expectRequests(5, 0)
	})
}

func TestNextCommitWaitsForTheAnswer(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.ledger.hold = func() { time.Sleep(time.Second) }
		begun := time.Now()
		a := h.send(plain("0:a"))
		b := h.send(plain("0:b"))
		c := h.send(plain("0:c"))
		a.wait()
		expect(t, "first answer", time.Since(begun), time.Second)
		b.wait()
		c.wait()
		expect(t, "second answer", time.Since(begun), 2*time.Second)
		expect(t, "commit calls", h.ledger.objects(), []int{1, 2}) // b and c while a was asked
	})
}

func TestCommitCallsAreBounded(t *testing.T) {
	inHouse(t, Config{CommitBytesMax: 600}, func(h *house) {
		h.ledger.hold = func() { time.Sleep(time.Second) }
		var all []*future
		for range 7 {
			all = append(all, h.send(plain("0:a")))
		}
		for _, f := range all {
			f.wait()
		}
		// Each commit is estimated at 128 + 40 + 40 + 6 = 214 bytes: two fit into 600.
		expect(t, "commit calls", h.ledger.objects(), []int{1, 2, 2, 2})
	})
}

// together makes requests share one object: they arrive while the only uploader is busy.
func (h *house) together(requests ...foz.Request) (all []answer) {
	h.t.Helper()
	h.setFate(slow(time.Second))
	first := h.send(to(trains, "8:busy"))
	var futures []*future
	for _, r := range requests {
		futures = append(futures, h.send(r))
	}
	first.wait()
	for _, f := range futures {
		all = append(all, f.wait())
	}
	h.setFate(nil)
	return all
}

func TestMerging(t *testing.T) {
	for _, c := range []struct {
		name     string
		requests []foz.Request
		merged   []string // the commit's requests: partition:rows, ...
		ranges   []string // each client's
		log      []string // of partition 1/0
	}{
		{"plain requests of one topic are one",
			[]foz.Request{plain("0:a", "1:b"), plain("1:c", "0:d", "0:e"), plain("2:f")},
			[]string{"1/0:3 1/1:2 1/2:1"},
			[]string{"0:[0,1) 1:[0,1)", "0:[1,3) 1:[1,2)", "2:[0,1)"},
			[]string{"0:a", "0:d", "0:e"}},
		{"topics are apart, and come between without harm",
			[]foz.Request{plain("0:a"), to(trains, "0:t"), plain("0:b")},
			[]string{"1/0:2", "2/0:1"},
			[]string{"0:[0,1)", "0:[0,1)", "0:[1,2)"},
			[]string{"0:a", "0:b"}},
		{"a producer's request stays alone and keeps its place",
			[]foz.Request{plain("0:a"), from("p", 0, "0:b"), plain("0:c"), plain("0:d")},
			[]string{"1/0:1", "1/0:1", "1/0:2"},
			[]string{"0:[0,1)", "0:[1,2)", "0:[2,3)", "0:[3,4)"},
			[]string{"0:a", "0:b", "0:c", "0:d"}},
		{"a condition, too",
			[]foz.Request{plain("0:a"), ifNext(1, "0:b"), plain("0:c")},
			[]string{"1/0:1", "1/0:1", "1/0:1"},
			[]string{"0:[0,1)", "0:[1,2)", "0:[2,3)"},
			[]string{"0:a", "0:b", "0:c"}},
		{"partitions are sorted, in the object and in the answer",
			[]foz.Request{from("p", 0, "3:a", "0:b"), plain("2:c", "0:d")},
			[]string{"1/0:1 1/3:1", "1/0:1 1/2:1"},
			[]string{"0:[0,1) 3:[0,1)", "0:[1,2) 2:[0,1)"},
			[]string{"0:b", "0:d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{UploadsMax: 1}, func(h *house) {
				for n, a := range h.together(c.requests...) {
					if a.err != nil {
						t.Fatal(a.err)
					}
					expect(t, "ranges", ranges(a.ack), c.ranges[n])
				}
				expect(t, "merged", describe(h.ledger.calls[1][0]), c.merged)
				expect(t, "log", h.log()["1/0"], c.log)
				h.expectRequests(2, 0) // one to be busy with, one for all the others
			})
		})
	}
}

// describe renders a commit's requests.
func describe(c foz.Commit) (out []string) {
	for _, r := range c.Requests {
		line := ""
		for _, b := range r.Batches {
			p := c.Segments[b.Segment].Partition
			line += fmt.Sprintf(" %d/%d:%d", p.Topic[0], p.Number, b.Rows)
		}
		out = append(out, line[1:])
	}
	return out
}

func TestRefusedRequestLeavesTheOthers(t *testing.T) {
	inHouse(t, Config{UploadsMax: 1}, func(h *house) {
		h.ledger.refuse = func(_ foz.Commit, r foz.CommitRequest) *foz.Error {
			switch {
			case r.IfNextOffset != nil:
				return foz.Errorf(foz.CodeOffsetConflict, "conflict").With(foz.NumberNextOffset, 1)
			case r.Topic == trains && len(r.Batches) == 2:
				return foz.Errorf(foz.CodeTopicNotFound, "gone")
			}
			return nil
		}
		got := h.together(plain("0:a"), ifNext(9, "0:b"), plain("0:c"),
			to(trains, "0:t"), to(trains, "1:u"))
		expect(t, "a", ranges(got[0].ack), "0:[0,1)")
		expectCode(t, got[1].err, foz.CodeOffsetConflict)
		expect(t, "c", ranges(got[2].ack), "0:[1,2)")
		expectCode(t, got[3].err, foz.CodeTopicNotFound)
		expectCode(t, got[4].err, foz.CodeTopicNotFound)
		// Clients that share a refusal may each add to their own.
		one, other := new(foz.Error), new(foz.Error)
		if !errors.As(got[3].err, &one) || !errors.As(got[4].err, &other) || one == other {
			t.Error("two clients have one error value")
		}
	})
}

func TestUnknownOutcomes(t *testing.T) {
	lost := errors.New("gave up")
	for _, c := range []struct {
		name  string
		setup func(l *ledger)
		want  foz.Code
	}{
		{"the commit's outcome is unknown",
			func(l *ledger) { l.fail = func(int) error { return lost } }, foz.CodeAckTimeout},
		{"the object has expired", func(l *ledger) {
			l.refuse = func(foz.Commit, foz.CommitRequest) *foz.Error {
				return foz.Errorf(foz.CodeAckTimeout, "expired")
			}
		}, foz.CodeAckTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{}, func(h *house) {
				c.setup(h.ledger)
				_, err := h.Produce(background, plain("0:a"))
				expectCode(t, err, c.want)
				time.Sleep(time.Hour)
				h.expectRequests(1, 0) // never uploaded again
				expect(t, "commit calls", h.ledger.objects(), []int{1})
				h.ledger.fail, h.ledger.refuse = nil, nil
				h.must(plain("0:b"))
			})
		})
	}
}

func TestMalformedAnswersAreUnknown(t *testing.T) {
	for _, c := range []struct {
		name    string
		results []foz.CommitResult
		want    foz.Code
	}{
		{"no results", nil, foz.CodeAckTimeout},
		{"no requests", []foz.CommitResult{{}}, foz.CodeAckTimeout},
		{"no ranges", []foz.CommitResult{{Requests: make([]foz.RequestResult, 1)}}, foz.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{}, func(h *house) {
				h.deps.Committer = canned(c.results)
				_, err := h.Produce(background, plain("0:a"))
				expectCode(t, err, c.want)
			})
		})
	}
}

type canned []foz.CommitResult

func (c canned) Commit(context.Context, []foz.Commit) ([]foz.CommitResult, error) { return c, nil }

func TestClientThatHangsUp(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.setFate(slow(time.Second))
		ctx, hangUp := context.WithCancel(background)
		f := h.sendAs(ctx, plain("0:a"))
		hangUp()
		if !f.isDone() {
			t.Fatal("Produce did not return")
		}
		expectCode(t, f.err, foz.CodeAckTimeout)
		if !errors.Is(f.err, context.Canceled) {
			t.Errorf("no cause: %v", f.err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		// The object went on without its client.
		expect(t, "log", h.log(), map[string][]string{"1/0": {"0:a"}})
	})
}

func TestReadersFindTheObjectCachedBeforeItsCommit(t *testing.T) {
	inHouse(t, Config{FlushBytesMax: 64 << 10}, func(h *house) {
		h.ledger.hold = func() {
			for _, c := range h.ledger.calls[0] {
				if h.cache.objects[c.Object] == nil {
					t.Error("committed before it was cached")
				}
			}
		}
		h.must(sized(64 << 10))
		object := h.ledger.calls[0][0].Object
		stored, err := h.memory.Get(background, object, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		h.must(sized(64 << 10)) // were the buffer used again, the cache would change
		expect(t, "cached bytes", h.cache.objects[object], stored)
		expect(t, "bodies on the shelf", len(h.shelf.bodies), 0)
	})
}
