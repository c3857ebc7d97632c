package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/prometheus/client_golang/prometheus"
)

// Producer appends. Any method of these interfaces may be called from many goroutines, and
// gives *foz.Error for what a client can act on; other errors become `internal`.
type Producer interface {
	// Produce returns when the request is durable and has its offsets, or is refused. When it
	// has returned without an error it holds on to none of the request's rows: they are
	// used again. A context that ends leaves the outcome unknown.
	Produce(ctx context.Context, r foz.Request) (foz.Ack, error)
}

// Reader reads partitions.
type Reader interface {
	// Query visits what a query wants of partitions of one topic: of each, the records of its
	// range in order, as runs that tile it up to its end or the head as of now. A run may have
	// fewer records than offsets, or none. Between partitions runs come in whatever order is
	// cheap. It ends with the first error of visit, which is then its own.
	Query(ctx context.Context, topic foz.TopicID, parts []foz.PartitionRange, q filter.Query,
		visit func(partition int32, run foz.Run) error) error
	// Bounds is what p holds: as this node knows it, or after catching up with everything
	// committed before the call. topic_not_found and partition_not_found are always the latter.
	Bounds(ctx context.Context, p foz.Partition, linearizable bool) (foz.Bounds, error)
	// Wait returns when p's Next is greater than offset, or ctx's error. Waiting costs nothing.
	Wait(ctx context.Context, p foz.Partition, offset int64) error
	// OffsetAt is the first offset whose timestamp is at least ms, and that timestamp; Next
	// and -1 if there is none.
	OffsetAt(ctx context.Context, p foz.Partition, ms int64) (offset, timestamp int64, err error)
}

// Topics finds topics.
type Topics interface {
	// Topic gives the topic as this node knows it. That there is none (topic_not_found) is
	// said only after catching up.
	Topic(ctx context.Context, name string) (foz.Topic, error)
	// List gives up to limit topics in order of name, after startAfter, whose names have the
	// prefix, and whether there are more.
	List(ctx context.Context, prefix, startAfter string, limit int) ([]foz.Topic, bool, error)
	// Answered gives the answer to an idempotent request that the topic has, if it is one and is
	// remembered, after catching up.
	Answered(ctx context.Context, id foz.TopicID, by foz.Producer) (foz.Ack, bool, error)
}

// TopicAdmin changes topics. Each method returns when its change is durable and this node
// knows it.
type TopicAdmin interface {
	// Create makes a topic of t's Name, Partitions, Config and Schema, or gives the one that has the
	// name, unchanged, with created false.
	Create(ctx context.Context, t foz.Topic) (topic foz.Topic, created bool, err error)
	// Alter replaces the partitions, config and schema of the topic with t's ID, if its revision
	// is still t's; else topic_changed. topic_exists if the schema does not grow only.
	Alter(ctx context.Context, t foz.Topic) (foz.Topic, error)
	// Delete forgets a topic and its records. topic_not_found if there is none.
	Delete(ctx context.Context, id foz.TopicID) error
	// Trim forgets the records below an offset and gives the log start, which is that or higher.
	Trim(ctx context.Context, p foz.Partition, before int64) (earliest int64, err error)
}

// Groups keeps the positions of consumer groups.
type Groups interface {
	// Groups gives the names of all groups, sorted.
	Groups(ctx context.Context) ([]string, error)
	// Offsets is where a group stands; group_not_found if there is none.
	Offsets(ctx context.Context, group string) ([]foz.GroupOffset, error)
	// Commit moves a group in all the partitions given, or in none (offset_conflict).
	Commit(ctx context.Context, group string, offsets []foz.GroupOffset) error
	// Delete forgets a group; group_not_found if there is none.
	Delete(ctx context.Context, group string) error
}

// Sessions is how far this node has come with the log.
type Sessions interface {
	// WaitSlot returns when this node has applied the slot, or ctx's error. It may ask the
	// store for a slot that does not come by itself.
	WaitSlot(ctx context.Context, slot uint64) error
	// KeepUp returns when what this node has applied is no more than seconds old, and CatchUp
	// when it is all that was in the log at the call; or an error, and then nobody knows. The first
	// costs nothing while a leader is heard.
	KeepUp(ctx context.Context) error
	CatchUp(ctx context.Context) error
	// Applied is the highest slot this node has applied.
	Applied() uint64
	// Changed is closed when the next slot is applied. Take it before looking. Waiting for it
	// costs nothing.
	Changed() <-chan struct{}
}

// Cluster describes the cluster as this node sees it.
type Cluster interface {
	Info(ctx context.Context) (ClusterInfo, error)
}

// Maintainer does by request what compactors do by themselves in time.
type Maintainer interface {
	// Maintain does all that is due of the jobs named ("merge", "retain", "compact", "sweep") and
	// begins nothing new once atMost is over, unless that is 0. bad_request, unavailable,
	// overloaded while another call is under way.
	Maintain(ctx context.Context, run []string, atMost time.Duration) (Maintenance, error)
}

// Maintenance is what a call of Maintain found due, and did.
type Maintenance struct {
	Jobs     []MaintenanceJob
	Requests []RequestCount // to the store, meanwhile
	Damaged  []Damage       // known by now, whenever it was found
}

// MaintenanceJob is one job's part of it. Merge and retain count placements, compact
// partitions, sweep objects.
type MaintenanceJob struct {
	Job               string
	Due, Done, Left   int64
	BytesIn, BytesOut int64 // read from and written to the store
}

// Damage is a range that could not be read, and is left as it is.
type Damage struct {
	Partition foz.Partition
	Range     foz.Range
	Object    string
	Detail    string
}

// ClusterInfo is what GET /v1/cluster tells.
type ClusterInfo struct {
	ClusterID string
	Version   string
	Bucket    string // its URL, without credentials
	Health    string // "ok", or one word for what is wrong
	Nodes     []foz.Member
	Leader    foz.Leader
	Requests  []RequestCount // of this node to the store, since its start
	Cost      Cost
}

// RequestCount is how often one operation was asked of the store for one cause.
type RequestCount struct {
	Op, Cause               string
	Requests, Bytes, Errors int64
}

// Cost is what this node's requests to the store cost at list prices.
type Cost struct {
	USD              float64 // since the node's start
	USDPerDay        float64 // at the rate since then
	PutUSDPerMillion float64 // the prices used
	GetUSDPerMillion float64
}

// Deps are what an API works with. All but the last five must be set.
type Deps struct {
	Producer   Producer
	Reader     Reader
	Topics     Topics
	TopicAdmin TopicAdmin
	Groups     Groups
	Cluster    Cluster
	Sessions   Sessions
	Maintainer Maintainer
	Planner    Planner

	Authenticator Authenticator // nil: everybody may do everything

	Ready      func() error          // nil: always. An error says why not, to clients too
	Metrics    http.Handler          // serves /metrics; nil: not there
	Registerer prometheus.Registerer // takes this package's own metrics; nil: not registered
	Logger     *slog.Logger          // nil: silent. Told of internal errors and panics
}
