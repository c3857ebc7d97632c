package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
)

// The contract's own headers.
const (
	headerNextOffset      = "Foz-Next-Offset"
	headerHighWatermark   = "Foz-High-Watermark"
	headerEarliestOffset  = "Foz-Earliest-Offset"
	headerCommittedOffset = "Foz-Committed-Offset"
	headerSlot            = "Foz-Slot"
	headerMinSlot         = "Foz-Min-Slot"
	headerLastEventID     = "Last-Event-ID"
	headerRecordPrefix    = "Foz-Header-"
	headerProducerID      = "Producer-Id"
	headerProducerEpoch   = "Producer-Epoch"
	headerProducerSeq     = "Producer-Seq"
)

// handler answers a request, or returns an error before its first byte. An error after that
// resets the connection.
type handler func(w *response, r *http.Request) error

// route is one pattern of the contract with what it does by method.
type route struct {
	pattern string
	methods map[string]handler
	allow   string
}

func (a *API) table() []route {
	type do = map[string]handler
	const topic, partition = "/v1/topics/{t}", "/v1/topics/{t}/partitions/{p}"
	routes := []route{
		{pattern: "/v1/topics", methods: do{"GET": a.listTopics}},
		{pattern: topic, methods: do{"PUT": a.createTopic, "GET": a.getTopic,
			"PATCH": a.alterTopic, "DELETE": a.deleteTopic}},
		{pattern: topic + "/records", methods: do{"POST": a.produceTopic, "GET": a.readTopic}},
		{pattern: partition + "/records", methods: do{"POST": a.producePartition,
			"GET": a.readPartition, "DELETE": a.trimPartition}},
		{pattern: partition + "/segments", methods: do{"GET": a.planSegments}},
		{pattern: partition + "/offsets", methods: do{"GET": a.findOffset}},
		{pattern: "/v1/groups", methods: do{"GET": a.listGroups}},
		{pattern: "/v1/groups/{g}", methods: do{"GET": a.getGroup, "DELETE": a.deleteGroup}},
		{pattern: "/v1/groups/{g}/offsets",
			methods: do{"GET": a.getGroupOffsets, "PUT": a.commitGroupOffsets}},
		{pattern: "/v1/cluster", methods: do{"GET": a.getCluster}},
		{pattern: "/v1/maintenance", methods: do{"POST": a.maintain}},
		{pattern: "/v1/openapi.json", methods: do{"GET": a.getOpenAPI}},
		{pattern: "/livez", methods: do{"GET": a.live}},
		{pattern: "/readyz", methods: do{"GET": a.ready}},
	}
	if a.Metrics != nil {
		routes = append(routes, route{pattern: "/metrics", methods: do{"GET": a.scrape}})
	}
	for i := range routes {
		rt := &routes[i]
		rt.allow = allowed(rt.methods)
		for method, h := range rt.methods {
			key := method + " " + rt.pattern
			h = checked(key, h)
			if !unloaded[rt.pattern] {
				h = a.loaded(a.renamed(h))
			}
			rt.methods[method] = a.guard(rules[key], h)
		}
	}
	return routes
}

// unloaded are the routes that a node answers before it has loaded what there is.
var unloaded = map[string]bool{"/v1/cluster": true, "/v1/openapi.json": true, "/livez": true,
	"/readyz": true, "/metrics": true}

// loaded refuses until the node is ready: what it has loaded by then is of the past, and names what
// may be deleted.
func (a *API) loaded(h handler) handler {
	return func(w *response, r *http.Request) error {
		if err := a.Ready(); err != nil {
			return foz.Errorf(foz.CodeUnavailable, "not ready: %w", err)
		}
		return h(w, r)
	}
}

// renamed does it again where a topic is denied that was found by its name: as this node knew it,
// and the name may stand for another by now. A request whose body has been read is sent again by
// the client.
func (a *API) renamed(h handler) handler {
	return func(w *response, r *http.Request) error {
		err := h(w, r)
		if !isCode(err, foz.CodeTopicNotFound) || len(w.found) == 0 || w.wrote {
			return err
		}
		made, looked := a.madeAnew(r.Context(), w.found)
		switch {
		case looked != nil:
			return looked
		case !made:
			return err
		case w.body != nil:
			return foz.Errorf(foz.CodeUnavailable, "a topic was deleted and made again, and this "+
				"node has not known: %w", err)
		}
		return h(w, r)
	}
}

// madeAnew says whether a name stands for another topic than it did.
func (a *API) madeAnew(ctx context.Context, found []foz.Topic) (made bool, err error) {
	if err := a.catchUp(ctx); err != nil {
		return false, err
	}
	for _, t := range found {
		now, err := a.Topics.Topic(ctx, t.Name)
		if err != nil {
			return false, err
		}
		made = made || now.ID != t.ID
	}
	return made, nil
}

