package metadata

import (
	"errors"
	"math"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
)

var errColumns = errors.New("columns of segments do not fit together")

// segmentColumns turns segments into the wire's columns.
func segmentColumns(segments []foz.Segment) *logpb.Segments {
	n := len(segments)
	c := &logpb.Segments{
		Topic:         make([]uint32, n),
		Partition:     make([]int32, n),
		Rows:          make([]int32, n),
		ByteStart:     make([]int64, n),
		ByteLength:    make([]int64, n),
		MinTimestamp:  make([]int64, n),
		TimestampSpan: make([]int64, n),
		Crc32C:        make([]uint32, n),
	}
	index := map[foz.TopicID]uint32{}
	for i, s := range segments {
		at, ok := index[s.Partition.Topic]
		if !ok {
			at = uint32(len(index))
			index[s.Partition.Topic] = at
			c.Topics = append(c.Topics, s.Partition.Topic[:]...)
		}
		c.Topic[i] = at
		c.Partition[i] = s.Partition.Number
		c.Rows[i] = s.Rows
		c.ByteStart[i] = s.ByteStart
		c.ByteLength[i] = s.ByteEnd - s.ByteStart
		c.MinTimestamp[i] = s.MinTimestamp
		c.TimestampSpan[i] = s.MaxTimestamp - s.MinTimestamp
		c.Crc32C[i] = s.CRC32C
		setColumn(&c.Level, n, i, uint32(s.Level))
		setColumn(&c.Batches, n, i, s.Batches)
	}
	return c
}

// setColumn sets element i of a column that is left out while all its n elements are 0.
func setColumn[V comparable](column *[]V, n, i int, v V) {
	var zero V
	if v == zero {
		return
	}
	if *column == nil {
		*column = make([]V, n)
	}
	(*column)[i] = v
}

// column gives element i of a column that may have been left out.
func column[V any](column []V, i int) (v V) {
	if len(column) > 0 {
		v = column[i]
	}
	return v
}

// segmentRows turns the wire's columns into segments.
func segmentRows(c *logpb.Segments) ([]foz.Segment, error) {
	n := len(c.GetTopic())
	lengths := []int{
		len(c.GetPartition()), len(c.GetRows()), len(c.GetByteStart()), len(c.GetByteLength()),
		len(c.GetMinTimestamp()), len(c.GetTimestampSpan()), len(c.GetCrc32C()),
	}
	for _, length := range lengths {
		if length != n {
			return nil, errColumns
		}
	}
	if level, batches := len(c.GetLevel()), len(c.GetBatches()); level != 0 && level != n ||
		batches != 0 && batches != n {
		return nil, errColumns
	}
	segments := make([]foz.Segment, n)
	for i := range segments {
		at := int(c.Topic[i]) * 16
		if at+16 > len(c.Topics) || c.Rows[i] < 0 || c.ByteStart[i] < 0 || c.ByteLength[i] < 0 ||
			c.ByteLength[i] > math.MaxInt64-c.ByteStart[i] ||
			column(c.Level, i) > math.MaxUint8 || column(c.Batches, i) < 0 {
			return nil, errColumns
		}
		segments[i] = foz.Segment{
			Partition: foz.Partition{
				Topic: foz.TopicID(c.Topics[at : at+16]), Number: c.Partition[i],
			},
			Rows:         c.Rows[i],
			ByteStart:    c.ByteStart[i],
			ByteEnd:      c.ByteStart[i] + c.ByteLength[i],
			MinTimestamp: c.MinTimestamp[i],
			MaxTimestamp: c.MinTimestamp[i] + c.TimestampSpan[i],
			CRC32C:       c.Crc32C[i],
			Level:        uint8(column(c.Level, i)),
			Batches:      column(c.Batches, i),
		}
	}
	return segments, nil
}
