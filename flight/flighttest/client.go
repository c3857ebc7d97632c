// Package flighttest is a client of Arrow Flight for tests: grpc-go, and the messages that
// arrow-go generates, so that what is tested is what strangers meet.
//
// It knows Flight and Arrow's framing, and refuses to know foz: tickets are texts to it, and
// streams are bytes.
package flighttest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math"

	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fozlog/foz/segment"
)

// The messages that tests look at.
type (
	Info       = pb.FlightInfo
	Descriptor = pb.FlightDescriptor
	Data       = pb.FlightData
	Ticket     = pb.Ticket
)

// Client calls a server of Flight.
type Client struct {
	pb.FlightServiceClient
	conn   *grpc.ClientConn
	Header map[string]string // of every call
}

// Dial makes a client of the server at an address; config nil: without TLS.
func Dial(addr string, config *tls.Config) (*Client, error) {
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, err
	}
	return &Client{pb.NewFlightServiceClient(conn), conn, map[string]string{}}, nil
}

// Close closes the client's connections.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) with(ctx context.Context) context.Context {
	for name, value := range c.Header {
		ctx = metadata.AppendToOutgoingContext(ctx, name, value)
	}
	return ctx
}

// Path is the descriptor of a path.
func Path(path ...string) *Descriptor {
	return &Descriptor{Type: pb.FlightDescriptor_PATH, Path: path}
}

// Command is the descriptor of a command.
func Command(text string) *Descriptor {
	return &Descriptor{Type: pb.FlightDescriptor_CMD, Cmd: []byte(text)}
}

// List gives all flights of the criteria.
func (c *Client) List(ctx context.Context, criteria string) ([]*Info, error) {
	stream, err := c.ListFlights(c.with(ctx), &pb.Criteria{Expression: []byte(criteria)})
	if err != nil {
		return nil, err
	}
	return receive(stream.Recv)
}

// Ask asks how to read what a descriptor means.
func (c *Client) Ask(ctx context.Context, d *Descriptor) (*Info, error) {
	return c.GetFlightInfo(c.with(ctx), d)
}

// Schema asks for its schema: a framed message.
func (c *Client) Schema(ctx context.Context, d *Descriptor) ([]byte, error) {
	result, err := c.GetSchema(c.with(ctx), d)
	return result.GetSchema(), err
}

// Get reads what is behind a ticket: an Arrow stream, which ends with its marker where the call
// ended well, or what has come before an error.
func (c *Client) Get(ctx context.Context, ticket string) ([]byte, error) {
	stream, err := c.DoGet(c.with(ctx), &Ticket{Ticket: []byte(ticket)})
	if err != nil {
		return nil, err
	}
	messages, err := receive(stream.Recv)
	var b []byte
	for _, m := range messages {
		b = binary.LittleEndian.AppendUint32(b, math.MaxUint32)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(m.DataHeader)))
		b = append(append(b, m.DataHeader...), m.DataBody...)
	}
	if err == nil {
		b = append(b, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0)
	}
	return b, err
}

// Put sends an Arrow stream, and gives what acknowledges it.
func (c *Client) Put(
	ctx context.Context, d *Descriptor, arrow []byte,
) (acks []string, err error) {
	stream, err := c.DoPut(c.with(ctx))
	if err != nil {
		return nil, err
	}
	messages, err := Messages(arrow)
	if err != nil {
		return nil, err
	}
	messages[0].FlightDescriptor = d
	for _, m := range messages {
		if stream.Send(m) != nil { // the reason is received
			break
		}
	}
	_ = stream.CloseSend() // as above
	results, err := receive(stream.Recv)
	for _, r := range results {
		acks = append(acks, string(r.AppMetadata))
	}
	return acks, err
}

// Messages cuts an Arrow stream.
func Messages(arrow []byte) (messages []*Data, err error) {
	for {
		length, err := segment.ParsePrefix(arrow)
		if err != nil || length == 0 {
			return messages, err
		}
		metadata := arrow[segment.MessagePrefixBytes:][:length]
		head, err := segment.InspectMessage(metadata)
		if err != nil {
			return nil, err
		}
		body := arrow[segment.MessagePrefixBytes+length:]
		messages = append(messages,
			&Data{DataHeader: metadata, DataBody: body[:head.BodyBytes]})
		arrow = body[head.BodyBytes:]
	}
}

// Code is the name of the status an error has; "OK" without one.
func Code(err error) string { return status.Code(err).String() }

// receive takes all that comes.
func receive[T any](next func() (T, error)) (all []T, err error) {
	for {
		one, err := next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
}