// allowed is the value of an Allow header. Whatever can be got can be asked for its head.
func allowed(methods map[string]handler) string {
	names := slices.Sorted(maps.Keys(methods))
	if methods["GET"] != nil {
		names = append(names, "HEAD")
	}
	return strings.Join(names, ", ")
}

// Handler serves all routes.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	unknown := a.serve(route{pattern: "unknown"})
	mux.Handle("/", unknown)
	for _, rt := range a.routes {
		mux.Handle(rt.pattern, a.serve(rt))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		if clean := path.Clean(escaped); clean != escaped && clean+"/" != escaped {
			unknown.ServeHTTP(w, r) // the mux would redirect it to where it may not want to go
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serve wraps a route's handlers: methods, errors, panics, metrics.
func (a *API) serve(rt route) http.Handler {
	refuse := a.guard(member, rt.refuse)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw}
		begun := time.Now()
		if r.ContentLength != 0 { // whether it is read by a handler or by the server
			http.NewResponseController(w).SetReadDeadline(begun.Add(a.config.BodyGrace))
		}
		method, known := r.Method, rt.methods[r.Method]
		if known == nil && r.Method == http.MethodHead {
			known = rt.methods[http.MethodGet]
		}
		if known == nil {
			method = "other"
			known = refuse
		}
		defer func() {
			status := strconv.Itoa(w.status)
			a.metrics.requests.WithLabelValues(rt.pattern, method, status).Inc()
			a.metrics.seconds.WithLabelValues(rt.pattern, method).
				Observe(time.Since(begun).Seconds())
		}()
		a.answer(w, r, known)
	})
}

func (rt route) refuse(w *response, r *http.Request) error {
	if rt.methods == nil {
		return foz.Errorf(foz.CodeNotFound, "no resource is at %s", shortened(r.URL.Path))
	}
	w.Header().Set("Allow", rt.allow)
	return foz.Errorf(foz.CodeMethodNotAllowed, "%s has %s, not %s",
		rt.pattern, rt.allow, shortened(r.Method))
}

// answer runs a handler and turns its error, or its panic, into a problem; into a reset
// connection if the answer has begun.
func (a *API) answer(w *response, r *http.Request, h handler) {
	err := a.attempt(w, r, h)
	if err == nil {
		return
	}
	if w.wrote {
		a.breakOff(r, err)
	}
	a.drainBody(w, r)
	a.writeProblem(w, r, err)
}

// breakOff resets the connection: whoever reads the answer must not take it for whole.
func (a *API) breakOff(r *http.Request, err error) {
	a.metrics.broken.Inc()
	if r.Context().Err() == nil {
		a.Logger.Warn("answer broken off", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}

func (a *API) attempt(w *response, r *http.Request, h handler) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	return h(w, r)
}

// drainBody reads what is left of a refused body, up to the size a body may have, so that
// clients that send first and read then see the answer. One that waits for 100 Continue is
// not asked to go on.
func (a *API) drainBody(w *response, r *http.Request) {
	if r.ContentLength == 0 || w.body == nil && expectsContinue(r) {
		return
	}
	if w.body == nil {
		w.body = a.newFlow(w, r)
	}
	if w.body.err == nil {
		// Whatever ends it: the answer is the same.
		_, _ = io.Copy(io.Discard, io.LimitReader(w.body, int64(a.config.BodyBytesMax)))
	}
	// The deadline stays: the server itself reads on for a while before it answers.
}

func expectsContinue(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// response notes whether the answer has begun.
type response struct {
	http.ResponseWriter
	wrote  bool
	status int
	caller *Principal  // who asks; nil: not known yet
	query  query       // what the request asks for, beside its path
	body   *flow       // the request's body, once somebody has begun to read it
	found  []foz.Topic // by their names, as this node knew them
}

// WriteHeader begins the answer.
func (w *response) WriteHeader(status int) {
	if !w.wrote {
		w.wrote, w.status = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the answer, if that has not happened.
func (w *response) Write(b []byte) (int, error) {
	if !w.wrote {
		w.wrote, w.status = true, http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writeDeadline gives the client so long to take what is written next; 0: for ever. Writers
// that have no deadlines are left alone.
func (w *response) writeDeadline(d time.Duration) error {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	err := http.NewResponseController(w).SetWriteDeadline(at)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// shortened makes a client's text fit for a sentence.
func shortened(s string) string {
	if len(s) > 64 {
		return strconv.Quote(s[:64]) + " (shortened)"
	}
	return strconv.Quote(s)
}
