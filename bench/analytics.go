package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// AnalyticsReport is what Analytics has measured, of merged objects of a topic with 20 columns.
type AnalyticsReport struct {
	// Columns is reading two text columns against reading all, in rows per second.
	Columns      []Round `json:"columns"`
	ColumnsRatio Spread  `json:"columns_ratio"`
	// What the projected reads fetched, footers included, and what those columns and all take.
	ColumnsFetched int64 `json:"columns_fetched_bytes"`
	ColumnsStored  int64 `json:"columns_stored_bytes"`
	Stored         int64 `json:"stored_bytes"`
	Footers        int64 `json:"footer_bytes"`

	// Filter is one percent of one partition's time.
	FilterRows     int64 `json:"filter_rows"`
	FilterFetched  int64 `json:"filter_fetched_bytes"`
	PartitionBytes int64 `json:"partition_bytes"` // of that partition
	BatchBytes     int64 `json:"batch_bytes"`     // its largest batch

	// Plan is reading by a plan against ranged reads of the same bytes, Whole through the service.
	Plan       []Round `json:"plan"`
	PlanRatio  Spread  `json:"plan_ratio"`
	Whole      []Round `json:"whole"`
	WholeRatio Spread  `json:"whole_ratio"`

	// Produce is values as Arrow against the same as lines, which need not be looked into, in
	// records per CPU-second; ProduceKeyed is the same of records with keys and timestamps, which
	// as NDJSON are objects.
	Produce           []Round `json:"produce"`
	ProduceRatio      Spread  `json:"produce_ratio"`
	ProduceKeyed      []Round `json:"produce_keyed"`
	ProduceKeyedRatio Spread  `json:"produce_keyed_ratio"`
}

// analytics is a run of Analytics under way.
type analytics struct {
	*compaction
	report  *AnalyticsReport
	replay  replay
	rows    int64
	arrow   [][]byte // the bodies as Arrow streams
	objects [][]byte // the bodies as record objects with keys, and those as Arrow streams
	keyed   [][]byte
	fetched []Requests
}

// Analytics measures reads of columns, by filters and by plans, and bulk produce.
func Analytics(ctx context.Context, d Deps, c Config) (report AnalyticsReport, err error) {
	s, err := d.open(ctx, c)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	a := &analytics{compaction: &compaction{session: s, report: &CompactReport{}}, report: &report}
	for _, step := range []func(context.Context) error{
		a.fill, a.readColumns, a.readFiltered, a.readPlanned, a.produceBoth,
	} {
		if err := step(ctx); err != nil {
			return report, err
		}
	}
	return report, nil
}

// Typed columns of the benchmark's records, beside the five that every record has: 20 in all.
const (
	texts     = 11
	textBytes = 24
)

var analyticsColumns = []string{"t0", "t1"}

func analyticsSchema() *client.Schema {
	s := &client.Schema{}
	for i := range texts {
		s.Columns = append(s.Columns, client.SchemaColumn{Name: fmt.Sprint("t", i), Type: "utf8"})
	}
	for _, c := range [][2]string{{"i", "int64"}, {"n", "int64"}, {"f", "float64"}, {"b", "bool"}} {
		s.Columns = append(s.Columns, client.SchemaColumn{Name: c[0], Type: c[1]})
	}
	return s
}

// typedLines are JSON records of all the columns.
func typedLines(entropy io.Reader, lines int) ([]byte, error) {
	raw := make([]byte, texts*textBytes)
	var body []byte
	for line := range lines {
		if _, err := io.ReadFull(entropy, raw); err != nil {
			return nil, fmt.Errorf("make records: %w", err)
		}
		text := base64.StdEncoding.EncodeToString(raw)
		body = append(body, '{')
		for i := range texts {
			body = fmt.Appendf(body, `"t%d":%q,`, i, text[i*textBytes:][:textBytes])
		}
		body = fmt.Appendf(body, `"i":%d,"n":%d,"f":%d.25,"b":%v}`+"\n",
			line, raw[0], raw[1], raw[2]%2 == 0)
	}
	return body, nil
}

