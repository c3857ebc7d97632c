package httpapi

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/fozlog/foz"
)

// oneRecord takes the body as one value, with the key of the query and the headers of the
// request that begin with Foz-Header-. HTTP does not keep the case of their names: they are
// in lower case.
func oneRecord(h http.Header, q query) func(*batches, io.Reader) error {
	return func(b *batches, body io.Reader) error {
		limit := &capped{r: body, left: b.recordMax, max: b.recordMax}
		value, free, err := b.api.readAll(limit, &b.lease)
		if limit.left == 0 && isCode(err, foz.CodeBatchTooLarge) {
			return recordTooLarge(b.recordMax)
		}
		if err != nil {
			return err
		}
		defer free()
		var key []byte
		if q.Has("key") {
			key = []byte(q.Get("key"))
		}
		cell := foz.AppendHeaders(nil, recordHeaders(h))
		return atRecord(b.append(b.partition(key), b.now, key, value, cell), 0)
	}
}

// recordHeaders gives a record's headers in order of name.
func recordHeaders(h http.Header) []foz.Header {
	var headers []foz.Header
	for _, name := range slices.Sorted(maps.Keys(h)) {
		key, found := strings.CutPrefix(name, headerRecordPrefix)
		if !found || key == "" {
			continue
		}
		for _, value := range h[name] {
			headers = append(headers, foz.Header{Key: strings.ToLower(key), Value: []byte(value)})
		}
	}
	return headers
}
