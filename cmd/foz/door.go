package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/fozlog/foz/httpapi"
)

// doorSettings say who gets to a node, and how.
type doorSettings struct {
	tokens   string // file
	cert     string // file
	key      string // file
	clientCA string // file
	insecure bool
}

func (s *doorSettings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.tokens, "tokens", "", "file of tokens and their grants (see foz token create)")
	f.StringVar(&s.cert, "tls-cert", "", "serve HTTPS: file of the certificate and its chain, PEM")
	f.StringVar(&s.key, "tls-key", "", "file of the certificate's private key, PEM")
	f.StringVar(&s.clientCA, "tls-client-ca", "",
		"file of CAs whose clients' certificates are believed, PEM")
	f.BoolVar(&s.insecure, "insecure", false,
		"serve off loopback without tokens, or without TLS")
}

// check refuses what cannot be meant, and to serve openly by accident: everybody reaches an
// address that is not a loopback one.
func (s doorSettings) check(flag, addr string) error {
	local, err := isLoopback(addr)
	switch {
	case err != nil:
		return fmt.Errorf("--%s %q: want host:port", flag, addr)
	case s.cert != "" && s.key == "":
		return errors.New("--tls-cert without --tls-key")
	case s.key != "" && s.cert == "":
		return errors.New("--tls-key without --tls-cert")
	case s.clientCA != "" && s.cert == "":
		return errors.New("--tls-client-ca without --tls-cert and --tls-key")
	case s.clientCA != "" && s.tokens == "":
		return errors.New("--tls-client-ca says whom to believe, and not what they may do: " +
			"give --tokens too, with an entry for each name")
	case local || s.insecure:
		return nil
	case s.tokens == "":
		return fmt.Errorf("--%s %s is not a loopback address, and everybody who reaches it "+
			"could read and write everything: give --tokens (with --tls-cert and --tls-key), "+
			"or say --insecure", flag, addr)
	case s.cert == "":
		return fmt.Errorf("--%s %s is not a loopback address, and tokens would travel where "+
			"others can read them: give --tls-cert and --tls-key, or say --insecure", flag, addr)
	}
	return nil
}

// checkAdvertised refuses an advertised URL that cannot lead here.
func (s doorSettings) checkAdvertised(advertised string) error {
	if advertised == "" {
		return nil
	}
	u, err := url.Parse(advertised)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("--advertise: want a base URL such as http://node-1:7080")
	}
	if s.cert != "" && u.Scheme == "http" {
		return fmt.Errorf("--advertise %s: this node serves HTTPS", advertised)
	}
	return nil
}

// isLoopback says whether only this machine reaches an address.
func isLoopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, err
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// loopbackOnly refuses other addresses for a command that has no doors to lock.
func loopbackOnly(flag, addr string) error {
	if local, err := isLoopback(addr); err != nil {
		return usagef("--%s %q: want host:port", flag, addr)
	} else if !local {
		return usagef("--%s %s is not a loopback address, and everybody who reaches it could "+
			"do everything: foz serve has tokens and TLS", flag, addr)
	}
	return nil
}

// door is what stands between a node and those who reach it. The zero value is open.
type door struct {
	credentials *httpapi.Credentials // nil: everybody may do everything
	certificate *certificate         // nil: plain HTTP
	files       []*watchedFiles
}

// open reads the files of the settings.
func (s doorSettings) open() (*door, error) {
	d := &door{}
	if s.tokens != "" {
		d.credentials = &httpapi.Credentials{}
		d.watch(d.takeTokens, s.tokens)
	}
	if s.cert != "" {
		d.certificate = &certificate{}
		paths := []string{s.cert, s.key}
		if s.clientCA != "" {
			paths = append(paths, s.clientCA)
		}
		d.watch(d.certificate.take, paths...)
	}
	for _, f := range d.files {
		if _, err := f.look(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *door) watch(take func(contents [][]byte) error, paths ...string) {
	d.files = append(d.files, &watchedFiles{paths: paths, take: take})
}

// watchNow is watch for a door that is open already: files that cannot be used are an error.
func (d *door) watchNow(take func(contents [][]byte) error, paths ...string) error {
	d.watch(take, paths...)
	_, err := d.files[len(d.files)-1].look()
	return err
}

func (d *door) takeTokens(contents [][]byte) error {
	list, err := httpapi.ParseCredentials(contents[0])
	if err == nil {
		d.credentials.Replace(list)
	}
	return err
}

// tls is the configuration of the listener; nil: plain HTTP.
func (d *door) tls() *tls.Config {
	if d == nil || d.certificate == nil {
		return nil
	}
	return d.certificate.config()
}

// scheme is that of the node's URL.
func (d *door) scheme() string {
	if d.tls() == nil {
		return "http"
	}
	return "https"
}

// lookEvery is how often files are looked at: a revoked token is unknown within that time.
const lookEvery = 2 * time.Second

// run reads files again that change, and at every hangup, until ctx ends. What cannot be
// read or believed changes nothing: the last good contents hold.
func (d *door) run(ctx context.Context, logger *slog.Logger) {
	hangup, stop := hangups()
	defer stop()
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		case <-every.C:
		}
		for _, f := range d.files {
			changed, err := f.look()
			switch names := strings.Join(f.paths, ", "); {
			case err != nil:
				logger.Error("a changed file is not used, what was read before holds", "error", err)
			case changed:
				logger.Info("read again", "files", names)
			}
		}
	}
}

// certPool reads the certificates of a PEM file.
func certPool(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in PEM")
	}
	return pool, nil
}
