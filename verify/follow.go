package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Tail follows a topic while it is written, over as many connections as it takes, and notes
// what it gets. It belongs to one goroutine, but for what other goroutines may ask.
type Tail struct {
	service   *Service
	ledger    *Ledger
	name      string
	partition int32 // -1: all of them
	connect   func(t *Tail, ctx context.Context) error

	mu          sync.Mutex
	logs        map[int32]*log
	connections int64
	highest     map[int32]int64 // watermarks told
	lastErr     error
}

func newTail(s *Service, l *Ledger, name string, partition int32,
	connect func(*Tail, context.Context) error,
) *Tail {
	return &Tail{service: s, ledger: l, name: name, partition: partition, connect: connect,
		logs: map[int32]*log{}, highest: map[int32]int64{}}
}

// NewTopicTail follows all partitions as one stream of events.
func NewTopicTail(s *Service, l *Ledger) *Tail {
	return newTail(s, l, "topic events", -1, (*Tail).topicEvents)
}

// NewEventTail follows one partition as a stream of events.
func NewEventTail(s *Service, l *Ledger, partition int32) *Tail {
	return newTail(s, l, fmt.Sprintf("events of %d", partition), partition, (*Tail).partitionEvents)
}

// NewPollTail follows one partition by long polls.
func NewPollTail(s *Service, l *Ledger, partition int32) *Tail {
	return newTail(s, l, fmt.Sprintf("polls of %d", partition), partition, (*Tail).poll)
}

// Run follows until ctx ends, connecting again wherever it breaks.
func (t *Tail) Run(ctx context.Context) {
	for ctx.Err() == nil {
		t.mu.Lock()
		t.connections++
		t.mu.Unlock()
		err := t.connect(t, ctx)
		t.mu.Lock()
		t.lastErr = err
		t.mu.Unlock()
		if p, ok := errors.AsType[*problem](err); ok && !p.Retryable {
			t.ledger.findings.add(Refused, "%s: %v", t.name, p)
		}
		if err != nil {
			sleep(ctx, 20*time.Millisecond)
		}
	}
}

// next is the next offset of a partition to get.
func (t *Tail) next(partition int32) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.logs[partition]; l != nil {
		return l.next()
	}
	return 0
}

// got notes a record. What was got before is dropped, what comes too early is noted.
func (t *Tail) got(partition int32, w readRecord) error {
	rec, err := w.record()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.logs[partition]
	if l == nil {
		l = &log{}
		t.logs[partition] = l
	}
	switch {
	case rec.Offset < l.next():
		t.ledger.findings.add(Repeat, "%s: partition %d offset %d again, after %d", t.name,
			partition, rec.Offset, l.next()-1)
		return nil
	case rec.Offset > l.next():
		t.ledger.findings.add(Skip, "%s: partition %d offset %d, where %d belongs", t.name,
			partition, rec.Offset, l.next())
		l.skip(rec.Offset)
	}
	l.sums = append(l.sums, sum(rec))
	return nil
}

// watermark notes what an answer says of a partition's head.
func (t *Tail) watermark(partition int32, text string) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.ledger.findings.add(Refused, "%s: header Foz-High-Watermark %q", t.name, text)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < t.highest[partition] {
		t.ledger.findings.add(Back, "%s: watermark %d of partition %d, after %d", t.name, n,
			partition, t.highest[partition])
	}
	t.highest[partition] = max(t.highest[partition], n)
}

// poll gets one page, and waits for it at the head.
func (t *Tail) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptMax)
	defer cancel()
	from := t.next(t.partition)
	path := fmt.Sprintf("/partitions/%d/records?offset=%d&wait=2&limit=1000", t.partition, from)
	r, err := t.service.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := t.service.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var page struct {
		Records    []readRecord
		NextOffset int64 `json:"next_offset"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		return err
	}
	t.watermark(t.partition, resp.Header.Get("Foz-High-Watermark"))
	for _, w := range page.Records {
		if err := t.got(t.partition, w); err != nil {
			return err
		}
	}
	if next := t.next(t.partition); page.NextOffset != next {
		t.ledger.findings.add(Skip, "%s: a page of %d from %d says next_offset %d", t.name,
			len(page.Records), from, page.NextOffset)
	}
	return nil
}

func (t *Tail) partitionEvents(ctx context.Context) error {
	path := fmt.Sprintf("/partitions/%d/records?offset=0", t.partition)
	return t.events(ctx, path, strconv.FormatInt(t.next(t.partition), 10))
}

// topicEvents goes on behind what it has of every partition.
func (t *Tail) topicEvents(ctx context.Context) error {
	t.mu.Lock()
	var places []string
	for p, l := range t.logs {
		places = append(places, fmt.Sprintf("%d:%d", p, l.next()))
	}
	t.mu.Unlock()
	slices.Sort(places)
	return t.events(ctx, "/records?from=earliest", strings.Join(places, ","))
}

// events reads one connection's events until it breaks.
func (t *Tail) events(ctx context.Context, path, lastID string) error {
	r, err := t.service.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", mediaEvents)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := t.service.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if t.partition >= 0 {
		t.watermark(t.partition, resp.Header.Get("Foz-High-Watermark"))
	}
	lines := bufio.NewReader(resp.Body)
	for first := true; ; first = false {
		kind, data, err := readEvent(lines)
		switch {
		case err == io.EOF:
			t.ledger.findings.add(CleanEnd, "%s", t.name)
			return err
		case err != nil:
			return err
		case kind == "error":
			return fmt.Errorf("error event: %s", data)
		case first != (kind == "position"):
			return fmt.Errorf("event %q: %s", kind, data)
		case kind == "":
			if err := t.event(data); err != nil {
				return err
			}
		}
	}
}

func (t *Tail) event(data []byte) error {
	var w readRecord
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read event %.100q: %w", data, err)
	}
	partition := t.partition
	if partition < 0 {
		if w.Partition == nil {
			return fmt.Errorf("event without a partition: %.100q", data)
		}
		partition = *w.Partition
	}
	return t.got(partition, w)
}

// readEvent reads one server-sent event that has data, past comments.
func readEvent(lines *bufio.Reader) (kind string, data []byte, err error) {
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 || data != nil || kind != "" {
				err = io.ErrUnexpectedEOF
			}
			return "", nil, err
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			data = append([]byte{}, value...)
		case "":
			if len(line) == 0 && data != nil {
				return kind, data, nil
			}
		}
	}
}

// reached says whether everything the logs hold has come.
func (t *Tail) reached(logs map[int32]*log) bool {
	for p, l := range logs {
		if (t.partition < 0 || t.partition == p) && t.next(p) < l.next() {
			return false
		}
	}
	return true
}

// compare compares what came with what is there.
func (t *Tail) compare(logs map[int32]*log, out *Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out.Connections += t.connections
	for p, l := range logs {
		if t.partition >= 0 && t.partition != p {
			continue
		}
		got := t.logs[p]
		if got == nil {
			got = &log{}
		}
		out.Followed += int64(len(got.sums))
		if got.next() < l.next() {
			t.ledger.findings.add(Unseen, "%s: partition %d ends at %d of %d (%v)", t.name, p,
				got.next(), l.next(), t.lastErr)
		}
		if got.next() > l.next() {
			t.ledger.findings.add(Lost, "%s: got partition %d up to %d, the log ends at %d", t.name,
				p, got.next(), l.next())
		}
		for i := range min(len(got.sums), len(l.sums)) {
			if got.sums[i] != l.sums[i] {
				t.ledger.findings.add(Changed, "%s: partition %d offset %d was another record",
					t.name, p, i)
				break
			}
		}
	}
}
