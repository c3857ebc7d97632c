package httpapi

import (
	"net/http"

	"github.com/fozlog/foz"
)

// findOffset is row 10.
func (a *API) findOffset(w *response, r *http.Request) error {
	q := w.query
	at := q.Get("at")
	var ms *int64
	var err error
	if at != "" && at != "latest" && at != "earliest" {
		if ms, err = q.integer("at"); err != nil {
			return badRequest("parameter at: %s is not earliest, latest or milliseconds",
				shortened(at))
		}
	}
	if err := a.waitSlot(r); err != nil {
		return err
	}
	_, p, err := a.partition(w, r)
	if err != nil {
		return err
	}
	offset, timestamp := int64(0), int64(-1)
	if ms != nil {
		offset, timestamp, err = a.Reader.OffsetAt(r.Context(), p, *ms)
	} else {
		var b foz.Bounds
		b, err = a.Reader.Bounds(r.Context(), p, at != "earliest")
		if offset = b.Next; at == "earliest" {
			offset = b.Earliest
		}
	}
	if err != nil {
		return err
	}
	b := appendMember([]byte{'{'}, "offset", offset)
	writeJSON(w, http.StatusOK, append(appendMember(append(b, ','), "timestamp", timestamp), '}'))
	return nil
}

// trimPartition is row 11.
func (a *API) trimPartition(w *response, r *http.Request) error {
	before, err := w.query.natural("before")
	if err != nil {
		return err
	}
	if before == nil {
		return badRequest("parameter before is missing: records below it are deleted")
	}
	_, p, err := a.partition(w, r)
	if err != nil {
		return err
	}
	b, err := a.Reader.Bounds(r.Context(), p, true)
	if err != nil {
		return err
	}
	if *before > b.Next {
		return outOfRange(*before, b)
	}
	earliest, err := a.TopicAdmin.Trim(r.Context(), p, *before)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, append(appendMember([]byte{'{'}, "earliest_offset", earliest), '}'))
	return nil
}

// writeJSON answers with a JSON text.
func writeJSON(w *response, status int, b []byte) {
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}
