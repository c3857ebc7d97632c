package compactor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: the mill of mill_test.go. Every test ends by reading all records back.

// scaled is the default in small: a target of 256 KiB.
var scaled = Config{SegmentBytes: 256 << 10, BatchBytes: 32 << 10, JobBytes: 1 << 20}

func part0(t foz.Topic, n int) foz.Partition { return foz.Partition{Topic: t.ID, Number: int32(n)} }

// 5 flushes for 4 partitions. Partition 0 has 5 x 10 KiB, more than a batch: an object of its
// own; the others share one. 5 objects, 5 GETs, whole and once; 2 PUTs; 2 swaps. The fresh
// objects go when the floor has passed them and their grace is over: 1 DELETE.
func TestMergeFresh(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 4, foz.TopicConfig{})
		for i := range 5 {
			m.flush(rows{
				part0(topic, 0): {m.noise(10 << 10)}, part0(topic, 1): {fmt.Sprint("a", i), "k=v"},
				part0(topic, 2): {fmt.Sprint("b", i)}, part0(topic, 3): {"x=", "y=", "z"},
			})
		}
		m.step()
		m.asked(0, 0, 0, 0) // too little, too early
		time.Sleep(time.Minute)
		m.step()
		m.asked(5, 2, 0, 0)
		if fresh, merged := m.levels(); fresh != 0 || merged != 4 {
			t.Errorf("%d fresh and %d merged placements", fresh, merged)
		}
		if n := len(m.ledger.swaps); n != 2 {
			t.Errorf("%d swaps", n)
		}
		own := m.all(part0(topic, 0))[0]
		if own.Segment.Batches != 2 || m.all(part0(topic, 1))[0].Segment.Batches != 1 {
			t.Errorf("batches %d, %d", own.Segment.Batches, m.all(part0(topic, 1))[0].Segment.Batches)
		}
		m.same()
		for range 40 { // the floor, the listing, the grace
			time.Sleep(time.Minute)
			m.step()
		}
		m.same()
		if n := len(m.objects()); n != 2 {
			t.Errorf("%d objects are left", n)
		}
		m.asked(0, 0, 1, 2) // the floor moves twice: after the commits, after the releases
	})
}

// What is a job's worth does not wait.
func TestMergeFullJob(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		for range 9 { // 9 x 100 KiB are over 80 % of 1 MiB
			flush := rows{}
			for i := range 25 {
				p := part0(topic, i*2/30) // 60 KiB and 40 KiB
				flush[p] = append(flush[p], m.noise(4<<10))
			}
			m.flush(flush)
		}
		m.step()
		m.asked(9, 3, 0, 0) // 540 KiB as 300 and 240; 360 KiB as one: a rest would be small
		if fresh, merged := m.levels(); fresh != 0 || merged != 3 {
			t.Errorf("%d fresh and %d merged placements", fresh, merged)
		}
		m.same()
	})
}

// Memory is bounded: a backlog of many jobs is read a job at a time.
func TestMergeBacklog(t *testing.T) {
	cfg := scaled
	cfg.JobBytes = 128 << 10
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 3, foz.TopicConfig{})
		for i := range 30 {
			m.flush(rows{part0(topic, i%3): {m.noise(20 << 10)}, part0(topic, (i+1)%3): {"x"}})
		}
		held := int64(0)
		m.fate = func(c objectstore.Call) objectstore.Fate {
			switch c.Op {
			case "get":
				held += c.Length
			case "create":
				held = 0
			}
			if held > cfg.JobBytes+cfg.SegmentBytes {
				t.Errorf("%d bytes are held", held)
			}
			return objectstore.Fate{}
		}
		report := m.maintain("merge")
		if j := report.Jobs[0]; j.Left != 0 || j.Done < 60 || j.Due != j.Done {
			t.Errorf("%+v", j)
		}
		m.same()
	})
}

