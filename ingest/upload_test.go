package ingest

// How: the store's gate decides the fate of each create (situation_test.go): fault pairs,
// throttling, a full disk, puts that hang; requests are counted and the bytes that were
// committed are read back from the bucket.

import (
	"errors"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

func TestFaultPairs(t *testing.T) {
	const (
		drop     = objectstore.Drop
		applied  = objectstore.ApplyThenFail
		throttle = objectstore.Throttle
	)
	for _, c := range []struct {
		name          string
		outcomes      []objectstore.Outcome
		creates, gets int
	}{
		{"no fault", nil, 1, 0},
		{"not applied", []objectstore.Outcome{drop}, 2, 0},
		// The second create meets the first one's object: one get to know it as ours.
		{"applied, answer lost", []objectstore.Outcome{applied}, 2, 1},
		{"not applied, then applied, answer lost", []objectstore.Outcome{drop, applied}, 3, 1},
		{"throttled", []objectstore.Outcome{throttle, throttle}, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{}, func(h *house) {
				h.must(plain("0:earlier")) // the store has told its date
				h.setFate(fates(c.outcomes...))
				expect(t, "ranges", ranges(h.must(plain("0:a"))), "0:[1,2)")
				h.expectRequests(1+c.creates, c.gets)
				page, _, _ := h.memory.List(background, "data/", "", 0)
				expect(t, "objects in the bucket", len(page), 2) // one key, however many attempts
				expect(t, "log", h.log(), map[string][]string{"1/0": {"0:earlier", "0:a"}})
			})
		})
	}
}

func TestReadBackThatFails(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.must(plain("0:earlier"))
		creates, gets := fates(objectstore.ApplyThenFail), 0
		h.setFate(func(c objectstore.Call) objectstore.Fate {
			if c.Op == objectstore.OpGet {
				if gets++; gets == 1 {
					return objectstore.Fate{Outcome: objectstore.Drop}
				}
			}
			return creates(c)
		})
		h.must(plain("0:a"))
		// Lost; exists, but unread; exists, and read back: still one object.
		h.expectRequests(1+3, 2)
		page, _, _ := h.memory.List(background, "data/", "", 0)
		expect(t, "objects in the bucket", len(page), 2)
	})
}

func TestDateOfAnAmbiguousUpload(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		// The store's clock is an hour ahead of this node's; nobody asks this node's.
		h.memory.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
		first := h.must(plain("0:a"))
		expect(t, "told", first.AppendedMS, time.Now().Add(time.Hour).UnixMilli())
		time.Sleep(24 * time.Hour)
		h.setFate(fates(objectstore.ApplyThenFail))
		second := h.must(plain("0:b"))
		expect(t, "estimated", second.AppendedMS, time.Now().Add(time.Hour).UnixMilli())
		h.expectRequests(1+2, 1)
	})
}

func TestAmbiguousUploadBeforeAnyDate(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.setFate(fates(objectstore.ApplyThenFail))
		h.memory.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
		ack := h.must(plain("0:a"))
		expect(t, "told", ack.AppendedMS, time.Now().Add(time.Hour).UnixMilli())
		// Lost, exists (read back: ours, but of what date?), and again under a new key.
		h.expectRequests(3, 1)
		expect(t, "log", h.log(), map[string][]string{"1/0": {"0:a"}})
	})
}

func TestForeignObjectIsNeverCommitted(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.must(plain("0:earlier"))
		h.setFate(func(c objectstore.Call) objectstore.Fate {
			h.setFate(nil)
			if _, err := h.memory.Create(background, c.Key, []byte("foreign")); err != nil {
				t.Error(err)
			}
			return objectstore.Fate{}
		})
		h.must(plain("0:a"))
		h.expectRequests(1+2, 1) // exists; read back, foreign; a new key
		expect(t, "log", h.log(), map[string][]string{"1/0": {"0:earlier", "0:a"}})
	})
}

