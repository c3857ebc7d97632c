package foz

import "testing"

// How: keys there and back, and keys that are none.

func TestObjectKey(t *testing.T) {
	key := ObjectKey(42, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
	if want := "data/00000000000000000042/01ARZ3NDEKTSV4RRFFQ69G5FAV.arrow"; key != want {
		t.Fatalf("key %q, want %q", key, want)
	}
	birth, unique, err := ParseObjectKey(key)
	if err != nil || birth != 42 || unique != "01ARZ3NDEKTSV4RRFFQ69G5FAV" {
		t.Fatalf("%d %q %v", birth, unique, err)
	}
	for _, bad := range []string{
		"", "data/", "data/42/x.arrow", "data/0000000000000000004x/x.arrow",
		"data/00000000000000000042/.arrow", "data/00000000000000000042/x",
		"log/00000000000000000042/x.arrow", "data/99999999999999999999/x.arrow",
	} {
		if _, _, err := ParseObjectKey(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
