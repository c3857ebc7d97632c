// Package bustest says what a bus is, as a test that every implementation runs. It knows the
// four methods and the named errors of package bus, and refuses to know how messages travel.
package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fozlog/foz/bus"
)

// Bus is one connection.
type Bus interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, handle func(data []byte)) (stop func(), err error)
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
	Serve(subject string, answer func(ctx context.Context, data []byte) []byte) (
		stop func(), err error)
	Close()
}

// Run runs the suite. pair gives two new connections to one bus, which the test closes; they
// may be the same connection twice.
func Run(t *testing.T, pair func(t *testing.T) (a, b Bus)) {
	cases := []struct {
		name string
		test func(t *testing.T, a, b Bus)
	}{
		{"publish reaches every subscriber in order", publishInOrder},
		{"a stopped subscription is silent", stopSilences},
		{"wildcards", wildcards},
		{"a request is answered", requestAnswered},
		{"one of several is asked", oneIsAsked},
		{"a slow request does not block others", slowDoesNotBlock},
		{"too many requests are refused", overload},
		{"no responder", noResponder},
		{"a request ends with its context", requestDeadline},
		{"too large", tooLarge},
		{"bad subjects", badSubjects},
		{"closed", closed},
		{"close ends answers", closeEndsAnswers},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t)
			t.Cleanup(func() { a.Close(); b.Close() })
			c.test(t, a, b)
		})
	}
}

const patience = 5 * time.Second

// inbox collects what a subscription gets.
type inbox chan string

func subscribe(t *testing.T, b Bus, subject string) (inbox, func()) {
	t.Helper()
	in := make(inbox, 2048)
	stop, err := b.Subscribe(subject, func(data []byte) { in <- string(data) })
	must(t, err)
	return in, stop
}