// 100 partitions of noise, so that nothing is gained by compression. A flush brings 1 KiB to
// each; a job is full at 3.2 MiB, 32 flushes, 32 KiB of each; 8 such pieces are a target. So a
// byte is written once into a piece and once into a target, but for the pieces under way.
func TestWriteAmplification(t *testing.T) {
	cfg := scaled
	cfg.JobBytes, cfg.BytesPerSecond, cfg.RequestsPerSecond = 4<<20, 1<<40, 1<<30
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 100, foz.TopicConfig{})
		for range 600 {
			flush := rows{}
			for n := range 100 {
				flush[part0(topic, n)] = []string{m.noise(1 << 10)}
			}
			m.flush(flush)
			time.Sleep(250 * time.Millisecond)
			m.step()
		}
		written := m.metrics.bytesOut.n.Load()
		if amp := float64(written) / float64(m.wrote); amp > 2.2 || amp < 1 {
			t.Errorf("%.2f bytes written per byte", amp)
		} else {
			t.Logf("%.2f bytes written per byte", amp)
		}
		m.same()
		done := 0
		for n := range 100 {
			for _, pl := range m.all(part0(topic, n)) {
				if size(pl) >= cfg.SegmentBytes*80/100 {
					done++
				}
			}
		}
		if done < 200 { // 600 KiB each: two targets and a rest
			t.Errorf("%d placements reach the target", done)
		}
	})
}

// 1,000 partitions that get some bytes now and then: a job makes one object for all of them,
// and what piles up is merged, 16 to 1. So neither objects nor placements grow with time.
func TestTinyPartitions(t *testing.T) {
	cfg := Config{SegmentBytes: 1 << 20, FloorAge: time.Second, Grace: time.Second,
		MergeIntervalMax: 5 * time.Minute, BytesPerSecond: 1 << 40, RequestsPerSecond: 1 << 30}
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1000, foz.TopicConfig{})
		const flushes = 70
		for range flushes {
			flush := rows{}
			for n := range 1000 {
				flush[part0(topic, n)] = []string{"tiny"}
			}
			m.flush(flush)
			time.Sleep(5 * time.Minute)
			m.step()
			if _, merged := m.levels(); merged > 16*1000 {
				t.Fatalf("%d merged placements", merged)
			}
		}
		// A job takes two flushes: 70 GETs, 35 PUTs. 16 pieces of all partitions are read at once,
		// 16 GETs, and written as 16,000 inputs at 2,000 a swap, 8 PUTs. The second time 15 are of
		// a job and the oldest lie in the 8.
		m.asked(flushes+16+15+8, flushes/2+2*8, m.calls["delete"], m.calls["list"])
		if n := len(m.objects()); n > 8+16 {
			t.Errorf("%d objects", n)
		}
		m.maintain("merge")
		if fresh, merged := m.levels(); fresh != 0 || merged != 1000 {
			t.Errorf("%d fresh and %d merged placements after maintenance", fresh, merged)
		}
		m.same()
	})
}

// Whatever breaks at a step, nothing is lost and nothing is written twice that need not be:
// an upload whose answer was lost is read back, a swap whose answer was lost is seen in the
// next view.
func TestMergeCrashes(t *testing.T) {
	const pass, drop, applied = objectstore.Pass, objectstore.Drop, objectstore.ApplyThenFail
	for name, c := range map[string]struct {
		op      string
		fates   []objectstore.Outcome
		apply   bool // of the first swap
		answer  bool
		objects int // merged, that exist when all is done
	}{
		"get lost":                {"get", []objectstore.Outcome{drop, drop}, true, true, 1},
		"get throttled":           {"get", []objectstore.Outcome{objectstore.Throttle}, true, true, 1},
		"get cut":                 {"get", []objectstore.Outcome{objectstore.Truncate}, true, true, 1},
		"put lost":                {"create", []objectstore.Outcome{drop}, true, true, 1},
		"put done, answer lost":   {"create", []objectstore.Outcome{applied}, true, true, 1},
		"put throttled":           {"create", []objectstore.Outcome{objectstore.Throttle}, true, true, 1},
		"swap lost":               {"", nil, false, false, 2},
		"swap done, answer lost":  {"", nil, true, false, 1},
		"all of it goes through":  {"get", []objectstore.Outcome{pass}, true, true, 1},
		"store full at the first": {"create", []objectstore.Outcome{objectstore.Full}, true, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inMill(t, scaled, func(t *testing.T, m *mill) {
				topic := m.ledger.topic("t", 3, foz.TopicConfig{})
				for range 4 {
					m.flush(rows{part0(topic, 0): {"a", "b"}, part0(topic, 2): {"c"}})
				}
				fates := c.fates
				m.fate = func(call objectstore.Call) objectstore.Fate {
					if call.Op != c.op || len(fates) == 0 {
						return objectstore.Fate{}
					}
					fate := objectstore.Fate{Outcome: fates[0], At: 500}
					fates = fates[1:]
					return fate
				}
				m.ledger.gate = func(foz.Swap) (bool, bool) {
					return c.apply || len(m.ledger.swaps) > 1, c.answer || len(m.ledger.swaps) > 1
				}
				for range 5 {
					_ = m.Step(t.Context())
					time.Sleep(time.Minute)
					m.restart(scaled) // and it crashes
					m.flush(rows{part0(topic, 1): {"so that the slot moves"}})
					_ = m.Step(t.Context())
					time.Sleep(time.Minute)
					_ = m.Step(t.Context())
				}
				m.same()
				if fresh, _ := m.levels(); fresh != 0 {
					t.Errorf("%d placements are fresh", fresh)
				}
				first := m.ledger.swaps[0]
				merged := map[string]bool{}
				for _, s := range m.ledger.swaps {
					if slices.EqualFunc(s.Outputs[:1], first.Outputs[:1],
						func(a, b foz.SwapOutput) bool { return a.Range == b.Range }) {
						merged[s.Object] = true
					}
				}
				if len(merged) != c.objects {
					t.Errorf("%d objects were written for the first job, want %d", len(merged), c.objects)
				}
			})
		})
	}
}

