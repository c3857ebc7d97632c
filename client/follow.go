package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/fozlog/foz"
)

// Event is one record as it arrives, or the first of a connection: the position it begins at.
type Event struct {
	ID   string // Last-Event-ID: following from it goes on behind this event
	Line []byte // the record as JSON, good until the next event; nil: no record, a position
}

// Record decodes the event's record.
func (e Event) Record() (r Record, err error) {
	if e.Line == nil {
		return r, errors.New("decode event: it has no record")
	}
	err = json.Unmarshal(e.Line, &r)
	return r, err
}

// Follow yields records as they are committed, without end: until ctx ends, which is no
// error, or the service refuses. With a zero From it begins at the tail; with lastEventID,
// behind that event. It connects again whenever the stream breaks and skips nothing; if it
// breaks time and again where it broke before, the error is what the service said there.
func (c *Client) Follow(ctx context.Context, r Read, lastEventID string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &following{c: c, r: r, id: lastEventID}
		if f.r.From == (Position{}) {
			f.r.From = FromTail(0)
		}
		for {
			f.progress = false
			begun := time.Now()
			done, err := f.connection(ctx, yield)
			if done || ctx.Err() != nil {
				return
			}
			f.count(err, time.Since(begun))
			if f.broken >= c.attempts || !again(err, true) || pause(ctx, f.broken, err) != nil {
				if ctx.Err() == nil {
					yield(Event{}, err)
				}
				return
			}
		}
	}
}

// following is a stream of events over as many connections as it takes.
type following struct {
	c        *Client
	r        Read
	id       string
	progress bool   // this connection has brought a record
	fault    string // what the service said when it ended the last connection
	broken   int    // connections in a row that came no further
}

// count counts a connection that broke. A record is progress, and the position that every
// stream begins with is none. Of all partitions at once it is none either if the stream ends
// in the same words again: the one that cannot be read is then another one's. A connection that
// has stood for long did well even so: where nothing happens, proxies and restarts end it.
func (f *following) count(err error, stood time.Duration) {
	fault := ""
	if p, ok := errors.AsType[*Problem](err); ok {
		fault = p.Error()
	}
	stuck := f.r.All() && fault != "" && fault == f.fault
	if f.progress && !stuck || stood >= silenceMax {
		f.broken = 0
	}
	f.fault = fault
	f.broken++
}

// connection streams one answer until it breaks; done when the caller has had enough.
func (f *following) connection(ctx context.Context, yield func(Event, error) bool) (
	done bool, err error,
) {
	if err := f.settle(ctx); err != nil {
		return false, err
	}
	l := f.r.call(mediaSSE)
	if f.id != "" {
		l.header.Set("Last-Event-ID", f.id)
		l.query.Del(f.r.From.kind)
		l.query.Del("from")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := f.c.open(ctx, l)
	if err != nil {
		return false, fmt.Errorf("follow %s: %w", f.r.Topic, err)
	}
	defer resp.Body.Close()
	silence := time.AfterFunc(silenceMax, func() { cancel(errSilent) })
	defer silence.Stop()
	for event, err := range events(resp.Body, func() { silence.Reset(silenceMax) }) {
		if err != nil {
			return false, &transportError{sent: true, err: fmt.Errorf("follow: %w", err)}
		}
		if event.name == "error" {
			return false, problemOf(event.data)
		}
		if event.id != "" {
			f.id = event.id
		}
		e := event.public(f.id)
		f.progress = f.progress || e.Line != nil
		if !yield(e, nil) {
			return true, nil
		}
	}
	return false, &transportError{sent: true, err: io.ErrUnexpectedEOF}
}

// settle turns the earliest record, which a stream cannot begin at by name, into its offset.
func (f *following) settle(ctx context.Context) error {
	if f.r.From.kind != "earliest" || f.r.All() || f.id != "" {
		return nil
	}
	offset, err := f.c.Earliest(ctx, f.r.Topic, f.r.Partition)
	if err == nil {
		f.r.From = FromOffset(offset)
	}
	return err
}

// silenceMax is how long a connection may bring nothing, the service's comments every 15
// seconds included, before it is taken for dead.
const silenceMax = 60 * time.Second

var errSilent = fmt.Errorf("nothing heard for %s", silenceMax)

// event is one server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.
type event struct {
	name string
	id   string
	data []byte
}

// public is the event as the caller sees it. What is not called a position is a record.
func (e event) public(id string) Event {
	if e.name != "" && e.name != "message" {
		return Event{ID: id}
	}
	return Event{ID: id, Line: e.data}
}

// events splits a stream into events and calls heard for every line of it.
func events(r io.Reader, heard func()) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		lines := wholeLines(r)
		var e event
		for lines.Scan() {
			heard()
			if line := bytes.TrimSuffix(lines.Bytes(), []byte("\r")); len(line) > 0 {
				e.field(line)
				continue
			}
			if e.data != nil && !yield(e, nil) {
				return
			}
			e = event{}
		}
		if err := lines.Err(); err != nil {
			yield(event{}, err)
		}
	}
}

// field takes one line of an event. A line that begins with a colon is a comment.
func (e *event) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		e.name = string(value)
	case "id":
		e.id = string(value)
	case "data":
		if e.data != nil {
			e.data = append(e.data, '\n')
		}
		e.data = append(e.data, value...)
		if e.data == nil {
			e.data = []byte{}
		}
	}
}

// problemOf is the problem that a stream ended in.
func problemOf(data []byte) error {
	p := &Problem{SideEffects: SideEffectsNone, Retryable: true}
	p.Err = foz.Errorf(foz.CodeInternal, "the stream ended: %s", data)
	decodeProblem(p, data)
	return p
}