func (in inbox) take(t *testing.T) string {
	t.Helper()
	select {
	case s := <-in:
		return s
	case <-time.After(patience):
		t.Fatal("no message arrived")
		return ""
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func publishInOrder(t *testing.T, a, b Bus) {
	atA, _ := subscribe(t, a, "log.entry")
	atB, _ := subscribe(t, b, "log.entry")
	for i := range 1000 {
		must(t, a.Publish("log.entry", fmt.Append(nil, i)))
	}
	for i := range 1000 {
		if got, want := atA.take(t), fmt.Sprint(i); got != want {
			t.Fatalf("message %d at the publisher: got %s", i, got)
		}
		if got, want := atB.take(t), fmt.Sprint(i); got != want {
			t.Fatalf("message %d at the other: got %s", i, got)
		}
	}
}

func stopSilences(t *testing.T, a, b Bus) {
	stopped, stop := subscribe(t, b, "s")
	other, _ := subscribe(t, b, "s")
	must(t, a.Publish("s", []byte("1")))
	stopped.take(t)
	stop()
	must(t, a.Publish("s", []byte("2")))
	other.take(t)
	if got := other.take(t); got != "2" {
		t.Fatalf("the other subscription got %q", got)
	}
	if len(stopped) > 0 {
		t.Errorf("the stopped subscription got %q", <-stopped)
	}
}

func wildcards(t *testing.T, a, b Bus) {
	one, _ := subscribe(t, b, "node.*.hint")
	all, _ := subscribe(t, b, "node.>")
	end, _ := subscribe(t, b, "end")
	for _, s := range []string{"node.1.hint", "node.1.x.hint", "node.1", "node", "nodes.1.hint"} {
		must(t, a.Publish(s, []byte(s)))
	}
	must(t, a.Publish("end", nil))
	end.take(t)
	if got := one.take(t); got != "node.1.hint" || len(one) > 0 {
		t.Errorf("node.*.hint got %q and %d more", got, len(one))
	}
	got := []string{all.take(t), all.take(t), all.take(t)}
	if !slices.Equal(got, []string{"node.1.hint", "node.1.x.hint", "node.1"}) || len(all) > 0 {
		t.Errorf("node.> got %q and %d more", got, len(all))
	}
}

func requestAnswered(t *testing.T, a, b Bus) {
	_, err := b.Serve("double", func(_ context.Context, data []byte) []byte {
		return append(slices.Clone(data), data...)
	})
	must(t, err)
	for _, from := range []Bus{a, b} {
		got, err := from.Request(deadline(t), "double", []byte("ab"))
		if err != nil || string(got) != "abab" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func oneIsAsked(t *testing.T, a, b Bus) {
	var asked atomic.Int64
	for _, at := range []Bus{a, b} {
		_, err := at.Serve("who", func(context.Context, []byte) []byte {
			asked.Add(1)
			return nil
		})
		must(t, err)
	}
	for range 20 {
		_, err := a.Request(deadline(t), "who", nil)
		must(t, err)
	}
	if n := asked.Load(); n != 20 {
		t.Errorf("20 requests were answered %d times", n)
	}
}

func slowDoesNotBlock(t *testing.T, a, b Bus) {
	release := make(chan struct{})
	_, err := b.Serve("commit", func(_ context.Context, data []byte) []byte {
		if string(data) == "slow" {
			<-release
		}
		return data
	})
	must(t, err)
	slow := make(chan error, 1)
	go func() {
		_, err := a.Request(deadline(t), "commit", []byte("slow"))
		slow <- err
	}()
	for range 10 {
		_, err := a.Request(deadline(t), "commit", []byte("fast"))
		must(t, err)
	}
	close(release)
	must(t, <-slow)
}

func overload(t *testing.T, a, b Bus) {
	release := make(chan struct{})
	var once sync.Once
	free := func() { once.Do(func() { close(release) }) }
	defer free()
	_, err := b.Serve("commit", func(context.Context, []byte) []byte {
		<-release
		return nil
	})
	must(t, err)
	results := make(chan error, bus.AnswersMax+1)
	for range bus.AnswersMax + 1 {
		go func() {
			_, err := a.Request(deadline(t), "commit", nil)
			results <- err
		}()
	}
	wantErr(t, "the request over the limit", <-results, bus.ErrOverloaded)
	free()
	for range bus.AnswersMax {
		wantErr(t, "a request within the limit", <-results, nil)
	}
	_, err = a.Request(deadline(t), "commit", nil)
	wantErr(t, "a request when there is room again", err, nil)
}

func noResponder(t *testing.T, a, b Bus) {
	_, err := a.Request(deadline(t), "nobody", nil)
	wantErr(t, "before anybody serves", err, bus.ErrNoResponder)
	stop, err := b.Serve("nobody", func(context.Context, []byte) []byte { return nil })
	must(t, err)
	_, err = a.Request(deadline(t), "nobody", nil)
	wantErr(t, "while somebody serves", err, nil)
	stop()
	until := time.Now().Add(patience)
	for !errors.Is(err, bus.ErrNoResponder) && time.Now().Before(until) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = a.Request(ctx, "nobody", nil) // lost if the server had not heard of stop
		cancel()
	}
	wantErr(t, "after the server stopped", err, bus.ErrNoResponder)
}

func requestDeadline(t *testing.T, a, b Bus) {
	release := make(chan struct{})
	defer close(release)
	_, err := b.Serve("never", func(context.Context, []byte) []byte {
		<-release
		return nil
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = a.Request(ctx, "never", nil)
	wantErr(t, "past the deadline", err, context.DeadlineExceeded)
}

func tooLarge(t *testing.T, a, b Bus) {
	largest := bytes.Repeat([]byte{'x'}, bus.PayloadBytesMax)
	over := append(slices.Clone(largest), 'x')
	_, err := b.Serve("size", func(_ context.Context, data []byte) []byte {
		if len(data) == 0 {
			return over
		}
		return data
	})
	must(t, err)
	wantErr(t, "publish", a.Publish("size", over), bus.ErrTooLarge)
	_, err = a.Request(deadline(t), "size", over)
	wantErr(t, "request", err, bus.ErrTooLarge)
	_, err = a.Request(deadline(t), "size", nil)
	wantErr(t, "answer", err, bus.ErrTooLarge)
	got, err := a.Request(deadline(t), "size", largest)
	if err != nil || !bytes.Equal(got, largest) {
		t.Errorf("the largest message: got %d bytes, %v", len(got), err)
	}
}

func badSubjects(t *testing.T, a, _ Bus) {
	bad := []string{"", ".", "a.", ".a", "a..b", "a b", "a\r\nb", "ä", ">.a", "a.*", "a.>"}
	for _, s := range bad {
		wantErr(t, "publish to "+s, a.Publish(s, nil), bus.ErrSubject)
		_, err := a.Request(deadline(t), s, nil)
		wantErr(t, "request "+s, err, bus.ErrSubject)
		_, err = a.Serve(s, func(context.Context, []byte) []byte { return nil })
		wantErr(t, "serve "+s, err, bus.ErrSubject)
		if s == "a.*" || s == "a.>" {
			continue
		}
		_, err = a.Subscribe(s, func([]byte) {})
		wantErr(t, "subscribe to "+s, err, bus.ErrSubject)
	}
}

func closed(t *testing.T, a, _ Bus) {
	a.Close()
	wantErr(t, "publish", a.Publish("s", nil), bus.ErrClosed)
	_, err := a.Request(deadline(t), "s", nil)
	wantErr(t, "request", err, bus.ErrClosed)
	_, err = a.Serve("s", func(context.Context, []byte) []byte { return nil })
	wantErr(t, "serve", err, bus.ErrClosed)
	_, err = a.Subscribe("s", func([]byte) {})
	wantErr(t, "subscribe", err, bus.ErrClosed)
	a.Close()
}

func closeEndsAnswers(t *testing.T, a, b Bus) {
	begun, ended := make(chan struct{}), make(chan struct{})
	_, err := b.Serve("s", func(ctx context.Context, _ []byte) []byte {
		close(begun)
		<-ctx.Done()
		close(ended)
		return nil
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := a.Request(ctx, "s", nil)
		done <- err
	}()
	<-begun
	b.Close()
	select {
	case <-ended:
	default:
		t.Error("Close returned before the answer under way")
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("the request of a closed responder was answered")
	}
}
