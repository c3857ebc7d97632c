package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/client"
)

// planSettings are the flags of `foz segment list --plan`.
type planSettings struct {
	topic     string
	partition int32
	from, to  int64
	presign   bool
}

// planFlags say nothing without --plan.
var planFlags = []string{"partition", "from", "to", "presign"}

func (s *planSettings) flags(f *pflag.FlagSet) {
	f.StringVar(&s.topic, "plan", "", "ask the service for the read plan of this topic")
	f.Int32VarP(&s.partition, "partition", "p", 0, "the partition")
	f.Int64Var(&s.from, "from", -1, "the first offset (-1: the earliest)")
	f.Int64Var(&s.to, "to", -1, "before this offset (-1: the head)")
	f.BoolVar(&s.presign, "presign", false, "with URLs that open the objects for 15 minutes")
}

// listPlan shows where a partition's records lie.
func (a *app) listPlan(cmd *cobra.Command, s planSettings) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	rg := client.PlanRange{Presign: s.presign}
	if s.from >= 0 {
		rg.From = &s.from
	}
	if s.to >= 0 {
		rg.To = &s.to
	}
	p, err := c.Plan(cmd.Context(), s.topic, s.partition, rg)
	if err != nil {
		return err
	}
	if p.Segments == nil {
		p.Segments = []client.PlannedSegment{}
	}
	if a.output == "table" {
		a.say("expires %s", p.Expires.Format("2006-01-02T15:04:05Z07:00"))
	}
	return a.show(p, func(out *table) {
		out.row("OBJECT", "LEVEL", "OFFSETS", "ROWS", "BYTES", "FROM", "TO")
		for _, s := range p.Segments {
			out.row(s.Object, s.Level, grouped(s.StartOffset)+" - "+grouped(s.EndOffset), s.RowCount,
				byteCount(s.ByteEnd-s.ByteStart), clock(s.MinTS), clock(s.MaxTS))
		}
	})
}
