package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

func (a *app) segmentCommand() *cobra.Command {
	var b bucketFlags
	cmd := family("segment", "The object's-eye view: what lies in the bucket, without a service",
		a.segmentList(&b), a.segmentInspect(&b), a.segmentCat(&b), a.segmentVerify(&b),
		a.segmentExport())
	b.flags(cmd.PersistentFlags())
	return cmd
}

// segmentLine is a segment as these commands print it.
type segmentLine struct {
	Object    string `json:"object"`
	Level     int    `json:"level"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Rows      int32  `json:"rows"`
	Batches   int32  `json:"batches,omitempty"` // of level 1
	ByteStart int64  `json:"byte_start"`
	ByteEnd   int64  `json:"byte_end"`
	MinTS     int64  `json:"min_ts"`
	MaxTS     int64  `json:"max_ts"`
	CRC32C    uint32 `json:"crc32c"`
}

func segmentLines(object string, file segment.File) []segmentLine {
	lines := make([]segmentLine, len(file.Segments))
	for i, s := range file.Segments {
		lines[i] = segmentLine{object, int(s.Level), s.Partition.Topic.String(),
			s.Partition.Number, s.Rows, s.Batches, s.ByteStart, s.ByteEnd, s.MinTimestamp,
			s.MaxTimestamp, s.CRC32C}
	}
	return lines
}

func segmentRows(out *table, lines []segmentLine) {
	out.row("OBJECT", "LEVEL", "TOPIC ID", "PARTITION", "ROWS", "BYTES", "FROM", "TO")
	for _, s := range lines {
		out.row(s.Object, s.Level, s.TopicID, s.Partition, s.Rows, byteCount(s.ByteEnd-s.ByteStart),
			clock(s.MinTS), clock(s.MaxTS))
	}
}

// clock is a record's timestamp for people.
func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (a *app) segmentList(b *bucketFlags) *cobra.Command {
	var s planSettings
	cmd := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List the segments of all data objects by their footers, or those of a read plan",
		Long: "List the segments of all data objects, by reading their footers; or with --plan those\n" +
			"that hold a partition's records now, as the service's index has them.",
		Example: "  foz segment list --data-dir ./foz-data\n" +
			"  foz segment list --plan flights -p 0 --from 1000 --presign --output json",
		Args: cobra.MaximumNArgs(1),
	}
	footers := a.segmentFooters(b)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if s.topic == "" {
			if err := a.idle(cmd, "is of a --plan", planFlags...); err != nil {
				return err
			}
			return footers(cmd, args)
		}
		if len(args) > 0 {
			return usagef("PREFIX %q: --plan is of a topic, whatever its objects' keys", args[0])
		}
		err := a.idle(cmd, "is not of --plan, which asks the service", bucketFlagNames...)
		if err != nil {
			return err
		}
		return a.listPlan(cmd, s)
	}
	s.flags(cmd.Flags())
	return cmd
}

// bucketFlagNames are of the commands that look into a bucket: not all of this family do.
var bucketFlagNames = []string{"bucket", "data-dir"}

// idle refuses flags that would do nothing, and says why. One that the environment set is not
// meant for this command alone and may be idle.
func (a *app) idle(cmd *cobra.Command, why string, flags ...string) error {
	for _, name := range flags {
		if cmd.Flags().Changed(name) && a.getenv(variable(name)) == "" {
			return usagef("--%s %s", name, why)
		}
	}
	return nil
}

// segmentFooters lists what the bucket's objects say of themselves.
func (a *app) segmentFooters(b *bucketFlags) func(cmd *cobra.Command, args []string) error {
	list := b.withStore(func(ctx context.Context, store objectstore.Store, args []string) error {
		lines, damaged := []segmentLine{}, 0
		for o, err := range objects(ctx, store, args[0]) {
			if err != nil {
				return err
			}
			file, err := footer(ctx, store, o)
			switch {
			case errors.Is(err, objectstore.ErrNotFound): // swept since it was listed
			case errors.Is(err, segment.ErrDamaged):
				a.say("%v", err)
				damaged++
			case err != nil:
				return err
			}
			lines = append(lines, segmentLines(o.Key, file)...)
		}
		err := a.show(map[string]any{"segments": lines}, func(out *table) {
			segmentRows(out, lines)
		})
		return orLater(err, damagedObjects(damaged))
	})
	return func(cmd *cobra.Command, args []string) error {
		prefix := append(args, foz.ObjectPrefix)[0]
		switch {
		case strings.HasPrefix(prefix, foz.ObjectPrefix):
		case strings.Index(foz.ObjectPrefix, prefix) == 0: // a beginning of it
			prefix = foz.ObjectPrefix
		default:
			return usagef("PREFIX %q: segments are in objects under %s", prefix, foz.ObjectPrefix)
		}
		return list(cmd, []string{prefix})
	}
}

func damagedObjects(n int) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s damaged", counted(n, "object"))
}

// objects yields the objects under a prefix in order of their keys.
func objects(ctx context.Context, s objectstore.Store, prefix string) (
	all iter.Seq2[objectstore.Info, error],
) {
	return func(yield func(objectstore.Info, error) bool) {
		after := ""
		for {
			page, more, err := s.List(ctx, prefix, after, 0)
			if err != nil {
				yield(objectstore.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
				after = o.Key
			}
			if !more {
				return
			}
		}
	}
}

// footerBytes is a first guess at how much of an object's end holds its footer.
const footerBytes = 64 << 10

// footer reads what an object says of itself from its last bytes.
func footer(ctx context.Context, s objectstore.Store, o objectstore.Info) (segment.File, error) {
	need := int64(footerBytes)
	for {
		need = min(need, o.Size)
		tail, err := s.Get(ctx, o.Key, o.Size-need, need)
		if err != nil {
			return segment.File{}, fmt.Errorf("get %s: %w", o.Key, err)
		}
		file, err := segment.InspectTail(tail, o.Size)
		if short, ok := errors.AsType[*segment.ShortTailError](err); ok && short.Need > need {
			need = short.Need
			continue
		}
		if err != nil {
			return file, fmt.Errorf("inspect %s: %w", o.Key, err)
		}
		return file, nil
	}
}

// object reads a whole object, every byte of it verified, and what it says of itself.
func object(ctx context.Context, s objectstore.Store, key string) ([]byte, segment.File, error) {
	data, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, segment.File{}, fmt.Errorf("get %s: %w", key, err)
	}
	file, err := segment.Verify(data)
	if err != nil {
		return data, file, fmt.Errorf("verify %s: %w", key, err)
	}
	return data, file, nil
}

// stored is what a record batch of an object holds.
type stored struct {
	partition foz.Partition
	offsets   []int64 // nil at level 0
	rows      *foz.Rows
}

// batches yields the record batches of a verified object, of one partition or of all.
func batches(key string, data []byte, file segment.File, partition int32) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		wanted := func(p foz.Partition) bool {
			return partition == client.AllPartitions || partition == p.Number
		}
		give := func(b stored, err error) bool {
			if err != nil {
				err = fmt.Errorf("decode %s: %w", key, err)
			}
			return yield(b, err)
		}
		for _, b := range file.Batches {
			if !wanted(b.Partition) {
				continue
			}
			offsets, rows, err := segment.DecodeMergedBatch(data[b.ByteStart:b.ByteEnd], b)
			if !give(stored{b.Partition, offsets, rows}, err) {
				return
			}
		}
		for _, s := range file.Segments {
			if file.Level > 0 || !wanted(s.Partition) {
				continue
			}
			rows, err := segment.Decode(data[s.ByteStart:s.ByteEnd], s)
			if !give(stored{s.Partition, nil, rows}, err) {
				return
			}
		}
	}
}
