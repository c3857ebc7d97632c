package sim

import (
	"math/rand/v2"

	"github.com/fozlog/foz"
)

// Topics by name.
const (
	plain    = "plain"    // is there in every seed, and stays
	fleeting = "fleeting" // is deleted and made again
	keyed    = "keyed"    // is compacted by key

	forgetful = "forgetful" // forgets its producers soon, who are sleepers all
)

// drawTopics says which topics a seed has. Most lose records by age, or by size, or both.
func drawTopics(rng *rand.Rand) []foz.Topic {
	topics := []foz.Topic{{Name: plain, Partitions: 3}}
	if rng.IntN(2) == 0 {
		topics = append(topics, foz.Topic{Name: fleeting, Partitions: 2})
	}
	if rng.IntN(2) == 0 {
		topics = append(topics, foz.Topic{
			Name: keyed, Partitions: 1 + rng.Int32N(2),
			Config: foz.TopicConfig{
				CleanupPolicy:     []string{"compact", "compact,delete"}[rng.IntN(2)],
				DeleteRetentionMS: 100 + rng.Int64N(1+rng.Int64N(10_000)),
			},
		})
	}
	for i := range topics {
		retain(rng, &topics[i].Config)
	}
	last := topics[1:]
	rng.Shuffle(len(last), func(i, j int) { last[i], last[j] = last[j], last[i] })
	if rng.IntN(3) == 0 {
		topics = append(topics, foz.Topic{
			Name: forgetful, Partitions: 1,
			Config: foz.TopicConfig{ProducerTTLMS: 300 + rng.Int64N(3000)},
		})
	}
	return topics
}

func retain(rng *rand.Rand, c *foz.TopicConfig) {
	if rng.IntN(2) == 0 {
		c.RetentionMS = 2000 + rng.Int64N(1+rng.Int64N(30_000))
	}
	if rng.IntN(2) == 0 {
		c.RetentionBytes = 2<<10 + rng.Int64N(1+rng.Int64N(100<<10))
	}
}

// where draws a partition of those that a node knows.
func (h *house) where(rng *rand.Rand, s *services) (p foz.Partition, ok bool) {
	want := h.topics[rng.IntN(len(h.topics))]
	n := rng.Int32N(want.Partitions)
	t, ok := s.replica.State().Topic(want.Name)
	return foz.Partition{Topic: t.ID, Number: n}, ok
}

// exists says whether the log has a topic now. Once it has not, it never will again.
func (h *house) exists(id foz.TopicID) bool {
	_, there := h.ledger.newest().TopicByID(id)
	return there
}
