package ingest

// How: each test builds a house (situation_test.go), sends requests at chosen instants of
// virtual time, and counts the objects that reach the store, with the arithmetic beside.

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

const interval = 250 * time.Millisecond

func TestLoneProducerIsFlushedAtOnce(t *testing.T) {
	inHouse(t, Config{FlushInterval: interval}, func(h *house) {
		begun := time.Now()
		for n := range 3 {
			ack := h.must(plain("0:a", "1:b"))
			expect(t, "ranges", ranges(ack), fmt.Sprintf("0:[%d,%d) 1:[%d,%d)", n, n+1, n, n+1))
			time.Sleep(interval) // at rest long enough for the budget to be whole again
		}
		expect(t, "time", time.Since(begun), 3*interval) // Produce itself took none
		h.expectRequests(3, 0)                           // 3 requests, each alone: 3 objects
	})
}

func TestIdleCostsNothing(t *testing.T) {
	inHouse(t, Config{FlushInterval: interval}, func(h *house) {
		h.must(plain("0:a"))
		// A timer would wake the bubble and be seen: nothing is armed while nothing waits.
		h.mu.Lock()
		h.calls = nil
		h.mu.Unlock()
		time.Sleep(time.Hour)
		h.expectRequests(0, 0)
		if h.open != nil {
			t.Error("an object is open")
		}
	})
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		name   string
		burst  int
		pause  time.Duration // between requests
		during time.Duration
	}{
		{"1 per ms", 4, time.Millisecond, 10 * time.Second},
		{"10 per interval", 4, interval / 10, 10 * time.Second},
		{"1 per interval", 4, interval, 10 * time.Second},
		{"no savings", 1, 7 * time.Millisecond, 10 * time.Second},
		{"just above the rate", 2, interval - time.Millisecond, 20 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{FlushInterval: interval, BudgetBurst: c.burst}, func(h *house) {
				var all []*future
				var sent []time.Time
				for begun := time.Now(); time.Since(begun) < c.during; time.Sleep(c.pause) {
					sent = append(sent, time.Now())
					all = append(all, h.send(plain("0:a")))
				}
				for n, f := range all {
					if late := f.wait().at.Sub(sent[n]); late > interval {
						t.Fatalf("request %d waited %s, the interval is %s", n, late, interval)
					}
				}
				// Tokens: the burst, and one per interval that has passed; each flush is one
				// create here (its log append is metadata's). During 10 s at 250 ms with a
				// burst of 4: at most 4 + 40 + 1 that is still under way at the end.
				most := c.burst + int(c.during/interval) + 1
				got := h.requests(objectstore.OpCreate)
				if got > most {
					t.Errorf("%d creates, the budget is %d", got, most)
				}
				if least := min(len(all), int(c.during/interval)); got < least {
					t.Errorf("%d creates: the budget of %d is not used", got, most)
				}
			})
		})
	}
}

func TestIntervalZeroIsImmediate(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		begun := time.Now()
		for range 100 {
			h.must(plain("0:a"))
		}
		expect(t, "time", time.Since(begun), 0)
		h.expectRequests(100, 0) // no budget: every lone request is an object
	})
}

func TestBusyUploadersGatherRequests(t *testing.T) {
	inHouse(t, Config{UploadsMax: 2}, func(h *house) {
		h.setFate(slow(100 * time.Millisecond))
		var all []*future
		for range 50 {
			all = append(all, h.send(plain("0:a")))
		}
		for _, f := range all {
			if err := f.wait().err; err != nil {
				t.Fatal(err)
			}
		}
		// 1 + 1 occupy both uploaders; the other 48 share the object that is due until one
		// is free: 3 objects.
		h.expectRequests(3, 0)
	})
}

