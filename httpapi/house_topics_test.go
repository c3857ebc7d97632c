package httpapi

import (
	"context"

	"github.com/fozlog/foz"
)

// admin is the house as TopicAdmin.
type admin struct{ *house }

func (a admin) Create(_ context.Context, t foz.Topic) (foz.Topic, bool, error) {
	if old, ok := a.topics[t.Name]; ok {
		return old, false, nil
	}
	made := a.topic(t.Name, t.Partitions, t.Config)
	a.mu.Lock()
	defer a.mu.Unlock()
	made.Schema = t.Schema
	a.topics[t.Name] = made
	return made, true, nil
}

func (a admin) Alter(_ context.Context, to foz.Topic) (foz.Topic, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, t := range a.topics {
		if t.ID != to.ID {
			continue
		}
		if t.Revision != to.Revision {
			return t, foz.Errorf(foz.CodeTopicChanged, "revision is %d", t.Revision)
		}
		if err := t.Schema.Grow(to.Schema); err != nil {
			return t, err
		}
		a.next()
		t.Partitions, t.Config, t.Schema = to.Partitions, to.Config, to.Schema
		t.Revision = a.slot
		a.topics[name] = t
		return t, nil
	}
	return foz.Topic{}, foz.Errorf(foz.CodeTopicNotFound, "no topic %s", to.ID)
}

func (a admin) Delete(_ context.Context, id foz.TopicID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, t := range a.topics {
		if t.ID == id {
			delete(a.topics, name)
			a.next()
			return nil
		}
	}
	return foz.Errorf(foz.CodeTopicNotFound, "no topic %s", id)
}

func (a admin) Trim(_ context.Context, p foz.Partition, before int64) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.earliest[p] = max(a.earliest[p], before)
	return a.earliest[p], nil
}
