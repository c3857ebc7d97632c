package flight

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// call is one gRPC call: messages in, messages out, and a status.
// Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
type call struct {
	w        http.ResponseWriter
	r        *http.Request
	in       *bufio.Reader
	patience time.Duration
	owed     int64 // bytes still to come of a message that has begun to go out
}

const (
	servicePath   = "/arrow.flight.protocol.FlightService/"
	mediaGRPC     = "application/grpc"
	headerStatus  = "Grpc-Status"
	headerMessage = "Grpc-Message"

	framePrefixBytes = 5        // whether the message is compressed, and its length
	messageBytesMax  = 64 << 10 // of a message that is not data
)

// ServeHTTP answers a call.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	media := strings.TrimSuffix(r.Header.Get("Content-Type"), "+proto")
	if r.Method != http.MethodPost || r.ProtoMajor < 2 || media != mediaGRPC {
		http.Error(w, "this address speaks Arrow Flight, which is gRPC",
			http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", mediaGRPC)
	w.Header().Set("Trailer", headerStatus+", "+headerMessage)
	ctx, cancel, err := withTimeout(r)
	defer cancel()
	c := &call{w: w, r: r.WithContext(ctx), in: bufio.NewReader(r.Body), patience: s.config.Patience}
	if err == nil {
		err = s.serve(c)
	}
	c.finish(err)
}

func (s *Service) serve(c *call) error {
	name, ours := strings.CutPrefix(c.r.URL.Path, servicePath)
	method := s.methods[name]
	if !ours || method == nil {
		return statusf(unimplemented, "foz has no method %s", shortened(c.r.URL.Path))
	}
	err := method(c)
	if err != nil && errors.Is(c.r.Context().Err(), context.DeadlineExceeded) {
		return statusf(deadlineExceeded, "the call's own deadline is over")
	}
	return err
}

// withTimeout gives the call's context the deadline that its client asks for.
func withTimeout(r *http.Request) (context.Context, context.CancelFunc, error) {
	text := r.Header.Get("Grpc-Timeout")
	if text == "" {
		return r.Context(), func() {}, nil
	}
	units := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}
	unit := units[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil || unit == 0 || len(text) > 9 { // eight digits, of hours: 11,000 years
		return r.Context(), func() {}, statusf(invalidArgument, "grpc-timeout %s is none",
			shortened(text))
	}
	timeout := time.Duration(n) * min(unit, time.Minute)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	return ctx, cancel, nil
}

// finish ends the call with its status. An answer that stops inside a message is reset:
// nobody can tell where the trailers of one begin.
func (c *call) finish(err error) {
	if c.owed > 0 {
		panic(http.ErrAbortHandler)
	}
	_ = c.flush() // the client is told anyway, or is gone
	st := statusOf(err)
	c.w.Header().Set(headerStatus, strconv.Itoa(int(st.code)))
	if st.message != "" {
		c.w.Header().Set(headerMessage, escaped(st.message))
	}
}

// statusBytesMax bounds a status's message: clients have little room for trailers.
const statusBytesMax = 2 << 10

// escaped is a status message as a header holds it.
func escaped(text string) string {
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text) && len(b) < statusBytesMax; i++ {
		if c := text[i]; c >= ' ' && c <= '~' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return string(b)
}

// next reads the prefix of a message: its length, or io.EOF if the client sends no more.
func (c *call) next() (int64, error) {
	var prefix [framePrefixBytes]byte
	if _, err := io.ReadFull(c.in, prefix[:]); err != nil {
		return 0, unread(err)
	}
	if prefix[0] != 0 {
		return 0, statusf(unimplemented, "messages that gRPC compresses are not taken")
	}
	return int64(binary.BigEndian.Uint32(prefix[1:])), nil
}

// request reads the one message of a call that has one.
func (c *call) request() ([]byte, error) {
	c.wait()
	n, err := c.next()
	if err == io.EOF {
		return nil, statusf(invalidArgument, "the call has no message")
	}
	if err != nil {
		return nil, err
	}
	if n > messageBytesMax {
		return nil, statusf(resourceExhausted, "a message of %d bytes, at most %d are taken",
			n, messageBytesMax)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(c.in, message); err != nil {
		return nil, unread(err)
	}
	return message, c.control().SetReadDeadline(time.Time{})
}

// wait gives the client so long to begin its next message.
func (c *call) wait() {
	// Without a connection, in tests, there is nothing to wait for.
	_ = c.control().SetReadDeadline(time.Now().Add(c.patience))
}

func (c *call) control() *http.ResponseController { return http.NewResponseController(c.w) }

// unread is the error of a client's side that ended early; io.EOF stays.
func unread(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return statusf(deadlineExceeded, "the client's next message did not come in time")
	}
	return statusf(canceled, "the client's messages end early: %v", err)
}

// send sends a message.
func (c *call) send(message []byte) error {
	_ = c.control().SetWriteDeadline(time.Now().Add(c.patience))
	if err := c.begin(int64(len(message))); err != nil {
		return err
	}
	if err := c.write(message); err != nil {
		return err
	}
	return c.flush()
}

// begin begins a message of n bytes, which write gives.
func (c *call) begin(n int64) error {
	prefix := binary.BigEndian.AppendUint32([]byte{0}, uint32(n))
	c.owed = n + framePrefixBytes
	return c.write(prefix)
}

func (c *call) write(b []byte) error {
	n, err := c.w.Write(b)
	c.owed -= int64(n)
	return err
}

func (c *call) flush() error { return c.control().Flush() }
