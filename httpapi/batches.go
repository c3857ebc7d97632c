package httpapi

import (
	"maps"
	"slices"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/schema"
	"github.com/fozlog/foz/segment"
)

// batches sorts a request's records into rows, one run per partition, within the limits of a
// request and of the memory there is for all.
type batches struct {
	api       *API
	topic     foz.Topic
	only      int32 // the path's partition; anyPartition: the records' keys decide
	sticky    int32 // where this request's keyless records go; anyPartition: not chosen yet
	now       int64 // timestamp of records without one
	recordMax int
	shredder  *schema.Shredder // of a topic that refuses what does not fit its schema; else nil
	lease     lease
	count     int
	rows      map[int32]*foz.Rows
	memory    segment.StreamMemory // of an Arrow body
	borrowed  bool                 // rows lie there
	last      int32                // the partition used last, and its rows
	lastRows  *foz.Rows
	// grown asks for the topic again when a record names a partition it does not have here:
	// this node may lag behind. topic_not_found and partition_not_found are definite.
	grown func(partition int32) (foz.Topic, error)
}

const anyPartition = -1

func (a *API) newBatches(t foz.Topic, only int32, now int64) *batches {
	recordMax := t.Config.MaxMessageBytes
	if recordMax == 0 {
		recordMax = foz.RecordBytesMax
	}
	return &batches{
		api: a, topic: t, only: only, sticky: anyPartition, last: anyPartition, now: now,
		recordMax: int(recordMax), shredder: shredderOf(t), lease: lease{from: &a.decoding},
		rows: map[int32]*foz.Rows{},
	}
}

// partition is where a record with that key goes. nil: no key.
func (b *batches) partition(key []byte) int32 {
	switch {
	case b.only != anyPartition:
		return b.only
	case key != nil:
		return foz.PartitionOf(key, b.topic.Partitions)
	case b.sticky == anyPartition:
		turn := b.api.turns[b.topic.ID[len(b.topic.ID)-1]].Add(1)
		b.sticky = int32((turn - 1) % uint32(b.topic.Partitions))
	}
	return b.sticky
}

// has says whether the topic has the partition, after a second look if it seems not to.
func (b *batches) has(partition int32) error {
	if partition < b.topic.Partitions {
		return nil
	}
	t, err := b.grown(partition)
	if err == nil {
		b.topic = t
	}
	return err
}

// rowOverhead is about what a row takes beside its contents.
const rowOverhead = 24

// append adds a record. at is its pointer in the body, for errors.
func (b *batches) append(partition int32, timestamp int64, key, value, headers []byte) error {
	size := len(key) + len(value) + len(headers)
	if size > b.recordMax {
		return recordTooLarge(b.recordMax)
	}
	if err := b.mismatch(value); err != nil {
		return err
	}
	if err := b.admit(1, size); err != nil {
		return err
	}
	rows := b.of(partition)
	rows.Values.Data = withRoom(rows.Values.Data, len(value))
	rows.Append(timestamp, key, value, headers)
	return nil
}

// admit counts records and their bytes before they are kept.
func (b *batches) admit(records, size int) error {
	b.count += records
	if b.count > b.api.config.RecordsMax {
		return foz.Errorf(foz.CodeBatchTooLarge,
			"a request has at most %d records, whatever their size", b.api.config.RecordsMax)
	}
	return b.lease.add(size + records*rowOverhead)
}

func recordTooLarge(size int) *foz.Error {
	return foz.Errorf(foz.CodeRecordTooLarge,
		"a record of this topic has at most %d bytes: key, value and headers", size)
}

// of gives the rows of a partition.
func (b *batches) of(partition int32) *foz.Rows {
	if partition == b.last {
		return b.lastRows
	}
	rows := b.rows[partition]
	if rows == nil {
		if rows, _ = b.api.rows.Get().(*foz.Rows); rows == nil {
			rows = &foz.Rows{}
		}
		b.rows[partition] = rows
	}
	b.last, b.lastRows = partition, rows
	return rows
}

// list gives the batches in order of partition.
func (b *batches) list() []foz.Batch {
	list := make([]foz.Batch, 0, len(b.rows))
	for _, p := range slices.Sorted(maps.Keys(b.rows)) {
		list = append(list, foz.Batch{Partition: p, Rows: b.rows[p]})
	}
	return list
}

// rowsKeepMax is how large rows may have become and still be used again: by a body of 8 MiB,
// which is what ingest flushes, and twice that by doubling.
const rowsKeepMax = 40 << 20

// release gives the memory back. Rows that somebody may still look at are left to them.
func (b *batches) release(reuse bool) {
	b.lease.release()
	if reuse {
		b.memory.Release()
	}
	for _, rows := range b.rows {
		if reuse && !b.borrowed && cap(rows.Values.Data)+cap(rows.Keys.Data) <= rowsKeepMax {
			rows.Reset()
			b.api.rows.Put(rows)
		}
	}
	b.rows, b.lastRows, b.last = nil, nil, anyPartition
}
