package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/compactor"
	"github.com/fozlog/foz/httpapi"
	"github.com/fozlog/foz/metadata"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/reader"
)

// topicCatalog is metadata as httpapi's Topics and TopicAdmin.
type topicCatalog struct {
	replica *metadata.Replica
	client  *metadata.Client
}

func (c topicCatalog) Topic(ctx context.Context, name string) (foz.Topic, error) {
	if t, ok := c.replica.State().Topic(name); ok {
		return t, nil
	}
	if err := c.replica.CatchUp(ctx); err != nil {
		return foz.Topic{}, foz.Errorf(foz.CodeUnavailable, "look up topic %q: %w", name, err)
	}
	if t, ok := c.replica.State().Topic(name); ok {
		return t, nil
	}
	return foz.Topic{}, foz.Errorf(foz.CodeTopicNotFound, "there is no topic %q", name)
}

func (c topicCatalog) List(ctx context.Context, prefix, startAfter string, limit int) (
	[]foz.Topic, bool, error,
) {
	if err := c.replica.CatchUp(ctx); err != nil {
		return nil, false, foz.Errorf(foz.CodeUnavailable, "list topics: %w", err)
	}
	page, more := c.replica.State().Topics(prefix, startAfter, limit)
	return page, more, nil
}

func (c topicCatalog) Create(ctx context.Context, t foz.Topic) (foz.Topic, bool, error) {
	return c.client.CreateTopic(ctx, t)
}

func (c topicCatalog) Alter(ctx context.Context, t foz.Topic) (foz.Topic, error) {
	return c.client.AlterTopic(ctx, t)
}

func (c topicCatalog) Delete(ctx context.Context, id foz.TopicID) error {
	return c.client.DeleteTopic(ctx, id)
}

func (c topicCatalog) Answered(
	ctx context.Context, id foz.TopicID, by foz.Producer,
) (foz.Ack, bool, error) {
	if err := c.replica.CatchUp(ctx); err != nil {
		return foz.Ack{}, false, foz.Errorf(foz.CodeUnavailable, "look up producer %s: %w", by.ID, err)
	}
	ack, found := c.replica.State().Answered(id, by)
	return ack, found, nil
}

func (c topicCatalog) Trim(ctx context.Context, p foz.Partition, before int64) (int64, error) {
	return c.client.Trim(ctx, p, before)
}

// planner is the reader and the bucket as httpapi's Planner.
type planner struct {
	*reader.Reader
	bucket objectstore.Store
}

func (p planner) Presign(
	ctx context.Context, object string, lifetime time.Duration,
) (string, error) {
	signer, ok := p.bucket.(objectstore.Presigner)
	if !ok {
		return "", foz.Errorf(foz.CodeBadRequest,
			"this bucket has no presigned URLs: only minio:// and s3:// have")
	}
	return signer.Presign(ctx, object, lifetime)
}

// groupCatalog is metadata as httpapi's Groups.
type groupCatalog struct {
	replica *metadata.Replica
	client  *metadata.Client
}

func (c groupCatalog) Groups(ctx context.Context) ([]string, error) {
	if err := c.replica.CatchUp(ctx); err != nil {
		return nil, foz.Errorf(foz.CodeUnavailable, "list groups: %w", err)
	}
	return c.replica.State().Groups(), nil
}

func (c groupCatalog) Offsets(ctx context.Context, group string) ([]foz.GroupOffset, error) {
	if err := c.replica.CatchUp(ctx); err != nil {
		return nil, foz.Errorf(foz.CodeUnavailable, "look up group %q: %w", group, err)
	}
	offsets, ok := c.replica.State().GroupOffsets(group)
	if !ok {
		return nil, foz.Errorf(foz.CodeGroupNotFound, "there is no group %q", group)
	}
	return offsets, nil
}

func (c groupCatalog) Commit(ctx context.Context, group string, o []foz.GroupOffset) error {
	return c.client.CommitOffsets(ctx, group, o)
}

func (c groupCatalog) Delete(ctx context.Context, group string) error {
	return c.client.DeleteGroup(ctx, group)
}

// session is metadata as httpapi's Sessions.
type session struct{ *metadata.Replica }

func (s session) Applied() uint64 { return s.State().Slot() }

// indexCatalog is metadata as the compactor's Catalog.
type indexCatalog struct {
	replica *metadata.Replica
	client  *metadata.Client
}

func (c indexCatalog) Index() compactor.Index { return c.replica.State() }

func (c indexCatalog) RaiseFloor(ctx context.Context, slot uint64) error {
	return c.client.RaiseFloor(ctx, slot)
}

func (c indexCatalog) ForgetProducers(ctx context.Context) (int, error) {
	return c.client.ForgetProducers(ctx)
}

// View, HeardSlot, Swap, Retain and Compactors are the compactor's Tables.
func (c indexCatalog) View() compactor.View { return c.replica.State() }

func (c indexCatalog) HeardSlot() uint64 { return c.replica.HeardSlot() }

func (c indexCatalog) Swap(ctx context.Context, s foz.Swap) (foz.SwapResult, error) {
	return c.client.Swap(ctx, s)
}

