package httpapi

import (
	"context"
	"net/http"

	"github.com/fozlog/foz"
)

// What a caller may not see is left out of lists, and of groups.

// visibleTopics is a page of the topics that the caller sees, and whether there are more.
func (a *API) visibleTopics(
	ctx context.Context, caller *Principal, prefix, after string, limit int,
) (list []foz.Topic, more bool, err error) {
	if caller.seesAll() {
		return a.Topics.List(ctx, prefix, after, limit)
	}
	for more = true; more; {
		var page []foz.Topic
		page, more, err = a.Topics.List(ctx, prefix, after, topicsLimitMax)
		if err != nil {
			return nil, false, err
		}
		more = more && len(page) > 0
		for _, t := range page {
			after = t.Name
			if !caller.sees(t.Name) {
				continue
			}
			if len(list) == limit {
				return list, true, nil
			}
			list = append(list, t)
		}
	}
	return list, false, nil
}

// readableTopics are the names, by id, of the topics that the caller may read.
func (a *API) readableTopics(ctx context.Context, caller *Principal) (
	names map[foz.TopicID]string, err error,
) {
	names = map[foz.TopicID]string{}
	after := ""
	for {
		page, more, err := a.Topics.List(ctx, "", after, topicsLimitMax)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			if caller.may(VerbRead, t.Name) {
				names[t.ID] = t.Name
			}
		}
		if !more || len(page) == 0 {
			return names, nil
		}
		after = page[len(page)-1].Name
	}
}

// seesGroup says whether a group with these positions exists for the caller, given the topics
// that it may read.
func (p *Principal) seesGroup(
	offsets []foz.GroupOffset, readable map[foz.TopicID]string,
) bool {
	for _, o := range offsets {
		if readable[o.Topic] != "" {
			return true
		}
	}
	return p.all(VerbRead)
}

// mayDeleteGroup: a caller that may not read everything may delete a group whose positions,
// but for those in topics that are gone, are all in topics that it may read.
func (a *API) mayDeleteGroup(w *response, r *http.Request) error {
	if w.caller.all(VerbRead) {
		return nil
	}
	name, offsets, readable, err := a.group(w, r)
	if err != nil {
		return err
	}
	all, err := a.readableTopics(r.Context(), everyone)
	if err != nil {
		return err
	}
	for _, o := range offsets {
		if all[o.Topic] != "" && readable[o.Topic] == "" {
			return foz.Errorf(foz.CodeForbidden,
				"%s may not read every topic in which group %s has a position", w.caller.name, name)
		}
	}
	return nil
}
