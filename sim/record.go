package sim

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/fozlog/foz"
)

// A record's timestamp says which one it is: attempt << 32 | partition << 16 | row. No attempt
// is 0, so no record is. Its key and value follow from that: keys are few, some records have
// none, and some are tombstones.
func recordOf(id uint32, partition int32, row int) uint64 {
	return uint64(id)<<32 | uint64(partition)<<16 | uint64(row)
}

var keys = strings.Fields("ant bee cat dog eel fox gnu hen ibis jay koi lark")

// cellsOf gives a record's key and value.
func cellsOf(record uint64) (key, value []byte) {
	dice := record * 0x9e3779b97f4a7c15 >> 32
	if dice%16 > 0 {
		key = []byte(keys[dice>>4%uint64(len(keys))])
	}
	if dice>>16%4 > 0 {
		value = binary.BigEndian.AppendUint64(nil, record)
	}
	return key, value
}

// idOf says which record a row is; 0: one that nobody can have sent.
func idOf(rows *foz.Rows, i int) uint64 {
	id := uint64(rows.Timestamps[i])
	key, value := cellsOf(id)
	if !same(key, rows.Keys.Cell(i)) || !same(value, rows.Values.Cell(i)) {
		return 0
	}
	return id
}

// same also tells empty from null.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// fill makes the records of an attempt.
func fill(r foz.Request, a *attempt) {
	for i := range r.Batches {
		b := &r.Batches[i]
		b.Rows = &foz.Rows{}
		for row := range a.rows[b.Partition] {
			id := recordOf(a.id, b.Partition, row)
			key, value := cellsOf(id)
			b.Rows.Append(int64(id), key, value, nil)
		}
	}
}

// compacted says whether a topic keeps only the last record of each key.
func compacted(t foz.Topic) bool { return strings.Contains(t.Config.CleanupPolicy, "compact") }
