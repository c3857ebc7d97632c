package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/fozlog/foz"
)

// ErrPending is returned by [Producer.Produce] while the outcome of the request before is
// unknown: settle it with [Producer.Settle] first, or its records could be overtaken.
var ErrPending = errors.New("the producer's last request is not settled")

// Producer appends to one topic, each record exactly once: its requests carry its id, its
// epoch and a sequence, so that one sent twice is stored once. It belongs to one goroutine
// at a time.
type Producer struct {
	c       *Client
	topic   string
	next    foz.Producer // identity of the next request
	pending *sending     // its outcome is unknown; nil: there is none such
}

type sending struct {
	body Body
	o    ProduceOptions
}

// NewProducer makes a producer. With an id of "" it gets a new one and sequence 0; a producer
// that returns under an id it had before takes a larger epoch, which fences out the old one.
func (c *Client) NewProducer(topic, id string, epoch int64) *Producer {
	if id == "" {
		id = uuid.NewString()
	}
	return &Producer{c: c, topic: topic, next: foz.Producer{ID: id, Epoch: epoch}}
}

// Identity is what the next request will carry.
func (p *Producer) Identity() foz.Producer { return p.next }

// Produce appends records, sending them again as often as it takes within the client's
// attempts. On an error that is [ErrUnknown] they stay with the producer: call Settle. On
// any other they were refused and nothing is stored.
func (p *Producer) Produce(ctx context.Context, records []Record, o ProduceOptions) (Ack, error) {
	body, err := encodeRecords(records)
	if err != nil {
		return Ack{}, err
	}
	return p.ProduceBody(ctx, body, o)
}

// ProduceBody is Produce for a body that is encoded already. The producer keeps its bytes
// until the outcome is known.
func (p *Producer) ProduceBody(ctx context.Context, b Body, o ProduceOptions) (Ack, error) {
	if p.pending != nil {
		return Ack{}, fmt.Errorf("produce to %s: %w", p.topic, ErrPending)
	}
	p.pending = &sending{b, o}
	return p.Settle(ctx)
}

// Settle sends the unsettled request again, under its own sequence: an ack tells its first
// offsets, whichever attempt stored it. Without one it returns an empty ack.
func (p *Producer) Settle(ctx context.Context) (Ack, error) {
	if p.pending == nil {
		return Ack{}, nil
	}
	o := p.pending.o
	identity := p.next
	o.Producer = &identity
	ack, err := p.c.ProduceBody(ctx, p.topic, p.pending.body, o)
	switch {
	case err == nil:
		p.pending = nil
		p.next.Seq++
	case !errors.Is(err, ErrUnknown):
		p.pending = nil // refused: the sequence is not consumed
	}
	return ack, err
}

// Abandon gives the unsettled request up: its records may be stored, once, or not. The
// producer goes on in a new epoch, which fences out what is still under way.
func (p *Producer) Abandon() {
	p.pending = nil
	p.next.Epoch++
	p.next.Seq = 0
}
