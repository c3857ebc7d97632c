package bench

import (
	"context"
	"errors"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// PartitionsReport is what Partitions has measured. In its rounds "foz" is the topic of many
// partitions and "raw" the one of a single partition.
type PartitionsReport struct {
	Rounds []Round `json:"rounds"`
	Ratio  Spread  `json:"ratio"`
	One    PutsOf  `json:"one"`
	Many   PutsOf  `json:"many"`
}

// PutsOf is what arms cost in creates of objects, per GB of records.
type PutsOf struct {
	Partitions int32   `json:"partitions"`
	UploadsGB  float64 `json:"uploads_per_gb"`
	AppendsGB  float64 `json:"appends_per_gb"`
}

// Partitions measures durable ingest of keyed records into a topic of Config.Partitions beside
// the same into a topic of one, on one service, in turns.
func Partitions(ctx context.Context, d Deps, c Config) (report PartitionsReport, err error) {
	c.Keyed = true
	many, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, many.close(context.WithoutCancel(ctx))) }()
	one := &session{Deps: d, cfg: c, service: many.service, client: many.client,
		topic: many.topic + "-one", bodies: many.bodies}
	one.cfg.Partitions = 1
	_, _, err = one.client.CreateTopic(ctx, one.topic, client.TopicSpec{Partitions: 1})
	if err != nil {
		return report, err
	}
	defer func() {
		err = errors.Join(err, one.client.DeleteTopic(context.WithoutCancel(ctx), one.topic))
	}()
	report.One, report.Many = PutsOf{Partitions: 1}, PutsOf{Partitions: c.Partitions}
	arms := []arm{one.counting(&report.One), many.counting(&report.Many)}
	many.say("warm up")
	for _, warm := range arms {
		if _, err := warm(ctx); err != nil {
			return report, err
		}
	}
	report.Rounds, err = many.rounds(ctx, c.Rounds, arms[0], arms[1])
	report.Ratio = RatioOf(report.Rounds)
	return report, err
}

// counting is an arm that counts its creates; what counts is the last turn's.
func (s *session) counting(puts *PutsOf) arm {
	return func(ctx context.Context) (done sample, err error) {
		before := s.service.Counts()
		err = s.withProducers(ctx, func(produce func(context.Context) (int64, error)) error {
			done, _, err = s.measured(ctx, produce)
			return err
		})
		asks := between(before, s.service.Counts())
		gb := float64(done.bytes) / 1e9
		puts.UploadsGB = per(float64(asked(asks, objectstore.OpCreate, "upload").Requests), gb)
		puts.AppendsGB = per(float64(asked(asks, objectstore.OpCreate, "append").Requests), gb)
		return done, err
	}
}
