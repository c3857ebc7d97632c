package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Config says which bus a node is on. The zero value but for Cluster is an embedded server
// without any socket: one node alone.
type Config struct {
	Cluster string // UUID of the cluster: all subjects carry it. Required
	Name    string // of this node, shown by the server's monitoring
	// URLs of external NATS servers. Empty: a server is embedded in this process.
	URLs []string
	// Listen, ClusterListen ("host:port") and Routes ("nats://host:port") make the embedded
	// server one of several. Empty: it opens no socket.
	Listen        string
	ClusterListen string
	Routes        []string

	// TLS is for every connection that leaves this process; nil: they are in the clear. External
	// servers are believed if RootCAs vouch for them, and shown the certificate if they ask. An
	// embedded server and those it is joined to ask each other, and whoever else connects.
	TLS *tls.Config
	// Credentials for external servers: the file of a user's JWT and seed, or name and password.
	Credentials    string
	User, Password string

	// Logger is told that external servers are not reached, and that they are again. nil: nobody
	// is.
	Logger *slog.Logger
}

const (
	startWithin = 10 * time.Second // an embedded server is ready in milliseconds
	startPoll   = 50 * time.Millisecond
	flushWithin = 2 * time.Second // a subscription is known to the server
	headerError = "Foz-Error"     // of an answer that is none
	queueName   = "foz"           // one of those who serve a subject is asked
)

var answerErrors = map[string]error{
	"overloaded": ErrOverloaded,
	"too_large":  ErrTooLarge,
}

// NATS is the bus over NATS. Its methods may be called from any goroutine; before Start they
// return ErrClosed.
type NATS struct {
	config Config
	prefix string

	mu     sync.Mutex // guards what follows; never held across I/O
	conn   *nats.Conn
	server *server.Server
	closed bool

	ctx      context.Context // ends once disconnected: what Serve hands its answerers
	cancel   context.CancelFunc
	handlers sync.WaitGroup // running handlers and answers
}

// New checks the configuration. It starts nothing.
func New(c Config) (*NATS, error) {
	if err := checkSubject(c.Cluster, false); err != nil {
		return nil, fmt.Errorf("configure bus: cluster %q: %w", c.Cluster, err)
	}
	if len(c.URLs) > 0 && (c.Listen != "" || c.ClusterListen != "") {
		return nil, errors.New("configure bus: either external servers or an embedded one")
	}
	if len(c.URLs) == 0 && c.TLS != nil && (c.TLS.RootCAs == nil || !hasCertificate(c.TLS)) {
		return nil, errors.New("configure bus: TLS between nodes takes CAs and a certificate")
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &NATS{
		config: c, prefix: "foz." + c.Cluster + ".", ctx: ctx, cancel: cancel,
	}, nil
}

// Run starts the bus, waits for ctx to end and closes it.
func (n *NATS) Run(ctx context.Context) error {
	if err := n.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	n.Close()
	return nil
}

// Start starts the embedded server, if that is configured, and connects. External servers
// need not be there yet: the connection is made when they are.
func (n *NATS) Start(context.Context) error {
	var embedded *server.Server
	if len(n.config.URLs) == 0 {
		var err error
		if embedded, err = startServer(n.config); err != nil {
			return err
		}
	}
	conn, err := dial(n.config, embedded)
	if err != nil {
		stopServer(embedded)
		return err
	}
	n.mu.Lock()
	refused := n.closed || n.conn != nil
	if !refused {
		n.conn, n.server = conn, embedded
	}
	n.mu.Unlock()
	if refused {
		conn.Close()
		stopServer(embedded)
		return fmt.Errorf("start bus a second time: %w", ErrClosed)
	}
	return nil
}

// Close disconnects, stops the embedded server and waits for running handlers and answers
// to return; it must not be called by one of them.
func (n *NATS) Close() {
	n.mu.Lock()
	n.closed = true
	conn, embedded := n.conn, n.server
	n.mu.Unlock()
	if conn != nil {
		conn.Close() // first: what an answer makes of its ending is no answer
	}
	n.cancel()
	n.handlers.Wait()
	stopServer(embedded)
}

// Connected says whether there is a server at the other end just now.
func (n *NATS) Connected() bool {
	conn, err := n.live()
	return err == nil && conn.IsConnected()
}

// Publish sends data to all who subscribe to subject now. nil means that it was handed to
// the network, not that anybody got it.
func (n *NATS) Publish(subject string, data []byte) error {
	conn, err := n.ready(subject, false)
	if err != nil {
		return err
	}
	if err := tooLarge(subject, data); err != nil {
		return err
	}
	if err := conn.Publish(n.prefix+subject, data); err != nil {
		return fmt.Errorf("publish %s: %w", subject, named(err))
	}
	return nil
}

// Subscribe calls handle for each message to subject, which may hold wildcards ("*" one
// token, ">" the rest), until stop is called: after that no call begins, one may be running.
func (n *NATS) Subscribe(subject string, handle func(data []byte)) (stop func(), err error) {
	conn, err := n.ready(subject, true)
	if err != nil {
		return nil, err
	}
	sub, err := conn.Subscribe(n.prefix+subject, func(m *nats.Msg) {
		if !n.enter() {
			return
		}
		defer n.handlers.Done()
		handle(m.Data)
	})
	return n.subscribed(conn, sub, subject, err)
}

// Request sends data to one of those who serve subject and waits for the answer. ctx must
// have a deadline: an answer can be lost.
func (n *NATS) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	conn, err := n.ready(subject, false)
	if err != nil {
		return nil, err
	}
	if err := tooLarge(subject, data); err != nil {
		return nil, err
	}
	m, err := conn.RequestWithContext(ctx, n.prefix+subject, data)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", subject, named(err))
	}
	if refusal := m.Header.Get(headerError); refusal != "" {
		return nil, fmt.Errorf("request %s: %w", subject, answerError(refusal))
	}
	return m.Data, nil
}

