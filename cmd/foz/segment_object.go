package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

func (a *app) segmentInspect(b *bucketFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "inspect OBJECT",
		Short:   "Show what an object says of itself",
		Example: "  foz segment inspect data/00000000000000000002/01KB2Q….arrow --output yaml",
		Args:    cobra.ExactArgs(1),
		RunE: b.withStore(func(ctx context.Context, store objectstore.Store, args []string) error {
			data, file, err := object(ctx, store, args[0])
			if err != nil {
				return err
			}
			if a.output == "table" {
				a.say("format version %d of level %d, %s, %s\n%s", file.Version, file.Level,
					byteCount(len(data)), contents(file), file.Schema)
			}
			err = a.show(inspect(args[0], len(data), file), func(out *table) {
				if file.Level == 0 {
					segmentRows(out, segmentLines(args[0], file))
				} else {
					mergedRows(out, file.Batches)
				}
			})
			if err != nil || a.output != "table" || file.Level == 0 {
				return err
			}
			err = a.show(nil, func(out *table) { columnRows(out, file.Batches) })
			if err != nil {
				return err
			}
			return a.show(nil, func(out *table) { inputRows(out, file.Inputs) })
		}),
	}
}

// contents is what an object holds, in words.
func contents(file segment.File) string {
	segments := counted(len(file.Segments), "segment")
	if file.Level == 0 {
		return fmt.Sprintf("%s of %s, %s", segments, counted(len(file.Requests), "request"), file.Codec)
	}
	return fmt.Sprintf("%s (record batches: %d) merged from %s, %s", segments,
		len(file.Batches), counted(len(file.Inputs), "placement"), file.Codec)
}

// inspected is what `segment inspect` says of an object.
type inspected struct {
	Object   string        `json:"object"`
	Level    int           `json:"level"`
	Version  int           `json:"version"`
	Bytes    int           `json:"bytes"`
	Schema   string        `json:"schema"`
	Codec    string        `json:"codec"`
	Segments []segmentLine `json:"segments"`
	Requests []requestLine `json:"requests,omitempty"` // of level 0
	Batches  []mergedLine  `json:"batches,omitempty"`  // of level 1
	Inputs   []inputLine   `json:"inputs,omitempty"`   // of level 1
}

