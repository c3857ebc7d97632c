package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
)

// showDemo prints the report: for people, at most 96 columns wide, or as --output says.
func (a *app) showDemo(r *demoReport) error {
	if a.output != "table" {
		return a.show(r, nil)
	}
	p := &page{color: a.colored(a.outTerminal)}
	p.line("")
	p.line("  %s  %s real US flights of early 2001, from HTTP to Arrow files and back",
		p.bold("foz demo"), grouped(r.total().Flights))
	p.steps(r.Steps)
	p.origins(r)
	p.bucket(r.Objects)
	p.requests(r)
	_, err := a.out.Write(p.text.Bytes())
	return err
}

// page is a report under way.
type page struct {
	text  bytes.Buffer
	color bool
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

func (p *page) heading(title, note string) {
	p.line("")
	p.line("  %s  %s", p.bold(title), p.dim(note))
	p.line("")
}

func (p *page) paint(code, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p *page) bold(text string) string { return p.paint("1", text) }
func (p *page) dim(text string) string  { return p.paint("2", text) }
func (p *page) blue(text string) string { return p.paint("36", text) }

func (p *page) steps(steps []demoStep) {
	p.heading("What it did", "and how long that took")
	for _, s := range steps {
		p.line("    %-36s %8s   %s", s.Name, millis(s.Took), p.dim(s.Note))
		if s.Records > 0 {
			p.line("      %-45s   %s records/s, %sB/s", counted(s.Records, "record")+", "+
				byteCount(s.Bytes).String(), rate(s.Records, s.Took), rate(s.Bytes, s.Took))
		}
	}
}

func millis(d time.Duration) string {
	ms := d.Seconds() * 1000
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// originsMax is how many airports are shown, barWidth how long the longest bar is.
const (
	originsMax = 10
	barWidth   = 36
)

func (p *page) origins(r *demoReport) {
	shown := r.Origins[:min(originsMax, len(r.Origins))]
	p.heading("Mean delay by origin, in minutes",
		fmt.Sprintf("the %d busiest of %d airports", len(shown), len(r.Origins)))
	longest := r.total().mean()
	for _, o := range shown {
		longest = max(longest, o.mean())
	}
	for _, o := range append(shown[:len(shown):len(shown)], r.total()) {
		if o.Origin == "all" {
			p.line("    %s", p.dim(strings.Repeat("─", 5+barWidth+22)))
		}
		bar := bar(o.mean()/longest, barWidth)
		p.line("    %-4s %s%s %5.1f   %s", o.Origin, p.blue(bar),
			strings.Repeat(" ", barWidth-len([]rune(bar))), o.mean(),
			p.dim(fmt.Sprintf("%6s flights", grouped(o.Flights))))
	}
}

// bar is a share of width, in eighths of a character.
func bar(share float64, width int) string {
	eighths := int(math.Round(max(0, min(1, share)) * float64(width) * 8))
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return text
}

// kinds say what lies under the first part of a key.
var kinds = map[string]string{
	"data":  "the records: Arrow files, open them with any Arrow tool",
	"log":   "which object holds which offsets, one slot after another",
	"snap":  "the log so far, in one piece",
	"probe": "left by asking the store whether it keeps its promises",
}

func (p *page) bucket(objects []objectKind) {
	p.heading("What lies in the bucket", "there is nothing else to keep")
	for _, o := range objects {
		p.line("    %-6s %12s %9s   %s", o.Kind, counted(o.Objects, "object"), byteCount(o.Bytes),
			p.dim(kinds[o.Kind]))
	}
}

func (p *page) requests(r *demoReport) {
	p.heading("What it asked of the store", "at S3's list prices")
	for _, q := range r.Requests {
		price := "free"
		if perMillion := s3USDPerMillion[q.Op]; perMillion > 0 {
			price = fmt.Sprintf("$%.7f", float64(q.Requests)*perMillion/1e6)
		}
		p.line("    %-6s %-12s %5s %9s   %s", q.Op, q.Cause, grouped(q.Requests),
			byteCount(q.Bytes), p.dim(price))
	}
	p.line("")
	if r.fetches() == 0 {
		p.line("    Reading everything back took no request: the node still had it in memory.")
	}
	if r.CostUSD > 0 {
		p.line("    In all %s: one dollar buys this demo %s times.",
			p.bold(fmt.Sprintf("$%.6f", r.CostUSD)), grouped(roundedDown(1/r.CostUSD)))
	}
	p.line("")
}

// roundedDown keeps two digits: nobody counts the rest.
func roundedDown(x float64) int64 {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(x))-1))
	return int64(math.Floor(x/unit) * unit)
}

// demoHints are lines to copy while the demo serves.
func demoHints(url string, r demoReplay) string {
	const hints = `  It is still running. Try, elsewhere:

    export FOZ_URL=%[1]s

    # three records by offset
    curl -s "$FOZ_URL/v1/topics/flights/partitions/%[2]d/records?offset=%[3]d&limit=3&value=json"

    # Valentine's Day, by time
    foz consume flights -o @2001-02-14:2001-02-15 --embed

    # everything, as an Arrow table
    curl -s $FOZ_URL/v1/topics/flights/records \
         -H 'Accept: application/vnd.apache.arrow.stream' |
      python3 -c 'import sys, pyarrow.ipc as i; print(i.open_stream(sys.stdin.buffer).read_all())'

    # listen ...
    curl -sN $FOZ_URL/v1/topics/flights/records -H 'Accept: text/event-stream'
    # ... and be heard
    echo '{"hello":"foz"}' | curl -s $FOZ_URL/v1/topics/flights/records \
         -H 'Content-Type: application/x-ndjson' --data-binary @-

  Interrupt to end.`
	return fmt.Sprintf(hints, url, r.Partition, r.StartOffset)
}
