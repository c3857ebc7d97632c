package foz

import (
	"encoding/hex"
	"fmt"
	"time"
)

// TopicID names a topic for ever: it is drawn when the topic is made, and a topic deleted
// and made again under the same name has another one.
type TopicID [16]byte

// String gives the id in the usual form of a UUID, 36 characters.
func (id TopicID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseTopicID reads what [TopicID.String] wrote.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("parse topic id %q: not a UUID", s)
	}
	bare := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(bare)); err != nil {
		return TopicID{}, fmt.Errorf("parse topic id %q: %w", s, err)
	}
	return id, nil
}

// Partition names one partition of one topic.
type Partition struct {
	Topic  TopicID
	Number int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Number) }

// Compare orders partitions by topic id, then number.
func (p Partition) Compare(q Partition) int {
	for i := range p.Topic {
		if p.Topic[i] != q.Topic[i] {
			return int(p.Topic[i]) - int(q.Topic[i])
		}
	}
	return int(p.Number) - int(q.Number)
}

// Range is a half-open range of offsets, [Base, Next).
type Range struct{ Base, Next int64 }

// Len is how many offsets the range holds.
func (r Range) Len() int64 { return r.Next - r.Base }

// Header is one name and value beside a record. Names may repeat, order is kept.
type Header struct {
	Key   string
	Value []byte
}

// Record is one event.
type Record struct {
	Offset    int64
	Timestamp int64    // milliseconds since 1970, as the producer gave it or as ingest received it
	Key       []byte   // nil: no key. Empty and nil differ
	Value     []byte   // nil: a tombstone. Empty and nil differ
	Headers   []Header // nil: none
}

// Topic is a topic as metadata knows it.
type Topic struct {
	ID         TopicID
	Name       string
	Partitions int32
	Config     TopicConfig
	CreatedMS  int64  // append time of its creation, milliseconds, on the clock of the node that asked
	Revision   uint64 // slot of the entry that changed it last
	Schema     Schema // zero: its values are bytes and nothing else
}

// TopicConfig is what a user may set on a topic. Zero values are the defaults.
type TopicConfig struct {
	RetentionMS     int64  // records older than this may go; 0: never
	RetentionBytes  int64  // of each partition, as stored; 0: no limit
	MaxMessageBytes int64  // of one record: key, value and headers; 0: RecordBytesMax
	CleanupPolicy   string // "delete" (also ""), "compact" or "compact,delete"
	ProducerTTLMS   int64  // how long a silent producer is remembered; 0: 7 days
	// DeleteRetentionMS is how long key compaction keeps a tombstone, so that whoever reads
	// the topic in that time learns of it; 0: 1 day.
	DeleteRetentionMS int64
}

// PartitionsMax is how many partitions one topic may have.
const PartitionsMax = 10_000

// Limits of the contract, in bytes.
const (
	RecordBytesMax = 1 << 20  // one record, unless its topic says otherwise
	BodyBytesMax   = 64 << 20 // one request's body, decoded
)

// PlanLifetime is how long what a read plan names stays in the bucket, even if it is merged into
// other objects or expires meanwhile: sweepers leave dead objects alone for longer.
const PlanLifetime = 15 * time.Minute

// Segment is a run of one partition's rows inside one object. At level 0, and at level 1 where
// Batches is 1, it is one Arrow record batch: bytes [ByteStart, ByteEnd) are its message.
// Where Batches is greater, the object is of this one partition, bytes [ByteStart, ByteEnd)
// are the whole Arrow stream inside it, schema and end-of-stream marker included, and the rest
// of the object is its footer, which tells where the batches lie.
type Segment struct {
	Partition    Partition
	Rows         int32
	ByteStart    int64 // inside the object
	ByteEnd      int64
	MinTimestamp int64 // over all rows, milliseconds
	MaxTimestamp int64
	CRC32C       uint32 // Castagnoli, of the message; of the footer where Batches is above 1
	Level        uint8  // 0: as ingest wrote it; 1: merged, its rows have their offsets with them
	Batches      int32  // record batches; 0 at level 0
}

// Placement is a segment, or a row range of one, that has offsets: row RowStart+i of the
// segment is the record at offset Base+i. At level 1 it is a whole segment, and its rows say
// their offsets themselves: Missing of those in [Base, Next) have no record any more.
type Placement struct {
	Object     string // key in the bucket
	Segment    Segment
	RowStart   int32
	RowCount   int32
	Base       int64
	Missing    int64 // offsets whose records key compaction has removed
	AppendedMS int64 // append time on the store's clock, milliseconds; of the newest row
}

// Next is the offset after the placement's last.
func (p Placement) Next() int64 { return p.Base + int64(p.RowCount) + p.Missing }

// Bounds is what a partition holds: offsets [Earliest, Next).
type Bounds struct {
	Earliest int64
	Next     int64
	Records  int64 // live, as the index counts them
	Bytes    int64 // of live segments, as stored
	Segments int   // live placements
	// Generation is the slot of the last key compaction: what records a range holds may
	// have changed there. 0: it never has.
	Generation uint64
}

// Batch is what one request holds for one partition: the unit of order.
type Batch struct {
	Partition int32
	Rows      *Rows
}

// Producer identifies one attempt-group of an idempotent producer: its Seq-th request to a
// topic, counted from 0 in each epoch.
type Producer struct {
	ID    string
	Epoch int64
	Seq   int64
}

