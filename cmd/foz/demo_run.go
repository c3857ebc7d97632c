package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

const (
	demoTopic      = "flights"
	demoPartitions = 8
	demoBodyRows   = 2000
	demoReplayRows = 1000
)

// demo is the demonstration under way: it does what a user would, through the client.
type demo struct {
	c      *client.Client
	report demoReport
	held   map[int32]int64 // records by partition, as acknowledged
}

func (d *demo) step(name string, begin time.Time, s demoStep) {
	s.Name, s.Took = name, time.Since(begin)
	d.report.Steps = append(d.report.Steps, s)
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.create, d.produce, d.replay, d.analyse, d.look,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) create(ctx context.Context) error {
	begin := time.Now()
	_, _, err := d.c.CreateTopic(ctx, demoTopic, client.TopicSpec{Partitions: demoPartitions})
	if err != nil {
		return err
	}
	d.step("create topic "+demoTopic, begin, demoStep{Note: counted(demoPartitions, "partition")})
	return nil
}

// produce sends the flights, 2,000 to a request, each request atomic over all partitions.
func (d *demo) produce(ctx context.Context) error {
	lines, err := flights()
	if err != nil {
		return err
	}
	bodies, err := flightBodies(lines, demoBodyRows)
	if err != nil {
		return err
	}
	s := demoStep{Note: counted(len(bodies), "durable request")}
	d.held = map[int32]int64{}
	begin := time.Now()
	producer := d.c.NewProducer(demoTopic, "", 0)
	for _, body := range bodies {
		ack, err := producer.ProduceBody(ctx, client.Body{ContentType: "application/x-ndjson",
			Envelope: true, Data: body}, client.ProduceOptions{})
		if err != nil {
			return err
		}
		s.Records += ack.Count
		s.Bytes += int64(len(body))
		for _, r := range ack.Partitions {
			d.held[r.Partition] += r.EndOffset - r.StartOffset
		}
	}
	d.step("produce over HTTP, keyed by origin", begin, s)
	return nil
}

// replay reads a range from the middle of the fullest partition and checks that it is whole:
// every offset once, in order.
func (d *demo) replay(ctx context.Context) error {
	partition := int32(0)
	for p := range int32(demoPartitions) {
		if d.held[p] > d.held[partition] {
			partition = p
		}
	}
	from := d.held[partition] / 4
	to := min(from+demoReplayRows, d.held[partition])
	begin, next := time.Now(), from
	s := demoStep{Note: fmt.Sprintf("offsets [%d, %d): each once, in order", from, to)}
	for r, err := range d.c.Scan(ctx, client.Read{Topic: demoTopic, Partition: partition,
		From: client.FromOffset(from), EndOffset: &to}) {
		if err != nil {
			return err
		}
		if r.Offset != next {
			return fmt.Errorf("replay partition %d: offset %d, want %d", partition, r.Offset, next)
		}
		next++
		s.Records++
		s.Bytes += int64(len(r.Key) + len(r.Value))
	}
	if next != to {
		return fmt.Errorf("replay partition %d: it ended at offset %d, want %d", partition, next, to)
	}
	d.report.Replay = demoReplay{partition, from, to}
	d.step(fmt.Sprintf("replay a range of partition %d", partition), begin, s)
	return nil
}

// analyse reads all partitions as one Arrow stream, of the one column that it needs.
func (d *demo) analyse(ctx context.Context) error {
	begin := time.Now()
	stream, err := d.c.Arrow(ctx, client.Read{Topic: demoTopic, Partition: client.AllPartitions,
		Columns: []string{"value"}})
	if err != nil {
		return err
	}
	defer stream.Close()
	size := &countingReader{r: stream}
	rows, err := segment.ReadStream(size, segment.StreamLimits{})
	if err != nil {
		return fmt.Errorf("read the Arrow stream: %w", err)
	}
	d.step("read all partitions as Arrow", begin, demoStep{Records: int64(rows.Len()),
		Bytes: size.n, Note: "column value only"})
	d.report.Origins, err = delays(rows)
	if err == nil && d.report.total().Flights == 0 {
		err = errors.New("the Arrow stream is empty")
	}
	return err
}

// delays groups flights by origin, busiest first.
func delays(rows *foz.Rows) ([]originDelay, error) {
	sums := map[string]*originDelay{}
	for i := range rows.Len() {
		var f departure
		if err := json.Unmarshal(rows.Values.Cell(i), &f); err != nil {
			return nil, fmt.Errorf("decode row %d: %w", i, err)
		}
		o := sums[f.Origin]
		if o == nil {
			o = &originDelay{Origin: f.Origin}
			sums[f.Origin] = o
		}
		o.Flights++
		o.DelaySum += f.Delay
	}
	return ranked(sums), nil
}

// look lists what lies in the bucket now, by the first part of its keys.
func (d *demo) look(ctx context.Context) error {
	store, err := objectstore.OpenDir(d.report.Bucket)
	if err != nil {
		return err
	}
	defer store.Close()
	for o, err := range objects(ctx, store, "") {
		if err != nil {
			return err
		}
		d.report.object(o)
	}
	return nil
}

// countingReader counts what is read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