// mergedLine is one record batch of a merged object.
type mergedLine struct {
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Rows      int32  `json:"rows"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	ByteStart int64  `json:"byte_start"`
	ByteEnd   int64  `json:"byte_end"`
	MinTS     int64  `json:"min_ts"`
	MaxTS     int64  `json:"max_ts"`
	CRC32C    uint32 `json:"crc32c"`

	Columns []columnLine `json:"columns,omitempty"` // from version 2 on, of one partition
}

// inputLine is a placement that was merged.
type inputLine struct {
	Object string `json:"object"`
	Base   int64  `json:"base"`
	Next   int64  `json:"next"`
}

func inspect(object string, size int, file segment.File) inspected {
	answer := inspected{
		Object: object, Level: file.Level, Version: file.Version, Bytes: size, Schema: file.Schema,
		Codec: file.Codec.String(), Segments: segmentLines(object, file),
		Requests: requestLines(file.Requests),
	}
	for i := range file.Batches {
		b := &file.Batches[i]
		answer.Batches = append(answer.Batches, mergedLine{
			b.Partition.Topic.String(), b.Partition.Number, b.Rows, b.First, b.Last,
			b.ByteStart, b.ByteEnd, b.MinTimestamp, b.MaxTimestamp, b.CRC32C, columnLines(b)})
	}
	for _, in := range file.Inputs {
		answer.Inputs = append(answer.Inputs, inputLine{in.Object, in.Range.Base, in.Range.Next})
	}
	return answer
}

func mergedRows(out *table, batches []segment.MergedBatch) {
	out.row("TOPIC ID", "PARTITION", "ROWS", "FIRST", "LAST", "BYTES", "FROM", "TO")
	for _, b := range batches {
		out.row(b.Partition.Topic, b.Partition.Number, b.Rows, b.First, b.Last,
			byteCount(b.ByteEnd-b.ByteStart), clock(b.MinTimestamp), clock(b.MaxTimestamp))
	}
}

func inputRows(out *table, inputs []foz.SwapInput) {
	out.row("MERGED FROM", "BASE", "NEXT")
	for _, in := range inputs {
		out.row(in.Object, in.Range.Base, in.Range.Next)
	}
}

// requestLine is one request of an object's commit.
type requestLine struct {
	TopicID      string        `json:"topic_id"`
	Producer     *producerLine `json:"producer,omitempty"`
	IfNextOffset *int64        `json:"if_next_offset,omitempty"`
	Batches      []batchLine   `json:"batches"`
}

type producerLine struct {
	ID    string `json:"id"`
	Epoch int64  `json:"epoch"`
	Seq   int64  `json:"seq"`
}

type batchLine struct {
	Segment int32 `json:"segment"`
	Rows    int32 `json:"rows"`
}

func requestLines(requests []foz.CommitRequest) []requestLine {
	lines := make([]requestLine, len(requests))
	for i, r := range requests {
		lines[i] = requestLine{TopicID: r.Topic.String(), IfNextOffset: r.IfNextOffset}
		if r.Producer != nil {
			lines[i].Producer = new(producerLine(*r.Producer))
		}
		for _, b := range r.Batches {
			lines[i].Batches = append(lines[i].Batches, batchLine(b))
		}
	}
	return lines
}

func (a *app) segmentCat(b *bucketFlags) *cobra.Command {
	partition := client.AllPartitions
	cmd := &cobra.Command{
		Use:   "cat OBJECT",
		Short: "Print an object's rows as NDJSON",
		Long: "Print an object's rows as NDJSON. At level 0 they have no offsets: those are in the\n" +
			"metadata log, which may have refused some of these rows.",
		Example: "  foz segment cat data/00000000000000000002/01KB2Q….arrow -p 3 | jq .value",
		Args:    cobra.ExactArgs(1),
		RunE: b.withStore(func(ctx context.Context, store objectstore.Store, args []string) error {
			data, file, err := object(ctx, store, args[0])
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(a.out, 64<<10)
			for b, err := range batches(args[0], data, file, partition) {
				if err == nil {
					err = catRows(out, b)
				}
				if err != nil {
					return orLater(err, out.Flush())
				}
			}
			return out.Flush()
		}),
	}
	cmd.Flags().Int32VarP(&partition, "partition", "p", partition, "only this one (-1: all)")
	return cmd
}

// catRows prints rows as records, with the topic's id and the row's number in its batch.
func catRows(out *bufio.Writer, b stored) error {
	for i := range b.rows.Len() {
		offset := int64(-1)
		if b.offsets != nil {
			offset = b.offsets[i]
		}
		record, err := b.rows.Record(i, offset)
		if err != nil {
			return err
		}
		line, err := json.Marshal(client.Record{Record: record, Partition: b.partition.Number})
		if err != nil {
			return err
		}
		out.WriteString(`{"topic_id":"` + b.partition.Topic.String() + `","row":` + itoa(i) + `,`)
		out.Write(line[1:])
		if err := out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}

// verified is what `segment verify` found of one object.
type verified struct {
	Object   string `json:"object"`
	Segments int    `json:"segments"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
	Damage   string `json:"damage,omitempty"`
}

func (a *app) segmentVerify(b *bucketFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "verify [OBJECT...]",
		Short:   "Decode every row of objects, or of all data objects, against their checksums",
		Example: "  foz segment verify && echo all of it is readable",
		Args:    cobra.ArbitraryArgs,
		RunE: b.withStore(func(ctx context.Context, store objectstore.Store, keys []string) error {
			found, damaged := []verified{}, 0
			var first error // what went wrong before anything else; it decides the exit code
			for v, err := range verifyEach(ctx, store, keys) {
				switch {
				case err != nil && first == nil && damaged == 0:
					first = err
				case err != nil:
					a.say("%v", err)
				default:
					found = append(found, v)
				}
				if v.Damage != "" {
					damaged++
				}
			}
			err := a.show(map[string]any{"objects": found}, func(out *table) {
				verifiedRows(out, found)
			})
			if first != nil && damaged > 0 {
				a.say("%v", damagedObjects(damaged))
			}
			return orLater(err, orLater(first, damagedObjects(damaged)))
		}),
	}
}

// verifyEach verifies the objects with these keys, or all data objects if there are none.
func verifyEach(ctx context.Context, store objectstore.Store, keys []string) (
	all iter.Seq2[verified, error],
) {
	return func(yield func(verified, error) bool) {
		for _, key := range keys {
			if !yield(verify(ctx, store, key)) || ctx.Err() != nil {
				return
			}
		}
		if len(keys) > 0 {
			return
		}
		for o, err := range objects(ctx, store, "data/") {
			var v verified
			if err == nil {
				v, err = verify(ctx, store, o.Key)
			}
			if errors.Is(err, objectstore.ErrNotFound) {
				continue // swept since it was listed
			}
			if !yield(v, err) || ctx.Err() != nil {
				return
			}
		}
	}
}

func verifiedRows(out *table, found []verified) {
	out.row("OBJECT", "SEGMENTS", "ROWS", "BYTES", "STATE")
	for _, v := range found {
		state := "whole"
		if v.Damage != "" {
			state = v.Damage
		}
		out.row(v.Object, v.Segments, v.Rows, byteCount(v.Bytes), state)
	}
}

// verify reads every row of an object. Damage is a finding, not an error.
func verify(ctx context.Context, store objectstore.Store, key string) (verified, error) {
	v := verified{Object: key}
	data, file, err := object(ctx, store, key)
	v.Bytes, v.Segments = int64(len(data)), len(file.Segments)
	for _, s := range file.Segments {
		v.Rows += int64(s.Rows)
	}
	if errors.Is(err, segment.ErrDamaged) {
		v.Damage = err.Error()
		return v, nil
	}
	return v, err
}
