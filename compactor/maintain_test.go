package compactor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: the mill of mill_test.go, with Run going on in its own goroutine.

func run(t *testing.T, m *mill) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Everything at once, of everybody's partitions, without a wait; floor and grace are kept and
// told of.
func TestMaintain(t *testing.T) {
	cfg := scaled
	cfg.Node, cfg.FloorAge, cfg.Grace = "a", 5*time.Minute, 5*time.Minute
	inMill(t, cfg, func(t *testing.T, m *mill) {
		m.ledger.nodes = []string{"a", "b", "c"}
		topic := m.ledger.topic("t", 8, foz.TopicConfig{RetentionMS: time.Hour.Milliseconds()})
		flush := func() {
			for n := range 8 {
				m.flush(rows{part0(topic, n): {"x", "y"}})
			}
		}
		flush()
		time.Sleep(2 * time.Hour)
		flush()
		flush()
		defer run(t, m)()
		synctest.Wait()
		report, err := m.Maintain(t.Context(), []string{"sweep", "merge", "retain"})
		if err != nil {
			t.Fatal(err)
		}
		want := []JobReport{
			{Job: "retain", Due: 8, Done: 8},
			{Job: "merge", Due: 16, Done: 16},
			{Job: "sweep"}, // nothing is below the floor yet
		}
		for i, j := range report.Jobs {
			j.BytesIn, j.BytesOut = 0, 0
			if j != want[i] {
				t.Errorf("%+v, want %+v", j, want[i])
			}
		}
		requests := map[string]int64{}
		for _, c := range report.Requests {
			requests[c.Op+" "+c.Cause] = c.Requests
		}
		// 16 objects with one placement each make one.
		if requests["get merge"] != 16 || requests["create merge"] != 1 {
			t.Errorf("%v", requests)
		}
		m.same()
		for range 5 {
			time.Sleep(5 * time.Minute)
			report, err = m.Maintain(t.Context(), []string{"merge", "sweep"})
			if err != nil || report.Jobs[0].Due != 0 {
				t.Errorf("%+v, %v", report, err)
			}
		}
		if n := len(m.objects()); n != 1 || report.Jobs[1].Left != 0 {
			t.Errorf("%d objects, %+v", n, report)
		}
	})
}

// What cannot be asked for, and who has to wait.
func TestMaintainRefuses(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 1, foz.TopicConfig{})
		m.flush(rows{part0(topic, 0): {"x"}})
		if _, err := m.Maintain(t.Context(), []string{"burn"}); !isCode(err, foz.CodeBadRequest) {
			t.Error(err)
		}
		m.fate = func(objectstore.Call) objectstore.Fate {
			time.Sleep(time.Minute)
			return objectstore.Fate{}
		}
		stop := run(t, m)
		answers := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := m.Maintain(t.Context(), []string{"merge"})
				answers <- err
			}()
			synctest.Wait()
		}
		var errs []string
		for range 3 {
			if err := <-answers; err != nil {
				errs = append(errs, err.Error())
			}
		}
		if len(errs) != 1 || !strings.Contains(errs[0], "under way") {
			t.Errorf("%q: one is done, one waits, one is refused", errs)
		}
		synctest.Wait() // it rests: the ledger is nobody else's while records come in
		m.flush(rows{part0(topic, 0): {"x"}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Maintain(ctx, []string{"merge"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		go func() {
			_, err := m.Maintain(t.Context(), []string{"merge"})
			answers <- err
		}()
		synctest.Wait()
		stop()
		if err := <-answers; !isCode(err, foz.CodeDraining) {
			t.Error(err)
		}
		m.fate = nil
		m.same()
	})
}

// A bounded call leaves what it had no time for, and the next goes on.
func TestMaintainFor(t *testing.T) {
	cfg := scaled
	cfg.JobBytes = 64 << 10
	inMill(t, cfg, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 4, foz.TopicConfig{})
		for i := range 40 {
			m.flush(rows{part0(topic, i%4): {m.noise(10 << 10)}})
		}
		m.fate = func(c objectstore.Call) objectstore.Fate {
			if c.Op == "create" {
				time.Sleep(time.Second)
			}
			return objectstore.Fate{}
		}
		defer run(t, m)()
		calls, last := 0, JobReport{Left: 1}
		for ; last.Left > 0; calls++ {
			report, err := m.MaintainFor(t.Context(), []string{"merge"}, 3*time.Second)
			if err != nil || report.Jobs[0].Done == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			last = report.Jobs[0]
		}
		if calls < 3 {
			t.Errorf("%d calls", calls)
		}
		m.same()
	})
}

