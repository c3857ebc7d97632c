package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz/bench"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// benchProcess starts a node as a process of its own, by the name this one was called by.
func (a *app) benchProcess(
	bucket string, interval time.Duration,
) func(ctx context.Context) (*bench.Service, error) {
	return func(ctx context.Context) (*bench.Service, error) {
		cmd := exec.CommandContext(ctx, os.Args[0], "serve", "--bucket", bucket,
			"--http", "127.0.0.1:0", "--flush-interval", interval.String())
		talk, err := cmd.StderrPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("start a service: %w", err)
		}
		stop := func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait() // how it ends is its own affair
		}
		url, err := upAt(talk, a.talk)
		if err != nil {
			stop()
			return nil, err
		}
		c, err := client.New(client.Options{URL: url, UserAgent: "foz-bench"})
		if err != nil {
			stop()
			return nil, err
		}
		return &bench.Service{URL: url, Close: stop,
			Counts: func() []objectstore.Count { return a.countsOf(ctx, c) },
			Usage:  func() (bench.Usage, error) { return usageOf(ctx, url) },
		}, nil
	}
}

// upAt reads what a node says until it says where it is; the rest goes to talk.
func upAt(said io.Reader, talk io.Writer) (url string, err error) {
	lines := bufio.NewReader(said)
	var all strings.Builder
	for {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if _, rest, ok := strings.Cut(line, " is up at "); ok {
			url, _, _ := strings.Cut(rest, " ")
			go func() { _, _ = io.Copy(talk, lines) }() // ends with the process
			return url, nil
		}
		if err != nil {
			return "", fmt.Errorf("start a service: it said %s", strings.TrimSpace(all.String()))
		}
	}
}

// countsOf is what a node has asked of its store; nothing if it does not say.
func (a *app) countsOf(ctx context.Context, c *client.Client) (counts []objectstore.Count) {
	cluster, err := c.Cluster(ctx)
	var byOp map[string]map[string]struct{ Requests, Bytes, Errors int64 }
	if err == nil {
		err = json.Unmarshal(cluster.Requests, &byOp)
	}
	if err != nil {
		a.say("foz: count requests: %v", err)
		return nil
	}
	for op, byCause := range byOp {
		for cause, n := range byCause {
			counts = append(counts, objectstore.Count{Op: op, Cause: cause,
				Requests: n.Requests, Bytes: n.Bytes, Errors: n.Errors})
		}
	}
	return counts // bench sorts them
}

// usageOf reads what a node's process has used from its metrics.
func usageOf(ctx context.Context, url string) (u bench.Usage, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return u, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return u, fmt.Errorf("read what the service used: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err != nil {
		return u, fmt.Errorf("read what the service used: %w", err)
	}
	cpu, known := metric(body, "process_cpu_seconds_total")
	memory, _ := metric(body, "process_resident_memory_bytes")
	if !known {
		return u, fmt.Errorf("this system does not say what a process has used: leave out --process")
	}
	return bench.Usage{CPU: time.Duration(cpu * float64(time.Second)), MemoryBytes: int64(memory)}, nil
}

// metric finds a metric without labels in Prometheus' text format.
func metric(text []byte, name string) (float64, bool) {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(string(value)), 64)
			return n, err == nil
		}
	}
	return 0, false
}
