package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// byteCount is a number of bytes that prints itself for people and reads itself from flags:
// 512, 64KiB, 10MB.
type byteCount int64

var byteUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// String is the count with at most one decimal, in powers of ten.
func (b byteCount) String() string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	value, unit := float64(b), 0
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit > 0 && value < 99.95 {
		return fmt.Sprintf("%.1f %s", value, units[unit])
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}

// Set reads a flag.
func (b *byteCount) Set(text string) error {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/unit {
		return fmt.Errorf("%q is no size: want 512, 64KiB, 10MB or the like", text)
	}
	*b = byteCount(n * unit)
	return nil
}

// Type names the flag's value in a help text.
func (b *byteCount) Type() string { return "size" }

// span is a duration that knows days and weeks: 90s, 36h, 7d.
type span time.Duration

// spanUnset is no duration: whoever has it decides.
const spanUnset = span(-1)

// String is the duration in the largest units that fit, and "" for spanUnset.
func (s span) String() string {
	d := time.Duration(s)
	switch day := 24 * time.Hour; {
	case s == spanUnset:
		return ""
	case d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

// Set reads a flag.
func (s *span) Set(text string) error {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 168 * time.Hour} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < 36500 {
				*s = span(time.Duration(n) * length)
				return nil
			}
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration: want 250ms, 90s, 36h, 7d or the like", text)
	}
	*s = span(d)
	return nil
}

// Type names the flag's value in a help text.
func (s *span) Type() string { return "duration" }

// grouped is n with commas between its thousands.
func grouped[N int | int32 | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// counted is n with its noun: 1 record, 2 records.
func counted[N int | int32 | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}