// Run does by itself what Maintain does by request, each thing in its time, and an idle house
// is asked for nothing.
func TestRunDoesItAll(t *testing.T) {
	if testing.Short() {
		t.Skip("the made-up ledger has no lock, and -short goes with the race detector")
	}
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 3, foz.TopicConfig{RetentionMS: (3 * time.Hour).Milliseconds()})
		keyed := m.ledger.topic("k", 1, foz.TopicConfig{CleanupPolicy: "compact"})
		defer run(t, m)()
		for range 60 {
			m.flush(rows{part0(topic, 0): {"x"}, part0(topic, 2): {"y"}, part0(keyed, 0): {"k=v"}})
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if fresh, _ := m.levels(); fresh != 0 {
			t.Errorf("%d placements are fresh", fresh)
		}
		if n := len(m.objects()); n > 40 {
			t.Errorf("%d objects", n)
		}
		if records := m.read(part0(keyed, 0)); len(records) > 5 || records[59] == "" {
			t.Errorf("%v", records)
		}
		m.truth[part0(keyed, 0)] = nil
		delete(m.truth, part0(keyed, 0))
		m.same()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if all := m.all(part0(topic, 0)); len(all) != 0 {
			t.Errorf("%d placements outlive their retention", len(all))
		}
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		m.calls = map[string]int{}
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		m.asked(0, 0, 0, 0)
		if n := len(m.objects()); n != len(m.ledger.now.live()) {
			t.Errorf("%d objects, %d are live", n, len(m.ledger.now.live()))
		}
	})
}

// Every number has a name, a help text and a value that follows what happened.
func TestMetrics(t *testing.T) {
	inMill(t, scaled, func(t *testing.T, m *mill) {
		topic := m.ledger.topic("t", 2, foz.TopicConfig{})
		value := func(name string) float64 {
			t.Helper()
			i := slices.IndexFunc(m.Metrics(), func(c Metric) bool { return c.Name+c.Level == name })
			if i < 0 || m.Metrics()[i].Help == "" {
				t.Fatalf("no metric %s", name)
			}
			return m.Metrics()[i].Value
		}
		for range 4 {
			m.flush(rows{part0(topic, 0): {m.noise(10 << 10)}, part0(topic, 1): {"x"}})
		}
		m.step()
		if debt := value("foz_compactor_debt_bytes"); debt < 40<<10 || debt > float64(m.wrote) {
			t.Errorf("debt %v of %d", debt, m.wrote)
		}
		if n := value("foz_compactor_objects0"); n != 4 {
			t.Errorf("%v fresh objects", n)
		}
		m.maintain("merge")
		for name, want := range map[string]float64{
			"foz_compactor_debt_bytes": 0, "foz_compactor_objects0": 0, "foz_compactor_objects1": 2,
			"foz_compactor_placements1": 2, "foz_compactor_outputs_accepted_total": 2,
			"foz_compactor_outputs_refused_total": 0, "foz_compactor_damaged_ranges": 0,
			"foz_compactor_written_bytes_total": float64(m.bytes["create"]),
		} {
			if got := value(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		time.Sleep(time.Minute)
		m.step()
		if age := value("foz_compactor_floor_age_seconds"); age < 60 || age > 61 {
			t.Errorf("the floor is %v s behind", age)
		}
	})
}
