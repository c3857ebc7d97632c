package bus

import (
	"context"
	"slices"
	"sync"
)

type reply struct {
	data []byte
	err  error
}

// subscription is one Subscribe or Serve of a Memory connection.
type subscription struct {
	conn    *Memory
	subject string
	answer  func(ctx context.Context, data []byte) []byte // nil: Subscribe

	mu      sync.Mutex // guards what follows
	arrived *sync.Cond
	pending [][]byte
	busy    int // answers under way
	closed  bool
}

func newSubscription(m *Memory, subject string) *subscription {
	s := &subscription{conn: m, subject: subject}
	s.arrived = sync.NewCond(&s.mu)
	return s
}

func (s *subscription) push(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.pending) >= PendingMax {
		return
	}
	s.pending = append(s.pending, data)
	s.arrived.Signal()
}

func (s *subscription) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.pending = true, nil
	s.arrived.Signal()
}

// drain calls handle for each message until the subscription is closed.
func (s *subscription) drain(handle func(data []byte)) {
	for {
		data, ok := s.next()
		if !ok {
			return
		}
		handle(data)
	}
}

func (s *subscription) next() (data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) == 0 && !s.closed {
		s.arrived.Wait()
	}
	if s.closed {
		return nil, false
	}
	data = s.pending[0]
	s.pending[0] = nil
	s.pending = s.pending[1:]
	return data, true
}

// serve answers one request of another connection, in a goroutine of its own.
func (s *subscription) serve(from *Memory, data []byte, replies chan<- reply) {
	admitted, closed := s.admit()
	if closed {
		return // the request is lost, as it would be on its way to a node that left
	}
	if !admitted {
		s.reply(from, reply{err: ErrOverloaded}, replies)
		return
	}
	go func() {
		defer s.conn.running.Done()
		answer := reply{data: slices.Clone(s.answer(s.conn.ctx, data))}
		if len(answer.data) > PayloadBytesMax {
			answer = reply{err: ErrTooLarge}
		}
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
		s.reply(from, answer, replies)
	}()
}

// admit counts one more answer under way, in the subscription and in the connection.
func (s *subscription) admit() (admitted, closed bool) {
	s.conn.hub.mu.Lock()
	defer s.conn.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.conn.closed {
		return false, true
	}
	if s.busy >= AnswersMax {
		return false, false
	}
	s.busy++
	s.conn.running.Add(1)
	return true, false
}

func (s *subscription) reply(to *Memory, r reply, replies chan<- reply) {
	s.conn.send(Delivery{
		To: to.name, Subject: s.subject, Kind: KindReply, Data: r.data,
		Deliver: func() {
			select {
			case replies <- r: // the first answer is the one that counts
			default:
			}
		},
	})
}