// One partition's bytes in one object are damaged: that range stays as it is and is told of,
// everything else is merged, and nothing is dropped. It is not tried again for an hour; when
// the object has healed, it is merged.
func TestMergeDamage(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		for range 5 {
			m.flush(rows{part0(topic, 0): {"a", "b"}, part0(topic, 1): {"c"}})
		}
		bad := m.all(part0(topic, 0))[2]
		broken := true
		m.fate = func(c objectstore.Call) objectstore.Fate {
			if broken && c.Op == "get" && c.Key == bad.Object && c.Offset == bad.Segment.ByteStart {
				return objectstore.Fate{Outcome: objectstore.Flip, At: 8 * 100}
			}
			return objectstore.Fate{}
		}
		report := m.maintain("merge")
		m.asked(5+1, 1, 0, 0) // the damaged one twice; one shared object
		if len(report.Damaged) != 1 || report.Damaged[0].Range != (foz.Range{Base: 4, Next: 6}) ||
			report.Damaged[0].Object != bad.Object || report.Jobs[0].Left != 1 {
			t.Errorf("%+v", report)
		}
		if fresh, merged := m.levels(); fresh != 1 || merged != 3 {
			t.Errorf("%d fresh and %d merged placements", fresh, merged)
		}
		m.same()
		for range 59 {
			m.step()
			time.Sleep(time.Minute)
		}
		m.asked(0, 0, 1, 1)
		broken = false
		for range 20 {
			m.step()
			time.Sleep(time.Minute)
		}
		m.maintain("merge")
		if fresh, merged := m.levels(); fresh != 0 || merged != 2 {
			t.Errorf("%d fresh and %d merged placements", fresh, merged)
		}
		m.same()
	})
}

// A merged object of many batches is damaged: what is merged of it stays, and others go on.
func TestMergeDamagedPiece(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(topic, 0): {m.noise(20 << 10), m.noise(20 << 10)},
				part0(topic, 1): {m.noise(20 << 10), m.noise(20 << 10)}})
			time.Sleep(10 * time.Minute)
			m.step()
			time.Sleep(10 * time.Minute)
			m.step()
		}
		bad := m.all(part0(topic, 0))[1]
		if bad.Segment.Batches < 2 {
			t.Fatalf("%+v", bad)
		}
		m.fate = func(c objectstore.Call) objectstore.Fate {
			if c.Op == "get" && c.Key == bad.Object {
				return objectstore.Fate{Outcome: objectstore.Flip, At: 8 * 30_000}
			}
			return objectstore.Fate{}
		}
		report := m.maintain("merge")
		if len(report.Damaged) != 1 || len(m.all(part0(topic, 0))) != 3 ||
			len(m.all(part0(topic, 1))) != 1 {
			t.Errorf("%+v", report)
		}
		m.same()
	})
}

