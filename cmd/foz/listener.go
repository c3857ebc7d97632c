package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/fozlog/foz/httpapi"
)

// listening is where a node is reached: a listener, and what answers there.
type listening struct {
	listener net.Listener
	server   *http.Server
	fresh    newcomers
}

func listenAt(ctx context.Context, hostPort string) (*listening, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", hostPort)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", hostPort, err)
	}
	return &listening{listener: listener}, nil
}

// answer says what answers, and what clients are shown.
func (l *listening) answer(h http.Handler, config *tls.Config, logger *slog.Logger) {
	l.server = httpapi.NewServer("", h)
	l.server.TLSConfig = config
	l.server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug) // of handshakes
	l.server.ConnState = l.fresh.note
}

// speakGRPC lets clients begin with HTTP/2 without TLS, as those of gRPC do.
func (l *listening) speakGRPC() {
	l.server.Protocols = new(http.Protocols)
	l.server.Protocols.SetHTTP1(true) // to be told that this is no place for it
	l.server.Protocols.SetHTTP2(true)
	l.server.Protocols.SetUnencryptedHTTP2(true)
}

// serve answers until shutdown.
func (l *listening) serve() (err error) {
	if l.server.TLSConfig != nil {
		err = l.server.ServeTLS(l.listener, "", "")
	} else {
		err = l.server.Serve(l.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.listener.Addr(), err)
}

const drainTimeout = 30 * time.Second

// shutdown finishes the requests under way.
func (l *listening) shutdown() error {
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	defer time.AfterFunc(newcomerGrace, l.fresh.dismiss).Stop()
	if err := l.server.Shutdown(drain); err != nil {
		return fmt.Errorf("drain %s: %w", l.listener.Addr(), errors.Join(err, l.server.Close()))
	}
	return nil
}
