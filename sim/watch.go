package sim

import (
	"context"
	"log/slog"
	"time"

	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
)

// watch compares every state that a replica publishes, as far as it is quick enough, with
// the history, and counts where it came from.
func (h *house) watch(ctx context.Context, s *services) {
	if sleep(ctx, time.Microsecond) != nil { // after the loop's first look
		return
	}
	s.replica.Changed() // somebody waits here, from now on
	if !h.watched {
		return
	}
	last := s.replica.State().Slot()
	for ctx.Err() == nil {
		changed := s.replica.Changed()
		if state := s.replica.State(); !s.dead.Load() && state.Slot() != last {
			h.ledger.checkState(s.Name, state, state.Slot()%16 == 0)
			h.origin(s, last, state.Slot())
			last = state.Slot()
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// origin counts how a replica came to a slot.
func (h *house) origin(s *services, from, to uint64) {
	switch {
	case to < from:
		h.judge.violation(12, "%s went back from slot %d to %d", s.Name, from, to)
	case s.asked(objectstore.OpGet, metadata.SnapshotKey(to)) && from > 0:
		h.judge.sometimes("snapshot loaded by a replica that lagged")
	case s.asked(objectstore.OpGet, metadata.LogKey(to)):
		h.judge.sometimes("entry applied from the bucket")
	case !s.asked(objectstore.OpCreate, metadata.LogKey(to)):
		h.judge.sometimes("broadcast applied")
	}
}

// ask notes that a process asked the store for a key.
func (p *Proc) ask(op, key string) {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	p.asks[op+key] = true
}

func (p *Proc) asked(op, key string) bool {
	p.driver.mu.Lock()
	defer p.driver.mu.Unlock()
	return p.asks[op+key]
}

// listener counts what rooms log. An error is an alarm: what cannot happen has happened.
type listener struct {
	house *house
	proc  *Proc
}

func (*listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	if l.proc.dead.Load() {
		return nil
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "why" {
			text += ": " + a.Value.String()
		}
		return true
	})
	if r.Level >= slog.LevelError {
		l.house.judge.violation(14, "%s raises an alarm: %s", l.proc.Name, text)
	}
	l.house.judge.sometimes("log: " + text)
	return nil
}

func (l *listener) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *listener) WithGroup(string) slog.Handler      { return l }

// actorKey is where a context says on whose behalf a call is made.
type actorKey struct{}

func asActor(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, actorKey{}, name)
}

// settled is a replica whose waiters go on one after the other, and only when its loop has
// come to rest: what they find would else depend on who runs first.
type settled struct {
	*metadata.Replica
	driver *Driver
}

func (s settled) CatchUp(ctx context.Context) error {
	return s.settle(ctx, s.Replica.CatchUp(ctx))
}

func (s settled) WaitSlot(ctx context.Context, slot uint64) error {
	return s.settle(ctx, s.Replica.WaitSlot(ctx, slot))
}

func (s settled) settle(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	name, _ := ctx.Value(actorKey{}).(string)
	return sleep(ctx, time.Microsecond+jitter(s.driver.rngFor(name), 50*time.Microsecond))
}