// Serve answers requests to subject, each in a goroutine of its own and at most AnswersMax
// at a time, until stop is called: after that no answer begins, some may be under way. The
// context of an answer ends when the bus is closed.
func (n *NATS) Serve(
	subject string, answer func(ctx context.Context, data []byte) []byte,
) (stop func(), err error) {
	conn, err := n.ready(subject, false)
	if err != nil {
		return nil, err
	}
	slots := make(chan struct{}, AnswersMax)
	sub, err := conn.QueueSubscribe(n.prefix+subject, queueName, func(m *nats.Msg) {
		if !n.enter() {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			respondError(m, "overloaded")
			n.handlers.Done()
			return
		}
		go func() {
			defer func() { <-slots; n.handlers.Done() }()
			respond(m, answer(n.ctx, m.Data))
		}()
	})
	return n.subscribed(conn, sub, subject, err)
}

// subscribed waits until the server knows of the subscription, so that what is sent after
// Subscribe has returned arrives.
func (n *NATS) subscribed(
	conn *nats.Conn, sub *nats.Subscription, subject string, err error,
) (func(), error) {
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, named(err))
	}
	if err := sub.SetPendingLimits(PendingMax, 64<<20); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, named(err))
	}
	if conn.IsConnected() {
		// Without an answer the client subscribes again when it has reconnected.
		_ = conn.FlushTimeout(flushWithin)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// enter counts a handler as running unless the bus is closed.
func (n *NATS) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.handlers.Add(1)
	return true
}

func (n *NATS) live() (*nats.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.conn == nil {
		return nil, ErrClosed
	}
	return n.conn, nil
}

func (n *NATS) ready(subject string, wild bool) (*nats.Conn, error) {
	if err := checkSubject(subject, wild); err != nil {
		return nil, err
	}
	return n.live()
}

func tooLarge(subject string, data []byte) error {
	if len(data) > PayloadBytesMax {
		return fmt.Errorf("send %d bytes to %s: %w", len(data), subject, ErrTooLarge)
	}
	return nil
}

func respond(m *nats.Msg, data []byte) {
	if len(data) > PayloadBytesMax {
		respondError(m, "too_large")
		return
	}
	if err := m.Respond(data); errors.Is(err, nats.ErrMaxPayload) {
		respondError(m, "too_large")
	} // else the answer is lost, as any may be
}

func respondError(m *nats.Msg, word string) {
	_ = m.RespondMsg(&nats.Msg{Header: nats.Header{headerError: []string{word}}})
}

func answerError(word string) error {
	if err, ok := answerErrors[word]; ok {
		return err
	}
	return fmt.Errorf("responder says %q", word)
}

// named turns the library's errors into this package's.
func named(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNoResponder
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	}
	return err
}
