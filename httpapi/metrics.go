package httpapi

import "github.com/prometheus/client_golang/prometheus"

// metrics is what an API counts. route is a pattern of the contract, never a client's path.
type metrics struct {
	requests  *prometheus.CounterVec   // route, method, status
	seconds   *prometheus.HistogramVec // route, method
	records   *prometheus.CounterVec   // direction
	bytes     *prometheus.CounterVec   // direction
	followers prometheus.Gauge
	broken    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "foz", Subsystem: "http", Name: name, Help: help}
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(opts("requests_total", "Requests answered."),
			[]string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "foz", Subsystem: "http", Name: "request_seconds",
			Help:    "Time from a request's header to its answer's end, streams included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14),
		}, []string{"route", "method"}),
		records: prometheus.NewCounterVec(opts("records_total", "Records taken and given."),
			[]string{"direction"}),
		bytes: prometheus.NewCounterVec(opts("record_bytes_total",
			"Bytes of records taken and of answers with records given."), []string{"direction"}),
		followers: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "foz", Subsystem: "http", Name: "followers", Help: "Event streams open.",
		}),
		broken: prometheus.NewCounter(opts("streams_broken_total",
			"Answers reset because reading or writing them broke.")),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.records, m.bytes, m.followers, m.broken)
	}
	return m
}
