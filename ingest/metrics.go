package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what ingest counts. Requests to the store are counted at the store, under the
// cause "upload".
type metrics struct {
	requests         *prometheus.CounterVec // by outcome: "ok" or an error's code
	flushes          *prometheus.CounterVec // by reason
	rows             prometheus.Counter
	bytes            prometheus.Counter
	retries          prometheus.Counter
	uploads, commits prometheus.Histogram
	buffered         prometheus.GaugeFunc
}

func newMetrics(buffered func() int) metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "foz", Subsystem: "ingest", Name: name, Help: help}
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "foz", Subsystem: "ingest", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
		})
	}
	return metrics{
		requests: prometheus.NewCounterVec(
			opts("requests_total", "Produce requests by outcome."), []string{"outcome"}),
		flushes: prometheus.NewCounterVec(
			opts("flushes_total", "Objects sealed, by reason."), []string{"reason"}),
		rows:    prometheus.NewCounter(opts("rows_total", "Records in sealed objects.")),
		bytes:   prometheus.NewCounter(opts("bytes_total", "Bytes of records in sealed objects.")),
		retries: prometheus.NewCounter(opts("upload_retries_total", "Upload attempts repeated.")),
		uploads: seconds("upload_seconds", "From an upload's first attempt to its last."),
		commits: seconds("commit_seconds", "Time a commit call took."),
		buffered: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "foz", Subsystem: "ingest", Name: "buffered_bytes",
			Help: "Bytes of records accepted and not yet answered.",
		}, func() float64 { return float64(buffered()) }),
	}
}

func (m *metrics) answered(outcome string) { m.requests.WithLabelValues(outcome).Inc() }

func (m *metrics) flushed(o *object) {
	m.flushes.WithLabelValues(o.reason).Inc()
	m.rows.Add(float64(o.rows))
	m.bytes.Add(float64(o.bytes))
}

func (m *metrics) uploaded(took time.Duration)  { m.uploads.Observe(took.Seconds()) }
func (m *metrics) committed(took time.Duration) { m.commits.Observe(took.Seconds()) }

// Collectors are the room's metrics, to be registered by whoever exposes them.
func (i *Ingest) Collectors() []prometheus.Collector {
	m := i.metrics
	return []prometheus.Collector{
		m.requests, m.flushes, m.rows, m.bytes, m.retries, m.uploads, m.commits, m.buffered,
	}
}
