package bench

// The arithmetic of reports, on numbers worked out by hand, and a whole run of the raw arm on
// a store in memory. How: tables; nothing here looks at a clock's reading, so that a busy
// machine cannot fail it. The command is run whole, against a node, in cmd/foz.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fozlog/foz/objectstore"
)

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		p      float64
		want   float64
	}{
		{[]float64{7}, 0, 7},
		{[]float64{7}, 99, 7},
		{[]float64{3, 1, 2}, 50, 2},
		{[]float64{4, 1, 3, 2}, 50, 2.5},
		{[]float64{10, 20}, 25, 12.5},
		{[]float64{5, 1, 9}, 0, 1},
		{[]float64{5, 1, 9}, 100, 9},
	} {
		given := slices.Clone(c.values)
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("p%v of %v is %v, want %v", c.p, c.values, got, c.want)
		}
		if !slices.Equal(given, c.values) {
			t.Errorf("percentile sorted its caller's values: %v", c.values)
		}
	}
	if got := percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	if got := spreadOf([]float64{2, 8, 5}); got != (Spread{2, 5, 8}) {
		t.Errorf("spread %v", got)
	}
	if got := spreadOf(nil); got != (Spread{}) {
		t.Errorf("spread of nothing is %v", got)
	}
}

func TestRound(t *testing.T) {
	raw := sample{bytes: 2e9, took: 4 * time.Second, cpu: 5 * time.Second}
	foz := sample{bytes: 1e9, took: 4 * time.Second, cpu: 3 * time.Second}
	want := Round{RawBytesPerSecond: 5e8, FozBytesPerSecond: 2.5e8, Ratio: 0.5,
		RawCPUPerGB: 2.5, FozCPUPerGB: 3}
	if got := newRound(raw, foz); got != want {
		t.Errorf("round %+v, want %+v", got, want)
	}
	if got := newRound(sample{}, sample{}); got != (Round{}) {
		t.Errorf("a round of nothing: %+v", got)
	}
}

