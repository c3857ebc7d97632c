package main

// What -o, sizes and durations read, as tables; what tables and YAML look like.

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fozlog/foz/client"
)

func TestParsePosition(t *testing.T) {
	now := time.Date(2001, 3, 31, 12, 0, 0, 0, time.UTC)
	const jan2, feb3 = 978393600000, 981158400000 // 2001-01-02, 2001-02-03
	n := func(n int64) *int64 { return &n }
	for _, c := range []struct {
		text string
		kind string
		from client.Position
		end  *int64
		til  *int64
	}{
		{"start", "start", client.FromEarliest(), nil, nil},
		{"end", "end", client.FromTail(0), nil, nil},
		{"0", "offset", client.FromOffset(0), nil, nil},
		{"17", "offset", client.FromOffset(17), nil, nil},
		{"-5", "tail", client.FromTail(5), nil, nil},
		{"100-200", "offset", client.FromOffset(100), n(200), nil},
		{"7-7", "offset", client.FromOffset(7), n(7), nil},
		{"@1000", "time", client.FromTime(1000), nil, nil},
		{"@1000:2000", "time", client.FromTime(1000), nil, n(2000)},
		{"@2001-01-02", "time", client.FromTime(jan2), nil, nil},
		{"@2001-01-02:2001-02-03", "time", client.FromTime(jan2), nil, n(feb3)},
		{"@2001-01-02T01:30", "time", client.FromTime(jan2 + 5400e3), nil, nil},
		{"@2001-01-02T00:00:01.5Z", "time", client.FromTime(jan2 + 1500), nil, nil},
		{"@2001-01-02T02:00:00+02:00", "time", client.FromTime(jan2), nil, nil},
		{"@2001-01-02T00:00:00Z:2001-02-03T00:00:00Z", "time", client.FromTime(jan2), nil, n(feb3)},
		{"@2001-01-02T02:00:00+02:00:2001-02-03T00:00", "time", client.FromTime(jan2), nil, n(feb3)},
		{"@-15m", "time", client.FromTime(now.UnixMilli() - 15*60e3), nil, nil},
		{"@-2d:-1d", "time", client.FromTime(now.UnixMilli() - 48*3600e3), nil,
			n(now.UnixMilli() - 24*3600e3)},
	} {
		p, err := parsePosition(c.text, now)
		if err != nil {
			t.Errorf("-o %s: %v", c.text, err)
			continue
		}
		if p.kind != c.kind || p.from != c.from || !cmp.Equal(p.end, c.end) ||
			!cmp.Equal(p.until, c.til) {
			t.Errorf("-o %s: %+v", c.text, p)
		}
	}
	for _, text := range []string{
		"", "begin", "-", "--5", "+5", "1.5", "5-", "-5-6", "9-3", "1-2-3", "99999999999999999999",
		"@", "@:", "@yesterday", "@2001-13-01", "@2000:1000", "@1000:", "@1:2:3", "@-5", " 5",
	} {
		if p, err := parsePosition(text, now); !errors.As(err, new(*usageError)) {
			t.Errorf("-o %q: %+v, %v; want a usage error", text, p, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "4KiB": 4096, "10 MB": 10e6, "1GiB": 1 << 30, "2kB": 2000, "7B": 7,
	} {
		if b := byteCount(-1); b.Set(text) != nil || int64(b) != want {
			t.Errorf("size %q: %d, want %d", text, b, want)
		}
	}
	for text, want := range map[byteCount]string{
		0: "0 B", 999: "999 B", 1500: "1.5 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		4 << 20: "4.2 MB",
	} {
		if text.String() != want {
			t.Errorf("%d bytes: %s, want %s", text, text, want)
		}
	}
	for text, want := range map[string]time.Duration{
		"7d": 168 * time.Hour, "2w": 336 * time.Hour, "250ms": 250 * time.Millisecond,
		"1h30m": 90 * time.Minute,
	} {
		var s span
		if err := s.Set(text); err != nil || time.Duration(s) != want {
			t.Errorf("duration %q: %s, %v", text, time.Duration(s), err)
		}
	}
	for want, s := range map[string]span{
		"": spanUnset, "0s": 0, "250ms": span(250 * time.Millisecond), "10s": span(10 * time.Second),
		"1m": span(time.Minute), "1m30s": span(90 * time.Second), "10m": span(10 * time.Minute),
		"1h": span(time.Hour), "1h30m": span(90 * time.Minute), "7d": span(168 * time.Hour),
	} {
		if s.String() != want {
			t.Errorf("%d ns: %s, want %s", int64(s), s, want)
		}
	}
	for _, text := range []string{"", "-1", "x", "1XB", "99999999999999999999", "9999999999GiB"} {
		if b := byteCount(0); b.Set(text) == nil {
			t.Errorf("size %q: %d, want an error", text, b)
		}
		if s := span(0); text != "" && s.Set(text+"d") == nil {
			t.Errorf("duration %q: %s, want an error", text+"d", s)
		}
	}
	for n, want := range map[int]string{
		0: "0", -7: "-7", 999: "999", 1000: "1,000", -1234567: "-1,234,567",
	} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out table
	out.row("NAME", "N", "SIZE", "NOTE")
	out.row("é", 5, byteCount(1500), "x")
	out.row("long one", int64(1000), byteCount(3), "")
	want := "NAME         N    SIZE  NOTE\n" +
		"é            5  1.5 kB  x\n" +
		"long one  1000     3 B\n"
	if diff := cmp.Diff(want, string(out.render())); diff != "" {
		t.Error(diff)
	}
}

func TestYAML(t *testing.T) {
	type inner struct {
		B string `json:"b"`
		A []int  `json:"a"`
	}
	text, err := toYAML(struct {
		Text  string   `json:"text"`
		Yes   string   `json:"yes"`
		Big   int64    `json:"big"`
		None  *int     `json:"none"`
		Empty []int    `json:"empty"`
		Bag   struct{} `json:"bag"`
		List  []inner  `json:"list"`
		Deep  [][]int  `json:"deep"`
		In    inner    `json:"in"`
	}{"a: b\n", "no", 1 << 60, nil, []int{}, struct{}{},
		[]inner{{"x", []int{1, 2}}, {"7", nil}}, [][]int{{1}, {2, 3}}, inner{B: "/y.z"}})
	want := strings.TrimPrefix(`
text: "a: b\n"
"yes": "no"
big: 1152921504606846976
none: null
empty: []
bag: {}
list:
  - b: x
    a:
      - 1
      - 2
  - b: "7"
    a: null
deep:
  -
    - 1
  -
    - 2
    - 3
in:
  b: /y.z
  a: null
`, "\n")
	if diff := cmp.Diff(want, string(text)); diff != "" || err != nil {
		t.Error(diff, err)
	}
}
