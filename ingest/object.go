package ingest

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// What a commit's parts take on the wire, in bytes, rounded up. Only estimates: they keep a
// commit near CommitBytesMax, not below it by proof.
const (
	commitBytesPerObject  = 128
	commitBytesPerSegment = 40
	commitBytesPerRequest = 40 // and the producer's id
	commitBytesPerBatch   = 6
)

// object is one flush, from its first row to its acknowledgement. Its owner is the mutex
// while it is open, then the uploader that took it, then the committer.
type object struct {
	parts    []part // in order of first appearance; sorted by arrange
	index    map[foz.Partition]int32
	mergers  map[foz.TopicID]int32 // topic -> its newest commit request, if that one is plain
	requests []foz.CommitRequest
	pending  []*pending

	rows        int
	bytes       int // of rows
	commitBytes int // estimate

	due    bool        // may be flushed as soon as an uploader is free
	reason string      // of the flush
	timer  *time.Timer // makes it due; nil if it was due at once

	random   *rand.Rand // its own, so that uploads share no randomness
	seedErr  error
	key      string
	body     []byte
	reusable bool // body was seen by one attempt only, and that one has ended well
	segments []foz.Segment
	appended int64 // milliseconds, store's clock
	state    state // guarded by the mutex
}

// state is how far an object is after it was sealed.
type state int

const (
	uploading state = iota
	uploaded        // durable, not yet committed
	failed          // will never be committed; its requests have been answered
)

// part is one partition's rows in an object.
type part struct {
	segment.Part
	request int32 // newest commit request that has rows here; -1: none
	batch   int32 // which of its batches
}

// pending is a request that waits for its acknowledgement.
type pending struct {
	request int32   // index of the commit request that it is, or is merged into
	shares  []share // in order of partition; nil: it is the commit request alone
	done    chan struct{}
	ack     foz.Ack    // valid once done is closed
	err     *foz.Error // valid once done is closed
}

// share is what a merged request owns of one batch: rows [from, from+rows).
type share struct {
	partition  int32
	from, rows int32
}

func newObject() *object {
	return &object{
		index:       map[foz.Partition]int32{},
		mergers:     map[foz.TopicID]int32{},
		commitBytes: commitBytesPerObject,
	}
}

// add appends a request's rows and returns its place in the queue of acknowledgements.
//
// Plain requests of one topic are merged into one commit request as long as no other kind
// of request of that topic comes between: what can refuse one of them (the topic is gone)
// refuses all of them, and each one's offsets follow from the merged answer. Requests of
// other topics in between do not matter, because they share no segment with these: the order
// of rows in every segment stays the order of arrival.
func (o *object) add(r foz.Request, shelf *shelf) *pending {
	p := &pending{done: make(chan struct{})}
	plain := r.Producer == nil && r.IfNextOffset == nil
	merger, merged := o.mergers[r.Topic]
	switch {
	case !plain:
		p.request = o.addRequest(r)
		delete(o.mergers, r.Topic)
	case merged:
		p.request = merger
	default:
		p.request = o.addRequest(r)
		o.mergers[r.Topic] = p.request
	}
	if plain {
		p.shares = make([]share, 0, len(r.Batches))
	}
	for _, b := range r.Batches {
		from := o.addRows(p.request, foz.Partition{Topic: r.Topic, Number: b.Partition}, b.Rows, shelf)
		if plain {
			p.shares = append(p.shares, share{b.Partition, from, int32(b.Rows.Len())})
		}
	}
	slices.SortFunc(p.shares, func(a, b share) int { return cmp.Compare(a.partition, b.partition) })
	o.pending = append(o.pending, p)
	return p
}

func (o *object) addRequest(r foz.Request) int32 {
	o.commitBytes += requestBytes(r)
	o.requests = append(o.requests, foz.CommitRequest{
		Topic:        r.Topic,
		Producer:     r.Producer,
		IfNextOffset: r.IfNextOffset,
		Batches:      make([]foz.CommitBatch, 0, len(r.Batches)),
	})
	return int32(len(o.requests) - 1)
}

// addRows copies rows into their partition's part and returns how many rows of that part
// the same commit request had before.
func (o *object) addRows(request int32, at foz.Partition, rows *foz.Rows, shelf *shelf) int32 {
	index, ok := o.index[at]
	if !ok {
		index = int32(len(o.parts))
		o.index[at] = index
		o.parts = append(o.parts, part{segment.Part{Partition: at, Rows: shelf.takeRows()}, -1, 0})
		o.commitBytes += commitBytesPerSegment
	}
	to := &o.parts[index]
	batches := &o.requests[request].Batches
	if to.request != request {
		to.request, to.batch = request, int32(len(*batches))
		*batches = append(*batches, foz.CommitBatch{Segment: index})
		o.commitBytes += commitBytesPerBatch
	}
	batch := &(*batches)[to.batch]
	from := batch.Rows
	batch.Rows += int32(rows.Len())
	to.Rows.AppendRows(rows, 0, rows.Len())
	o.rows += rows.Len()
	o.bytes += rows.Bytes()
	return from
}

// arrange puts parts, and each request's batches, in order of partition, as segments are in
// an object, and returns the parts as segment takes them.
func (o *object) arrange() []segment.Part {
	sorted := make([]segment.Part, len(o.parts))
	for n, p := range o.parts {
		sorted[n] = p.Part
	}
	slices.SortFunc(sorted, func(a, b segment.Part) int { return a.Partition.Compare(b.Partition) })
	rank := make([]int32, len(sorted))
	for n, p := range sorted {
		rank[o.index[p.Partition]] = int32(n)
	}
	for _, r := range o.requests {
		for n := range r.Batches {
			r.Batches[n].Segment = rank[r.Batches[n].Segment]
		}
		slices.SortFunc(r.Batches, func(a, b foz.CommitBatch) int { return int(a.Segment - b.Segment) })
	}
	return sorted
}

// commit is what metadata is asked.
func (o *object) commit() foz.Commit {
	return foz.Commit{
		Object:     o.key,
		AppendedMS: o.appended,
		Segments:   o.segments,
		Requests:   o.requests,
	}
}

// fail answers every request of the object with err.
func (o *object) fail(err *foz.Error) {
	for _, p := range o.pending {
		p.answer(foz.Ack{}, err)
	}
}

func (p *pending) answer(ack foz.Ack, err *foz.Error) {
	p.ack = ack
	if err != nil {
		own := *err // each client its own copy: it may add numbers to it
		own.Numbers = maps.Clone(err.Numbers)
		p.err = &own
	}
	close(p.done)
}

func requestBytes(r foz.Request) int {
	if r.Producer == nil {
		return commitBytesPerRequest
	}
	return commitBytesPerRequest + len(r.Producer.ID)
}

// commitBytesMost is the most that a request adds to an object's commit.
func commitBytesMost(r foz.Request) int {
	return requestBytes(r) + len(r.Batches)*(commitBytesPerSegment+commitBytesPerBatch)
}
