package httpapi

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// groupMetadataMax is how long a consumer's note may be, in bytes.
const groupMetadataMax = 4 << 10

// listGroups is row 13: every group with where it stands.
func (a *API) listGroups(w *response, r *http.Request) error {
	if err := a.waitSlot(r); err != nil {
		return err
	}
	names, err := a.Groups.Groups(r.Context())
	if err != nil {
		return err
	}
	topics, err := a.readableTopics(r.Context(), w.caller)
	if err != nil {
		return err
	}
	b := []byte(`{"groups":[`)
	for _, name := range names {
		offsets, err := a.Groups.Offsets(r.Context(), name)
		if isCode(err, foz.CodeGroupNotFound) {
			continue // gone since
		}
		if err != nil {
			return err
		}
		if !w.caller.seesGroup(offsets, topics) {
			continue
		}
		if b[len(b)-1] == '}' {
			b = append(b, ',')
		}
		if b, err = a.appendGroup(r.Context(), b, name, topics, offsets); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, append(b, ']', '}'))
	return nil
}

// getGroup is row 13 for one group.
func (a *API) getGroup(w *response, r *http.Request) error {
	name, offsets, topics, err := a.group(w, r)
	if err != nil {
		return err
	}
	b, err := a.appendGroup(r.Context(), nil, name, topics, offsets)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, b)
	return nil
}

// group is the group in the path, and the names of the topics that the caller may read.
func (a *API) group(w *response, r *http.Request) (
	name string, offsets []foz.GroupOffset, topics map[foz.TopicID]string, err error,
) {
	if name, err = pathName(r, "g", "group"); err != nil {
		return name, nil, nil, err
	}
	if err := a.waitSlot(r); err != nil {
		return name, nil, nil, err
	}
	if topics, err = a.readableTopics(r.Context(), w.caller); err != nil {
		return name, nil, nil, err
	}
	offsets, err = a.Groups.Offsets(r.Context(), name)
	hidden := err == nil && !w.caller.seesGroup(offsets, topics)
	if hidden || isCode(err, foz.CodeGroupNotFound) { // told alike
		err = foz.Errorf(foz.CodeGroupNotFound, "there is no group %s", name)
	}
	return name, offsets, topics, err
}

// appendGroup writes a group with its lags. Topics that are gone are left out.
func (a *API) appendGroup(ctx context.Context, b []byte, name string,
	topics map[foz.TopicID]string, offsets []foz.GroupOffset,
) ([]byte, error) {
	b = appendString(append(b, `{"group":`...), name)
	b = append(b, `,"offsets":[`...)
	for _, o := range offsets {
		topic, ok := topics[o.Topic]
		if !ok {
			continue
		}
		p := foz.Partition{Topic: o.Topic, Number: o.Partition}
		bounds, err := a.Reader.Bounds(ctx, p, false)
		if isCode(err, foz.CodeTopicNotFound) {
			continue
		}
		if err != nil {
			return b, err
		}
		if b[len(b)-1] == '}' {
			b = append(b, ',')
		}
		b = appendGroupOffset(b, topic, o)
		b = appendMember(append(b, ','), "next_offset", bounds.Next)
		lag := max(0, bounds.Next-max(o.Offset, bounds.Earliest))
		b = append(appendMember(append(b, ','), "lag", lag), '}')
	}
	return append(b, ']', '}'), nil
}

// appendGroupOffset writes a position, without its last brace.
func appendGroupOffset(b []byte, topic string, o foz.GroupOffset) []byte {
	b = appendString(append(b, `{"topic":`...), topic)
	b = appendMember(append(b, ','), "partition", int64(o.Partition))
	b = appendMember(append(b, ','), "offset", o.Offset)
	b = appendString(append(b, `,"metadata":`...), o.Metadata)
	return appendTime(append(b, `,"committed_at":`...), o.CommittedMS)
}

