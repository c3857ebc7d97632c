package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/fozlog/foz"
)

// events writes server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.
type events struct {
	*output
	r     *http.Request
	style style
	said  time.Time // when the client was told something last
}

// beginEvents counts the follower, or refuses it, and sends the header.
func (a *API) beginEvents(
	w *response, r *http.Request, s style,
) (e *events, done func(), err error) {
	if err := a.draining(); err != nil {
		return nil, nil, err
	}
	if !a.followers.take(1) {
		return nil, nil, foz.Errorf(foz.CodeOverloaded, "this node has %d event streams open",
			a.followers.max)
	}
	a.metrics.followers.Inc()
	h := w.Header()
	h.Set("Content-Type", mediaSSE)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	e = &events{output: a.newOutput(w), r: r, style: s}
	return e, func() {
		e.close()
		a.metrics.followers.Dec()
		a.followers.used.Add(-1)
	}, nil
}

// flush sends what there is, to the client and not only to the next buffer.
func (e *events) flush() error {
	if len(e.buf) > 0 {
		e.said = time.Now()
	}
	if err := e.send(); err != nil {
		return err
	}
	err := http.NewResponseController(e.w).Flush()
	if err == http.ErrNotSupported {
		return nil
	}
	return err
}

// position is the first event: where the stream begins.
func (e *events) position(id []byte, data []byte) error {
	e.buf = append(append(e.buf, "id: "...), id...)
	e.buf = append(append(e.buf, "\nevent: position\ndata: "...), data...)
	e.buf = append(e.buf, "\n\n"...)
	return e.flush()
}

func (e *events) comment() error {
	e.buf = append(e.buf, ": nothing new\n\n"...)
	return e.flush()
}

// record writes a record; id is where a client goes on that has seen it.
func (e *events) record(id []byte, partition int32, run *foz.Run, i int) error {
	e.buf = append(append(e.buf, "id: "...), id...)
	e.buf = append(e.buf, "\ndata: "...)
	var err error
	if e.buf, err = e.style.appendRecord(e.buf, partition, run, i); err != nil {
		return foz.Errorf(foz.CodeStorage, "record at offset %d: %w", run.Offset(i), err)
	}
	e.buf = append(e.buf, "\n\n"...)
	return e.sendFull()
}

// broken tells the client why the stream ends, and gives the error that then resets it. A
// client that has gone away is told nothing.
func (e *events) broken(err error) error {
	if gone := context.Cause(e.r.Context()); errors.Is(gone, errEnded) {
		err = gone
	} else if gone != nil {
		return nil
	}
	p := asProblem(e.r, err)
	e.buf = append(e.buf, "event: error\ndata: "...)
	e.buf = append(appendProblem(e.buf, e.r, p), "\n\n"...)
	if sent := e.flush(); sent != nil {
		return sent
	}
	return err
}

// pause waits with the function until there may be more, and says so with true. false: a
// comment is due, so long after the client was told something, however often it was woken for
// nothing. It returns at once when the node drains.
func (e *events) pause(wait func(ctx context.Context) error) (bool, error) {
	ctx, cancel := e.a.untilDrained(e.r.Context())
	defer cancel()
	ctx, cancel = context.WithDeadline(ctx, e.said.Add(e.a.config.CommentInterval))
	defer cancel()
	err := wait(ctx)
	switch {
	case err == nil:
		return true, nil
	case e.r.Context().Err() != nil:
		return false, e.r.Context().Err()
	case e.a.draining() != nil:
		return false, e.a.draining()
	case ctx.Err() != nil:
		return false, nil
	}
	return false, err
}

// follow is row 8 as events: from the range's beginning on, without end unless it has one.
func (a *API) follow(w *response, r *http.Request, rd *reading) error {
	w.Header().Set(headerNextOffset, strconv.FormatInt(rd.rg.Base, 10))
	w.setBounds(rd.bounds)
	e, done, err := a.beginEvents(w, r, rd.style)
	if err != nil {
		return err
	}
	defer done()
	if r.Method == http.MethodHead {
		return nil
	}
	data := appendMember([]byte{'{'}, "next_offset", rd.rg.Base)
	data = appendMember(append(data, ','), "high_watermark", rd.bounds.Next)
	data = appendMember(append(data, ','), "earliest_offset", rd.bounds.Earliest)
	err = e.position(strconv.AppendInt(nil, rd.rg.Base, 10), append(data, '}'))
	f := &tail{events: e, reading: rd, next: rd.rg.Base, left: rd.limit}
	for err == nil && !f.over {
		err = f.step()
	}
	if err != nil {
		return e.broken(err)
	}
	return nil
}

// tail follows one partition.
type tail struct {
	*events
	*reading
	next int64 // offset of the next record to send
	left int64 // records that may still be sent; 0: any number
	over bool  // the end that the request set has been reached
	id   []byte
}

// step sends what there is, then waits for more.
func (f *tail) step() error {
	ahead := foz.Range{Base: f.next, Next: f.rg.Next}
	for run, err := range f.a.scan(f.r.Context(), f.p, ahead, f.reading.style.query) {
		if err == nil {
			err = f.write(run)
		}
		if err != nil || f.over {
			return err
		}
	}
	f.next = max(f.next, f.rg.Next)
	if err := f.flush(); err != nil {
		return err
	}
	if f.end != nil && f.next >= *f.end || f.untilOffset != nil && f.next >= *f.untilOffset {
		f.over = true
		return nil
	}
	more, err := f.pause(func(ctx context.Context) error {
		return f.a.Reader.Wait(ctx, f.p, f.next)
	})
	if err != nil {
		return err
	}
	if !more {
		return f.comment()
	}
	f.bounds, err = f.a.Reader.Bounds(f.r.Context(), f.p, false)
	f.rg.Base = f.next
	f.settleEnd()
	return err
}

func (f *tail) write(run foz.Run) error {
	for i := range run.Len() {
		if f.until != nil && run.Rows.Timestamps[run.From+i] >= *f.until {
			f.over = true
			return f.flush()
		}
		offset := run.Offset(i)
		f.id = strconv.AppendInt(f.id[:0], offset+1, 10)
		if err := f.record(f.id, f.p.Number, &run, i); err != nil {
			return err
		}
		f.next = offset + 1
		if f.left--; f.left == 0 {
			f.over = true
			return f.flush()
		}
	}
	f.next = run.Next()
	return nil
}
