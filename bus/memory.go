package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kind says what a message is to the one who gets it.
type Kind string

// The kinds of a Delivery.
const (
	KindPublish Kind = "publish"
	KindRequest Kind = "request"
	KindReply   Kind = "reply"
)

// Delivery is one message on its way to one receiver.
type Delivery struct {
	From, To string // names of connections
	Subject  string
	Kind     Kind
	Data     []byte // do not change
	// Deliver hands the message over: not at all is a loss, twice a duplicate. It does not
	// block, whatever the receiver does.
	Deliver func()
}

// Gate decides the fate of a message by calling its Deliver now, later, or never. It is
// called by the sender's goroutine, holding no lock, and must not block.
type Gate func(Delivery)

// Hub is a bus in memory. It works inside a synctest bubble.
type Hub struct {
	gate Gate

	mu    sync.Mutex // guards what follows; held by no one who calls out
	conns []*Memory  // sorted by name
	cuts  map[[2]string]bool
}

// NewHub makes a hub. A nil gate delivers every message at once.
func NewHub(gate Gate) *Hub {
	if gate == nil {
		gate = func(d Delivery) { d.Deliver() }
	}
	return &Hub{gate: gate, cuts: map[[2]string]bool{}}
}

// Conn connects under a name that no open connection of the hub has.
func (h *Hub) Conn(name string) *Memory {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Memory{hub: h, name: name, ctx: ctx, cancel: cancel}
	h.mu.Lock()
	defer h.mu.Unlock()
	at, taken := slices.BinarySearchFunc(h.conns, name, func(m *Memory, name string) int {
		return strings.Compare(m.name, name)
	})
	if taken {
		panic("bus: two connections named " + name)
	}
	h.conns = slices.Insert(h.conns, at, m)
	return m
}

// Cut loses, from now on, all that one connection sends another; "" stands for everybody.
// Messages under way are lost too.
func (h *Hub) Cut(from, to string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cuts[[2]string{from, to}] = true
}

// Heal undoes the Cut of the same two names.
func (h *Hub) Heal(from, to string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cuts, [2]string{from, to})
}

func (h *Hub) isCut(from, to string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.cuts) == 0 {
		return false
	}
	return h.cuts[[2]string{from, to}] || h.cuts[[2]string{from, ""}] ||
		h.cuts[[2]string{"", to}]
}

// receivers are the subscriptions a subject goes to, in order of connection and age.
func (h *Hub) receivers(subject string, serving bool) []*subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []*subscription
	for _, m := range h.conns {
		for _, s := range m.subscriptions {
			if (s.answer != nil) == serving && matches(s.subject, subject) {
				found = append(found, s)
			}
		}
	}
	return found
}

// Memory is one connection to a Hub. Its methods are those of [NATS].
type Memory struct {
	hub    *Hub
	name   string
	ctx    context.Context
	cancel context.CancelFunc

	subscriptions []*subscription // guarded by hub.mu
	closed        bool            // guarded by hub.mu
	running       sync.WaitGroup  // handlers' goroutines and answers
}

// Run waits for ctx to end and closes the connection.
func (m *Memory) Run(ctx context.Context) error {
	<-ctx.Done()
	m.Close()
	return nil
}

// Close disconnects and waits for running handlers and answers to return; it must not be
// called by one of them.
func (m *Memory) Close() {
	h := m.hub
	h.mu.Lock()
	m.closed = true
	for _, s := range m.subscriptions {
		s.close()
	}
	m.subscriptions = nil
	m.cancel()
	h.conns = slices.DeleteFunc(h.conns, func(o *Memory) bool { return o == m })
	h.mu.Unlock()
	m.running.Wait()
}

// Publish is NATS.Publish.
func (m *Memory) Publish(subject string, data []byte) error {
	if err := m.check(subject, data); err != nil {
		return err
	}
	data = slices.Clone(data)
	for _, s := range m.hub.receivers(subject, false) {
		m.send(Delivery{
			To: s.conn.name, Subject: subject, Kind: KindPublish, Data: data,
			Deliver: func() { s.push(data) },
		})
	}
	return nil
}

// Subscribe is NATS.Subscribe.
func (m *Memory) Subscribe(subject string, handle func(data []byte)) (stop func(), err error) {
	s := newSubscription(m, subject)
	if err := m.add(s); err != nil {
		return nil, err
	}
	go func() {
		defer m.running.Done()
		s.drain(handle)
	}()
	return func() { m.remove(s); s.close() }, nil
}

// Request is NATS.Request.
func (m *Memory) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if err := m.check(subject, data); err != nil {
		return nil, err
	}
	servers := m.hub.receivers(subject, true)
	if len(servers) == 0 {
		return nil, fmt.Errorf("request %s: %w", subject, ErrNoResponder)
	}
	data = slices.Clone(data)
	replies := make(chan reply, 1)
	s := servers[0]
	m.send(Delivery{
		To: s.conn.name, Subject: subject, Kind: KindRequest, Data: data,
		Deliver: func() { s.serve(m, data, replies) },
	})
	r := m.await(ctx, replies)
	if r.err != nil {
		return nil, fmt.Errorf("request %s: %w", subject, r.err)
	}
	return r.data, nil
}

// await takes the reply before the deadline when both are there.
func (m *Memory) await(ctx context.Context, replies <-chan reply) reply {
	select {
	case r := <-replies:
		return r
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	select {
	case r := <-replies:
		return r
	default:
	}
	if err := ctx.Err(); err != nil {
		return reply{err: err}
	}
	return reply{err: ErrClosed}
}

// Serve is NATS.Serve.
func (m *Memory) Serve(
	subject string, answer func(ctx context.Context, data []byte) []byte,
) (stop func(), err error) {
	s := newSubscription(m, subject)
	s.answer = answer
	if err := m.add(s); err != nil {
		return nil, err
	}
	return func() { m.remove(s); s.close() }, nil
}

// send passes a message through the gate, unless the connection is closed.
func (m *Memory) send(d Delivery) {
	if m.ctx.Err() != nil {
		return
	}
	d.From = m.name
	deliver := d.Deliver
	d.Deliver = func() {
		if !m.hub.isCut(d.From, d.To) {
			deliver()
		}
	}
	m.hub.gate(d)
}

func (m *Memory) check(subject string, data []byte) error {
	if err := checkSubject(subject, false); err != nil {
		return err
	}
	m.hub.mu.Lock()
	closed := m.closed
	m.hub.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return tooLarge(subject, data)
}

// add makes a subscription known and counts the goroutine of a Subscribe.
func (m *Memory) add(s *subscription) error {
	subscribes := s.answer == nil
	if err := checkSubject(s.subject, subscribes); err != nil {
		return err
	}
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	m.subscriptions = append(m.subscriptions, s)
	if subscribes {
		m.running.Add(1)
	}
	return nil
}

func (m *Memory) remove(s *subscription) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	m.subscriptions = slices.DeleteFunc(m.subscriptions, func(o *subscription) bool {
		return o == s
	})
}