// deleteGroup is row 13.
func (a *API) deleteGroup(w *response, r *http.Request) error {
	name, err := pathName(r, "g", "group")
	if err != nil {
		return err
	}
	if err := a.mayDeleteGroup(w, r); err != nil {
		return err
	}
	if err := a.Groups.Delete(r.Context(), name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getGroupOffsets is row 14: the committed set, of one topic if asked.
func (a *API) getGroupOffsets(w *response, r *http.Request) error {
	name, offsets, topics, err := a.group(w, r)
	if err != nil {
		return err
	}
	if only := w.query.Get("topic"); only != "" {
		if !w.caller.may(VerbRead, only) {
			return w.caller.forbidden(VerbRead, only)
		}
		t, err := a.Topics.Topic(r.Context(), only)
		if err != nil {
			return err
		}
		topics = map[foz.TopicID]string{t.ID: t.Name}
	}
	writeJSON(w, http.StatusOK, appendCommitted(name, offsets, topics))
	return nil
}

func appendCommitted(
	group string, offsets []foz.GroupOffset, topics map[foz.TopicID]string,
) []byte {
	b := appendString([]byte(`{"group":`), group)
	b = append(b, `,"offsets":[`...)
	for _, o := range offsets {
		topic, ok := topics[o.Topic]
		if !ok {
			continue
		}
		if b[len(b)-1] == '}' {
			b = append(b, ',')
		}
		b = append(appendGroupOffset(b, topic, o), '}')
	}
	return append(b, ']', '}')
}

// commitGroupOffsets is row 14: all positions or none. It answers with what it committed.
func (a *API) commitGroupOffsets(w *response, r *http.Request) error {
	name, err := pathName(r, "g", "group")
	if err != nil {
		return err
	}
	d, err := a.readDocument(w, r, mediaJSON)
	if err != nil {
		return err
	}
	wanted := readCommit(d)
	if err := d.verdict(); err != nil {
		return err
	}
	for _, c := range wanted {
		if !w.caller.may(VerbRead, c.topic) {
			return w.caller.forbidden(VerbRead, c.topic)
		}
	}
	now := time.Now().UnixMilli()
	offsets := make([]foz.GroupOffset, len(wanted))
	topics := map[foz.TopicID]string{}
	for i, c := range wanted {
		t, err := a.named(w, r, c.topic)
		if err == nil && c.Partition >= t.Partitions {
			_, err = a.grown(r.Context(), t, c.Partition)
		}
		if err != nil {
			return err
		}
		offsets[i] = c.GroupOffset
		offsets[i].Topic, offsets[i].CommittedMS = t.ID, now
		topics[t.ID] = t.Name
	}
	if err := a.Groups.Commit(r.Context(), name, offsets); err != nil {
		return positionOf(err)
	}
	writeJSON(w, http.StatusOK, appendCommitted(name, offsets, topics))
	return nil
}

// numberCommitted is where a group stands, of a commit that met a conflict.
const numberCommitted = "committed_offset"

// positionOf gives the number of a conflict a name of its own: metadata calls every offset that
// was met the next one, but a group's is not where its partition ends.
func positionOf(err error) error {
	e, ok := errors.AsType[*foz.Error](err)
	if !ok || e.Code != foz.CodeOffsetConflict {
		return err
	}
	own := *e
	own.Numbers = maps.Clone(e.Numbers)
	if at, found := own.Numbers[foz.NumberNextOffset]; found {
		delete(own.Numbers, foz.NumberNextOffset)
		own.Numbers[numberCommitted] = at
	}
	return &own
}

// namedOffset is a position as a body gives it.
type namedOffset struct {
	foz.GroupOffset
	topic string
}

// readCommit reads {"offsets":[{"topic","partition","offset","metadata"?,"if_offset"?}]}.
func readCommit(d *document) (wanted []namedOffset) {
	type place struct {
		topic     string
		partition int32
	}
	seen := map[place]bool{}
	found := false
	d.members(d.raw, "", func(name string, value []byte) bool {
		if name != "offsets" {
			return name == "group" // an answer of GET can be sent back
		}
		found = true
		d.elements(value, "/offsets", func(i int, value []byte) {
			at := "/offsets/" + strconv.Itoa(i)
			c := readNamedOffset(d, value, at)
			if where := (place{c.topic, c.Partition}); seen[where] {
				d.note(at, "the partition is there twice")
			} else {
				seen[where] = true
			}
			wanted = append(wanted, c)
		})
		return true
	})
	if !found || found && len(wanted) == 0 {
		d.note("/offsets", "no offsets to commit")
	}
	return wanted
}

func readNamedOffset(d *document, raw []byte, at string) (c namedOffset) {
	has := map[string]bool{}
	d.members(raw, at, func(name string, value []byte) bool {
		has[name] = true
		switch pointer := at + "/" + name; name {
		case "topic":
			if c.topic = d.text(value, pointer); !validName.MatchString(c.topic) {
				d.note(pointer, "not the name of a topic")
			}
		case "partition":
			c.Partition = int32(d.integer(value, pointer, 0, math.MaxInt32))
		case "offset":
			c.Offset = d.integer(value, pointer, 0, math.MaxInt64)
		case "metadata":
			if jsonscan.IsNull(value) {
				break
			}
			if c.Metadata = d.text(value, pointer); len(c.Metadata) > groupMetadataMax {
				d.note(pointer, "over 4096 bytes")
			}
		case "if_offset":
			if !jsonscan.IsNull(value) {
				n := d.integer(value, pointer, -1, math.MaxInt64)
				c.IfOffset = &n
			}
		case "committed_at", "next_offset", "lag": // of an answer that is sent back
		default:
			return false
		}
		return true
	})
	for _, name := range []string{"topic", "partition", "offset"} {
		if !has[name] && len(raw) > 0 && raw[0] == '{' {
			d.note(at+"/"+name, "missing")
		}
	}
	return c
}
