package main

// The demo's figures against the source.
//
// How: the whole demo runs against a node of its own; the means that it read back out of the
// service as Arrow are compared with means computed here from the embedded lines, another
// way. The report for people is rendered without colour and measured.

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	got := runFoz(t.Context(), nil, nil, "demo", "--once", "--output", "json")
	if got.code != 0 {
		t.Fatal(got.talk)
	}
	var report struct {
		Steps []struct {
			MS      float64
			Records int64
		}
		Origins []struct {
			Origin    string
			Flights   int
			MeanDelay float64 `json:"mean_delay"`
		}
		Objects []struct {
			Kind    string
			Objects int
		}
		CostUSD float64 `json:"cost_usd"`
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatal(err)
	}
	want := sourceDelays(t)
	if len(report.Origins) != len(want) {
		t.Errorf("%d airports, want %d", len(report.Origins), len(want))
	}
	for _, o := range report.Origins {
		delays := want[o.Origin]
		if o.Flights != len(delays) || math.Abs(o.MeanDelay-mean(delays)) > 1e-9 {
			t.Errorf("%s: %d flights, mean %g; want %d, %g", o.Origin, o.Flights, o.MeanDelay,
				len(delays), mean(delays))
		}
	}
	var records []int64
	for _, s := range report.Steps {
		records = append(records, s.Records)
	}
	if len(records) != 5 || records[2] != 20000 || records[3] != 1000 || records[4] != 20000 {
		t.Errorf("records by step: %d", records)
	}
	if report.CostUSD <= 0 || report.CostUSD > 0.001 {
		t.Errorf("cost %g", report.CostUSD)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// sourceDelays reads the embedded flights as generic JSON.
func sourceDelays(t *testing.T) map[string][]float64 {
	lines, err := flights()
	if err != nil {
		t.Fatal(err)
	}
	delays := map[string][]float64{}
	for line := range strings.Lines(string(lines)) {
		var f map[string]any
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		origin := f["origin"].(string)
		delays[origin] = append(delays[origin], f["delay"].(float64))
	}
	return delays
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

func TestDemoReportIsReadable(t *testing.T) {
	r := demoReport{URL: "http://127.0.0.1:65535", CostUSD: 0.000188,
		Steps: []demoStep{{Name: strings.Repeat("n", 36), Took: 1e9, Records: 20000, Bytes: 2e6,
			Note: "/tmp/foz-demo-1234567890/bucket"}},
		Origins:  []originDelay{{"AAA", 10, 100}, {"BBB", 5, -50}, {"CCC", 3, 0}},
		Objects:  []objectKind{{"data", 1000, 1e9}},
		Requests: []requestKind{{"create", "x", 1e6, 1e9}},
	}
	var out strings.Builder
	a := &app{out: &out, output: "table", getenv: func(string) string { return "" }}
	if err := a.showDemo(&r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String() + demoHints(r.URL, demoReplay{7, 10000, 20000})) {
		if n := utf8.RuneCountInString(line) - 1; n > 100 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colour where there is no terminal")
	}
	for share, want := range map[float64]string{
		0.5: "█████", 2: "██████████", -1: "", 0.0625: "▋",
	} {
		if got := bar(share, 10); got != want {
			t.Errorf("bar of %g: %q, want %q", share, got, want)
		}
	}
}
