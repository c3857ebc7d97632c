package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fozlog/foz"
)

// landlord deletes a topic and makes it again under the same name, whoever uses it just then.
// There are two, who do not know of each other.
type landlord struct {
	*house
	rng *rand.Rand
}

func (h *house) landlord(name string) {
	l := &landlord{house: h, rng: h.rngFor(name)}
	h.actor(name, func(ctx context.Context, _ *rand.Rand) {
		pace := between(l.rng, 500, 10_000)
		for sleep(ctx, pace/2+jitter(l.rng, pace)) == nil {
			for _, t := range h.topics {
				if t.Name == fleeting {
					l.evict(ctx)
					_ = sleep(ctx, time.Microsecond+upTo(l.rng, 2000)) // the loop asks for ctx
					l.let(ctx, t)
				}
			}
		}
	})
}

// evict deletes the topic that has the name now, and no other. Who has no answer asks again.
func (l *landlord) evict(ctx context.Context) {
	s := l.pick(l.rng)
	if s == nil {
		return
	}
	t, ok := s.replica.State().Topic(fleeting)
	if !ok {
		return
	}
	l.judge.doom(t.ID)
	for tries := 0; tries < 10 && ctx.Err() == nil; tries++ {
		err := l.at(ctx, func(ctx context.Context, s *services) error {
			if l.options.DeleteByName {
				t, _ = s.replica.State().Topic(fleeting)
			}
			return s.client.DeleteTopic(ctx, t.ID)
		})
		if err == nil || errors.Is(err, &foz.Error{Code: foz.CodeTopicNotFound}) {
			return
		}
		_ = sleep(ctx, between(l.rng, 1, 500)) // the loop asks for ctx
	}
}

// let makes the topic, unless there is one.
func (l *landlord) let(ctx context.Context, t foz.Topic) {
	_ = l.at(ctx, func(ctx context.Context, s *services) error {
		_, _, err := s.client.CreateTopic(ctx, t)
		return err // or another time
	})
}

var errNobody = errors.New("no node is up")

// at does something at some node, with little patience.
func (l *landlord) at(ctx context.Context, do func(context.Context, *services) error) error {
	s := l.pick(l.rng)
	if s == nil {
		return errNobody
	}
	ctx, cancel := context.WithTimeout(ctx, between(l.rng, 200, 10_000)+time.Microsecond)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return do(ctx, s)
}
