package main

// `foz bench` whole, against a node and a bucket of its own. How: sizes so small that a run
// takes a moment; what is asserted are counts and what the report has, never a time.

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/fozlog/foz/bench"
	"github.com/fozlog/foz/objectstore/s3test"
)

// runBench runs a tiny benchmark.
func runBench(t *testing.T, args ...string) outcome {
	t.Helper()
	tiny := []string{"--rounds", "2", "--bytes", "64KiB", "--record-bytes", "100",
		"--body-bytes", "2KiB", "--object-bytes", "8KiB", "--partitions", "3", "--connections", "4"}
	if args[0] == "ingest" {
		tiny = append(tiny, "--idle", "20ms", "--lone", "2")
	}
	got := runFoz(t.Context(), nil, nil, append(append([]string{"bench"}, args...), tiny...)...)
	if got.code != exitOK {
		t.Fatalf("exit %d: %s", got.code, got.talk)
	}
	return got
}

func TestBenchIngest(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	got := runBench(t, "ingest", "--output", "json")
	var r bench.IngestReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	if len(r.Rounds) != 2 || r.Ratio.Min <= 0 || r.Ratio.Max < r.Ratio.Median || r.Objects == 0 {
		t.Errorf("report %+v", r)
	}
	for _, c := range []struct {
		what string
		got  []bench.Requests
		want string
	}{
		{"a lone produce", r.Produce, "1 create (append), 1 create (upload)"},
		{"a tail read", r.TailRead, "0"}, // from the writer's memory
		{"a cold fetch", r.ColdFetch, "1 get (fetch)"},
		{"idle", r.Idle.Requests, "0"},
	} {
		if list := requestList(c.got); list != c.want {
			t.Errorf("%s: %s, want %s", c.what, list, c.want)
		}
	}
	if r.Lone.Requests != 2 || r.Lone.ObjectBytes == 0 || r.Lone.EntryBytes == 0 {
		t.Errorf("lone producer %+v", r.Lone)
	}
	if left, err := os.ReadDir(os.TempDir()); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBenchIngestTable(t *testing.T) {
	dir := t.TempDir()
	got := runBench(t, "ingest", "--keyed", "--bucket", "file://"+dir)
	for _, row := range []string{
		"min / median / max", "lone record, p50", "requests of a cold fetch",
	} {
		if !strings.Contains(got.out, row) {
			t.Errorf("no row %q in\n%s", row, got.out)
		}
	}
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestBenchTakesNoBucketInUse: it disturbs nobody, and does not begin to.
func TestBenchTakesNoBucketInUse(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/of/others", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/of/others/object", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bench := range []string{"ingest", "replay", "e2e", "partitions", "compact", "analytics"} {
		got := runFoz(t.Context(), map[string]string{"FOZ_BUCKET": "file://" + dir}, nil,
			"bench", bench)
		if got.code != exitFailure || !strings.Contains(got.talk, "it holds of/others/object") ||
			strings.Count(got.talk, "\n") != 1 {
			t.Errorf("%s: exit %d: %s", bench, got.code, got.talk)
		}
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
		t.Errorf("written: %v, %v", left, err)
	}
}

// TestBenchInAnObjectStore: a run leaves the store as it found it, so that the next can follow.
func TestBenchInAnObjectStore(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	bucket := "minio://" + s3test.Start(t).Listener.Addr().String() + "/" + s3test.Bucket +
		"/folder?secure=false"
	for range 2 {
		runBench(t, "partitions", "--bucket", bucket)
	}
}

func TestBenchReplay(t *testing.T) {
	got := runBench(t, "replay", "--output", "json")
	var r bench.ReplayReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	if len(r.Rounds) != 2 || r.Ratio.Min <= 0 || r.GetsPerGB == 0 {
		t.Errorf("report %+v", r)
	}
	for _, asked := range r.Requests {
		if asked.Op != "get" || asked.Cause != "fetch" {
			t.Errorf("a replay asked for %+v", asked)
		}
	}
	if got := runBench(t, "replay", "--keyed", "--whole"); !strings.Contains(got.out, "gets per GB") {
		t.Errorf("no gets per GB in\n%s", got.out)
	}
}

// TestBenchProcess: the service is another process, and its CPU time and memory are told.
func TestBenchProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a process has used is read on Linux")
	}
	cmd := exec.Command("foz", "bench", "ingest", "--process", "--rounds", "1", "--bytes", "256KiB",
		"--record-bytes", "100", "--body-bytes", "2KiB", "--object-bytes", "8KiB",
		"--partitions", "3", "--connections", "4", "--idle", "1ms", "--lone", "0",
		"--output", "json")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	var r bench.IngestReport
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r.MemoryBytes == 0 || r.Objects == 0 || requestList(r.ColdFetch) != "1 get (fetch)" {
		t.Errorf("report %+v", r)
	}
}

