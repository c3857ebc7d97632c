package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/verify/fsck"
)

func (a *app) fsckCommand() *cobra.Command {
	var b bucketFlags
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Hold every object of a bucket against the log that names it; exit 1 if one is wrong",
		Long: "Read the log and every object that it names, decode every row, and hold both against\n" +
			"each other: is each object there, whole, and what the index says of it; does a partition\n" +
			"leave an offset out; what lies there that nothing names. It writes nothing, and takes the\n" +
			"bucket of a service that runs as well as one at rest.\n\n" +
			"What is unnamed is no fault: below the floor it is dead, and the sweeper's to delete; above\n" +
			"it may belong to a commit under way. Names of such objects are in --output json.",
		Example: "  foz fsck --bucket 's3://logs/foz?region=eu-west-1'",
		Args:    cobra.NoArgs,
		RunE: b.withStore(func(ctx context.Context, store objectstore.Store, _ []string) error {
			return a.fsck(ctx, store)
		}),
	}
	b.flags(cmd.Flags())
	return cmd
}

func (a *app) fsck(ctx context.Context, store objectstore.Store) error {
	check := fsck.Check{Store: store, Progress: func(read fsck.Tally, of int) {
		a.progress(fmt.Sprintf("%s of %s, %s", grouped(read.Objects), counted(of, "object"),
			byteCount(read.Bytes)))
	}}
	r, err := check.Run(ctx)
	a.progress("")
	if err != nil {
		return err
	}
	a.say("the log to slot %d, floor %d: %s, %s, %s in %s", r.Slot, r.Floor,
		counted(r.Topics, "topic"), counted(r.Partitions, "partition"), counted(r.Records, "record"),
		counted(r.Placements, "placement"))
	for _, f := range r.Findings {
		a.sayFinding(f)
	}
	if err := a.show(r, func(out *table) { fsckRows(out, r) }); err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("%s wrong in the bucket, and %s cannot be read",
			counted(len(r.Findings), "thing"), counted(r.LostRecords(), "offset"))
	}
	return nil
}

func (a *app) sayFinding(f fsck.Finding) {
	where := ""
	if f.Object != "" {
		where = " " + f.Object
	}
	a.say("%s%s: %s", f.Kind, where, f.Detail)
	for _, l := range f.Lost {
		a.say("  lost: [%d,%d) of partition %d of topic %s", l.Start, l.End, l.Partition, l.Topic)
	}
}

func fsckRows(out *table, r *fsck.Report) {
	out.row("WHAT", "OBJECTS", "BYTES")
	out.row("named by the log", r.Named.Objects, byteCount(r.Named.Bytes))
	out.row("unnamed, below the floor", r.BelowFloor.Objects, byteCount(r.BelowFloor.Bytes))
	out.row("unnamed, above the floor", r.AboveFloor.Objects, byteCount(r.AboveFloor.Bytes))
	out.row("not of foz", r.Foreign.Objects, byteCount(r.Foreign.Bytes))
}