// fill makes the topic typed, produces, and merges.
func (a *analytics) fill(ctx context.Context) (err error) {
	a.say("produce and merge")
	_, err = a.client.AlterTopic(ctx, a.topic, client.TopicSpec{Schema: analyticsSchema()})
	if err != nil {
		return err
	}
	for i := range a.bodies {
		lines := max(1, a.cfg.BodyBytes/450)
		if a.bodies[i], err = typedLines(a.Entropy, lines); err != nil {
			return err
		}
		stream, err := asArrow(a.bodies[i], false)
		keyed, err2 := asArrow(a.bodies[i], true)
		if err = errors.Join(err, err2); err != nil {
			return err
		}
		a.arrow, a.keyed = append(a.arrow, stream), append(a.keyed, keyed)
		a.objects = append(a.objects, asObjects(a.bodies[i]))
	}
	if err := a.backlog(ctx); err != nil {
		return err
	}
	if _, err := a.merge(ctx); err != nil {
		return err
	}
	a.replay = replay{session: a.session, produced: a.produced}
	for p := range a.cfg.Partitions {
		plan, err := a.client.Plan(ctx, a.topic, p, client.PlanRange{})
		if err != nil {
			return err
		}
		if err := a.look(ctx, p, plan); err != nil {
			return err
		}
	}
	if a.report.ColumnsStored == 0 {
		return errors.New("no object has typed columns: give more --bytes, or fewer --partitions")
	}
	return nil
}

// look adds up what a plan's segments have.
func (a *analytics) look(ctx context.Context, p int32, plan client.Plan) error {
	schema := analyticsSchema()
	var typed []foz.SchemaColumn
	for _, c := range schema.Columns {
		typed = append(typed, foz.SchemaColumn{Name: c.Name, Type: foz.ColumnType(c.Type),
			Pointer: "/" + c.Name, Nullable: true})
	}
	for _, s := range plan.Segments {
		a.rows += int64(s.RowCount)
		a.report.Stored += s.ByteEnd - s.ByteStart
		for from := s.ByteStart; from < s.ByteEnd; from += int64(a.cfg.ObjectBytes) {
			a.replay.ranges = append(a.replay.ranges, byteRange{s.Object, from,
				min(int64(a.cfg.ObjectBytes), s.ByteEnd-from)})
		}
		if p == 0 {
			a.report.PartitionBytes += s.ByteEnd - s.ByteStart
		}
		if s.Batches < 2 {
			continue
		}
		object, err := a.Store.Get(ctx, s.Object, 0, -1)
		if err != nil {
			return err
		}
		a.report.Footers += int64(len(object)) - s.ByteEnd
		file, err := segment.Inspect(object)
		if err != nil {
			return err
		}
		for _, b := range file.Batches {
			a.report.BatchBytes = max(a.report.BatchBytes, b.ByteEnd-b.ByteStart)
			if projection, ok := segment.NewProjection(&b, analyticsColumns, typed); ok {
				for _, r := range projection.Ranges(&b) {
					a.report.ColumnsStored += r.End - r.Start
				}
			}
		}
	}
	return nil
}

// readColumns reads two columns, and all, in turns. Bytes of samples are rows.
func (a *analytics) readColumns(ctx context.Context) (err error) {
	a.say("read two of 20 columns, and all")
	whole := func(ctx context.Context) (sample, error) { return a.read(ctx, nil) }
	two := func(ctx context.Context) (s sample, err error) {
		s, err = a.read(ctx, analyticsColumns)
		a.report.ColumnsFetched = asked(a.fetched, objectstore.OpGet, "fetch").Bytes
		return s, err
	}
	a.report.Columns, err = a.rounds(ctx, a.cfg.Rounds, whole, two)
	a.report.ColumnsRatio = RatioOf(a.report.Columns)
	return err
}

