package main

// An hour's worth of flushes, squeezed into minutes, and what maintenance makes of it.
//
// How: three nodes take requests to 10 topics of 30 partitions. Each request is flushed by
// itself, so that 3,600 of them leave what an hour of a flush a second does. Two partitions of
// each topic are busy, the others get a little. Retention and a trim cut in. The test keeps a
// hash of every record that was acknowledged, by its offset, and knows nothing else: after
// maintenance it reads all partitions through all nodes, line by line, and looks into the
// bucket by itself. $FOZ_TEST_HOUR is how many requests there are, in a bit more than a minute;
// without it they are a few hundred, on a fifth of the partitions.

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

const (
	hourTopics  = 10
	hourBusy    = 2  // partitions of each topic that get most
	hourRecords = 27 // of a request, of about 1,000 bytes
	hourWriters = 9
)

// hour is a run: its size, and what was acknowledged.
type hour struct {
	t          *testing.T
	fleet      *fleet
	http       *http.Client
	store      objectstore.Store
	requests   int
	partitions int32 // of each topic
	target     int64 // bytes of an object
	lasts      time.Duration

	mu    sync.Mutex
	sums  map[hourPlace]map[int64][16]byte // of each record acknowledged, by offset
	bytes int64                            // of their values
}

type hourPlace struct {
	topic     string
	partition int32
}

// hourConfigs are the topics that keep less than everything, by number.
var hourConfigs = map[int]string{
	0: `"retention_bytes":150000`,
	1: `"retention_ms":1000`,
}

const hourTrimmed = 2 // the topic whose partition 0 is trimmed

func hourTopic(n int) string { return fmt.Sprintf("hour-%d", n) }

func TestHour(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	buckets(t, func(t *testing.T, bucket string) {
		h := newHour(t, bucket)
		h.load()
		loaded := h.state().Slot()
		h.trim()
		h.maintain(loaded)
		h.objects()
		h.readBack()
		h.check()
		h.tell()
		h.fleet.stop()
	})
}

func newHour(t *testing.T, bucket string) *hour {
	h := &hour{t: t, requests: 300, partitions: 6, target: 128 << 10,
		sums: map[hourPlace]map[int64][16]byte{}, http: newHTTPClient(t)}
	if text := os.Getenv("FOZ_TEST_HOUR"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal("FOZ_TEST_HOUR: ", err)
		}
		h.requests, h.partitions, h.target = n, 30, 1<<20
		h.lasts = 75 * time.Second // long enough for compactors to begin by themselves
	}
	all := strings.Join(allRoles, ",")
	h.fleet = newFleetWith(t, bucket, []string{"--flush-interval", "0s",
		"--segment-bytes", fmt.Sprint(h.target), "--floor-age", "3s", "--sweep-grace", "1s"},
		all, all, all)
	var err error
	if h.store, err = (&bucketFlags{bucket: bucket}).open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(h.store) })
	for n := range hourTopics {
		body := fmt.Sprintf(`{"partitions":%d,"config":{%s}}`, h.partitions, hourConfigs[n])
		resp, text := call(t, "PUT", h.fleet.URL()+"/v1/topics/"+hourTopic(n), nil,
			strings.NewReader(body))
		if resp.StatusCode != 201 {
			t.Fatal(text)
		}
	}
	return h
}