func TestFailedUploadFailsOnlyItsOwn(t *testing.T) {
	inHouse(t, Config{UploadDeadline: 3 * time.Second, AttemptDeadline: time.Second}, func(h *house) {
		var mu sync.Mutex
		first := ""
		h.setFate(func(c objectstore.Call) objectstore.Fate {
			mu.Lock()
			defer mu.Unlock()
			if first == "" {
				first = c.Key
			}
			if c.Key == first {
				return objectstore.Fate{Outcome: objectstore.Drop}
			}
			return objectstore.Fate{}
		})
		begun := time.Now()
		a := h.send(plain("0:a"))
		b := h.send(plain("0:b"))
		c := h.send(plain("0:c"))
		if b.isDone() || c.isDone() {
			t.Error("a commit has overtaken an upload that may still succeed")
		}
		expectCode(t, a.wait().err, foz.CodeUnavailable)
		if took := time.Since(begun); took < 3*time.Second || took > 3*time.Second+time.Millisecond {
			t.Errorf("failed after %s", took)
		}
		if h.Health() == nil {
			t.Error("no trouble is told")
		}
		expect(t, "b", ranges(b.wait().ack), "0:[0,1)")
		expect(t, "c", ranges(c.wait().ack), "0:[1,2)")
		expect(t, "the queue went on at once", time.Since(begun), a.at.Sub(begun))
		expect(t, "commit calls", h.ledger.objects(), []int{2}) // b and c together, a never
		h.must(plain("0:d"))
		if err := h.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

func TestStuckPutHoldsNobody(t *testing.T) {
	inHouse(t, Config{UploadDeadline: 3 * time.Second}, func(h *house) {
		stuck := true
		h.setFate(func(objectstore.Call) objectstore.Fate {
			if stuck {
				stuck = false
				time.Sleep(time.Hour) // heeds no context
			}
			return objectstore.Fate{}
		})
		a := h.send(plain("0:a"))
		b := h.send(plain("0:b"))
		expectCode(t, a.wait().err, foz.CodeUnavailable)
		expect(t, "b", ranges(b.wait().ack), "0:[0,1)")
		if h.heldBytes() == 0 {
			t.Error("bytes were given back that the store still reads")
		}
		time.Sleep(time.Hour)
		expect(t, "bytes held", h.heldBytes(), 0)
		expect(t, "log", h.log(), map[string][]string{"1/0": {"0:b"}})
	})
}

func TestStoreIsFull(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.memory.SetBytesMax(1)
		_, err := h.Produce(background, plain("0:a"))
		expectCode(t, err, foz.CodeUnavailable)
		if !errors.Is(err, objectstore.ErrFull) || !regexp.MustCompile("full").MatchString(err.Error()) {
			t.Errorf("the error does not name the disk: %v", err)
		}
		h.expectRequests(1, 0) // no retry: nothing changes in seconds
		h.memory.SetBytesMax(0)
		expect(t, "after space was made", ranges(h.must(plain("0:b"))), "0:[0,1)")
	})
}

func TestObjectNames(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.ledger.slot = 40 // the answers name higher slots than Slots has heard of
		h.must(plain("0:a"))
		h.must(plain("0:b"))
		page, _, _ := h.memory.List(background, "", "", 0)
		var births []string
		shape := regexp.MustCompile(`^data/(\d{20})/[0-9A-HJKMNP-TV-Z]{26}\.arrow$`)
		for _, o := range page {
			m := shape.FindStringSubmatch(o.Key)
			if m == nil {
				t.Fatalf("key %s", o.Key)
			}
			births = append(births, m[1])
		}
		expect(t, "births", births, []string{"00000000000000000007", "00000000000000000041"})
		for _, c := range h.calls {
			expect(t, "cause", c.Cause, "upload")
		}
		expect(t, "cached", keys(h.cache.objects), []string{page[0].Key, page[1].Key})
	})
}

func TestReplay(t *testing.T) {
	run := func() (trace []string) {
		inHouse(t, Config{FlushInterval: interval}, func(h *house) {
			h.setFate(fates(objectstore.Drop, objectstore.Pass, objectstore.ApplyThenFail))
			for range 20 {
				h.send(plain("0:a", "1:b"))
				time.Sleep(interval/5 + time.Millisecond) // never when a flush is due
			}
			h.stop()
			synctest.Wait()
			time.Sleep(time.Minute)
			for _, c := range h.calls {
				trace = append(trace, c.String())
			}
		})
		return trace
	}
	expect(t, "the same seed, the same requests", run(), run())
}

func TestEntropyThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, Config{})
		h.deps.Entropy = broken{}
		h.start()
		_, err := h.Produce(background, plain("0:a"))
		expectCode(t, err, foz.CodeInternal)
		h.expectRequests(0, 0)
		h.drained()
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestBodiesAreReusedWithoutCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const full = 64 << 10
		h := build(t, Config{FlushBytesMax: full})
		h.deps.Cache = nil
		h.start()
		h.must(plain("0:small"))
		expect(t, "small ones are not kept", len(h.shelf.bodies), 0)
		h.must(sized(full))
		expect(t, "full ones are", len(h.shelf.bodies), 1)
		body := &h.shelf.bodies[0][:1][0]
		h.must(sized(full + full/10))
		expect(t, "and used again", &h.shelf.bodies[0][:1][0] == body, true)
		h.must(sized(4 * full))
		expect(t, "large ones are not kept", len(h.shelf.bodies), 1)
		// What a lost attempt may still be sending is not.
		h.setFate(fates(objectstore.Drop))
		h.must(sized(full))
		expect(t, "after a lost attempt", len(h.shelf.bodies), 0)
		expect(t, "rows", len(h.log()["1/0"]), 5)
		h.drained()
	})
}

// What the cache gives back is where the next object is encoded; what a store's client may still
// be sending is nowhere written to again.
func TestBodiesOfTheCacheAreUsedAgain(t *testing.T) {
	const full = 64 << 10
	inHouse(t, Config{FlushBytesMax: full}, func(h *house) {
		h.cache.one = true
		memory := map[*byte]bool{}
		for n := range 6 {
			if n == 3 {
				h.setFate(fates(objectstore.Drop))
			}
			h.must(sized(full))
			for object, data := range h.cache.objects {
				stored, err := h.memory.Get(background, object, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, "cached bytes", data, stored)
				memory[&data[:1][0]] = true
			}
		}
		expect(t, "objects in the cache", len(h.cache.objects), 1)
		expect(t, "pieces of memory for 6 objects", len(memory), 3) // two in turns, and the clone
		expect(t, "records", len(h.log()["1/0"]), 6)
	})
}
