package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startServer runs a NATS server in this process. Without Listen and ClusterListen it opens
// no socket.
func startServer(c Config) (*server.Server, error) {
	options, err := serverOptions(c)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("configure embedded bus: %w", err)
	}
	failed := make(failures, 1)
	s.SetLogger(failed, false, false)
	s.Start()
	for begun := time.Now(); time.Since(begun) < startWithin; {
		if s.ReadyForConnections(startPoll) {
			return s, nil
		}
		select {
		case err := <-failed:
			stopServer(s)
			return nil, fmt.Errorf("start embedded bus: %w", err)
		default:
		}
	}
	stopServer(s)
	return nil, errors.New("start embedded bus: not ready in time")
}

// failures takes from what a server logs the first reason why it cannot go on, which the
// server tells nobody else: a port that is taken, say.
type failures chan error

func (f failures) Fatalf(format string, v ...any) {
	select {
	case f <- fmt.Errorf(format, v...):
	default:
	}
}

func (failures) Noticef(string, ...any) {}
func (failures) Warnf(string, ...any)   {}
func (failures) Errorf(string, ...any)  {}
func (failures) Debugf(string, ...any)  {}
func (failures) Tracef(string, ...any)  {}

func serverOptions(c Config) (*server.Options, error) {
	o := &server.Options{
		ServerName: c.Name,
		NoSigs:     true, NoLog: true,
		MaxPayload: PayloadBytesMax,
		DontListen: c.Listen == "" && c.ClusterListen == "",
	}
	if o.DontListen {
		return o, nil
	}
	// A server that does not listen never forms routes, so a clustered one always listens.
	listen := c.Listen
	if listen == "" {
		listen = "127.0.0.1:-1"
	}
	var err error
	if o.Host, o.Port, err = hostPort(listen); err != nil {
		return nil, err
	}
	o.TLSConfig, o.TLSVerify = mutual(c.TLS), c.TLS != nil
	if c.ClusterListen == "" {
		return o, nil
	}
	o.Cluster.Name = c.Cluster
	if o.Cluster.Host, o.Cluster.Port, err = hostPort(c.ClusterListen); err != nil {
		return nil, err
	}
	o.Cluster.TLSConfig = mutual(c.TLS)
	o.Routes = server.RoutesFromStr(strings.Join(c.Routes, ","))
	return o, nil
}

func hasCertificate(c *tls.Config) bool {
	return len(c.Certificates) > 0 || c.GetCertificate != nil && c.GetClientCertificate != nil
}

// mutual is the configuration of a server that lets in who has a certificate of its own CAs.
func mutual(c *tls.Config) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
	return c
}

func hostPort(address string) (string, int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("configure bus: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", 0, fmt.Errorf("configure bus: port of %s: %w", address, err)
	}
	return host, number, nil
}

func stopServer(s *server.Server) {
	if s == nil {
		return
	}
	s.Shutdown()
	s.WaitForShutdown()
}

// dial connects to the embedded server if there is one, else to the external ones. Nothing
// is buffered while there is no connection: a broadcast that comes late helps nobody, and a
// request must fail fast to be tried again. Credentials that are refused may be good again
// tomorrow: it tries for ever.
func dial(c Config, embedded *server.Server) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(c.Name), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(),
	}
	urls := strings.Join(c.URLs, ",")
	if embedded != nil {
		options = append(options, nats.InProcessServer(embedded))
	} else {
		options = append(options, nats.RetryOnFailedConnect(true))
		options = append(options, secured(c)...)
		options = append(options, watchOptions(c)...)
	}
	conn, err := nats.Connect(urls, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	return conn, nil
}

// secured are the options of connections to external servers.
func secured(c Config) (options []nats.Option) {
	if c.TLS != nil {
		options = append(options, nats.Secure(c.TLS))
	}
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.User != "" {
		options = append(options, nats.UserInfo(c.User, c.Password))
	}
	return options
}
