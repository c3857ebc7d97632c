package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
)

func (a *app) groupCommand() *cobra.Command {
	return family("group", "See and move where consumer groups stand",
		a.groupList(), a.groupDescribe(), a.groupCommit(), a.groupDelete())
}

func (a *app) groupList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List groups",
		Example: "  foz group list",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			groups, err := c.Groups(ctx)
			if err != nil {
				return err
			}
			return a.show(map[string]any{"groups": append([]client.Group{}, groups...)},
				func(out *table) {
					out.row("GROUP", "PARTITIONS", "LAG")
					for _, g := range groups {
						out.row(g.Name, len(g.Offsets), lagOf(g.Offsets))
					}
				})
		}),
	}
}

// lagOf is the sum of the lags that are known; "?" if one is not.
func lagOf(offsets []client.GroupOffset) any {
	sum := int64(0)
	for _, o := range offsets {
		if o.Lag == nil {
			return "?"
		}
		sum += *o.Lag
	}
	return sum
}

func (a *app) groupDescribe() *cobra.Command {
	return &cobra.Command{
		Use:     "describe GROUP",
		Short:   "Show where a group stands in each partition, and its lag",
		Example: "  foz group describe billing",
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			g, err := c.Group(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(g, func(out *table) { groupRows(out, g.Offsets) })
		}),
	}
}

func groupRows(out *table, offsets []client.GroupOffset) {
	out.row("TOPIC", "PARTITION", "OFFSET", "NEXT", "LAG", "METADATA")
	for _, o := range offsets {
		out.row(o.Topic, o.Partition, o.Offset, orDash(o.NextOffset), orDash(o.Lag), o.Metadata)
	}
}

func orDash(n *int64) any {
	if n == nil {
		return "-"
	}
	return *n
}

func (a *app) groupDelete() *cobra.Command {
	return &cobra.Command{
		Use:     "delete GROUP...",
		Short:   "Forget groups and where they stand",
		Example: "  foz group delete billing",
		Args:    cobra.MinimumNArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			for _, name := range args {
				if err := c.DeleteGroup(ctx, name); err != nil {
					return err
				}
				a.say("deleted group %s", name)
			}
			return nil
		}),
	}
}

// groupMove is what `group commit` was asked for.
type groupMove struct {
	topic     string
	partition int32
	to        position
	metadata  string
	ifOffset  *int64
}

func (a *app) groupCommit() *cobra.Command {
	var m groupMove
	var to string
	var ifOffset int64
	cmd := &cobra.Command{
		Use:   "commit GROUP TOPIC -o start|end|N|-N|@TIME [-p N]",
		Short: "Move a group in one partition, or in all of a topic",
		Long: "Move a group in one partition, or in all of a topic at once, to an offset, to\n" +
			"either end, to N records before the end, or to the first record at or after a time;\n" +
			"forwards or backwards. It moves the group from where it stands when the command looks,\n" +
			"or from --if-offset in every partition: if it stands elsewhere by then, because its\n" +
			"consumers are at work, nothing is moved, and the exit code is 4.",
		Example: "  foz group commit billing flights -o @2001-02-01",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			m.topic = args[1]
			if m.to, err = parsePosition(to, time.Now()); err != nil {
				return err
			}
			if m.to.end != nil || m.to.until != nil {
				return usagef("-o %s: a group stands at one offset, not in a range", to)
			}
			if cmd.Flags().Changed("if-offset") {
				m.ifOffset = &ifOffset
			}
			return a.moveGroup(cmd, args[0], m)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&to, "offset", "o", "", "where to: start, end, N, -N or @TIME")
	f.Int32VarP(&m.partition, "partition", "p", client.AllPartitions, "the partition (-1: all)")
	f.StringVar(&m.metadata, "metadata", "", "a note of the consumer's own")
	f.Int64Var(&ifOffset, "if-offset", 0, "move it only from here (-1: from nowhere);\n"+
		"without, from where it stands in each partition")
	cmd.MarkFlagRequired("offset")
	return cmd
}

func (a *app) moveGroup(cmd *cobra.Command, group string, m groupMove) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	partitions, err := partitionsOf(cmd.Context(), c, m.topic, m.partition)
	if err != nil {
		return err
	}
	from, err := m.standing(cmd.Context(), c, group)
	if err != nil {
		return err
	}
	offsets := make([]client.GroupOffset, len(partitions))
	for i, p := range partitions {
		o := client.GroupOffset{Topic: m.topic, Partition: p, Metadata: m.metadata,
			IfOffset: new(from(p))}
		if o.Offset, err = resolve(cmd.Context(), c, m.topic, p, m.to); err != nil {
			return err
		}
		offsets[i] = o
	}
	committed, err := c.CommitOffsets(cmd.Context(), group, offsets)
	if errors.Is(err, &foz.Error{Code: foz.CodeOffsetConflict}) {
		why := "its consumers have moved it meanwhile: stop them, or try again"
		if m.ifOffset != nil {
			why = fmt.Sprintf("it does not stand at --if-offset %d", *m.ifOffset)
		}
		return fmt.Errorf("group %s was not moved, %s: %w", group, why, err)
	}
	if err != nil {
		return err
	}
	if committed == nil {
		committed = offsets
	}
	return a.show(client.Group{Name: group, Offsets: committed}, func(out *table) {
		groupRows(out, committed)
	})
}

// standing says from where the group is moved in each partition: from --if-offset, or from
// where it stands now, -1 being nowhere.
func (m groupMove) standing(ctx context.Context, c *client.Client, group string) (
	from func(partition int32) int64, err error,
) {
	if m.ifOffset != nil {
		return func(int32) int64 { return *m.ifOffset }, nil
	}
	offsets, err := c.CommittedOffsets(ctx, group, m.topic)
	if err != nil && !errors.Is(err, &foz.Error{Code: foz.CodeGroupNotFound}) {
		return nil, err
	}
	at := map[int32]int64{}
	for _, o := range offsets {
		at[o.Partition] = o.Offset
	}
	return func(partition int32) int64 {
		if offset, ok := at[partition]; ok {
			return offset
		}
		return -1
	}, nil
}
