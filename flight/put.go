package flight

import (
	"bufio"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fozlog/foz/segment"
)

// doPut appends the record batches of a stream. A crash, or a client that goes away, leaves
// what was acknowledged and, of the request under way, all or nothing.
func (s *Service) doPut(c *call) error {
	up := &upload{call: c}
	to, err := up.open()
	if err != nil {
		return err
	}
	for nth := int64(0); nth == 0 || up.next != nil; nth++ {
		g := &group{up: up, config: s.config, text: up.schema}
		var ack document
		err := s.do(c, request{
			method: http.MethodPost, target: to.path(), header: produceHeader(c.r.Header, nth), body: g,
		}, &ack)
		if g.err != nil { // what the client did says more than what the handler made of it
			return g.err
		}
		if err != nil {
			return err
		}
		if !g.ended || len(g.text) > 0 {
			return statusf(internal, "a request was answered before its end")
		}
		if err := c.send(appendBytes(nil, fieldOnly, ack.text)); err != nil {
			return err
		}
	}
	return nil
}

// produceHeader is that of a stream's nth request: a producer's sequence counts requests.
func produceHeader(given http.Header, nth int64) http.Header {
	h := http.Header{"Content-Type": {mediaArrow},
		"Expect": {"100-continue"}} // who is refused for what is no record is told at once
	for _, name := range []string{"Producer-Id", "Producer-Epoch", "Producer-Seq"} {
		if value := given.Get(name); value != "" {
			h.Set(name, value)
		}
	}
	seq, err := strconv.ParseInt(h.Get("Producer-Seq"), 10, 64)
	if err == nil && nth > 0 {
		h.Set("Producer-Seq", strconv.FormatInt(seq+nth, 10))
	}
	return h
}

// upload reads the messages of a DoPut. Of a message it holds the head; the body is read when
// it is wanted.
type upload struct {
	call   *call
	schema []byte // the message that every request begins with
	next   *data  // the head of a message whose body is next to read
}

// data is a FlightData without its body.
type data struct {
	descriptor []byte
	header     []byte
	body       int64
	head       segment.MessageHead
}

// open reads what a stream begins with: where it goes, and the schema.
func (u *upload) open() (ticket, error) {
	u.call.wait() // from now on the contract's handler says how slow a body may come
	first, err := u.read()
	if err == io.EOF {
		return ticket{}, statusf(invalidArgument, "the call has no message")
	}
	if err != nil {
		return ticket{}, err
	}
	d, err := parseDescriptor(first.descriptor)
	if err != nil {
		return ticket{}, err
	}
	if d.kind == descriptorCmd {
		return ticket{}, statusf(invalidArgument, "records are put to a path, not to a command")
	}
	to, err := d.ticket()
	if err != nil {
		return ticket{}, err
	}
	if len(first.header) == 0 {
		if first, err = u.read(); err == io.EOF {
			err = statusf(invalidArgument, "the stream has no schema")
		}
		if err != nil {
			return ticket{}, err
		}
	}
	if first.body > 0 {
		return ticket{}, statusf(invalidArgument, "the stream does not begin with its schema")
	}
	u.schema = segment.AppendMessage(nil, first.header)
	return to, nil
}

// peek reads the head of the next message that says something; io.EOF if there is none.
func (u *upload) peek() (*data, error) {
	for u.next == nil || len(u.next.header) == 0 {
		d, err := u.read()
		if err != nil {
			u.next = nil
			return nil, err
		}
		u.next = d
	}
	return u.next, nil
}

// read reads a FlightData up to its body, which has to come last.
func (u *upload) read() (*data, error) {
	left, err := u.call.next()
	if err != nil {
		return nil, err
	}
	d := &data{}
	in := &counted{in: u.call.in, left: left}
	for in.left > 0 && d.body == 0 {
		if err := d.readField(in); err != nil {
			return nil, err
		}
	}
	if in.left != d.body {
		return nil, statusf(invalidArgument, "message: data_body is not its last field")
	}
	return d, d.check()
}

// counted reads no further than its message goes.
type counted struct {
	in   *bufio.Reader
	left int64
	err  error // of the client's side
}