func (c indexCatalog) Retain(ctx context.Context, r foz.Retain) error {
	return c.client.Retain(ctx, r)
}

func (c indexCatalog) Compactors() (ids []string) {
	for _, m := range c.replica.Members() {
		if slices.Contains(m.Roles, roleCompactor) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// maintainer is the compactor as httpapi's Maintainer.
type maintainer struct{ compactor *compactor.Compactor }

func (m maintainer) Maintain(ctx context.Context, run []string, atMost time.Duration) (
	httpapi.Maintenance, error,
) {
	report, err := m.compactor.MaintainFor(ctx, run, atMost)
	var out httpapi.Maintenance
	for _, j := range report.Jobs {
		out.Jobs = append(out.Jobs, httpapi.MaintenanceJob(j))
	}
	for _, c := range report.Requests {
		out.Requests = append(out.Requests, httpapi.RequestCount{
			Op: c.Op, Cause: c.Cause, Requests: c.Requests, Bytes: c.Bytes, Errors: c.Errors,
		})
	}
	for _, d := range report.Damaged {
		out.Damaged = append(out.Damaged, httpapi.Damage{
			Partition: d.Partition, Range: d.Range, Object: d.Object, Detail: d.Err,
		})
	}
	return out, err
}

// List prices of S3 requests, US dollars per million.
const (
	putUSDPerMillion = 5.0 // creates and lists; deletes are free
	getUSDPerMillion = 0.4
)

// degradedFor is how long a node says so after the store has left a request without an answer.
const degradedFor = 10 * time.Second

// Info is the cluster as this node sees it.
func (n *node) Info(context.Context) (httpapi.ClusterInfo, error) {
	info := httpapi.ClusterInfo{
		ClusterID: uuid.UUID(n.cluster).String(), Version: version, Bucket: redacted(n.cfg.Bucket),
		Health: "ok", Nodes: n.replica.Members(), Leader: n.replica.Leader(),
		Cost: httpapi.Cost{
			PutUSDPerMillion: putUSDPerMillion, GetUSDPerMillion: getUSDPerMillion,
		},
	}
	if time.Since(n.store.Faulted()) < degradedFor {
		info.Health = "degraded"
	}
	if n.ready() != nil {
		info.Health = "loading"
	}
	for _, c := range n.store.Counts() {
		info.Requests = append(info.Requests, httpapi.RequestCount{
			Op: c.Op, Cause: c.Cause, Requests: c.Requests, Bytes: c.Bytes, Errors: c.Errors,
		})
		switch c.Op {
		case objectstore.OpCreate, objectstore.OpList:
			info.Cost.USD += float64(c.Requests) * putUSDPerMillion / 1e6
		case objectstore.OpGet:
			info.Cost.USD += float64(c.Requests) * getUSDPerMillion / 1e6
		}
	}
	info.Cost.USDPerDay = info.Cost.USD * float64(24*time.Hour) / float64(time.Since(n.started))
	return info, nil
}

func redacted(bucket string) string {
	u, err := objectstore.ParseURL(bucket)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// readerMetrics shows what the reader counts to Prometheus.
type readerMetrics struct{ reader *reader.Reader }

func (m readerMetrics) Describe(descs chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(m, descs)
}

func (m readerMetrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.reader.Metrics() {
		out <- prometheus.MustNewConstMetric(
			prometheus.NewDesc(c.Name, c.Help, nil, nil), prometheus.CounterValue, c.Value)
	}
}

// compactorMetrics shows what the compactor counts to Prometheus.
type compactorMetrics struct{ compactor *compactor.Compactor }

func (m compactorMetrics) Describe(descs chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(m, descs)
}

func (m compactorMetrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.compactor.Metrics() {
		kind, labels := prometheus.GaugeValue, prometheus.Labels(nil)
		if strings.HasSuffix(c.Name, "_total") {
			kind = prometheus.CounterValue
		}
		if c.Level != "" {
			labels = prometheus.Labels{"level": c.Level}
		}
		out <- prometheus.MustNewConstMetric(
			prometheus.NewDesc(c.Name, c.Help, nil, labels), kind, c.Value)
	}
}

// replicaMetrics shows how far this node is with the log.
type replicaMetrics struct{ replica *metadata.Replica }

var (
	appliedSlot = prometheus.NewDesc("foz_metadata_applied_slot",
		"Highest log slot this node has applied.", nil, nil)
	floorSlot = prometheus.NewDesc("foz_metadata_floor_slot",
		"Floor: what was born below it and is not live never will be.", nil, nil)
	leaderSlot = prometheus.NewDesc("foz_metadata_leader_claim_slot",
		"Claim slot of the leader, as this node heard; 0 if it heard of none.", nil, nil)
)

func (m replicaMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- appliedSlot
	descs <- floorSlot
	descs <- leaderSlot
}

func (m replicaMetrics) Collect(out chan<- prometheus.Metric) {
	state := m.replica.State()
	for desc, slot := range map[*prometheus.Desc]uint64{
		appliedSlot: state.Slot(), floorSlot: state.Floor(),
		leaderSlot: m.replica.Leader().ClaimSlot,
	} {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(slot))
	}
}
