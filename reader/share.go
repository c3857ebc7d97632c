package reader

import (
	"container/list"
	"slices"

	"github.com/fozlog/foz"
)

// sharing decides when an object is worth fetching whole. It remembers which partitions
// missed which object, for as many objects as the cold cache would hold.
//
// One object has the segments of many partitions. Whoever replays one partition that owns
// 1 % of each 8 MiB object would read 100 times too much if objects were fetched whole;
// consumers of 100 partitions on this node would make 100 GETs instead of one if they were
// not. Which of the two this node has is not known beforehand, so it rents until renting has
// cost as much as buying: a GET takes about 30 ms to its first byte and 8 MiB take about
// 90 ms more, so four small ranged GETs cost what one whole object costs. The fourth
// partition (WholePartitions) that misses an object fetches it whole, for all others:
//
//	1 partition reads:     1 GET per object, exactly its bytes
//	100 partitions read:   3 ranged + 1 whole = 4 GETs per object instead of 100
//
// and never more than twice the time of the better choice. The count is of partitions, not
// of misses: an object of one partition (compacted, up to 256 MiB) is never fetched whole.
//
// Buying is worth it only while the cache keeps what was bought. An object that is missed
// again after it was fetched whole is read by readers that are further apart than the cache
// is large: four readers that replay 100 partitions one after the other would fetch all of it
// 25 times. From then on its pieces are fetched, 1 GET and their own bytes each, so that the
// bytes stay below twice what they must be.
type sharing struct {
	bytesMax int64
	bytes    int64      // of recent's objects, as far as is known
	typical  int64      // the size of the object fetched whole last
	recent   *list.List // of *missed, newest first
	byObject map[string]*list.Element
	bought   map[string]bool // fetched whole at some time
	buys     []string        // of bought, oldest first; a ring
	oldest   int
}

// boughtMax is how many objects are remembered as fetched whole, 40 bytes and a name each: of
// 8 MiB, they are 128 GiB.
const boughtMax = 1 << 14

// missed is an object, who missed it, and what is known of its size.
type missed struct {
	object     string
	partitions []foz.Partition // distinct
	size       int64           // the least it can be, or what is typical if that is more
}

func newSharing(bytesMax int64) *sharing {
	return &sharing{
		bytesMax: bytesMax, recent: list.New(), byObject: map[string]*list.Element{},
		bought: map[string]bool{},
	}
}

// miss notes that a partition's read missed an object's bytes before end, and says how many
// partitions have: 0 if it is not worth fetching whole, whoever has.
func (s *sharing) miss(object string, p foz.Partition, end int64) int {
	if s.bought[object] {
		return 0
	}
	at := s.byObject[object]
	if at == nil {
		at = s.recent.PushFront(&missed{object: object})
		s.byObject[object] = at
	}
	s.recent.MoveToFront(at)
	m := at.Value.(*missed)
	if !slices.Contains(m.partitions, p) {
		m.partitions = append(m.partitions, p)
	}
	s.resize(m, max(m.size, end, s.typical))
	s.trim()
	return len(m.partitions)
}

// buy notes that an object was fetched whole, and its size. Until others are known they are
// taken to be as large: of an object that was only read by ranges nothing else says how much
// of it there is.
func (s *sharing) buy(object string, size int64) {
	if at := s.byObject[object]; at != nil {
		s.forget(at)
	}
	if !s.bought[object] {
		s.bought[object] = true
		if len(s.buys) < boughtMax {
			s.buys = append(s.buys, object)
		} else {
			delete(s.bought, s.buys[s.oldest])
			s.buys[s.oldest] = object
			s.oldest = (s.oldest + 1) % boughtMax
		}
	}
	s.typical = size
	for at := s.recent.Front(); at != nil; at = at.Next() {
		m := at.Value.(*missed)
		s.resize(m, max(m.size, size))
	}
	s.trim()
}

func (s *sharing) resize(m *missed, size int64) {
	s.bytes += size - m.size
	m.size = size
}

// trim forgets objects that the cold cache would have dropped by now, had they been fetched
// whole: a second look at them would not have been saved.
func (s *sharing) trim() {
	for s.bytes > s.bytesMax && s.recent.Len() > 1 {
		s.forget(s.recent.Back())
	}
}

func (s *sharing) forget(at *list.Element) {
	m := s.recent.Remove(at).(*missed)
	s.bytes -= m.size
	delete(s.byObject, m.object)
}
