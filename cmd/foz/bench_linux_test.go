package main

import "testing"

// How: file systems that every Linux has.
func TestInMemory(t *testing.T) {
	for dir, want := range map[string]bool{"/dev/shm": true, "/proc": false, "/no/such": false} {
		if got := inMemory(dir); got != want {
			t.Errorf("%s: %v", dir, got)
		}
	}
}