// ReadByte is for numbers.
func (c *counted) ReadByte() (b byte, err error) {
	if c.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	c.left--
	b, c.err = c.in.ReadByte()
	return b, c.err
}

func (c *counted) number() (uint64, error) {
	n, err := binary.ReadUvarint(c)
	switch {
	case c.err != nil:
		return 0, truncated(c.err)
	case err != nil:
		return 0, notProtobuf(err)
	}
	return n, nil
}

func (c *counted) bytes(n uint64) ([]byte, error) {
	if n > uint64(c.left) {
		return nil, notProtobuf(io.ErrUnexpectedEOF)
	}
	if n > messageBytesMax {
		return nil, statusf(resourceExhausted, "message: a field of %d bytes", n)
	}
	b := make([]byte, n)
	c.left -= int64(n)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return nil, truncated(err)
	}
	return b, nil
}

// truncated is the error of a client's side that ended inside a message.
func truncated(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return unread(err)
}

// readField reads a field, or of the body its length.
func (d *data) readField(in *counted) error {
	tag, err := in.number()
	if err != nil {
		return err
	}
	field, kind := protowire.DecodeTag(tag)
	if field < 1 || kind != protowire.BytesType {
		return statusf(invalidArgument, "message: field %d has wire type %d", field, kind)
	}
	n, err := in.number()
	if err != nil {
		return err
	}
	if field == fieldDataBody {
		if n > uint64(in.left) {
			return notProtobuf(io.ErrUnexpectedEOF)
		}
		d.body = int64(n)
		return nil
	}
	b, err := in.bytes(n)
	if err != nil {
		return err
	}
	switch field {
	case fieldDataDescriptor:
		d.descriptor = b
	case fieldDataHeader:
		d.header = b
	}
	return nil
}

// check compares what the message is with what its metadata says.
func (d *data) check() (err error) {
	if len(d.header) == 0 {
		if d.body > 0 {
			return statusf(invalidArgument, "message: data_body without data_header")
		}
		return nil
	}
	if d.head, err = segment.InspectMessage(d.header); err != nil {
		return statusf(invalidArgument, "message: %v", err)
	}
	if d.head.BodyBytes != d.body {
		return statusf(invalidArgument, "message: data_header says %d bytes, data_body has %d",
			d.head.BodyBytes, d.body)
	}
	return nil
}

// group is the body of one request: the schema, and the record batches that fit.
type group struct {
	up     *upload
	config Config
	text   []byte // what comes before body
	body   int64  // what is still to come of a message's body
	size   int64  // of all messages
	rows   int64
	ended  bool
	err    error // of the client
}

// Read gives the next bytes of an Arrow stream.
func (g *group) Read(p []byte) (n int, err error) {
	for g.err == nil {
		switch {
		case len(p) == 0:
			return 0, nil
		case len(g.text) > 0:
			n = copy(p, g.text)
			g.text = g.text[n:]
			return n, nil
		case g.body > 0:
			n, err = g.up.call.in.Read(p[:min(int64(len(p)), g.body)])
			if g.body -= int64(n); err != nil {
				g.err = truncated(err)
			}
			return n, g.err
		case g.ended:
			return 0, io.EOF
		}
		g.advance()
	}
	return 0, g.err
}

// advance goes on to the next message, or to the end of the group.
func (g *group) advance() {
	d, err := g.up.peek()
	if err != nil && err != io.EOF {
		g.err = err
		return
	}
	if err == io.EOF || g.full(d) {
		g.text, g.ended = segment.AppendEndOfStream(nil), true
		return
	}
	g.up.next = nil
	g.text, g.body = segment.AppendMessage(nil, d.header), d.body
	g.size += int64(len(g.text)) + d.body
	g.rows += d.head.Rows
}

// full says whether the message is for the next request. One that fits into none is let
// through: the contract says what is wrong with it.
func (g *group) full(d *data) bool {
	return d.head.RecordBatch && g.rows > 0 && (g.size+int64(len(d.header))+d.body >
		g.config.PutBytesMax || g.rows+d.head.Rows > g.config.PutRowsMax)
}