func TestBenchEndToEnd(t *testing.T) {
	got := runBench(t, "e2e", "--for", "300ms", "--output", "json")
	var r bench.LatencyReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	if len(r.Rounds) != 2 || r.LoadBytesPerSecond != r.CapacityBytesPerSecond/2 {
		t.Fatalf("report %+v", r)
	}
	for _, round := range r.Rounds {
		if round.Ack.Count == 0 || round.Raw.Count == 0 || round.Ack.MaxMS < round.Ack.P50MS {
			t.Errorf("round %+v", round)
		}
		if round.Follow.Count != 2*6 { // two arms of 300 ms, 20 a second
			t.Errorf("%d records were followed", round.Follow.Count)
		}
	}
	if got := runBench(t, "e2e", "--for", "100ms"); !strings.Contains(got.out, "ack p99 over") {
		t.Errorf("no row of the p99 in\n%s", got.out)
	}
}

func TestBenchPartitions(t *testing.T) {
	got := runBench(t, "partitions", "--output", "json")
	var r bench.PartitionsReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	if len(r.Rounds) != 2 || r.Ratio.Min <= 0 || r.Many.Partitions != 3 ||
		r.Many.UploadsGB == 0 || r.One.UploadsGB == 0 {
		t.Errorf("report %+v", r)
	}
	if got := runBench(t, "partitions"); !strings.Contains(got.out, "objects per GB") {
		t.Errorf("no objects per GB in\n%s", got.out)
	}
}

func TestBenchCompact(t *testing.T) {
	t.Parallel()
	got := runBench(t, "compact", "--for", "100ms", "--floor-age", "300ms", "--output", "json")
	var r bench.CompactReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s", err, got.out)
	}
	if len(r.Merge.Rounds) != 2 || r.Merge.CoreRatio.Min <= 0 || r.Merge.WrittenPerByte <= 0 {
		t.Errorf("merging %+v", r.Merge)
	}
	// Two rounds of two backlogs: each is one shared object and one swap. The floor may rise.
	asked := map[string]int64{}
	for _, n := range r.Merge.Requests {
		asked[n.Op+" "+n.Cause] = n.Requests
	}
	if asked["create merge"] < 4 || asked["create append"] < asked["create merge"] ||
		asked["get merge"] < 4 || len(asked) != 3 {
		t.Errorf("merging asked for %v", asked)
	}
	if r.Index.Placements < 3 || r.Index.PerPlacement < 50 || r.Index.PerPlacement > 1000 {
		t.Errorf("index %+v", r.Index)
	}
	if len(r.Replay) != 2 || len(r.Backlog) != 2 || len(r.Cold) != 2 || r.ReplayRatio.Min <= 0 {
		t.Errorf("report %+v", r)
	}
	for _, d := range append(r.Backlog, r.Cold...) {
		if d.Quiet.Count == 0 || d.Busy.Count == 0 || d.Ratio <= 0 || d.BytesPerSecond <= 0 {
			t.Errorf("disturbed %+v", d)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--bytes", "0"}, {"--rounds", "0"}, {"--partitions", "0"}, {"--lone", "-1"},
		{"--bucket", "mem://"}, {"--bucket", "./data"},
	} {
		got := runFoz(t.Context(), nil, nil, append([]string{"bench", "ingest"}, args...)...)
		if got.code != exitUsage {
			t.Errorf("%v: exit %d: %s", args, got.code, got.talk)
		}
	}
}

// TestBenchAnalytics: every part of the report has been measured; what columns and filters fetch is
// held to its arithmetic, which no busy machine changes.
func TestBenchAnalytics(t *testing.T) {
	t.Parallel()
	got := runFoz(t.Context(), nil, nil, "bench", "analytics", "--bytes", "3MiB", "--rounds", "2",
		"--partitions", "1", "--body-bytes", "128KiB", "--connections", "4", "--segment-bytes", "1MiB",
		"--output", "json")
	var r bench.AnalyticsReport
	if err := json.Unmarshal([]byte(got.out), &r); got.code != exitOK || err != nil {
		t.Fatalf("exit %d, %v: %s", got.code, err, got.talk)
	}
	if len(r.Columns) != 2 || len(r.Plan) != 2 || len(r.Whole) != 2 || len(r.Produce) != 2 ||
		len(r.ProduceKeyed) != 2 || r.FilterRows == 0 {
		t.Errorf("a part was not measured: %+v", r)
	}
	if r.ColumnsStored == 0 || r.ColumnsFetched > r.ColumnsStored*105/100+r.Footers {
		t.Errorf("two columns: %d bytes fetched of %d", r.ColumnsFetched, r.ColumnsStored)
	}
	if most := r.PartitionBytes/100 + 2*r.BatchBytes + r.Footers; r.FilterFetched > most {
		t.Errorf("a filter on time: %d bytes fetched, at most %d", r.FilterFetched, most)
	}
}
