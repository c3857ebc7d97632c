package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/schema"
)

func (a *app) topicInfer() *cobra.Command {
	sample := int64(0)
	infer := a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		return a.infer(ctx, c, args[0], sample)
	})
	cmd := &cobra.Command{
		Use:   "infer TOPIC",
		Short: "Propose a schema for the JSON values that a topic has",
		Long: "Propose a schema for the JSON values that a topic has: columns for what all values\n" +
			"of a sample fit, as JSON for --schema of `foz topic create` and `alter`. The sample is\n" +
			"the oldest and the newest records of each partition. Columns that the topic has come\n" +
			"first.",
		Example: "  foz topic infer flights | foz topic alter flights --schema -",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if sample < 1 {
				return usagef("--sample %d: want at least one record", sample)
			}
			return infer(cmd, args)
		},
	}
	cmd.Flags().Int64Var(&sample, "sample", 1000, "how many records to look at, about")
	return cmd
}

func (a *app) infer(ctx context.Context, c *client.Client, topic string, sample int64) error {
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return err
	}
	var n schema.Inference
	if err := inferFrom(ctx, c, t, sample, &n); err != nil {
		return err
	}
	proposal, left := n.Schema(t.Schema.Foz())
	objects, others := n.Counts()
	a.say("looked at %d records that are JSON objects and %d that are not", objects, others)
	if len(left) > 0 {
		a.say("left out, because no type fits all of it or its name is taken: %s",
			strings.Join(left, " "))
	}
	if len(proposal.Columns) == 0 {
		return fmt.Errorf("infer a schema of %s: %w", t.Name, errNoColumns)
	}
	if a.output == "yaml" {
		return a.show(client.SchemaOf(proposal), nil)
	}
	return a.showJSON(client.SchemaOf(proposal))
}

var errNoColumns = errors.New("no record has a member that a column could be made of")

// inferFrom adds a sample of a topic's records: of each partition that has some as many, half of
// them the oldest and half the newest.
func inferFrom(ctx context.Context, c *client.Client, t client.Topic, sample int64,
	n *schema.Inference,
) error {
	filled := int64(0)
	for _, b := range t.Bounds {
		if b.Records > 0 {
			filled++
		}
	}
	half := max(sample/(2*max(filled, 1)), 1)
	for _, b := range t.Bounds {
		oldest := foz.Range{Base: b.EarliestOffset, Next: min(b.EarliestOffset+half, b.NextOffset)}
		newest := foz.Range{Base: max(oldest.Next, b.NextOffset-half), Next: b.NextOffset}
		for _, some := range []foz.Range{oldest, newest} {
			if some.Len() == 0 {
				continue
			}
			for record, err := range c.Scan(ctx, client.Read{
				Topic: t.Name, Partition: b.Partition, Columns: []string{"offset", "value"},
				From: client.FromOffset(some.Base), EndOffset: &some.Next,
			}) {
				if err != nil {
					return err
				}
				n.Add(record.Value)
			}
		}
	}
	return nil
}
