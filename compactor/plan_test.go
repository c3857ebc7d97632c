package compactor

import (
	"slices"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/objectstore"
)

// How: what is decided without a request is asked directly.

// A job that had to wait could have waited longer, one that was full early comes sooner.
func TestMergeInterval(t *testing.T) {
	cfg := Config{}.withDefaults()
	now := time.Now()
	for _, c := range []struct {
		interval, since, want time.Duration
		full                  bool
	}{
		{time.Minute, time.Minute, 66 * time.Second, false},
		{time.Minute, 10 * time.Second, 30 * time.Second, true},
		{time.Minute, time.Minute, time.Minute, true},
		{10 * time.Second, time.Second, 10 * time.Second, true},
		{10 * time.Minute, 10 * time.Minute, 10 * time.Minute, false},
	} {
		m := merges{interval: c.interval, since: now.Add(-c.since)}
		m.adapt(now, c.full, cfg)
		if m.interval != c.want || !m.since.Equal(now) {
			t.Errorf("%+v: %v", c, m.interval)
		}
	}
	m := merges{interval: time.Minute}
	for _, c := range []struct {
		at    time.Duration
		bytes int64
		want  bool
	}{
		{0, 0, false}, {time.Hour, 1, false}, {time.Hour + 59*time.Second, 1, false},
		{time.Hour + time.Minute, 1, true}, {2 * time.Hour, 0, false}, {3 * time.Hour, 79, false},
		{3 * time.Hour, 80, true},
	} {
		if got := m.due(now.Add(c.at), c.bytes, 100); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// Sizes of adjacent pieces, by the target's 128 Ki, and which of them are merged.
func TestRipe(t *testing.T) {
	const target = 128 << 10
	many := func(n int, size int64) []int64 { return slices.Repeat([]int64{size}, n) }
	for name, c := range map[string]struct {
		sizes  []int64
		normal []int
		forced []int
	}{
		"nothing":          {nil, nil, nil},
		"alone":            {many(1, 5000), nil, nil},
		"two":              {many(2, 5000), nil, []int{2}},
		"a target":         {many(32, 4096), []int{32}, []int{32}},
		"two, and a rest":  {many(70, 4096), []int{32, 32}, []int{32, 32, 6}},
		"below the target": {many(31, 4096), nil, []int{31}},
		"a crowd":          {many(16, 500), []int{16}, []int{16}},
		"no crowd yet":     {many(15, 500), nil, []int{15}},
		"crowd of crowds":  {append(many(15, 500), many(16, 40)...), []int{16}, []int{16}},
		"large, then tiny": {append(many(1, 90_000), 10, 10), nil, []int{2}},
		"halves": {[]int64{64_000, 32_000, 16_000, 8000, 4000, 4000}, nil,
			[]int{6}},
		"an uneven end": {[]int64{50_000, 9000, 9000, 100}, nil, []int{2}},
	} {
		for forced, want := range map[bool][]int{false: c.normal, true: c.forced} {
			var run []foz.Placement
			for i, size := range c.sizes {
				run = append(run, foz.Placement{Base: int64(i), RowCount: 1,
					Segment: foz.Segment{Rows: 1, ByteEnd: size}})
			}
			var got []int
			for _, group := range ripe(run, target, forced) {
				got = append(got, len(group))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, forced %v: groups of %v, want %v", name, forced, got, want)
			}
		}
	}
}

// Partitions are everybody's once, and most stay where they are when a node comes.
func TestShares(t *testing.T) {
	const partitions = 1000
	share := func(nodes ...string) map[int]string {
		owners := map[int]string{}
		for _, node := range nodes {
			l := newLedger()
			l.nodes = nodes
			mine := New(Deps{Store: objectstore.NewMemory(), Catalog: l, Tables: l},
				Config{Node: node}).mine()
			for n := range partitions {
				if mine(foz.Partition{Topic: foz.TopicID{7}, Number: int32(n)}) {
					if owners[n] != "" {
						t.Fatalf("partition %d is of %s and %s", n, owners[n], node)
					}
					owners[n] = node
				}
			}
		}
		return owners
	}
	two, three := share("a", "b"), share("a", "b", "c")
	moved, count := 0, map[string]int{}
	for n := range partitions {
		count[three[n]]++
		if two[n] != three[n] {
			moved++
			if three[n] != "c" {
				t.Errorf("partition %d went from %s to %s", n, two[n], three[n])
			}
		}
	}
	if len(two) != partitions || len(three) != partitions || moved < 250 || moved > 420 ||
		min(count["a"], count["b"], count["c"]) < 250 {
		t.Errorf("%d moved, %v", moved, count)
	}
}
