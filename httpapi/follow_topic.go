package httpapi

import (
	"context"
	"net/http"

	"github.com/fozlog/foz"
)

// followPartitionsMax is of how many partitions one stream can tell where they stand: an id
// comes back as a header, and the server takes 64 KiB of those. A place takes up to 25 bytes,
// a number of four digits, one of nineteen and two separators: 50,000 bytes at most.
const followPartitionsMax = 2000

// followable refuses a topic whose positions no id can hold.
func followable(t foz.Topic) error {
	if t.Partitions <= followPartitionsMax {
		return nil
	}
	return badRequest("one event stream follows up to %d partitions, and topic %s has %d: follow "+
		"its partitions one by one", followPartitionsMax, t.Name, t.Partitions)
}

// followTopic is row 9 as events: all partitions, those too that are added later. changed was
// taken before the stretches were found.
func (a *API) followTopic(
	w *response, r *http.Request, rd *topicReading, changed <-chan struct{},
) error {
	e, done, err := a.beginEvents(w, r, rd.style)
	if err != nil {
		return err
	}
	defer done()
	if r.Method == http.MethodHead {
		return nil
	}
	base := func(s stretch) int64 { return s.rg.Base }
	data := append(rd.appendPlaces([]byte{'{'}, base), '}')
	err = e.position(rd.appendPositions(nil, base), data)
	f := &topicTail{events: e, topicReading: rd, changed: changed}
	for err == nil {
		err = f.step()
	}
	return e.broken(err)
}

// topicTail follows all partitions of a topic. It waits for the log, not for partitions: one
// goroutine does, however many there are.
type topicTail struct {
	*events
	*topicReading
	changed <-chan struct{} // taken before the stretches were last found
	id      []byte
}

// step sends what there is of all partitions, then waits for more.
func (f *topicTail) step() error {
	err := f.a.Reader.Query(f.r.Context(), f.topic.ID, f.ranges(), f.topicReading.style.query,
		f.write)
	if err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	changed, err := f.pause(func(ctx context.Context) error {
		select {
		case <-f.changed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	if !changed {
		return f.comment()
	}
	return f.look()
}

// write sends a run.
func (f *topicTail) write(number int32, run foz.Run) error {
	s := &f.parts[number]
	for i := range run.Len() {
		offset := run.Offset(i)
		s.rg.Base = offset + 1
		f.id = f.appendPositions(f.id[:0], func(s stretch) int64 { return s.rg.Base })
		if err := f.record(f.id, number, &run, i); err != nil {
			return err
		}
	}
	s.rg.Base = run.Next()
	return nil
}

// look finds what is new, in partitions that are new too.
func (f *topicTail) look() error {
	f.changed = f.a.Sessions.Changed()
	t, err := f.a.Topics.Topic(f.r.Context(), f.topic.Name)
	if err != nil {
		return err
	}
	if t.ID != f.topic.ID {
		return foz.Errorf(foz.CodeTopicNotFound, "topic %s was deleted and made again", t.Name)
	}
	f.topic = t
	if err := followable(t); err != nil {
		return err
	}
	for p := range t.Partitions {
		if int(p) == len(f.parts) {
			f.parts = append(f.parts, stretch{})
		}
		s := &f.parts[p]
		partition := foz.Partition{Topic: t.ID, Number: p}
		if s.bounds, err = f.a.Reader.Bounds(f.r.Context(), partition, false); err != nil {
			return err
		}
		s.rg.Next = max(s.rg.Base, s.bounds.Next)
	}
	return nil
}
