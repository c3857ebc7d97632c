package compactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fozlog/foz"
)

// retain moves the log starts of this node's topics up, as far as their retention says: by
// append time on the store's clock, and by size as stored. Only whole placements go, so that
// what is kept may be more than was asked for by one placement, and nothing goes early. The
// bytes go later, with the sweep.
func (c *Compactor) retain(ctx context.Context, _ time.Time) (more bool, err error) {
	mine := c.mine()
	_, err = c.retainOf(ctx, func(t foz.TopicID) bool { return mine(foz.Partition{Topic: t}) })
	return false, err
}

func (c *Compactor) retainAll(ctx context.Context, _ time.Time) (report JobReport, err error) {
	report, err = c.retainOf(ctx, func(foz.TopicID) bool { return true })
	return report, err
}

// cut is what retention takes of one topic.
type cut struct {
	foz.Retain
	placements int64
}

func (c *Compactor) retainOf(ctx context.Context, mine func(foz.TopicID) bool) (
	report JobReport, err error,
) {
	var cuts []cut
	now, asked := int64(0), false
	tables(c.deps.Tables.View(), func(t table) {
		if err != nil || !expires(t.topic.Config) || len(t.placements) == 0 || !mine(t.topic.ID) {
			return
		}
		if t.topic.Config.RetentionMS > 0 && !asked {
			now, err = c.askTime(ctx)
			asked = true
		}
		n := expired(t, now)
		if err != nil || n == 0 {
			return
		}
		if last := len(cuts) - 1; last < 0 || cuts[last].Topic != t.topic.ID {
			cuts = append(cuts,
				cut{Retain: foz.Retain{Topic: t.topic.ID, Revision: t.topic.Revision}})
		}
		cut := &cuts[len(cuts)-1]
		cut.placements += int64(n)
		cut.Starts = append(cut.Starts, foz.PartitionStart{
			Partition: t.partition.Number, Earliest: t.placements[n-1].Next(),
		})
	})
	for _, cut := range cuts {
		report.Due += cut.placements
		if err != nil {
			continue
		}
		switch failed := c.deps.Tables.Retain(ctx, cut.Retain); {
		case failed == nil:
			report.Done += cut.placements
			c.metrics.expired.Add(cut.placements)
		case isCode(failed, foz.CodeTopicChanged), isCode(failed, foz.CodeTopicNotFound):
			// Decided on a topic that is another by now: it is looked at again.
		default:
			err = fmt.Errorf("retain %s: %w", cut.Topic, failed)
		}
	}
	report.Left = report.Due - report.Done
	return report, err
}

// expires says whether a topic's records go by age or size. One that is only compacted by key
// keeps the last of each key for ever.
func expires(t foz.TopicConfig) bool {
	return t.CleanupPolicy != "compact" && (t.RetentionMS > 0 || t.RetentionBytes > 0)
}

// expired is how many of a partition's first placements may go.
func expired(t table, nowMS int64) (n int) {
	cfg, bytes := t.topic.Config, total(t.placements)
	for _, pl := range t.placements {
		old := cfg.RetentionMS > 0 && pl.AppendedMS < nowMS-cfg.RetentionMS
		over := cfg.RetentionBytes > 0 && bytes-size(pl) >= cfg.RetentionBytes
		if !old && !over {
			break
		}
		bytes -= size(pl)
		n++
	}
	return n
}

func isCode(err error, code foz.Code) bool { return errors.Is(err, &foz.Error{Code: code}) }
