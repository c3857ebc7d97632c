// How: callers misuse Memory on purpose, and the panic that must follow is caught; its clock
// and its size are set; and it runs in a synctest bubble.
package objectstore_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/objectstore"
)

func panics(t *testing.T, what string, call func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	call()
}

func TestMemoryJudgesItsCallers(t *testing.T) {
	m := objectstore.NewMemory()
	panics(t, "an offset below zero", func() { m.Get(t.Context(), "a", -1, 1) })
	panics(t, "1001 keys", func() { m.Delete(t.Context(), make([]string, 1001)...) })
	panics(t, "data that changes", func() {
		data := make([]byte, 1<<10)
		m.SetClock(func() time.Time { // is asked in the middle of Create
			data[7]++
			return time.Time{}
		})
		m.Create(t.Context(), "a", data)
	})
}

func TestMemoryClockAndSize(t *testing.T) {
	m := objectstore.NewMemory()
	day := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	m.SetClock(func() time.Time { return day })
	m.SetBytesMax(10)
	date, err := m.Create(t.Context(), "a", make([]byte, 8))
	if err != nil || !date.Equal(day) {
		t.Errorf("create: %v, %v, want %v", date, err, day)
	}
	if _, err := m.Create(t.Context(), "b", make([]byte, 3)); !errors.Is(err, objectstore.ErrFull) {
		t.Errorf("create over the limit: %v", err)
	}
	if err := m.Delete(t.Context(), "a", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Create(t.Context(), "b", make([]byte, 10)); err != nil {
		t.Errorf("create when there is space again: %v", err)
	}
}

// TestMemoryInBubble: its clock is the bubble's, and a slow store takes the bubble's time.
func TestMemoryInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := objectstore.NewFaulty(objectstore.NewMemory(),
			func(op, key string) objectstore.Fate {
				time.Sleep(time.Minute)
				return objectstore.Fate{}
			})
		began := time.Now()
		date, err := slow.Create(t.Context(), "a", nil)
		if err != nil || !date.Equal(began.Add(time.Minute)) {
			t.Errorf("create: %v, %v", date, err)
		}
	})
}