func TestFlushBySize(t *testing.T) {
	const full = 64 << 10
	for _, c := range []struct {
		name    string
		sizes   []int
		objects int
	}{
		// One token for the first object; the others would wait an hour but for their size.
		{"each fills one", []int{full, full, full}, 3},
		{"four fill one", []int{full / 4, full / 4, full / 4, full / 4}, 1},
		{"a large one goes alone", []int{100, 2 * full, full}, 3},
		{"one over the brim", []int{full - 100, full - 100}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{FlushBytesMax: full, FlushInterval: time.Hour, BudgetBurst: 1}
			inHouse(t, cfg, func(h *house) {
				h.must(plain("9:takes the only token"))
				begun := time.Now()
				var all []*future
				for _, n := range c.sizes {
					all = append(all, h.send(sized(n)))
				}
				for _, f := range all {
					f.wait()
				}
				if took := time.Since(begun); took > 0 {
					t.Errorf("flushes by size waited %s", took)
				}
				h.expectRequests(1+c.objects, 0)
			})
		})
	}
}

func TestFlushesBySizeMakeNoDebt(t *testing.T) {
	const full = 1 << 10
	inHouse(t, Config{FlushBytesMax: full, FlushInterval: interval}, func(h *house) {
		for range 1000 {
			h.must(sized(full))
		}
		begun := time.Now()
		h.must(plain("0:small"))
		expect(t, "waited", time.Since(begun), interval)
	})
}

func TestFlushByCommitBytes(t *testing.T) {
	cfg := Config{FlushInterval: time.Hour, BudgetBurst: 1, CommitBytesMax: 1 << 10}
	inHouse(t, cfg, func(h *house) {
		h.must(plain("9:takes the only token"))
		var all []*future
		for n := range 40 {
			all = append(all, h.send(from("p", int64(n), "0:a")))
		}
		h.stop() // the last object is flushed by draining
		for _, f := range all {
			if err := f.wait().err; err != nil {
				t.Fatal(err)
			}
		}
		// An object begins with 128 + 40 for its segment; each request adds 40 + 1 + 6, and
		// 87 at most are reserved for the next: 168 + 17*47 + 87 = 1054 > 1024, so 17 fit:
		// 17 + 17 + 6 requests in 3 objects.
		h.expectRequests(1+3, 0)
		var got []int
		for _, call := range h.ledger.calls[1:] {
			for _, c := range call {
				got = append(got, len(c.Requests))
			}
		}
		expect(t, "requests per object", got, []int{17, 17, 6})
	})
}

func TestRefusals(t *testing.T) {
	gone, cancel := context.WithCancel(background)
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		r    foz.Request
		want foz.Code
	}{
		{"no batches", nil, foz.Request{Topic: flights}, foz.CodeBadRequest},
		{"an empty batch", nil, foz.Request{Topic: flights, Batches: []foz.Batch{{Rows: new(foz.Rows)}}},
			foz.CodeBadRequest},
		{"larger than the buffer", nil, sized(1 << 20), foz.CodeBatchTooLarge},
		{"more partitions than a topic has", nil, across(foz.PartitionsMax + 1), foz.CodeBatchTooLarge},
		{"a client that is gone", gone, plain("0:a"), foz.CodeAckTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHouse(t, Config{BufferBytesMax: 1 << 20}, func(h *house) {
				if c.ctx == nil {
					c.ctx = background
				}
				_, err := h.Produce(c.ctx, c.r)
				expectCode(t, err, c.want)
				h.expectRequests(0, 0)
			})
		})
	}
}

