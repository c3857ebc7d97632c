package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fozlog/foz/client"
)

func (a *app) clusterCommand() *cobra.Command {
	return family("cluster", "See the nodes and whether they are well",
		a.clusterInfo(), a.clusterHealth())
}

func (a *app) clusterInfo() *cobra.Command {
	return &cobra.Command{
		Use:     "info",
		Short:   "Show the nodes, who leads, and what the store was asked",
		Example: "  foz cluster info --output json",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			info, err := c.Cluster(ctx)
			if err != nil {
				return err
			}
			if a.output == "table" {
				a.say("cluster %s  version %s  bucket %s  %s", info.ID, info.Version, info.Bucket,
					info.Health)
			}
			return a.show(info, func(out *table) { nodeRows(out, info) })
		}),
	}
}

func nodeRows(out *table, info client.Cluster) {
	out.row("NODE", "HTTP", "ROLES", "SLOT", "LEADS")
	for _, n := range info.Nodes {
		leads := ""
		if n.ID == info.Leader.ID {
			leads = "since slot " + itoa(info.Leader.ClaimSlot)
		}
		out.row(n.ID, n.HTTP, strings.Join(n.Roles, ","), n.AppliedSlot, leads)
	}
}

func (a *app) clusterHealth() *cobra.Command {
	return &cobra.Command{
		Use:     "health",
		Short:   "Exit 0 if the node is ready, 1 if it is not",
		Example: "  until foz cluster health; do sleep 1; done",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			h, err := c.Health(ctx)
			if err != nil {
				return err
			}
			err = a.show(h, func(out *table) {
				out.row("LIVE", "READY", "DETAIL")
				out.row(h.Live, h.Ready, h.Detail)
			})
			if err == nil && !h.Ready {
				return errors.New("the node is not ready")
			}
			return err
		}),
	}
}
