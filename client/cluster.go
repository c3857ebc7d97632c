package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Cluster is what a node says of the service.
type Cluster struct {
	ID       string          `json:"cluster_id"`
	Version  string          `json:"version"`
	Bucket   string          `json:"bucket"`
	Health   string          `json:"health"`
	Nodes    []Node          `json:"nodes"`
	Leader   Leader          `json:"leader"`
	Requests json.RawMessage `json:"requests,omitempty"` // to the store, by op and cause
	Cost     json.RawMessage `json:"cost,omitempty"`
}

// Node is one process of the service.
type Node struct {
	ID          string   `json:"id"`
	HTTP        string   `json:"http"`
	Roles       []string `json:"roles"`
	AppliedSlot uint64   `json:"applied_slot"`
}

// Leader is the node that appends to the metadata log, as far as the asked one has heard.
type Leader struct {
	ID        string `json:"id"`
	HTTP      string `json:"http"`
	ClaimSlot uint64 `json:"claim_slot"`
}

// Cluster describes the service as one of its nodes sees it.
func (c *Client) Cluster(ctx context.Context) (out Cluster, err error) {
	_, err = c.do(ctx, get(nil, "cluster"), &out)
	return out, err
}

// OpenAPI is the service's own description, an OpenAPI 3.1 document.
func (c *Client) OpenAPI(ctx context.Context) (out json.RawMessage, err error) {
	_, err = c.do(ctx, get(nil, "openapi.json"), &out)
	return out, err
}

// Health is what a node's probes say, asked once.
type Health struct {
	Live   bool   `json:"live"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail"` // why it is not ready
}

// Health asks the node whether it lives and is ready.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	if h.Live, h.Detail, err = c.probe(ctx, "/livez"); err != nil || !h.Live {
		return h, err
	}
	h.Ready, h.Detail, err = c.probe(ctx, "/readyz")
	return h, err
}

func (c *Client) probe(ctx context.Context, path string) (ok bool, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL()+path, nil)
	if err != nil {
		return false, "", err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, "", fmt.Errorf("GET %s: %w", path, innermost(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return false, readProblem(resp, get(nil)).Err.Detail, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, problemBytesMax))
	return true, strings.TrimSpace(string(body)), err
}