// hourRecord is a record as it is sent and read.
type hourRecord struct {
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset,omitempty"`
	Timestamp int64       `json:"timestamp"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Headers   [][2]string `json:"headers"`
}

// sum is of everything but where the record is.
func (r *hourRecord) sum() [16]byte {
	text, _ := json.Marshal([]any{r.Timestamp, r.Key, r.Value, append([][2]string{}, r.Headers...)})
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// draw makes a record. What is not compressed by much is noise of 64 letters.
func (h *hour) draw(rng *rand.Rand) (r hourRecord) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	noise := func(n int) *string {
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return new(string(b))
	}
	r.Timestamp = 1_700_000_000_000 + rng.Int64N(1e9)
	r.Partition = rng.Int32N(hourBusy)
	if rng.IntN(10) >= 7 {
		r.Partition = rng.Int32N(h.partitions)
	}
	r.Value = noise(900 + rng.IntN(200))
	if rng.IntN(2) == 0 {
		r.Key = noise(12)
	}
	for range rng.IntN(3) {
		r.Headers = append(r.Headers, [2]string{*noise(3), *noise(5)})
	}
	return r
}

// load sends all requests, and notes what was acknowledged.
func (h *hour) load() {
	h.t.Helper()
	began := time.Now()
	var wait sync.WaitGroup
	for w := range hourWriters {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := w; n < h.requests && !h.t.Failed(); n += hourWriters {
				records := make([]hourRecord, hourRecords)
				for i := range records {
					records[i] = h.draw(rng)
				}
				time.Sleep(time.Until(began.Add(h.lasts * time.Duration(n) / time.Duration(h.requests))))
				h.produce(hourTopic(n%hourTopics), records)
			}
		})
	}
	wait.Wait()
	h.t.Logf("%d requests with %s in %s", h.requests, byteCount(h.bytes),
		time.Since(began).Round(time.Millisecond))
}

func (h *hour) produce(topic string, records []hourRecord) {
	body, err := json.Marshal(map[string]any{"records": records})
	if err != nil {
		h.t.Error(err)
		return
	}
	resp, text := h.ask("POST", "/v1/topics/"+topic+"/records", string(body),
		"Content-Type", "application/json")
	var ack struct {
		Partitions []struct {
			Partition int32
			Start     int64 `json:"start_offset"`
			End       int64 `json:"end_offset"`
		}
	}
	if err := json.Unmarshal(text, &ack); err != nil || resp.StatusCode != 200 {
		h.t.Errorf("produce: %d %.300s", resp.StatusCode, text)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range ack.Partitions {
		at := p.Start
		place := hourPlace{topic, p.Partition}
		if h.sums[place] == nil {
			h.sums[place] = map[int64][16]byte{}
		}
		for i := range records {
			if r := &records[i]; r.Partition == p.Partition {
				if _, taken := h.sums[place][at]; taken {
					h.t.Errorf("offset %d of %v was given twice", at, place)
				}
				h.sums[place][at] = r.sum()
				h.bytes += int64(len(*r.Value))
				at++
			}
		}
		if at != p.End {
			h.t.Errorf("%v: acknowledged [%d,%d), sent %d", place, p.Start, p.End, at-p.Start)
		}
	}
}

// ask sends a request to some node.
func (h *hour) ask(method, path, body string, header ...string) (*http.Response, []byte) {
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.fleet.URL()+path,
		strings.NewReader(body))
	if err != nil {
		h.t.Error(err)
		return &http.Response{}, nil
	}
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	resp, err := h.http.Do(r)
	if err != nil {
		h.t.Error(err)
		return &http.Response{}, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Errorf("%s %s: %v", method, path, err)
	}
	return resp, text
}

// trim takes a few records off the front of one partition.
func (h *hour) trim() {
	h.t.Helper()
	path := "/v1/topics/" + hourTopic(hourTrimmed) + "/partitions/0/records?before=5"
	if resp, text := h.ask("DELETE", path, ""); resp.StatusCode != 200 {
		h.t.Errorf("trim: %d %s", resp.StatusCode, text)
	}
}

// compactOnce is `foz compact --once`.
func (h *hour) compactOnce() (m client.Maintenance) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), "foz", "compact", "--once", "--output", "json",
		"--url", h.fleet.node(0).URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	if err != nil {
		h.t.Fatalf("foz compact: %v\n%s", err, out)
	}
	return m
}

// maintain asks for maintenance until the floor has passed the slot where the load ended and
// nothing is left below it.
func (h *hour) maintain(loaded uint64) {
	h.t.Helper()
	began := time.Now()
	sum := client.Maintenance{Jobs: map[string]client.MaintenanceJob{}}
	for turn := 1; ; turn++ {
		m := h.compactOnce()
		added(&sum, m)
		r := h.fsck()
		if m.Done == 0 && r.Floor >= loaded && r.BelowFloor.Objects == 0 {
			h.t.Logf("maintenance in %d turns and %s: %s read, %s written, %d done; floor %d of %d, "+
				"%d objects above it that nothing names", turn, time.Since(began).Round(time.Millisecond),
				byteCount(sum.BytesIn), byteCount(sum.BytesOut), sum.Done, r.Floor, r.Slot,
				r.AboveFloor.Objects)
			return
		}
		if time.Since(began) > 2*time.Minute {
			h.t.Fatalf("after 2 minutes the floor is at %d of %d, and %d objects are left below it",
				r.Floor, r.Slot, r.BelowFloor.Objects)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func (p hourPlace) compare(q hourPlace) int {
	if p.topic != q.topic {
		return strings.Compare(p.topic, q.topic)
	}
	return int(p.partition - q.partition)
}

// number is the topic's.
func (p hourPlace) number() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(p.topic, "hour-"))
	return n
}

// readBack reads every partition and compares: what was acknowledged at or above the log start
// is there, as it was sent, and nothing else.
func (h *hour) readBack() {
	h.t.Helper()
	began := time.Now()
	s := h.state()
	var read, expired int64
	for _, at := range slices.SortedFunc(maps.Keys(h.sums), hourPlace.compare) {
		_, bounds := h.placements(s, at)
		sums := h.sums[at]
		if int64(len(sums)) != bounds.Next {
			h.t.Errorf("%v: %d records were acknowledged, it ends at %d", at, len(sums), bounds.Next)
		}
		h.starts(at, bounds)
		expired += bounds.Earliest
		for next := bounds.Earliest; next < bounds.Next && !h.t.Failed(); {
			records := h.page(at, next)
			for _, r := range records {
				if r.Offset != next || r.sum() != sums[next] {
					h.t.Fatalf("%v: offset %d where %d belongs, or it is not what was sent: %.100q",
						at, r.Offset, next, *r.Value)
				}
				next++
				read++
			}
			if len(records) == 0 {
				h.t.Fatalf("%v: nothing at offset %d of [%d,%d)", at, next, bounds.Earliest, bounds.Next)
			}
		}
	}
	h.t.Logf("%d records read back as they were sent, %d are below log starts, in %s", read, expired,
		time.Since(began).Round(time.Millisecond))
}

// starts checks that the log starts are where retention and the trim put them.
func (h *hour) starts(at hourPlace, bounds foz.Bounds) {
	h.t.Helper()
	_, retained := hourConfigs[at.number()]
	switch {
	case retained && at.partition < hourBusy && bounds.Earliest == 0:
		h.t.Errorf("%v: retention has not cut in", at)
	case at.number() == hourTrimmed && at.partition == 0:
		if bounds.Earliest != 5 {
			h.t.Errorf("%v begins at %d after a trim to 5", at, bounds.Earliest)
		}
	case !retained && bounds.Earliest != 0:
		h.t.Errorf("%v begins at %d", at, bounds.Earliest)
	}
}

// page reads records from an offset on.
func (h *hour) page(at hourPlace, from int64) (records []hourRecord) {
	h.t.Helper()
	path := fmt.Sprintf("/v1/topics/%s/partitions/%d/records?offset=%d&limit=5000", at.topic,
		at.partition, from)
	resp, text := h.ask("GET", path, "", "Accept", "application/x-ndjson")
	if resp.StatusCode != 200 {
		h.t.Fatalf("read %v from %d: %d %.300s", at, from, resp.StatusCode, text)
	}
	for line := range strings.Lines(string(text)) {
		var r hourRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Value == nil {
			h.t.Fatalf("read %v: %v in %.200s", at, err, line)
		}
		records = append(records, r)
	}
	return records
}