// The view is stale: an object is gone. The job gives it up, and goes on with the rest.
func TestMergeStaleView(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(topic, 0): {"a"}})
		}
		m.flush(rows{part0(topic, 1): {"b"}})
		before := m.ledger.now
		m.maintain("merge")
		for _, pl := range before.parts[part0(topic, 0)].placements[:1] {
			if err := m.store.Delete(t.Context(), pl.Object); err != nil {
				t.Fatal(err)
			}
		}
		m.ledger.stale = &before
		accepted := m.metrics.accepted.n.Load()
		m.restart(scaled)
		m.maintain("merge")
		if n := m.metrics.accepted.n.Load(); n != 0 || accepted == 0 {
			t.Errorf("%d outputs are accepted", n)
		}
		if m.metrics.refused.n.Load() == 0 {
			t.Error("nothing was refused: the test is blind")
		}
		m.ledger.stale = nil
		m.same()
	})
}

// Another node merges what this one is about to read, and the sweep deletes it: that is no
// damage. What was damage is none any more when it has expired.
func TestMergeOvertaken(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(topic, 0): {"a"}, part0(topic, 1): {"b"}})
		}
		fresh := m.objects()
		m.fate = func(objectstore.Call) objectstore.Fate {
			m.fate = nil
			other := New(Deps{Store: m.store, Catalog: m.ledger, Tables: m.ledger,
				Entropy: entropy{m.rng}}, scaled)
			if _, err := other.mergeAll(t.Context()); err != nil {
				t.Error(err)
			}
			if err := m.store.Delete(t.Context(), fresh...); err != nil {
				t.Error(err)
			}
			return objectstore.Fate{}
		}
		report := m.maintain("merge")
		if len(report.Damaged) != 0 || report.Jobs[0].Left != 0 || m.metrics.damaged.n.Load() != 0 {
			t.Errorf("%+v", report)
		}
		m.same()

		bad := m.flush(rows{part0(topic, 0): {"c"}})
		if err := m.store.Delete(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		if report := m.maintain("merge"); len(report.Damaged) != 1 {
			t.Errorf("%+v", report)
		}
		m.ledger.drop(topic.ID)
		report = m.maintain("sweep")
		if len(report.Damaged) != 0 || m.metrics.avoided.n.Load() != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// A topic is deleted in the middle of a job: its outputs are refused, the others stand.
func TestMergeDeletedTopic(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		a, b := m.ledger.topic("a", 1, foz.TopicConfig{}), m.ledger.topic("b", 1, foz.TopicConfig{})
		for range 3 {
			m.flush(rows{part0(a, 0): {"x"}, part0(b, 0): {"y"}})
		}
		m.fate = func(c objectstore.Call) objectstore.Fate {
			if c.Op == "create" {
				m.ledger.drop(a.ID)
				m.ledger.topic("a", 1, foz.TopicConfig{})
				m.fate = nil
			}
			return objectstore.Fate{}
		}
		m.maintain("merge")
		if m.metrics.refused.n.Load() != 1 || m.metrics.accepted.n.Load() != 1 {
			t.Errorf("%d refused, %d accepted", m.metrics.refused.n.Load(), m.metrics.accepted.n.Load())
		}
		m.same()
	})
}

// The budget: 1 MiB and 10 requests a second make 30 objects of 100 KiB take 3 seconds.
func TestBudget(t *testing.T) {
	cfg := scaled
	cfg.JobBytes, cfg.BytesPerSecond, cfg.RequestsPerSecond = 16<<20, 1<<20, 1000
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{})
		for range 30 {
			m.flush(rows{part0(topic, 0): {m.noise(100 << 10)}})
		}
		began := time.Now()
		m.maintain("merge")
		took := time.Since(began) // 3,000 KiB are read and then written; a second is saved up
		if took < 4*time.Second || took > 6*time.Second {
			t.Errorf("%v", took)
		}
		m.same()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		p := &paced{store: m.store, bytes: 1, requests: 1}
		p.spend(100)
		if _, err := p.Get(ctx, "x", 0, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
