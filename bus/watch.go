package bus

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// lostAfter is how long a connection may be away before somebody is told: a server that is
// started again is back within it.
const lostAfter = 5 * time.Second

// watch tells once that the external servers are not reached, and once that they are again.
type watch struct {
	log     *slog.Logger
	servers string

	mu     sync.Mutex  // guards what follows; never held while it is told
	away   *time.Timer // runs, or ran out, while there is no connection; else nil
	why    error       // why there is none, if that is known
	told   bool        // that there is none
	closed bool
}

// watchOptions make a connection report to a watch, which waits for the first connection from now
// on, and keep the library from writing to stderr by itself. Without a logger they are none.
func watchOptions(c Config) []nats.Option {
	if c.Logger == nil {
		return nil
	}
	w := &watch{log: c.Logger, servers: strings.Join(c.URLs, ",")}
	w.lost(nil)
	return []nats.Option{
		nats.ConnectHandler(func(*nats.Conn) { w.back() }),
		nats.ReconnectHandler(func(*nats.Conn) { w.back() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { w.lost(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { w.lost(err) }),
		nats.ClosedHandler(func(*nats.Conn) { w.close() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.Logger.Debug("bus", "err", err)
		}),
	}
}

// lost hears that there is no connection, as often as one is tried for.
func (w *watch) lost(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why != nil {
		w.why = why
	}
	if w.away == nil && !w.closed {
		w.away = time.AfterFunc(lostAfter, w.tell)
	}
}

func (w *watch) tell() {
	w.mu.Lock()
	why, lost := w.why, w.away != nil && !w.closed
	w.told = w.told || lost
	w.mu.Unlock()
	if lost {
		w.log.Warn("the bus is not connected: this node is on its own until it is",
			"servers", w.servers, "err", why)
	}
}

func (w *watch) back() {
	w.mu.Lock()
	told := w.told
	w.stop()
	w.mu.Unlock()
	if told {
		w.log.Info("the bus is connected", "servers", w.servers)
	}
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.stop()
}

// stop forgets that there was no connection. The lock is held.
func (w *watch) stop() {
	if w.away != nil {
		w.away.Stop()
	}
	w.away, w.why, w.told = nil, nil, false
}
