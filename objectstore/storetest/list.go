package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// listOrder has names that sort otherwise by path components than by whole keys, because '-'
// and '.' are less than '/'.
func listOrder(b *bucket) {
	want := []string{"A", "a-/x", "a-b", "a.b", "a/b", "a/b-c/d", "a/b.c", "a/c/d/e", "a/c0",
		"a0", "ab/c", "b", "log/00000000000000000009", "log/00000000000000000010"}
	mixed := slices.Clone(want)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(mixed), func(i, j int) {
		mixed[i], mixed[j] = mixed[j], mixed[i]
	})
	b.createAll(mixed...)
	b.lists("", "", want...)
}

func listPrefix(b *bucket) {
	b.createAll("a", "ab", "b/1", "b/1x/y", "b/2", "b0/1", "c/d/e")
	b.lists("a", "", "a", "ab")
	b.lists("b", "", "b/1", "b/1x/y", "b/2", "b0/1")
	b.lists("b/", "", "b/1", "b/1x/y", "b/2")
	b.lists("b/1", "", "b/1", "b/1x/y")
	b.lists("b/1/", "")
	b.lists("c/d/e", "", "c/d/e")
	b.lists("c/d/e/", "")
	b.lists("nothing/here", "")
}

func listAfter(b *bucket) {
	all := []string{"a-b", "a/1", "a/2/x", "a/2/y", "a/3", "a0", "b"}
	b.createAll(all...)
	afters := []string{"", "a", "a-", "a-b", "a-c", "a.", "a/", "a/0", "a/1", "a/2", "a/2/", "a/2/x",
		"a/2/xx", "a/2/y", "a/2/z", "a/20", "a/3", "a/9", "a0", "b", "c", "~", "\x00"}
	for _, prefix := range []string{"", "a", "a/", "a/2", "a/2/", "b"} {
		for _, after := range afters {
			var want []string
			for _, key := range all {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			b.lists(prefix, after, want...)
		}
	}
}

// listPages walks 1,100 objects in pages of all sizes, through directories that are larger
// than a page and ones that are empty because all in them was deleted.
func listPages(b *bucket) {
	var want []string
	for i := range 1100 {
		want = append(want, fmt.Sprintf("p/%04d", i/100*97+i))
	}
	for i := range 20 {
		want = append(want, fmt.Sprintf("p/z%d/%d", i/4, i))
	}
	slices.Sort(want)
	b.createMany(want...)
	b.createAll("p/y/1", "q")
	b.delete("p/y/1")
	for _, limit := range []int{-1, 0, 7, 100, 1000, 1001, 1120} {
		size := limit
		if limit <= 0 || limit > 1000 {
			size = 1000
		}
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			rest := len(want) - len(got)
			got = append(got, b.page("p/", after, limit, rest > size)...)
			if rest <= size {
				break
			}
		}
		if !slices.Equal(got, want) {
			b.t.Fatalf("in pages of %d: %d keys, want %d", limit, len(got), len(want))
		}
	}
	if got := b.page("p/", "p/0001", 1, true); len(got) != 1 {
		b.t.Fatalf("limit 1 gave %q", got)
	}
}