// read reads all partitions from a service that has just started; its bytes are rows.
func (a *analytics) read(ctx context.Context, columns []string) (sample, error) {
	if err := a.restart(ctx); err != nil {
		return sample{}, err
	}
	before := a.service.Counts()
	done, _, err := a.measured(ctx, func(ctx context.Context) (int64, error) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(a.cfg.Readers)
		for p := range a.cfg.Partitions {
			g.Go(func() error {
				_, err := a.stream(ctx, client.Read{Topic: a.topic, Partition: p, Columns: columns})
				return err
			})
		}
		return a.rows, g.Wait()
	})
	a.fetched = between(before, a.service.Counts())
	return done, err
}

// stream reads an Arrow stream to its end and gives its bytes.
func (a *analytics) stream(ctx context.Context, r client.Read) (int64, error) {
	stream, err := a.client.Arrow(ctx, r)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	var end lastBytes
	n, err := io.CopyBuffer(&end, stream, make([]byte, 256<<10))
	if err == nil && !bytes.Equal(end[:], endOfStream) {
		err = fmt.Errorf("read partition %d: the stream has no end", r.Partition)
	}
	return n, err
}

// readFiltered reads one percent of the time of partition 0.
func (a *analytics) readFiltered(ctx context.Context) error {
	a.say("read one percent of the time")
	plan, err := a.client.Plan(ctx, a.topic, 0, client.PlanRange{})
	if err != nil || len(plan.Segments) == 0 {
		return err
	}
	first, last := plan.Segments[0].MinTS, plan.Segments[0].MaxTS
	for _, s := range plan.Segments {
		first, last = min(first, s.MinTS), max(last, s.MaxTS)
	}
	middle := plan.Segments[len(plan.Segments)-1].EndOffset / 2
	page, err := a.client.Fetch(ctx, client.Read{
		Topic: a.topic, Partition: 0, From: client.FromOffset(middle), Limit: 1,
	})
	if err == nil && len(page.Records) == 0 {
		err = fmt.Errorf("read the record at offset %d: there is none", middle)
	}
	if err != nil {
		return err
	}
	from := page.Records[0].Timestamp // there may be moments without records
	where := fmt.Sprintf("timestamp >= %d and timestamp < %d", from, from+max(1, (last-first)/100))
	if err := a.restart(ctx); err != nil {
		return err
	}
	before := a.service.Counts()
	for line, err := range a.client.ScanLines(ctx, client.Read{
		Topic: a.topic, Partition: 0, Columns: []string{"offset"}, Where: where,
	}) {
		if err != nil {
			return err
		}
		if len(line) > 0 {
			a.report.FilterRows++
		}
	}
	a.report.FilterFetched = asked(between(before, a.service.Counts()), objectstore.OpGet,
		"fetch").Bytes
	return nil
}

// readPlanned reads by plans, and through the service, against ranged reads of the same bytes.
func (a *analytics) readPlanned(ctx context.Context) (err error) {
	a.say("read by a plan, and through the service")
	raw := measured(func(ctx context.Context) (int64, error) {
		_, err := a.replay.readRaw(ctx)
		return a.report.Stored, err
	})
	planned := measured(func(ctx context.Context) (int64, error) {
		return a.report.Stored, a.direct(ctx)
	})
	if a.report.Plan, err = a.rounds(ctx, a.cfg.Rounds, raw, planned); err != nil {
		return err
	}
	a.report.PlanRatio = RatioOf(a.report.Plan)
	whole := func(ctx context.Context) (sample, error) {
		s, err := a.read(ctx, nil)
		s.bytes = a.report.Stored
		return s, err
	}
	a.report.Whole, err = a.rounds(ctx, a.cfg.Rounds, raw, whole)
	a.report.WholeRatio = RatioOf(a.report.Whole)
	return err
}

