package objectstore

import "github.com/prometheus/client_golang/prometheus"

var (
	requestsDesc = prometheus.NewDesc("foz_store_requests_total",
		"Requests made of the object store.", []string{"op", "cause"}, nil)
	bytesDesc = prometheus.NewDesc("foz_store_bytes_total",
		"Bytes of objects stored (create) and read (get).", []string{"op", "cause"}, nil)
	errorsDesc = prometheus.NewDesc("foz_store_errors_total",
		"Requests the object store did not answer, or refused to do.", []string{"op", "cause"}, nil)
	secondsDesc = prometheus.NewDesc("foz_store_request_seconds",
		"How long requests of the object store took.", []string{"op"}, nil)
)

// Describe makes Counted a prometheus.Collector.
func (c *Counted) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{requestsDesc, bytesDesc, errorsDesc, secondsDesc} {
		descs <- desc
	}
}

// Collect makes Counted a prometheus.Collector.
func (c *Counted) Collect(metrics chan<- prometheus.Metric) {
	for _, n := range c.Counts() {
		total := func(desc *prometheus.Desc, value int64) {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue,
				float64(value), n.Op, n.Cause)
		}
		total(requestsDesc, n.Requests)
		total(bytesDesc, n.Bytes)
		total(errorsDesc, n.Errors)
	}
	for i, op := range ops {
		metrics <- c.latency[i].metric(op)
	}
}

// metric sums the buckets up, as Prometheus wants them.
func (l *latency) metric(op string) prometheus.Metric {
	const first = 6 // 64 us: nothing below is worth a line
	buckets := make(map[float64]uint64)
	var sum uint64
	for i := range l.buckets {
		sum += l.buckets[i].Load()
		if i >= first && i < latencyBits-1 {
			buckets[float64(uint64(1)<<i)/1e6] = sum
		}
	}
	return prometheus.MustNewConstHistogram(secondsDesc, sum, float64(l.micros.Load())/1e6,
		buckets, op)
}
