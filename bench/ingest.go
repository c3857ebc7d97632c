package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
)

// IngestReport is what Ingest has measured.
type IngestReport struct {
	Config  Config  `json:"-"`
	Rounds  []Round `json:"rounds"`
	Ratio   Spread  `json:"ratio"`
	Objects int64   `json:"objects"` // of the foz arms
	// ObjectBytes is their mean size, PutsPerGB what the arms cost in creates of any kind.
	ObjectBytes int64      `json:"object_bytes"`
	PutsPerGB   float64    `json:"puts_per_gb"`
	Requests    []Requests `json:"requests"` // of the foz arms
	Refused     int64      `json:"refused"`  // produce requests that the service had no room for
	// MemoryBytes is the most that the service's own process held after an arm; 0: not known.
	MemoryBytes int64      `json:"memory_bytes"`
	Lone        Lone       `json:"lone"`
	Produce     []Requests `json:"produce_requests"`    // of one lone produce
	TailRead    []Requests `json:"tail_read_requests"`  // of reading it back at once
	ColdFetch   []Requests `json:"cold_fetch_requests"` // of reading it at a node that just started
	Idle        Idle       `json:"idle"`
}

// Idle is what a service asks of its store while nobody asks anything of it.
type Idle struct {
	Seconds  float64    `json:"seconds"`
	Requests []Requests `json:"requests"`
}

