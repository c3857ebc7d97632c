package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// parameters are what the query of each route may have. A route of the contract refuses all
// others: a condition that is misspelt would else be none, and a range that is would be all.
var parameters = map[string][]string{
	"GET /v1/topics":              {"prefix", "start_after", "limit"},
	"POST /v1/topics/{t}/records": {"envelope", "key"},
	"GET /v1/topics/{t}/records":  {"from", "columns", "where", "value"},
	"POST /v1/topics/{t}/partitions/{p}/records": {
		"if_next_offset", "envelope", "key",
	},
	"GET /v1/topics/{t}/partitions/{p}/records": {
		"offset", "timestamp", "tail", "end_offset", "until", "limit", "max_bytes", "wait",
		"columns", "where", "value",
	},
	"DELETE /v1/topics/{t}/partitions/{p}/records": {"before"},
	"GET /v1/topics/{t}/partitions/{p}/offsets":    {"at"},
	"GET /v1/topics/{t}/partitions/{p}/segments":   {"from", "to", "limit", "presign"},
	"GET /v1/groups/{g}/offsets":                   {"topic"},
}

// mayBeEmpty are the parameters whose empty value means something: every name, any record, an
// empty key. Any other has lost its value on the way, and is refused.
var mayBeEmpty = []string{"prefix", "start_after", "where", "key"}

// checked gives a handler a query that has what its route knows, each at most once. Outside the
// contract's paths are what watches processes, with parameters of its own.
func checked(key string, h handler) handler {
	names, watcher := parameters[key], !strings.Contains(key, " /v1/")
	return func(w *response, r *http.Request) (err error) {
		if r.URL.RawQuery == "" || watcher {
			return h(w, r)
		}
		if w.query, err = parseQuery(r.URL.RawQuery, names); err != nil {
			return err
		}
		return h(w, r)
	}
}

// query is a request's query.
type query struct{ url.Values }

func parseQuery(raw string, names []string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, badRequest("query: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch all := values[name]; {
		case !slices.Contains(names, name):
			return query{}, badRequest("there is no parameter %s here, there %s", shortened(name),
				thereAre(names))
		case len(all) > 1:
			return query{}, badRequest("parameter %s is there %d times", name, len(all))
		case all[0] == "" && !slices.Contains(mayBeEmpty, name):
			return query{}, badRequest("parameter %s is empty", name)
		}
	}
	return query{values}, nil
}

func thereAre(names []string) string {
	if len(names) == 0 {
		return "are none"
	}
	return "are: " + strings.Join(names, ", ")
}
