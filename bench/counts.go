package bench

import (
	"cmp"
	"slices"

	"github.com/fozlog/foz/objectstore"
)

// Requests is what was asked of the store under one operation and cause.
type Requests struct {
	Op       string `json:"op"`
	Cause    string `json:"cause"`
	Requests int64  `json:"requests"`
	Bytes    int64  `json:"bytes"`
}

// between is what was asked after before was taken and until after was.
func between(before, after []objectstore.Count) []Requests {
	requests := []Requests{}
	for _, count := range after {
		r := Requests{count.Op, count.Cause, count.Requests, count.Bytes}
		for _, old := range before {
			if old.Op == r.Op && old.Cause == r.Cause {
				r.Requests -= old.Requests
				r.Bytes -= old.Bytes
			}
		}
		if r.Requests > 0 {
			requests = append(requests, r)
		}
	}
	slices.SortFunc(requests, func(a, b Requests) int {
		return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Cause, b.Cause))
	})
	return requests
}

// asked sums up the requests of an operation; "" is all operations.
func asked(requests []Requests, op, cause string) (sum Requests) {
	for _, r := range requests {
		if (op == "" || r.Op == op) && (cause == "" || r.Cause == cause) {
			sum.Requests += r.Requests
			sum.Bytes += r.Bytes
		}
	}
	return sum
}
