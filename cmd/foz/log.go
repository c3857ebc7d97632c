package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/fozlog/foz/objectstore"
)

func (a *app) logCommand() *cobra.Command {
	var b bucketFlags
	cmd := family("log", "The metadata log in the bucket: slots, claims, snapshots, floors",
		a.logList(&b), a.logShow(&b))
	b.flags(cmd.PersistentFlags())
	return cmd
}

// logLine is one object of the log as `log list` prints it.
type logLine struct {
	Slot  uint64 `json:"slot"`
	Kind  string `json:"kind"` // claim, commands or snapshot
	Bytes int64  `json:"bytes"`
	What  string `json:"what"`
}

func (a *app) logList(b *bucketFlags) *cobra.Command {
	last := 0
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the log's entries and snapshots",
		Example: "  foz log list -n 20",
		Args:    cobra.NoArgs,
	}
	list := b.withStore(func(ctx context.Context, store objectstore.Store, _ []string) error {
		lines, damaged, err := a.logLines(ctx, store, last)
		if err != nil {
			return err
		}
		err = a.show(map[string]any{"log": lines}, func(out *table) {
			out.row("SLOT", "KIND", "BYTES", "WHAT")
			for _, l := range lines {
				out.row(l.Slot, l.Kind, l.Bytes, l.What)
			}
		})
		return orLater(err, damagedObjects(damaged))
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if last < 0 {
			return usagef("-n %d: want how many entries, or 0 for all", last)
		}
		return list(cmd, args)
	}
	cmd.Flags().IntVarP(&last, "last", "n", 0, "only the last so many entries (0: all)")
	return cmd
}

// logLines are all snapshots and the last entries, or all if last is 0. What is damaged is
// named in the talk, and counted.
func (a *app) logLines(ctx context.Context, store objectstore.Store, last int) (
	lines []logLine, damaged int, err error,
) {
	snapshots, err := a.slots(ctx, store, "snap/", &damaged)
	if err != nil {
		return nil, 0, err
	}
	entries, err := a.slots(ctx, store, "log/", &damaged)
	if err != nil {
		return nil, 0, err
	}
	lines = []logLine{}
	for _, o := range snapshots {
		lines = append(lines, logLine{o.slot, "snapshot", o.Size, "the state after this slot"})
	}
	if last > 0 && last < len(entries) {
		entries = entries[len(entries)-last:]
	}
	for _, o := range entries {
		line, err := entryLine(ctx, store, o.Info)
		switch {
		case err == nil:
			lines = append(lines, line)
		case errors.Is(err, objectstore.ErrNotFound): // trimmed since it was listed
		case errors.Is(err, metadata.ErrDamaged), errors.Is(err, metadata.ErrNewer):
			a.say("%v", err)
			damaged++
		default:
			return nil, 0, err
		}
	}
	return lines, damaged, nil
}

// slotObject is an entry or a snapshot by its key.
type slotObject struct {
	objectstore.Info
	slot uint64
}

// slots lists the entries or the snapshots, in order. What lies among them under another kind
// of key is named in the talk, and counted.
func (a *app) slots(ctx context.Context, s objectstore.Store, prefix string, damaged *int) (
	all []slotObject, err error,
) {
	for o, err := range objects(ctx, s, prefix) {
		if err != nil {
			return nil, err
		}
		slot, err := metadata.SlotOf(o.Key)
		if err != nil {
			a.say("%v", err)
			*damaged++
			continue
		}
		all = append(all, slotObject{o, slot})
	}
	return all, nil
}

func entryLine(ctx context.Context, s objectstore.Store, o objectstore.Info) (logLine, error) {
	entry, err := readEntry(ctx, s, o.Key)
	if err != nil {
		return logLine{}, err
	}
	line := logLine{Slot: entry.GetSlot(), Bytes: o.Size}
	if claim := entry.GetClaim(); claim != nil {
		line.Kind, line.What = "claim", claim.GetNode()+" "+claim.GetHttp()
	} else {
		line.Kind, line.What = "commands", summary(entry.GetCommands())
	}
	return line, nil
}

