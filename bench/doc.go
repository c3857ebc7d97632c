// Package bench measures foz beside the raw store it runs on, in turns on the same bucket,
// and tells ratios: numbers of two runs on a busy machine cannot be compared, a ratio of two
// arms that took turns can.
//
// It knows a running service by its URL and what its store counted, and the store by its four
// operations. It refuses to know which store that is, how a node is started, and how a report
// is printed.
package bench

import (
	"context"
	"io"
	"time"

	"github.com/fozlog/foz/objectstore"
)

// Service is a running service with an empty bucket, or one of its own making.
type Service struct {
	URL    string                     // "http://host:port"
	Counts func() []objectstore.Count // what was asked of the store since it started
	// Usage is what the service's own process has used; nil: it is a part of this one.
	Usage func() (Usage, error)
	Close func()
}

// Usage is what a process has used so far.
type Usage struct {
	CPU         time.Duration // its system calls included
	MemoryBytes int64         // resident
}

// Deps are the things that do work.
type Deps struct {
	// Store is the bucket of the service, opened a second time: what the raw arm does is in
	// no count of the service.
	Store objectstore.Store
	// Start runs a service on that bucket; the next one is started after the last is closed.
	Start func(ctx context.Context) (*Service, error)
	// Entropy makes the bytes of records and names: any source.
	Entropy io.Reader
	// Progress is told what is being done, in one line; nil: nobody.
	Progress func(line string)
}

func (d Deps) say(line string) {
	if d.Progress != nil {
		d.Progress(line)
	}
}

// Config is the numbers. All sizes are in bytes.
type Config struct {
	Rounds      int           // each has four arms: raw, foz, foz, raw
	Bytes       int64         // of records in one arm; 0: no limit
	For         time.Duration // of one arm; 0: no limit
	RecordBytes int           // of one record's value
	BodyBytes   int           // of the records of one produce request, about
	Text        bool          // records are of words, and can be compressed; else of noise
	Keyed       bool          // each record has a key and an envelope; else a body is one partition's
	ObjectBytes int           // of one object of the raw arm
	Partitions  int32         // of the topic; requests go round them
	Connections int           // each with one produce request under way
	Uploads     int           // raw creates under way
	Readers     int           // of a replay, on either side
	Whole       bool          // a replay is one stream of all partitions, on either side
	Idle        time.Duration // how long nothing is asked of the service
	Lone        int           // requests of the lone producer, ten a second
	Load        float64       // of latencies: the part of what the service takes, 0 to 1
	// FlushInterval is the service's: what it may wait, beside what the store takes.
	FlushInterval time.Duration
}
