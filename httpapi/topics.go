package httpapi

import (
	"net/http"
	"strconv"

	"github.com/fozlog/foz"
)

// createTopic is row 1.
func (a *API) createTopic(w *response, r *http.Request) error {
	name, err := pathName(r, "t", "topic")
	if err != nil {
		return err
	}
	d, err := a.readDocument(w, r, mediaJSON)
	if err != nil {
		return err
	}
	s, err := a.settings(d)
	if err != nil {
		return err
	}
	typed, err := s.schema.grown(foz.Schema{})
	if err != nil {
		return err
	}
	t, created, err := a.TopicAdmin.Create(r.Context(), foz.Topic{
		Name: name, Partitions: max(s.partitions, 1), Config: s.apply(foz.TopicConfig{}),
		Schema: typed,
	})
	if isCode(err, foz.CodeTopicExists) {
		t, err = a.Topics.Topic(r.Context(), name)
	}
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if !created {
		status = http.StatusOK
		if !s.agree(t) {
			return foz.Errorf(foz.CodeTopicExists, "topic %s exists with other settings", name)
		}
	}
	writeTopic(w, status, t)
	return nil
}

func writeTopic(w *response, status int, t foz.Topic) {
	w.Header().Set(headerSlot, strconv.FormatUint(t.Revision, 10))
	writeJSON(w, status, append(appendTopic(nil, t), '}'))
}

// Sizes of a page of topics.
const (
	topicsLimit    = 100
	topicsLimitMax = 1000
	topicsBytesMax = 1 << 20 // about: schemas may be long. There is more, then
)

// listTopics is row 2.
func (a *API) listTopics(w *response, r *http.Request) error {
	q := w.query
	limit, err := q.clamped("limit", topicsLimitMax)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = topicsLimit
	}
	if err := a.waitSlot(r); err != nil {
		return err
	}
	list, more, err := a.visibleTopics(r.Context(), w.caller, q.Get("prefix"), q.Get("start_after"),
		int(limit))
	if err != nil {
		return err
	}
	b := []byte(`{"topics":[`)
	for i, t := range list {
		if len(b) >= topicsBytesMax {
			more = true
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendTopic(b, t), '}')
	}
	b = strconv.AppendBool(append(b, `],"has_more":`...), more)
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// getTopic is row 3.
func (a *API) getTopic(w *response, r *http.Request) error {
	if err := a.waitSlot(r); err != nil {
		return err
	}
	t, err := a.topic(w, r)
	if err != nil {
		return err
	}
	b := append(appendTopic(nil, t), `,"partition_bounds":[`...)
	for p := range t.Partitions {
		bounds, err := a.Reader.Bounds(r.Context(), foz.Partition{Topic: t.ID, Number: p}, false)
		if err != nil {
			return err
		}
		if p > 0 {
			b = append(b, ',')
		}
		b = appendMember(append(b, '{'), "partition", int64(p))
		b = appendMember(append(b, ','), "earliest_offset", bounds.Earliest)
		b = appendMember(append(b, ','), "next_offset", bounds.Next)
		b = appendMember(append(b, ','), "records", bounds.Records)
		b = appendMember(append(b, ','), "bytes", bounds.Bytes)
		b = append(appendMember(append(b, ','), "segments", int64(bounds.Segments)), '}')
	}
	a.setSlot(w)
	writeJSON(w, http.StatusOK, append(b, ']', '}'))
	return nil
}

// alterAttempts is how often a change is tried again that met another one.
const alterAttempts = 3

// alterTopic is row 4: a merge patch. It names the values wanted, not the ones there were, so
// that meeting somebody else's change is no conflict until it happens over and over.
func (a *API) alterTopic(w *response, r *http.Request) error {
	name, err := pathName(r, "t", "topic")
	if err != nil {
		return err
	}
	d, err := a.readDocument(w, r, "application/merge-patch+json", mediaJSON)
	if err != nil {
		return err
	}
	s, err := a.settings(d)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		t, err := a.Topics.Topic(r.Context(), name)
		if err != nil {
			return err
		}
		if s.partitions != partitionsUnset && s.partitions < t.Partitions {
			return invalidAt("/partitions", "topic %s has %d partitions, they may only grow",
				name, t.Partitions)
		}
		t.Partitions, t.Config = max(s.partitions, t.Partitions), s.apply(t.Config)
		if t.Schema, err = s.schema.grown(t.Schema); err != nil {
			return err
		}
		t, err = a.TopicAdmin.Alter(r.Context(), t)
		if err == nil {
			writeTopic(w, http.StatusOK, t)
			return nil
		}
		stale := isCode(err, foz.CodeTopicChanged) || isCode(err, foz.CodeTopicNotFound)
		if !stale || attempt == alterAttempts {
			return err
		}
		if err := a.catchUp(r.Context()); err != nil {
			return err
		}
	}
}

// deleteTopic is row 5.
func (a *API) deleteTopic(w *response, r *http.Request) error {
	t, err := a.topic(w, r)
	if err != nil {
		return err
	}
	if err := a.TopicAdmin.Delete(r.Context(), t.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
