package reader

import (
	"sync/atomic"
	"time"
)

// Metric is one number a Reader counts, as it stands: Name ends in _total where it only
// grows.
type Metric struct {
	Name  string
	Help  string
	Value float64
}

// metrics is what a Reader counts. Requests to the store are counted at the store, under the
// cause "fetch".
type metrics struct {
	hits, misses, joined  counter
	fetches, bytes, nanos counter
	retries               counter
	damaged, lost         counter
	stale, catchUps       counter
}

type counter struct{ n atomic.Int64 }

func (c *counter) Inc()        { c.n.Add(1) }
func (c *counter) Add(n int64) { c.n.Add(n) }

// fetched notes one GET.
func (m *metrics) fetched(bytes int, took time.Duration) {
	m.fetches.Inc()
	m.bytes.Add(int64(bytes))
	m.nanos.Add(int64(took))
}

// Metrics gives what has been counted since New, in a fixed order.
func (r *Reader) Metrics() []Metric {
	m := r.metrics
	count := func(name string, c *counter, help string) Metric {
		return Metric{"foz_reader_" + name, help, float64(c.n.Load())}
	}
	return []Metric{
		count("cache_hits_total", &m.hits, "Spans of an object served from memory."),
		count("cache_misses_total", &m.misses, "Spans of an object that began a fetch."),
		count("cache_joined_total", &m.joined, "Spans that joined a fetch under way."),
		count("fetches_total", &m.fetches, "GETs, failed ones too."),
		count("fetched_bytes_total", &m.bytes, "Bytes that GETs brought."),
		{"foz_reader_fetch_seconds_total", "Time in GETs, those at once added up.",
			time.Duration(m.nanos.n.Load()).Seconds()},
		count("fetch_retries_total", &m.retries, "GETs repeated after a fault of the store."),
		count("damaged_total", &m.damaged, "Segments that failed their checks when first read."),
		count("objects_lost_total", &m.lost, "Objects named by the log, not in the store. Alarm."),
		count("stale_retries_total", &m.stale, "Scans that found an object gone and looked again."),
		count("catch_ups_total", &m.catchUps, "Times the index was made current for a read."),
	}
}
