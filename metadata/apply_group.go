package metadata

import (
	"github.com/fozlog/foz"
	"github.com/fozlog/foz/metadata/logpb"
	"github.com/tidwall/btree"
)

// Limits of what clients name: a state holds many of these.
const (
	nameBytesMax = 249     // of a group, of a producer
	noteBytesMax = 4 << 10 // of a group offset's metadata
)

// commitOffsets moves a group in all the partitions named, or in none. Without a condition
// a group only moves forward.
func (d *draft) commitOffsets(c *logpb.CommitOffsets) *logpb.Result {
	if c.Group == "" || len(c.Group) > nameBytesMax {
		return d.refused(foz.Errorf(foz.CodeBadRequest, "group has a name of %d bytes, not 1 to %d",
			len(c.Group), nameBytesMax))
	}
	for _, o := range c.Offsets {
		if err := d.checkOffset(c.Group, o); err != nil {
			return d.refused(err)
		}
	}
	g := d.ownGroup(c.Group)
	for _, o := range c.Offsets {
		g.offsets.Set(groupKey(o.Topic, o.Partition), &logpb.GroupOffset{
			Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Metadata: o.Metadata,
			CommittedMs: o.CommittedMs,
		})
	}
	return &logpb.Result{}
}

func (d *draft) checkOffset(name string, o *logpb.GroupOffset) *foz.Error {
	t, ok := d.topics.Get(string(o.Topic))
	if !ok {
		return foz.Errorf(foz.CodeTopicNotFound, "no topic has the id %x", o.Topic)
	}
	if o.Partition < 0 || int(o.Partition) >= len(t.partitions) {
		return foz.Errorf(foz.CodePartitionNotFound,
			"topic %q has partitions 0 to %d, not %d", t.Name, len(t.partitions)-1, o.Partition)
	}
	if o.Offset < 0 {
		return foz.Errorf(foz.CodeBadRequest, "offset %d of topic %q is negative", o.Offset, t.Name)
	}
	if len(o.Metadata) > noteBytesMax {
		return foz.Errorf(foz.CodeBadRequest, "metadata of %d bytes, over %d", len(o.Metadata),
			noteBytesMax)
	}
	at := int64(-1)
	if g, ok := d.groups.Get(name); ok {
		if old, ok := g.offsets.Get(groupKey(o.Topic, o.Partition)); ok {
			at = old.Offset
		}
	}
	if o.IfOffset == nil && o.Offset < at {
		return foz.Errorf(foz.CodeOffsetConflict,
			"group %q is at %d in %s/%d; going back to %d needs if_offset %d",
			name, at, t.Name, o.Partition, o.Offset, at).With(foz.NumberNextOffset, at)
	}
	if o.IfOffset != nil && *o.IfOffset != at {
		return foz.Errorf(foz.CodeOffsetConflict, "group %q is at %d in %s/%d, not at %d",
			name, at, t.Name, o.Partition, *o.IfOffset).With(foz.NumberNextOffset, at)
	}
	return nil
}

func (d *draft) deleteGroup(c *logpb.DeleteGroup) *logpb.Result {
	if _, ok := d.groups.Delete(c.Group); !ok {
		return d.refused(foz.Errorf(foz.CodeGroupNotFound, "no group is called %q", c.Group))
	}
	return &logpb.Result{}
}

// ownGroup gives the draft's own copy of a group, made if it was not there.
func (d *draft) ownGroup(name string) *group {
	g, ok := d.groups.Get(name)
	switch {
	case !ok:
		g = &group{owner: d.slot, offsets: new(btree.Map[string, *logpb.GroupOffset])}
	case g.owner == d.slot:
		return g
	default:
		g = &group{owner: d.slot, offsets: g.offsets.Copy()}
	}
	d.groups.Set(name, g)
	return g
}