func TestRoundsTakeTurns(t *testing.T) {
	var turns strings.Builder
	play := func(name string, s sample) arm {
		return func(context.Context) (sample, error) {
			turns.WriteString(name)
			return s, nil
		}
	}
	rounds, err := Deps{}.rounds(t.Context(), 2,
		play("a", sample{bytes: 100, took: time.Second}), play("b", sample{bytes: 60, took: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	if turns.String() != "abbaabba" {
		t.Errorf("turns %s", turns.String())
	}
	if got := RatioOf(rounds); got != (Spread{0.6, 0.6, 0.6}) {
		t.Errorf("ratio %v", got)
	}
	broken := errors.New("broken")
	_, err = Deps{}.rounds(t.Context(), 1, play("a", sample{}),
		func(context.Context) (sample, error) { return sample{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestBetween(t *testing.T) {
	before := []objectstore.Count{
		{Op: "create", Cause: "append", Requests: 3, Bytes: 30},
		{Op: "get", Cause: "fetch", Requests: 5, Bytes: 500},
	}
	after := []objectstore.Count{
		{Op: "get", Cause: "fetch", Requests: 5, Bytes: 500},
		{Op: "create", Cause: "upload", Requests: 2, Bytes: 16},
		{Op: "create", Cause: "append", Requests: 4, Bytes: 44},
	}
	got := between(before, after)
	want := []Requests{{"create", "append", 1, 14}, {"create", "upload", 2, 16}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if sum := asked(got, "create", ""); sum.Requests != 3 || sum.Bytes != 30 {
		t.Errorf("creates: %+v", sum)
	}
	if sum := asked(got, "create", "upload"); sum.Requests != 2 || sum.Bytes != 16 {
		t.Errorf("uploads: %+v", sum)
	}
}

func TestRecords(t *testing.T) {
	entropy := rand.NewChaCha8([32]byte{})
	all, err := bodies(entropy, Config{RecordBytes: 100, BodyBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range all {
		lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
		if len(lines) != 9 { // 101 bytes each, with its newline
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if len(line) != 100 {
				t.Fatalf("a record of %d bytes: %s", len(line), line)
			}
		}
	}
	if bytes.Equal(all[0], all[1]) {
		t.Error("all bodies are the same")
	}
	all, err = bodies(entropy, Config{RecordBytes: 20, BodyBytes: 50, Keyed: true})
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(all[1], []byte("\n"))
	if want := `{"key":"00000002","value":{"text":"`; !strings.HasPrefix(string(first), want) {
		t.Errorf("a keyed record: %s", first)
	}
	all, err = bodies(entropy, Config{RecordBytes: 90, BodyBytes: 182, Text: true})
	for line := range bytes.Lines(all[0]) {
		if err != nil || len(line) != 91 || !json.Valid(line) || bytes.Count(line, []byte(" ")) < 5 {
			t.Errorf("line of words %q, %v", line, err)
		}
	}
	if _, err := bodies(entropy, Config{RecordBytes: 5, BodyBytes: 1000}); err == nil {
		t.Error("records of 5 bytes were made")
	}
}

func TestJoined(t *testing.T) {
	for _, c := range []struct {
		size int
		want []string
	}{
		{3, []string{"abc", "def"}},
		{4, []string{"abcd"}},
		{7, []string{"abcdef"[:6] + "a"}},
	} {
		var got []string
		for _, piece := range joined([][]byte{[]byte("ab"), []byte("cdef")}, c.size) {
			got = append(got, string(piece))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("size %d: %s", c.size, diff)
		}
	}
}

func TestRawArm(t *testing.T) {
	store := objectstore.NewMemory()
	if _, err := store.Create(t.Context(), "data/other", nil); err != nil {
		t.Fatal(err)
	}
	r := &raw{store: store, prefix: "bench/x/", objects: [][]byte{make([]byte, 10)},
		cfg: Config{Bytes: 95, ObjectBytes: 10, Uploads: 4}}
	for range 2 {
		if n, err := r.create(t.Context()); n != 100 || err != nil {
			t.Fatalf("an arm of %d bytes, %v", n, err)
		}
	}
	if err := r.pair(3, 4)(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	page, _, err := store.List(t.Context(), r.prefix, "", 0)
	if len(page) != 2*10+2 || err != nil {
		t.Errorf("%d objects, %v", len(page), err)
	}
	pieces, err := r.ranges(t.Context(), nil)
	if len(pieces) != 0 || err != nil { // an object without bytes has no pieces
		t.Errorf("pieces %v, %v", pieces, err)
	}
	for n, size := range []int{25, 7} {
		if _, err := store.Create(t.Context(), fmt.Sprint("data/", n), make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		got, err := r.ranges(t.Context(), pieces)
		want := [][]byteRange{
			{{"data/0", 0, 10}, {"data/0", 10, 10}, {"data/0", 20, 5}}, {{"data/1", 0, 7}},
		}[n]
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("pieces %v, want %v, %v", got, want, err)
		}
		pieces = append(pieces, got...)
	}
	if err := store.Delete(t.Context(), "data/0", "data/1"); err != nil {
		t.Fatal(err)
	}
	if err := r.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if page, _, _ = store.List(t.Context(), "", "", 0); len(page) != 1 {
		t.Errorf("left: %v", page)
	}
}

// TestPace: what is due is begun neither early nor left out when all before it is late.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pace{rate: 100, length: 100 * time.Millisecond} // one each 10 ms, 10 of them
		begun := time.Now()
		if n, at := p.total(), p.due(begun, 3).Sub(begun); n != 10 || at != 30*time.Millisecond {
			t.Errorf("%d due, the fourth after %v", n, at)
		}
		took, err := p.run(t.Context(), 1, func(context.Context, int, int64) error {
			time.Sleep(25 * time.Millisecond)
			return nil
		})
		if err != nil || len(took) != 10 || took[0] != 25 || took[9] != 250-90 {
			t.Errorf("took %v, %v", took, err)
		}
	})
	if n := (pace{rate: 0.1, length: time.Second}).total(); n != 1 {
		t.Errorf("%d due", n)
	}
	broken := errors.New("broken")
	_, err := pace{rate: 1000, length: time.Second}.run(t.Context(), 2,
		func(context.Context, int, int64) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestQuota(t *testing.T) {
	c := Config{Bytes: 1000}
	var pieces [10]int
	done, err := newQuota(c, 100).spend(t.Context(), 1,
		func(_ context.Context, _ int, piece int64) error { pieces[piece]++; return nil })
	if done != 10 || err != nil || pieces != [10]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1} {
		t.Errorf("done %d, %v, %v", done, pieces, err)
	}
	broken := errors.New("broken")
	done, err = newQuota(c, 100).spend(t.Context(), 3,
		func(_ context.Context, _ int, piece int64) error {
			if piece < 5 {
				return fmt.Errorf("piece %d: %w", piece, broken)
			}
			return nil
		})
	if done == 10 || !errors.Is(err, broken) {
		t.Errorf("done %d, %v", done, err)
	}
	if _, ok := newQuota(Config{For: -1}, 1).take(); !ok {
		t.Error("no limit is no limit")
	}
}
