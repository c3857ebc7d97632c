package bus

// Who is told that the bus is away.
//
// How: what the library would report is reported in a bubble of time; then once for real, to a
// server that is not there, and comes.

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz/verify/loopback"
)

// said is a log that may be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// levels are the levels of the lines so far.
func (s *said) levels() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for line := range strings.Lines(s.text.String()) {
		_, rest, _ := strings.Cut(line, "level=")
		level, _, _ := strings.Cut(rest, " ")
		all = append(all, level)
	}
	return strings.Join(all, " ")
}

func TestWatch(t *testing.T) {
	refused := errors.New("connection refused")
	for _, c := range []struct {
		what string
		do   func(w *watch)
		want string
	}{
		{"never there, however often it is tried", func(w *watch) {
			for range 100 {
				w.lost(refused)
				time.Sleep(time.Second)
			}
		}, "WARN"},
		{"lost for a moment, time and again", func(w *watch) {
			for range 100 {
				w.back()
				w.lost(refused)
				time.Sleep(lostAfter - 1)
			}
		}, ""},
		{"lost and back, twice", func(w *watch) {
			for range 2 {
				w.lost(refused)
				time.Sleep(2 * lostAfter)
				w.back()
				time.Sleep(time.Hour)
			}
		}, "WARN INFO WARN INFO"},
		{"closed", func(w *watch) {
			w.close()
			w.lost(nil) // the library says so of every connection that is closed
			time.Sleep(time.Hour)
		}, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				heard := &said{}
				w := &watch{log: slog.New(slog.NewTextHandler(heard, nil))}
				w.lost(nil)
				c.do(w)
				w.close()
				if got := heard.levels(); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestAbsentServersAreMissed: the library reports what the watch waits for.
func TestAbsentServersAreMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the warning, which takes seconds")
	}
	heard, at := &said{}, loopback.Address(t)
	begin := func(c Config) *NATS {
		c.Cluster = "c"
		n, err := New(c)
		if err == nil {
			err = n.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		return n
	}
	begin(Config{URLs: []string{"nats://" + at}, Logger: slog.New(slog.NewTextHandler(heard, nil))})
	until := func(want string) {
		for begun := time.Now(); heard.levels() != want; time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("told %q, want %q", heard.levels(), want)
			}
		}
	}
	until("WARN")
	if text := heard.text.String(); !strings.Contains(text, "refused") || !strings.Contains(text, at) {
		t.Errorf("it does not say why, or where: %s", text)
	}
	begin(Config{Listen: at})
	until("WARN INFO")
}