func readEntry(ctx context.Context, s objectstore.Store, key string) (*logpb.Entry, error) {
	body, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	entry, err := metadata.DecodeEntry(body)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", key, err)
	}
	return entry, nil
}

// summary counts commands by kind, in order of first appearance.
func summary(c *logpb.Commands) string {
	var kinds []string
	counts := map[string]int{}
	for _, command := range c.GetCommands() {
		kind := "nothing"
		m := command.ProtoReflect()
		if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); f != nil {
			kind = string(f.Name())
		}
		if counts[kind] == 0 {
			kinds = append(kinds, kind)
		}
		counts[kind]++
	}
	for i, kind := range kinds {
		kinds[i] = itoa(counts[kind]) + " " + kind
	}
	return strings.Join(kinds, ", ") + " (epoch " + itoa(c.GetEpoch()) + ")"
}

func (a *app) logShow(b *bucketFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show [SLOT]",
		Short:   "Show an entry of the log whole: the newest, or that of a slot",
		Example: "  foz log show 17 --output yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			slot, err := slotOf(args)
			if err != nil {
				return err
			}
			store, err := b.open(cmd.Context())
			if err != nil {
				return err
			}
			defer closeStore(store)
			key, err := a.entryKey(cmd.Context(), store, slot)
			if err != nil {
				return err
			}
			entry, err := readEntry(cmd.Context(), store, key)
			if err != nil {
				return err
			}
			tree := protoTree(entry.ProtoReflect())
			if a.output == "table" {
				return a.showJSON(tree)
			}
			return a.show(tree, nil)
		},
	}
}

// slotOf reads the slot asked for; nil: the newest.
func slotOf(args []string) (*uint64, error) {
	if len(args) == 0 {
		return nil, nil
	}
	slot, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return nil, usagef("slot %q: want a number", args[0])
	}
	return &slot, nil
}

// entryKey is the key of a slot's entry, or of the newest.
func (a *app) entryKey(ctx context.Context, s objectstore.Store, slot *uint64) (string, error) {
	if slot != nil {
		return metadata.LogKey(*slot), nil
	}
	strays := 0
	all, err := a.slots(ctx, s, "log/", &strays)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("the log is empty: %w", objectstore.ErrNotFound)
	}
	return all[len(all)-1].Key, nil
}

// messageTree is protoTree, but with rows where people would have to put columns together.
func messageTree(m protoreflect.Message) tree {
	switch c := m.Interface().(type) {
	case *logpb.Swap:
		if s, err := metadata.DecodeSwap(c); err == nil {
			return swapTree(s)
		}
	case *logpb.Retain:
		if len(c.GetPartition()) == len(c.GetEarliest()) {
			return retainTree(c)
		}
	}
	return protoTree(m)
}

func swapTree(s foz.Swap) tree {
	outputs := make([]tree, len(s.Outputs))
	for i, o := range s.Outputs {
		inputs := make([]tree, len(o.Inputs))
		for j, in := range o.Inputs {
			inputs[j] = tree{{"object", in.Object}, {"base", in.Range.Base}, {"next", in.Range.Next}}
		}
		outputs[i] = tree{
			{"topic", o.Segment.Partition.Topic.String()}, {"partition", o.Segment.Partition.Number},
			{"base", o.Range.Base}, {"next", o.Range.Next}, {"rows", o.Segment.Rows},
			{"byte_start", o.Segment.ByteStart}, {"byte_end", o.Segment.ByteEnd},
			{"batches", o.Segment.Batches}, {"inputs", inputs},
		}
	}
	return tree{{"object", s.Object}, {"outputs", outputs}}
}

func retainTree(c *logpb.Retain) tree {
	starts := make([]tree, len(c.GetPartition()))
	for i, number := range c.GetPartition() {
		starts[i] = tree{{"partition", number}, {"earliest", c.GetEarliest()[i]}}
	}
	t := protoTree((&logpb.Retain{Topic: c.GetTopic(), Revision: c.GetRevision()}).ProtoReflect())
	return append(t, member{"starts", starts})
}
