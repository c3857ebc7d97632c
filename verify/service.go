package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/fozlog/foz"
)

const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaArrow  = "application/vnd.apache.arrow.stream"
	mediaEvents = "text/event-stream"
)

// Service is where a service is found. The zero Client is http.DefaultClient.
type Service struct {
	URL    func() string // of a node of it, now: "http://host:port"
	Topic  string
	Client *http.Client
}

// attemptMax bounds one request and its answer.
const attemptMax = 40 * time.Second

// problem is an answer that refuses.
type problem struct {
	Status      int
	Code        foz.Code `json:"code"`
	Detail      string   `json:"detail"`
	Retryable   bool     `json:"retryable"`
	SideEffects string   `json:"side_effects"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// send sends one request; the answer is 2xx, and its body the caller's to close.
func (s *Service) send(r *http.Request) (*http.Response, error) {
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &problem{SideEffects: "unknown"}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	_ = json.Unmarshal(data, p) // what is no problem of the contract stays unknown
	p.Status = resp.StatusCode
	if p.Code == "" {
		p.Detail = fmt.Sprintf("not a problem: %.200q", data)
	}
	return nil, p
}

func (s *Service) request(ctx context.Context, method, path string, body []byte) (
	*http.Request, error,
) {
	url := s.URL() + "/v1/topics/" + s.Topic + path
	return http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
}

// get reads one JSON answer.
func (s *Service) get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	r, err := s.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := s.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

// CreateTopic makes the topic.
func (s *Service) CreateTopic(ctx context.Context, partitions int32) error {
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	r, err := s.request(ctx, http.MethodPut, "", fmt.Appendf(nil, `{"partitions":%d}`, partitions))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", mediaJSON)
	resp, err := s.send(r)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", s.Topic, err)
	}
	return resp.Body.Close()
}

// bounds asks for a partition's first and next offset, after everything acknowledged before.
func (s *Service) bounds(ctx context.Context, partition int32) (rg foz.Range, err error) {
	for at, n := range map[string]*int64{"earliest": &rg.Base, "latest": &rg.Next} {
		var answer struct{ Offset *int64 }
		path := fmt.Sprintf("/partitions/%d/offsets?at=%s", partition, at)
		if err := s.get(ctx, path, &answer); err != nil {
			return rg, fmt.Errorf("ask for partition %d's %s offset: %w", partition, at, err)
		}
		if answer.Offset == nil {
			return rg, fmt.Errorf("partition %d: no offset in the answer", partition)
		}
		*n = *answer.Offset
	}
	return rg, nil
}

// ack is an acknowledgement, of a topic or of a partition.
type ack struct {
	ackRange
	Partitions []ackRange `json:"partitions"`
	Duplicate  bool       `json:"duplicate"`
}

type ackRange struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start_offset"`
	End       int64 `json:"end_offset"`
}

// produce sends one attempt. An error that is a *problem or errUnsent is the service's word;
// any other says nothing about what happened.
func (s *Service) produce(ctx context.Context, r *request, producer http.Header) (
	a ack, err error,
) {
	path, header, body, err := r.wire()
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	q, err := s.request(ctx, http.MethodPost, path, body)
	if err != nil {
		return a, err
	}
	q.Header = header
	for name, values := range producer {
		q.Header[name] = values
	}
	resp, err := s.send(q)
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return a, errUnsent
	}
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("read the ack: %w", err)
	}
	if a.Partitions == nil {
		a.Partitions = []ackRange{a.ackRange}
	}
	return a, nil
}

// errUnsent: nobody was there to send to.
var errUnsent = errors.New("no connection")
