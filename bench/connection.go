package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// answerTimeout ends a run whose service has stopped answering.
const answerTimeout = time.Minute

// connection is one HTTP/1.1 connection to a service, with one request at a time. It writes
// bytes that are there already, so that the load costs little of the machine it shares with
// what is measured.
type connection struct {
	host string
	net  net.Conn
	read *bufio.Reader
}

func dial(ctx context.Context, serviceURL string) (*connection, error) {
	u, err := url.Parse(serviceURL)
	if err != nil || u.Scheme != "http" {
		return nil, fmt.Errorf("dial %s: want http://host:port", serviceURL)
	}
	n, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &connection{host: u.Host, net: n, read: bufio.NewReader(n)}, nil
}

// partitionPath is where lines go to one partition, byte for byte.
func partitionPath(topic string, partition int32) string {
	return fmt.Sprintf("/v1/topics/%s/partitions/%d/records", topic, partition)
}

// topicPath is where keyed records go to the partitions of their keys.
func topicPath(topic string) string { return "/v1/topics/" + topic + "/records?envelope=record" }

// errRefused: the service had no room for the request, and took nothing of it.
var errRefused = errors.New("refused")

// produce sends NDJSON lines and waits until they are durable.
func (c *connection) produce(path string, lines []byte) error {
	return c.post(path, "application/x-ndjson", lines)
}

// post sends records and waits until they are durable.
func (c *connection) post(path, media string, lines []byte) error {
	if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n"+
		"Content-Type: %s\r\nContent-Length: %d\r\n\r\n",
		path, c.host, media, len(lines))
	request := net.Buffers{head, lines}
	if _, err := request.WriteTo(c.net); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	answer, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	switch {
	case answer.StatusCode == http.StatusOK:
		return nil
	case answer.StatusCode == http.StatusServiceUnavailable && !answer.Close:
		return errRefused
	}
	return fmt.Errorf("produce: %s: %s", answer.Status, strings.TrimSpace(string(body)))
}

func (c *connection) Close() error { return c.net.Close() }

// dialAll opens n connections; close ends them.
func dialAll(
	ctx context.Context, serviceURL string, n int,
) (all []*connection, end func() error, err error) {
	end = func() error {
		var errs []error
		for _, c := range all {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
	for range n {
		c, err := dial(ctx, serviceURL)
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		all = append(all, c)
	}
	return all, end, nil
}