// Request is what a client asks to append to one topic: all batches, or none of them.
type Request struct {
	Topic        TopicID
	Batches      []Batch   // at most one per partition
	Producer     *Producer // nil: not idempotent
	IfNextOffset *int64    // nil: unconditional; else Batches has exactly one element
}

// Ack answers a [Request] that was appended.
type Ack struct {
	Slot       uint64 // log slot that holds it: a read that waits for this slot sees it
	AppendedMS int64  // append time on the store's clock, milliseconds
	Duplicate  bool   // the request had been appended before; these are its first offsets
	Ranges     []PartitionRange
}

// PartitionRange is a run of offsets in a partition.
type PartitionRange struct {
	Partition int32
	Range
}

// Commit asks metadata to give an object's rows their offsets. It is idempotent by Object.
type Commit struct {
	Object     string // key, "data/<birth slot, 20 digits>/<ULID>.arrow"
	AppendedMS int64  // the store's date when the object was created, milliseconds
	Segments   []Segment
	Requests   []CommitRequest
}

// CommitRequest is the unit of a commit: its rows get offsets together or not at all.
// A segment's rows belong to the commit's requests in order: the first request that names
// the segment owns its first rows.
type CommitRequest struct {
	Topic        TopicID
	Producer     *Producer
	IfNextOffset *int64
	Batches      []CommitBatch
}

// CommitBatch is how many rows of a segment are the request's.
type CommitBatch struct {
	Segment int32 // index into Commit.Segments
	Rows    int32
}

// CommitResult is metadata's answer, kept with the object's name: asked again, it is the
// same.
type CommitResult struct {
	Slot     uint64
	Requests []RequestResult // one per CommitRequest, in order
}

// RequestResult is what became of one CommitRequest. Err is nil, or definite: the request
// is refused and will not appear (its Code says which refusals may hide an earlier attempt).
type RequestResult struct {
	Ack Ack
	Err *Error
}

// Swap asks metadata to let segments of a merged object stand for the placements they were
// made of. It is idempotent by Object; each output is accepted or refused by itself.
type Swap struct {
	Object  string // key, as of a Commit
	Outputs []SwapOutput
}

// SwapOutput is one segment, of level 1, and the placements it replaces: adjacent, in order,
// tiling Range.
type SwapOutput struct {
	Segment Segment
	Range   Range // has Segment.Rows records; fewer than offsets after key compaction
	Inputs  []SwapInput
}

// SwapInput names a placement.
type SwapInput struct {
	Object string
	Range  Range
}

// SwapResult is metadata's answer. An output is refused where its inputs are not what the
// partition has any more; then nothing has changed.
type SwapResult struct {
	Slot     uint64
	Accepted []bool // one per SwapOutput, in order
}

// Retain asks metadata to move log starts of one topic up, as its retention has it.
type Retain struct {
	Topic    TopicID
	Revision uint64 // of the topic, that it was decided on: refused if there is another by now
	Starts   []PartitionStart
}

// PartitionStart is where a partition is to begin.
type PartitionStart struct {
	Partition int32
	Earliest  int64
}

// Run is a stretch of records as a read yields them: rows [From, To) of Rows. It aliases
// cached bytes: read it, do not change it. A run without rows says that offsets up to Next
// hold no record any more.
type Run struct {
	Base     int64 // where the run begins: the offset of the first record, unless Offsets say
	Rows     *Rows
	From, To int
	Offsets  []int64 // ascending, of rows [From, To); nil: Base, Base+1, ...
	End      int64   // where the next run begins; 0: after the last record
	// Columns are typed columns, in the order in which a read asked for them; cell i is of the
	// run's i-th record. A read that asks for columns may find those of Rows that it did not
	// ask for without cells.
	Columns []Vector
	// Stored is the run as its object has it, a message of Arrow with the columns that the
	// read asked for. Then there are no Rows, Offsets and Columns. Only a read that asks for
	// it gets it.
	Stored []byte
}

// Len is how many records the run has.
func (r Run) Len() int { return r.To - r.From }

// Offset is the offset of the run's i-th record.
func (r Run) Offset(i int) int64 {
	if r.Offsets != nil {
		return r.Offsets[i]
	}
	return r.Base + int64(i)
}

// Next is the offset at which the next run begins: no record is left out in between.
func (r Run) Next() int64 {
	if r.End != 0 {
		return r.End
	}
	if n := r.Len(); r.Offsets != nil && n > 0 {
		return r.Offsets[n-1] + 1
	}
	return r.Base + int64(r.Len())
}

// Member is one node of the cluster, as its heartbeats describe it.
type Member struct {
	ID      string
	HTTP    string // base URL other nodes and clients reach it at; may be ""
	Roles   []string
	Applied uint64 // highest log slot it has applied
}

// Leader is who appends to the log now, as far as this node has heard. The zero value: nobody.
type Leader struct {
	ID        string
	HTTP      string
	ClaimSlot uint64
}

// GroupOffset is where a consumer group stands in one partition.
type GroupOffset struct {
	Topic       TopicID
	Partition   int32
	Offset      int64  // the next record to read
	Metadata    string // the consumer's own note, at most 4 KiB
	CommittedMS int64  // when, milliseconds, on the clock of the node that asked
	IfOffset    *int64 // only when committing: refuse unless the group stands here now (-1: nowhere)
}
