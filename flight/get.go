package flight

import (
	"net/http"

	"github.com/fozlog/foz/segment"
)

// doGet answers a ticket.
func (s *Service) doGet(c *call) error {
	message, err := c.request()
	if err != nil {
		return err
	}
	text, err := only(message)
	if err != nil {
		return err
	}
	t, err := parseTicket(text)
	if err != nil {
		return err
	}
	out := &splitter{call: c, need: segment.MessagePrefixBytes}
	if err := s.do(c, read(t), out); err != nil {
		return err
	}
	return out.end()
}

// read is the request that a ticket stands for.
func read(t ticket) request {
	return request{method: http.MethodGet, target: t.target(),
		header: http.Header{"Accept": {mediaArrow}}}
}

// dataSender is where a splitter's messages go.
type dataSender interface {
	begin(size int64) error // a message, whose bytes are written next
	write(b []byte) error
	flush() error
}

// splitter cuts an Arrow stream, which is written to it in pieces of any size, into FlightData.
// It holds the metadata of one message; bodies pass through.
type splitter struct {
	call  dataSender
	head  []byte // prefix and metadata of the message that is coming
	need  int    // how long head becomes before it says something
	body  int64  // what is still to come of the message's body
	ended bool   // the end-of-stream marker has come
	data  []byte // reused
}

// Write takes a piece of the stream.
func (s *splitter) Write(p []byte) (int, error) {
	size := len(p)
	for len(p) > 0 {
		if s.ended {
			return 0, statusf(internal, "the stream goes on after its end")
		}
		if s.body > 0 {
			n := min(s.body, int64(len(p)))
			if err := s.pass(p[:n]); err != nil {
				return 0, err
			}
			p = p[n:]
			continue
		}
		n := min(s.need-len(s.head), len(p))
		s.head, p = append(s.head, p[:n]...), p[n:]
		if len(s.head) < s.need {
			break
		}
		if err := s.advance(); err != nil {
			return 0, err
		}
	}
	return size, nil
}

// pass lets a part of a body through.
func (s *splitter) pass(part []byte) error {
	if err := s.call.write(part); err != nil {
		return err
	}
	if s.body -= int64(len(part)); s.body > 0 {
		return nil
	}
	return s.call.flush()
}

// advance acts on a head that has come: the prefix first, then the metadata.
func (s *splitter) advance() error {
	if len(s.head) == segment.MessagePrefixBytes {
		length, err := segment.ParsePrefix(s.head)
		if err != nil {
			return statusf(internal, "the stream %v", err)
		}
		s.ended, s.need = length == 0, len(s.head)+length
		return nil
	}
	metadata := s.head[segment.MessagePrefixBytes:]
	head, err := segment.InspectMessage(metadata)
	if err != nil {
		return statusf(internal, "the stream: %v", err)
	}
	var size int64
	s.data, size = beginData(s.data[:0], metadata, head.BodyBytes)
	if size > frameBytesMax {
		return statusf(internal, "the stream has a message of %d bytes", size)
	}
	s.head, s.need, s.body = s.head[:0], segment.MessagePrefixBytes, head.BodyBytes
	if err := s.call.begin(size); err != nil {
		return err
	}
	if err := s.call.write(s.data); err != nil || s.body > 0 {
		return err
	}
	return s.call.flush()
}

// frameBytesMax is what clients take: many count in an int32.
const frameBytesMax = 1<<31 - 1

// end refuses a stream that is not whole.
func (s *splitter) end() error {
	if !s.ended {
		return statusf(internal, "the stream has no end")
	}
	return nil
}
