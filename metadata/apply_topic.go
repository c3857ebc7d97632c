package metadata

import (
	"regexp"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/tidwall/btree"
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// ValidTopicName says whether a topic may be called name.
func ValidTopicName(name string) bool {
	return topicName.MatchString(name) && name != "." && name != ".."
}

// validPolicy: what a topic does with old records is one of a few words.
func validPolicy(c *logpb.TopicConfig) bool {
	switch c.GetCleanupPolicy() {
	case "", "delete", "compact", "compact,delete":
		return true
	}
	return false
}

// createTopic makes a topic, or gives the one that has the name, unchanged.
func (d *draft) createTopic(t *logpb.Topic) *logpb.Result {
	if !ValidTopicName(t.GetName()) || len(t.GetId()) != 16 ||
		t.GetPartitions() < 1 || t.GetPartitions() > foz.PartitionsMax {
		return d.refused(foz.Errorf(foz.CodeBadRequest,
			"topic %q with %d partitions: names are 1 to 249 of A-Z a-z 0-9 . _ -, partitions 1 to %d",
			t.GetName(), t.GetPartitions(), foz.PartitionsMax))
	}
	if !validPolicy(t.Config) {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "topic %q has no such cleanup policy", t.Name))
	}
	if !validSchema(t.Schema) {
		return d.refused(badSchema(t.Name))
	}
	if id, taken := d.names.Get(t.Name); taken {
		old, _ := d.topics.Get(id)
		return &logpb.Result{Topic: topicToWire(old.Topic), Unchanged: true}
	}
	if _, taken := d.topics.Get(string(t.Id)); taken {
		return d.refused(foz.Errorf(foz.CodeTopicExists, "topic id %x is taken", t.Id))
	}
	made := &topic{owner: d.slot, Topic: topicFromWire(t)}
	made.Revision = d.slot
	made.partitions = growPartitions(nil, t.Partitions, d.slot)
	d.topics.Set(string(t.Id), made)
	d.names.Set(t.Name, string(t.Id))
	return &logpb.Result{Topic: topicToWire(made.Topic)}
}

func growPartitions(parts []*partition, to int32, owner uint64) []*partition {
	for len(parts) < int(to) {
		parts = append(parts, &partition{owner: owner})
	}
	return parts
}

// alterTopic replaces a topic's settings, if nobody did since they were read.
func (d *draft) alterTopic(a *logpb.AlterTopic) *logpb.Result {
	t, err := d.ownTopic(a.Id)
	if err != nil {
		return d.refused(err)
	}
	if !validPolicy(a.Config) {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "topic %q: no such cleanup policy", t.Name))
	}
	if a.Revision != t.Revision {
		return d.refused(foz.Errorf(foz.CodeTopicChanged,
			"topic %q was changed meanwhile: read it again", t.Name))
	}
	if a.Partitions < t.Partitions || a.Partitions > foz.PartitionsMax {
		return d.refused(foz.Errorf(foz.CodeTopicChanged,
			"topic %q has %d partitions; they may only grow, to %d at most, not become %d",
			t.Name, t.Partitions, foz.PartitionsMax, a.Partitions))
	}
	if a.Schema != nil { // else it stays as it is
		next := schemaFromWire(a.Schema)
		if !validSchema(a.Schema) {
			return d.refused(badSchema(t.Name))
		}
		if err := t.Schema.Grow(next); err != nil {
			return d.refused(err)
		}
		t.Schema = next
	}
	t.partitions = growPartitions(t.partitions, a.Partitions, d.slot)
	t.Partitions = a.Partitions
	t.Config = configFromWire(a.Config)
	t.Revision = d.slot
	return &logpb.Result{Topic: topicToWire(t.Topic)}
}

// deleteTopic forgets a topic with its records, producers and group offsets. It names the
// id, so that a retry never meets a topic made later under the same name.
func (d *draft) deleteTopic(a *logpb.DeleteTopic) *logpb.Result {
	t, ok := d.topics.Get(string(a.Id))
	if !ok {
		return d.refused(foz.Errorf(foz.CodeTopicNotFound, "no topic has the id %x", a.Id))
	}
	for _, p := range t.partitions {
		for i := range p.placements {
			d.release(&p.placements[i])
		}
	}
	d.topics.Delete(string(a.Id))
	d.names.Delete(t.Name)
	d.forgetAll(string(a.Id))
	return &logpb.Result{}
}

func (d *draft) forgetAll(topicID string) {
	for _, key := range keysWithPrefix(d.producers, topicID) {
		d.producers.Delete(key)
	}
	for _, name := range d.groups.Keys() {
		g, _ := d.groups.Get(name)
		keys := keysWithPrefix(g.offsets, topicID)
		if len(keys) == 0 {
			continue
		}
		g = d.ownGroup(name)
		for _, key := range keys {
			g.offsets.Delete(key)
		}
	}
}

func keysWithPrefix[V any](m *btree.Map[string, V], prefix string) (keys []string) {
	m.Ascend(prefix, func(key string, _ V) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		keys = append(keys, key)
		return true
	})
	return keys
}

// forgetProducers drops producers that have written nothing since the decision.
func (d *draft) forgetProducers(f *logpb.ForgetProducers) *logpb.Result {
	for _, id := range f.Ids {
		key := string(f.Topic) + id
		if p, ok := d.producers.Get(key); ok && p.slot <= f.Decided {
			d.producers.Delete(key)
		}
	}
	return &logpb.Result{}
}

func topicToWire(t foz.Topic) *logpb.Topic {
	return &logpb.Topic{
		Id: t.ID[:], Name: t.Name, Partitions: t.Partitions, Config: configToWire(t.Config),
		CreatedMs: t.CreatedMS, Revision: t.Revision, Schema: schemaToWire(t.Schema),
	}
}

func topicFromWire(t *logpb.Topic) foz.Topic {
	return foz.Topic{
		ID: foz.TopicID(t.Id), Name: t.Name, Partitions: t.Partitions,
		Config: configFromWire(t.Config), CreatedMS: t.CreatedMs, Revision: t.Revision,
		Schema: schemaFromWire(t.Schema),
	}
}

func configToWire(c foz.TopicConfig) *logpb.TopicConfig {
	return &logpb.TopicConfig{
		RetentionMs: c.RetentionMS, RetentionBytes: c.RetentionBytes,
		MaxMessageBytes: c.MaxMessageBytes, CleanupPolicy: c.CleanupPolicy,
		ProducerTtlMs: c.ProducerTTLMS, DeleteRetentionMs: c.DeleteRetentionMS,
	}
}

func configFromWire(c *logpb.TopicConfig) foz.TopicConfig {
	return foz.TopicConfig{
		RetentionMS: c.GetRetentionMs(), RetentionBytes: c.GetRetentionBytes(),
		MaxMessageBytes: c.GetMaxMessageBytes(), CleanupPolicy: c.GetCleanupPolicy(),
		ProducerTTLMS: c.GetProducerTtlMs(), DeleteRetentionMS: c.GetDeleteRetentionMs(),
	}
}