// direct reads every partition by its plan, Config.Readers requests at a time in all.
func (a *analytics) direct(ctx context.Context) error {
	get := func(ctx context.Context, s client.PlannedSegment, offset, length int64) ([]byte, error) {
		return a.Store.Get(ctx, s.Object, offset, length)
	}
	var all client.Plan
	for p := range a.cfg.Partitions {
		plan, err := a.client.Plan(ctx, a.topic, p, client.PlanRange{})
		if err != nil {
			return err
		}
		all.Segments = append(all.Segments, plan.Segments...)
	}
	return all.Read(ctx, get, a.cfg.Readers, func(client.PlannedBatch) error { return nil })
}

// produceBoth produces the same records as lines and as Arrow. Bytes of samples are records.
func (a *analytics) produceBoth(ctx context.Context) (err error) {
	a.say("produce lines, and Arrow")
	if err := a.restart(ctx); err != nil {
		return err
	}
	arm := func(query, media string, bodies [][]byte) arm {
		return func(ctx context.Context) (sample, error) {
			s, _, err := a.measured(ctx, func(ctx context.Context) (int64, error) {
				return a.send(ctx, query, media, bodies)
			})
			return s, err
		}
	}
	const lines, arrow = "application/x-ndjson", "application/vnd.apache.arrow.stream"
	a.report.Produce, err = a.rounds(ctx, a.cfg.Rounds, arm("", lines, a.bodies),
		arm("", arrow, a.arrow))
	if err != nil {
		return err
	}
	a.report.ProduceRatio = cpuRatio(a.report.Produce)
	a.report.ProduceKeyed, err = a.rounds(ctx, a.cfg.Rounds,
		arm("?envelope=record", lines, a.objects), arm("", arrow, a.keyed))
	a.report.ProduceKeyedRatio = cpuRatio(a.report.ProduceKeyed)
	return err
}

// cpuRatio is how much more one arm does in a second of the processor.
func cpuRatio(rounds []Round) Spread {
	var ratios []float64
	for _, r := range rounds {
		ratios = append(ratios, per(r.RawCPUPerGB, r.FozCPUPerGB))
	}
	return spreadOf(ratios)
}

// send produces Config.Bytes and gives the number of records.
func (a *analytics) send(
	ctx context.Context, query, media string, bodies [][]byte,
) (int64, error) {
	var records atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range max(1, int(a.cfg.Bytes)/a.cfg.BodyBytes) {
		g.Go(func() error {
			c, err := dial(ctx, a.service.URL)
			if err != nil {
				return err
			}
			defer c.net.Close()
			path := partitionPath(a.topic, int32(i)%a.cfg.Partitions) + query
			for err = errRefused; errors.Is(err, errRefused); {
				err = c.post(path, media, bodies[i%len(bodies)])
			}
			records.Add(int64(bytes.Count(a.bodies[i%len(bodies)], []byte("\n"))))
			return err
		})
	}
	return records.Load(), errors.Join(g.Wait())
}

// timestamp is that of records that say theirs.
const timestamp = 1_700_000_000_000

// asObjects is lines as record objects with keys.
func asObjects(lines []byte) (objects []byte) {
	n := 0
	for line := range bytes.Lines(lines) {
		objects = fmt.Appendf(objects, `{"key":"key-%06d","timestamp":%d,"value":%s}`+"\n",
			n, timestamp+n, bytes.TrimSuffix(line, []byte("\n")))
		n++
	}
	return objects
}

// asArrow is lines as an Arrow stream of values, or with keys and timestamps.
func asArrow(lines []byte, keyed bool) ([]byte, error) {
	rows := &foz.Rows{}
	for line := range bytes.Lines(lines) {
		rows.Append(timestamp+int64(rows.Len()), fmt.Appendf(nil, "key-%06d", rows.Len()),
			bytes.TrimSuffix(line, []byte("\n")), nil)
	}
	columns := []string{"value"}
	if keyed {
		columns = []string{"key", "timestamp", "value"}
	}
	var out bytes.Buffer
	w, err := segment.NewStreamWriter(&out, segment.StreamOptions{
		Columns: columns, BatchBytesMax: 8 << 20,
	})
	if err == nil {
		err = w.Write(0, foz.Run{Rows: rows, To: rows.Len()})
	}
	if err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}