func TestBackPressure(t *testing.T) {
	const room = 64 << 10
	inHouse(t, Config{FlushBytesMax: 16 << 10, BufferBytesMax: room, UploadsMax: 1}, func(h *house) {
		h.setFate(slow(time.Second))
		var accepted []*future
		for {
			f := h.send(sized(16<<10 - 22)) // 22 bytes of columns beside the value
			if f.isDone() {
				expectCode(t, f.err, foz.CodeOverloaded)
				break
			}
			accepted = append(accepted, f)
		}
		expect(t, "requests accepted", len(accepted), room/(16<<10))
		expect(t, "bytes held", h.heldBytes(), room)
		// The first object is answered after its second: exactly its bytes are free again.
		accepted[0].wait()
		f := h.send(sized(16<<10 - 22))
		if f.isDone() {
			t.Errorf("refused although there is room: %v", f.err)
		}
		_, err := h.Produce(background, sized(100))
		expectCode(t, err, foz.CodeOverloaded)
		for _, a := range append(accepted, f) {
			if err := a.wait().err; err != nil {
				t.Error(err)
			}
		}
		expect(t, "bytes held", h.heldBytes(), 0)
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(t, Config{FlushInterval: time.Hour, BudgetBurst: 1})
		h.start()
		h.setFate(slow(time.Second))
		first := h.send(plain("0:under way"))
		second := h.send(plain("0:buffered"))
		begun := time.Now()
		h.stop()
		synctest.Wait()
		_, err := h.Produce(background, plain("0:too late"))
		expectCode(t, err, foz.CodeDraining)
		expect(t, "first", ranges(first.wait().ack), "0:[0,1)")
		expect(t, "second", ranges(second.wait().ack), "0:[1,2)")
		h.drained()
		expect(t, "drained in", time.Since(begun), time.Second)
		h.expectRequests(2, 0)
		expect(t, "log", h.log(), map[string][]string{"1/0": {"0:under way", "0:buffered"}})
	})
}

func TestDrainDeadline(t *testing.T) {
	for _, c := range []struct {
		name        string
		stick       func(h *house)
		first, next foz.Code
	}{
		{"an upload that hangs has failed",
			func(h *house) { h.setFate(slow(time.Hour)) }, foz.CodeUnavailable, foz.CodeUnavailable},
		{"a commit that hangs is unknown, one that was never sent is not",
			func(h *house) { h.ledger.hold = func() { time.Sleep(time.Hour) } },
			foz.CodeAckTimeout, foz.CodeDraining},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := build(t, Config{DrainDeadline: 5 * time.Second})
				c.stick(h)
				h.start()
				a, b := h.send(plain("0:a")), h.send(plain("0:b"))
				h.stop()
				if err := <-h.ended; err == nil || !strings.Contains(err.Error(), "5s") {
					t.Errorf("Run: %v", err)
				}
				expectCode(t, a.wait().err, c.first)
				expectCode(t, b.wait().err, c.next)
			})
		})
	}
}

func TestMetrics(t *testing.T) {
	inHouse(t, Config{}, func(h *house) {
		h.must(plain("0:a", "1:b"))
		h.setFate(fates(objectstore.Drop))
		h.must(plain("0:c"))
		if _, err := h.Produce(background, foz.Request{}); err == nil {
			t.Error("an empty request was accepted")
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(h.Collectors()...)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() +
					float64(m.GetHistogram().GetSampleCount())
			}
		}
		for name, want := range map[string]float64{
			"foz_ingest_requests_total ok":          2,
			"foz_ingest_requests_total bad_request": 1,
			"foz_ingest_flushes_total idle":         2,
			"foz_ingest_rows_total":                 3,
			"foz_ingest_bytes_total":                3 * (3 + 22), // a value, and its columns
			"foz_ingest_upload_retries_total":       1,
			"foz_ingest_upload_seconds":             2,
			"foz_ingest_commit_seconds":             2,
			"foz_ingest_buffered_bytes":             0,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
	})
}

func TestTimerStopsWithItsObject(t *testing.T) {
	cfg := Config{FlushBytesMax: 1 << 10, FlushInterval: interval, BudgetBurst: 1}
	inHouse(t, cfg, func(h *house) {
		h.must(plain("9:takes the only token"))
		if h.open != nil {
			t.Fatal("an object is open")
		}
		waiting := h.send(plain("0:a"))
		timer := h.open.timer
		h.must(sized(1 << 10)) // fills it long before its time
		if waiting.wait(); timer.Stop() {
			t.Error("the timer of a flushed object was still running")
		}
	})
}
