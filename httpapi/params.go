package httpapi

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

var (
	validName     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)
	validProducer = regexp.MustCompile(`^[!-~]{1,249}$`)
)

// pathName is a topic's or group's name from the path.
func pathName(r *http.Request, wildcard, what string) (string, error) {
	name := r.PathValue(wildcard)
	if !validName.MatchString(name) || name == "." || name == ".." {
		return "", badRequest("%s %s: names are 1 to 249 of A-Z a-z 0-9 . _ -, not . or ..",
			what, shortened(name))
	}
	return name, nil
}

// topic is the topic in the path.
func (a *API) topic(w *response, r *http.Request) (foz.Topic, error) {
	name, err := pathName(r, "t", "topic")
	if err != nil {
		return foz.Topic{}, err
	}
	return a.named(w, r, name)
}

// named finds a topic by its name, as this node knows it; the response remembers which it was.
func (a *API) named(w *response, r *http.Request, name string) (foz.Topic, error) {
	t, err := a.Topics.Topic(r.Context(), name)
	if err == nil {
		w.found = append(w.found, t)
	}
	return t, err
}

// partition is the topic and the partition in the path.
func (a *API) partition(w *response, r *http.Request) (foz.Topic, foz.Partition, error) {
	t, err := a.topic(w, r)
	if err != nil {
		return t, foz.Partition{}, err
	}
	text := r.PathValue("p")
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return t, foz.Partition{}, badRequest("partition %s is not a number from 0", shortened(text))
	}
	p := foz.Partition{Topic: t.ID, Number: int32(n)}
	if p.Number >= t.Partitions {
		t, err = a.grown(r.Context(), t, p.Number)
	}
	return t, p, err
}

// grown asks again for a topic that does not have the partition as far as this node knows.
// That it is not there is said after catching up.
func (a *API) grown(ctx context.Context, t foz.Topic, partition int32) (foz.Topic, error) {
	p := foz.Partition{Topic: t.ID, Number: partition}
	if _, err := a.Reader.Bounds(ctx, p, true); err != nil {
		return t, err
	}
	now, err := a.Topics.Topic(ctx, t.Name)
	if err == nil && (now.ID != t.ID || partition >= now.Partitions) {
		err = foz.Errorf(foz.CodePartitionNotFound,
			"topic %s has no partition %d", t.Name, partition)
	}
	return now, err
}

// setSlot says what this node has applied. It is called after the answer was looked up, so that
// as Foz-Min-Slot it makes any node's read at least as new; and before, for refusals.
func (a *API) setSlot(w *response) {
	w.Header().Set(headerSlot, strconv.FormatUint(a.Sessions.Applied(), 10))
}

// single is a header that may be there once.
func single(h http.Header, name string) (string, error) {
	if n := len(h.Values(name)); n > 1 {
		return "", badRequest("%s is there %d times", name, n)
	}
	return h.Get(name), nil
}

// keepUp is for answers that say there is no more: what they say is no more than seconds old.
func (a *API) keepUp(ctx context.Context) error {
	return behind(ctx, a.Sessions.KeepUp(ctx))
}

// catchUp makes this node know what was committed before the call.
func (a *API) catchUp(ctx context.Context) error {
	return behind(ctx, a.Sessions.CatchUp(ctx))
}

// behind is why nothing can be denied here; nil: it can.
func behind(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return foz.Errorf(foz.CodeUnavailable, "catch up with the log: %w", err)
}

// waitSlot waits for what Foz-Min-Slot asks for.
func (a *API) waitSlot(r *http.Request) error {
	text, err := single(r.Header, headerMinSlot)
	if text == "" || err != nil {
		return err
	}
	slot, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return badRequest("%s %s is not a slot number", headerMinSlot, shortened(text))
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.config.SlotTimeout)
	defer cancel()
	if err := a.Sessions.WaitSlot(ctx, slot); err != nil {
		if ctx.Err() != nil {
			return foz.Errorf(foz.CodeUnavailable, "this node is at slot %d and has not come to %d",
				a.Sessions.Applied(), slot)
		}
		return err
	}
	return nil
}

// integer is an int64 parameter; nil if it is missing.
func (q query) integer(name string) (*int64, error) {
	text := q.Get(name)
	if text == "" {
		return nil, nil
	}
	n, ok := jsonscan.Integer([]byte(text))
	if !ok {
		return nil, badRequest("parameter %s: %s is not an integer", name, shortened(text))
	}
	return &n, nil
}

// natural is an integer parameter from 0.
func (q query) natural(name string) (*int64, error) {
	n, err := q.integer(name)
	if err == nil && n != nil && *n < 0 {
		return nil, badRequest("parameter %s: %d is negative", name, *n)
	}
	return n, err
}

// clamped is an integer parameter moved into [1, most], however large it is; 0 if missing.
func (q query) clamped(name string, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimPrefix(text, "-")
	if strings.Trim(digits, "0123456789") != "" || digits == "" {
		return 0, badRequest("parameter %s: %s is not an integer", name, shortened(text))
	}
	n, _ := strconv.ParseInt(text, 10, 64) // the largest there is, or the smallest, where it is over
	return min(max(n, 1), most), nil
}

// seconds is a duration parameter, moved into [0, most].
func (q query) seconds(name string, most time.Duration) (time.Duration, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != n {
		return 0, badRequest("parameter %s: %s is not a number of seconds", name, shortened(text))
	}
	return time.Duration(min(max(n, 0), most.Seconds()) * float64(time.Second)), nil
}
