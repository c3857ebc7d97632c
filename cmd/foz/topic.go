package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/metadata"
)

func (a *app) topicCommand() *cobra.Command {
	return family("topic", "Make, list, change and delete topics", a.topicCreate(), a.topicList(),
		a.topicDescribe(), a.topicAlter(), a.topicDelete(), a.topicTrim(), a.topicInfer())
}

func (a *app) topicCreate() *cobra.Command {
	var s topicSettings
	cmd := &cobra.Command{
		Use:     "create TOPIC",
		Short:   "Make a topic; one that exists with these settings is left as it is",
		Example: "  foz topic create flights --partitions 8 --retention 30d",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		// A URL has no place for some of them, and the service could not say what is wrong.
		if !metadata.ValidTopicName(args[0]) {
			return usagef("topic %q: names are 1 to 249 of A-Z a-z 0-9 . _ -, not . or ..", args[0])
		}
		spec, err := a.topicSpec(cmd, &s)
		if err != nil {
			return err
		}
		t, created, err := c.CreateTopic(ctx, args[0], spec)
		if err != nil {
			return err
		}
		if !created {
			a.say("topic %s exists already, with these settings", args[0])
		}
		return a.show(t, func(out *table) { topicRows(out, []client.Topic{t}) })
	})
	s.flags(cmd)
	return cmd
}

func (a *app) topicList() *cobra.Command {
	return &cobra.Command{
		Use:     "list [PREFIX]",
		Short:   "List topics, or those whose names begin with PREFIX",
		Example: "  foz topic list --output json | jq -r '.topics[].name'",
		Args:    cobra.MaximumNArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			topics := []client.Topic{}
			for t, err := range c.Topics(ctx, append(args, "")[0]) {
				if err != nil {
					return err
				}
				topics = append(topics, t)
			}
			return a.show(map[string]any{"topics": topics}, func(out *table) {
				topicRows(out, topics)
			})
		}),
	}
}

func topicRows(out *table, topics []client.Topic) {
	out.row("TOPIC", "PARTITIONS", "RETENTION", "CLEANUP", "ID")
	for _, t := range topics {
		out.row(t.Name, t.Partitions, retention(t.Config), cleanup(t.Config), t.ID)
	}
}

func (a *app) topicDescribe() *cobra.Command {
	return &cobra.Command{
		Use:     "describe TOPIC",
		Short:   "Show what each partition of a topic holds, and its schema",
		Example: "  foz topic describe flights",
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			t, err := c.Topic(ctx, args[0])
			if err != nil {
				return err
			}
			if a.output == "table" {
				a.say("%s  %s  retention %s  cleanup %s", t.Name, t.ID, retention(t.Config),
					cleanup(t.Config))
			}
			err = a.show(t, func(out *table) { boundsRows(out, t.Bounds) })
			if err != nil || a.output != "table" || t.Schema == nil {
				return err
			}
			fmt.Fprintln(a.out)
			return a.show(nil, func(out *table) { schemaRows(out, t.Schema.Foz()) })
		}),
	}
}

func boundsRows(out *table, bounds []client.Bounds) {
	out.row("PARTITION", "EARLIEST", "NEXT", "RECORDS", "BYTES", "SEGMENTS")
	for _, b := range bounds {
		out.row(b.Partition, b.EarliestOffset, b.NextOffset, b.Records, byteCount(b.Bytes),
			b.Segments)
	}
}

func schemaRows(out *table, s foz.Schema) {
	out.row("COLUMN", "TYPE", "POINTER", "NULLABLE")
	for _, c := range s.Columns {
		out.row(c.Name, c.Type, c.Pointer, c.Nullable)
	}
}

func (a *app) topicAlter() *cobra.Command {
	var s topicSettings
	cmd := &cobra.Command{
		Use:     "alter TOPIC",
		Short:   "Change a topic's settings; partitions and schema may only grow",
		Example: "  foz topic alter flights --partitions 16 --retention 7d",
		Args:    cobra.ExactArgs(1),
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		spec, err := a.topicSpec(cmd, &s)
		if err != nil {
			return err
		}
		if spec == (client.TopicSpec{}) {
			return &usageError{errors.New("nothing to change: give a flag"), cmd.CommandPath()}
		}
		t, err := c.AlterTopic(ctx, args[0], spec)
		if err != nil {
			return err
		}
		return a.show(t, func(out *table) { topicRows(out, []client.Topic{t}) })
	})
	s.flags(cmd)
	return cmd
}

func (a *app) topicDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete TOPIC...",
		Short:   "Delete topics with all their records, for good",
		Example: "  foz topic delete flights",
		Args:    cobra.MinimumNArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			for _, name := range args {
				if err := c.DeleteTopic(ctx, name); err != nil {
					return err
				}
				a.say("deleted topic %s", name)
			}
			return nil
		}),
	}
}

func (a *app) topicTrim() *cobra.Command {
	var partition int32
	var before int64
	cmd := &cobra.Command{
		Use:     "trim TOPIC -p N --before OFFSET",
		Short:   "Delete a partition's records below an offset, for good",
		Example: "  foz topic trim flights -p 3 --before 1000",
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			earliest, err := c.Trim(ctx, args[0], partition, before)
			if err != nil {
				return err
			}
			return a.show(map[string]int64{"earliest_offset": earliest}, func(out *table) {
				out.row("TOPIC", "PARTITION", "EARLIEST")
				out.row(args[0], partition, earliest)
			})
		}),
	}
	cmd.Flags().Int32VarP(&partition, "partition", "p", 0, "the partition")
	cmd.Flags().Int64Var(&before, "before", 0, "the first offset to keep")
	cmd.MarkFlagRequired("partition")
	cmd.MarkFlagRequired("before")
	return cmd
}
