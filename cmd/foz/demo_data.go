package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
)

// flightsCompressed are 20,000 US flights as NDJSON: see demo/README.md.
//
//go:embed demo/flights.ndjson.zst
var flightsCompressed []byte

// departure is one event of the demo, as far as it is looked at.
type departure struct {
	Date        string `json:"date"`
	Delay       int64  `json:"delay"` // minutes on arrival; negative: early
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
}

// time reads the date; there is no zone in it, UTC serves as one.
func (f departure) time() (time.Time, error) { return time.Parse("2006/01/02 15:04", f.Date) }

// flights unpacks the events, one JSON object per line.
func flights() ([]byte, error) {
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	lines, err := dec.DecodeAll(flightsCompressed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack the flights: %w", err)
	}
	return lines, nil
}

// flightBodies makes produce bodies of up to n records each: every flight keyed by its
// origin, with its time as timestamp and its line, unchanged, as value.
func flightBodies(lines []byte, n int) (bodies [][]byte, err error) {
	var body []byte
	count := 0
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		var f departure
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("read flight %d: %w", count, err)
		}
		when, err := f.time()
		if err != nil {
			return nil, fmt.Errorf("read flight %d: %w", count, err)
		}
		body = append(body, `{"key":`...)
		body = strconv.AppendQuote(body, f.Origin)
		body = append(body, `,"timestamp":`...)
		body = strconv.AppendInt(body, when.UnixMilli(), 10)
		body = append(body, `,"value":`...)
		body = append(append(body, line...), "}\n"...)
		if count++; count%n == 0 {
			bodies, body = append(bodies, body), nil
		}
	}
	if len(body) > 0 {
		bodies = append(bodies, body)
	}
	return bodies, nil
}