// Ingest measures durable ingest: the raw arm creates objects with Config.Uploads under way,
// the foz arm produces NDJSON of as many bytes over Config.Connections. Then it counts what
// single requests, and none, cost.
func Ingest(ctx context.Context, d Deps, c Config) (report IngestReport, err error) {
	report.Config = c
	s, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	for _, step := range []func(context.Context, *IngestReport) error{
		s.warm, s.load, s.lone, s.single, s.idle, s.cold,
	} {
		if err := step(ctx, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

// session is a run under way.
type session struct {
	Deps
	cfg     Config
	service *Service
	client  *client.Client
	topic   string
	bodies  [][]byte
	record  []byte // one line, for single requests
	raw     *raw
	refused atomic.Int64
}

func (d Deps) open(ctx context.Context, c Config) (*session, error) {
	id, err := ulid.New(ulid.Now(), d.Entropy)
	if err != nil {
		return nil, fmt.Errorf("name the run: %w", err)
	}
	s := &session{Deps: d, cfg: c, topic: "bench-" + id.String()}
	if s.bodies, err = bodies(d.Entropy, c); err != nil {
		return nil, err
	}
	if s.record, err = makeLines(d.Entropy, 1, c.RecordBytes, c.Text); err != nil {
		return nil, err
	}
	s.raw = &raw{store: d.Store, cfg: c, objects: joined(s.bodies, c.ObjectBytes),
		prefix: rawPrefix + id.String() + "/"}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	_, _, err = s.client.CreateTopic(ctx, s.topic, client.TopicSpec{Partitions: c.Partitions})
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *session) start(ctx context.Context) (err error) {
	if s.service, err = s.Start(ctx); err != nil {
		return err
	}
	s.client, err = client.New(client.Options{URL: s.service.URL, UserAgent: "foz-bench"})
	return err
}

// close removes what the run has made in the bucket, as far as it can.
func (s *session) close(ctx context.Context) error {
	err := s.raw.remove(ctx)
	if s.client != nil {
		err = errors.Join(err, s.client.DeleteTopic(ctx, s.topic))
	}
	if s.service != nil {
		s.service.Close()
	}
	return err
}

// warm runs both arms once, unmeasured: connections, directories and buffers are made.
func (s *session) warm(ctx context.Context, _ *IngestReport) error {
	s.say("warm up")
	if _, err := s.raw.create(ctx); err != nil {
		return err
	}
	return s.withProducers(ctx, func(produce func(context.Context) (int64, error)) error {
		_, err := produce(ctx)
		return err
	})
}

// load runs the rounds.
func (s *session) load(ctx context.Context, report *IngestReport) error {
	before := s.service.Counts()
	s.refused.Store(0)
	var produced int64
	err := s.withProducers(ctx, func(produce func(context.Context) (int64, error)) (err error) {
		foz := func(ctx context.Context) (sample, error) {
			done, memory, err := s.measured(ctx, produce)
			produced += done.bytes
			report.MemoryBytes = max(report.MemoryBytes, memory)
			return done, err
		}
		report.Rounds, err = s.rounds(ctx, s.cfg.Rounds, measured(s.raw.create), foz)
		return err
	})
	if err != nil {
		return err
	}
	report.Ratio = RatioOf(report.Rounds)
	report.Refused = s.refused.Load()
	report.Requests = between(before, s.service.Counts())
	uploads := asked(report.Requests, objectstore.OpCreate, "upload")
	report.Objects = uploads.Requests
	report.ObjectBytes = int64(per(float64(uploads.Bytes), float64(uploads.Requests)))
	report.PutsPerGB = per(
		float64(asked(report.Requests, objectstore.OpCreate, "").Requests), float64(produced)/1e9)
	return nil
}

// withProducers opens the connections and lends the foz arm.
func (s *session) withProducers(
	ctx context.Context, do func(produce func(context.Context) (int64, error)) error,
) error {
	connections, end, err := dialAll(ctx, s.service.URL, s.cfg.Connections)
	if err != nil {
		return err
	}
	bytes := s.cfg.records() * s.cfg.RecordBytes
	produce := func(ctx context.Context) (int64, error) {
		done, err := newQuota(s.cfg, bytes).spend(ctx, len(connections),
			func(ctx context.Context, worker int, piece int64) error {
				return s.produce(ctx, connections[worker], piece)
			})
		return done * int64(bytes), err
	}
	return errors.Join(do(produce), end())
}

// refusedPause is how long a producer that was refused waits before it asks again.
const refusedPause = 20 * time.Millisecond

// produce sends a piece of the load until it is durable.
func (s *session) produce(ctx context.Context, c *connection, piece int64) error {
	path := topicPath(s.topic)
	if !s.cfg.Keyed {
		path = partitionPath(s.topic, int32(piece%int64(s.cfg.Partitions)))
	}
	for {
		err := c.produce(path, s.bodies[piece%int64(len(s.bodies))])
		if !errors.Is(err, errRefused) {
			return err
		}
		s.refused.Add(1)
		if err := sleep(ctx, refusedPause); err != nil {
			return err
		}
	}
}

// tailPartition is where single requests go.
const tailPartition = 0

// single counts what one produce, and reading it back at once, cost.
func (s *session) single(ctx context.Context, report *IngestReport) error {
	s.say("count the requests of one produce and of reading it back")
	c, err := dial(ctx, s.service.URL)
	if err != nil {
		return err
	}
	defer c.Close()
	start := s.service.Counts()
	if err := c.produce(partitionPath(s.topic, tailPartition), s.record); err != nil {
		return err
	}
	produced := s.service.Counts()
	report.Produce = between(start, produced)
	if err := s.fetchTail(ctx); err != nil {
		return err
	}
	report.TailRead = between(produced, s.service.Counts())
	return nil
}

// fetchTail reads the last record of a partition.
func (s *session) fetchTail(ctx context.Context) error {
	page, err := s.client.Fetch(ctx, client.Read{
		Topic: s.topic, Partition: tailPartition, From: client.FromTail(1),
	})
	if err != nil {
		return err
	}
	if len(page.Records) != 1 || len(page.Records[0].Value) != s.cfg.RecordBytes {
		return fmt.Errorf("read the last record back: got %d records", len(page.Records))
	}
	return nil
}

// idle asks nothing for a while.
func (s *session) idle(ctx context.Context, report *IngestReport) error {
	s.say(fmt.Sprintf("ask nothing for %s", s.cfg.Idle))
	before := s.service.Counts()
	if err := sleep(ctx, s.cfg.Idle); err != nil {
		return err
	}
	report.Idle = Idle{s.cfg.Idle.Seconds(), between(before, s.service.Counts())}
	return nil
}

// restart gives a service with nothing in its memory but what it loads to begin.
func (s *session) restart(ctx context.Context) error {
	s.service.Close()
	s.service, s.client = nil, nil
	if err := s.start(ctx); err != nil {
		return err
	}
	_, err := s.client.Topic(ctx, s.topic) // it has caught up
	return err
}

// cold starts the service again, so that nothing is in its memory, and counts one read.
func (s *session) cold(ctx context.Context, report *IngestReport) error {
	s.say("start again and count the requests of one read")
	if err := s.restart(ctx); err != nil {
		return err
	}
	before := s.service.Counts()
	if err := s.fetchTail(ctx); err != nil {
		return err
	}
	report.ColdFetch = between(before, s.service.Counts())
	return nil
}
