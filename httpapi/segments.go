package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/fozlog/foz"
)

// Planner shows where records lie, for those who read the bucket themselves.
type Planner interface {
	// Placements gives up to limit placements of p that hold offsets of a range, in order, as
	// one state of the index has them, and what p holds. Errors as of Reader.Bounds.
	Placements(ctx context.Context, p foz.Partition, rg foz.Range, limit int) (
		[]foz.Placement, foz.Bounds, error)
	// Presign makes a URL by which whoever has it may get one object, for so long. It asks
	// nothing of the store. bad_request, whatever the object, where the store has no such URLs.
	Presign(ctx context.Context, object string, lifetime time.Duration) (string, error)
}

// Sizes of a plan.
const (
	planLimit    = 1000
	planLimitMax = 10_000
)

// planSegments is row 12.
func (a *API) planSegments(w *response, r *http.Request) error {
	rg, limit, presign, err := parsePlan(w.query)
	if err != nil {
		return err
	}
	if err := a.waitSlot(r); err != nil {
		return err
	}
	if err := a.keepUp(r.Context()); err != nil { // what an old state names may be deleted
		return err
	}
	_, p, err := a.partition(w, r)
	if err != nil {
		return err
	}
	if presign { // whether there are URLs is not for the range to say, which may be empty
		sample := foz.ObjectKey(0, "any")
		if _, err := a.Planner.Presign(r.Context(), sample, foz.PlanLifetime); err != nil {
			return err
		}
	}
	bounds, err := a.Reader.Bounds(r.Context(), p, false)
	if err != nil {
		return err
	}
	rd := &reading{p: p, bounds: bounds}
	base := bounds.Earliest
	if rg.Base >= 0 {
		base = rg.Base
		if err := a.within(r.Context(), rd, base); err != nil {
			return err
		}
	}
	// The plan holds from here on: what it names is not deleted before it expires.
	expires := time.Now().Add(foz.PlanLifetime)
	placements, bounds, err := a.Planner.Placements(r.Context(), p,
		foz.Range{Base: base, Next: rg.Next}, limit)
	if err != nil {
		return err
	}
	next := min(rg.Next, bounds.Next)
	more := len(placements) == limit && placements[limit-1].Next() < next
	if more {
		next = placements[limit-1].Next()
	}
	b := []byte(`{"segments":[`)
	for i, pl := range placements {
		if i > 0 {
			b = append(b, ',')
		}
		url := ""
		if presign && w.caller.mayGet(pl) {
			if url, err = a.Planner.Presign(r.Context(), pl.Object, foz.PlanLifetime); err != nil {
				return err
			}
		}
		b = appendPlanned(b, pl, url)
	}
	b = appendMember(append(b, `],`...), "next_offset", max(next, base))
	b = strconv.AppendBool(append(b, `,"has_more":`...), more)
	b = appendTime(append(b, `,"expires":`...), expires.UnixMilli())
	w.setBounds(bounds)
	w.Header().Set("Cache-Control", "no-store")
	a.setSlot(w)
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// parsePlan reads a range, whose Base is -1 where the request says none, and what else there is.
func parsePlan(q query) (rg foz.Range, limit int, presign bool, err error) {
	rg = foz.Range{Base: -1, Next: 1<<63 - 1}
	for name, to := range map[string]*int64{"from": &rg.Base, "to": &rg.Next} {
		n, err := q.natural(name)
		if err != nil {
			return rg, 0, false, err
		}
		if n != nil {
			*to = *n
		}
	}
	if rg.Next < rg.Base {
		return rg, 0, false, badRequest("parameter to: %d is before from, %d", rg.Next, rg.Base)
	}
	n, err := q.clamped("limit", planLimitMax)
	if err != nil {
		return rg, 0, false, err
	}
	if n == 0 {
		n = planLimit
	}
	switch v := q.Get("presign"); v {
	case "", "false":
	case "true":
		presign = true
	default:
		err = badRequest("parameter presign: %s is neither true nor false", shortened(v))
	}
	return rg, int(n), presign, err
}

// mayGet says whether the caller may have all of a placement's object: it lies there alone, or
// the caller may read every topic, whoever else's records lie in it.
func (p *Principal) mayGet(pl foz.Placement) bool {
	return pl.Segment.Batches > 1 || p.all(VerbRead)
}

// appendPlanned writes one segment of a plan.
func appendPlanned(b []byte, pl foz.Placement, url string) []byte {
	s := pl.Segment
	codec := "none"
	if s.Level > 0 {
		codec = "zstd"
	}
	b = appendString(append(b, `{"object":`...), pl.Object)
	b = appendMember(append(b, ','), "level", int64(s.Level))
	b = appendString(append(b, `,"codec":`...), codec)
	for _, m := range []struct {
		name string
		n    int64
	}{
		{"byte_start", s.ByteStart}, {"byte_end", s.ByteEnd}, {"rows", int64(s.Rows)},
		{"row_start", int64(pl.RowStart)}, {"row_count", int64(pl.RowCount)},
		{"start_offset", pl.Base}, {"end_offset", pl.Next()},
		{"min_ts", s.MinTimestamp}, {"max_ts", s.MaxTimestamp},
		{"batches", max(int64(s.Batches), 1)}, {"crc32c", int64(s.CRC32C)},
	} {
		b = appendMember(append(b, ','), m.name, m.n)
	}
	if url != "" {
		b = appendString(append(b, `,"url":`...), url)
	}
	return append(b, '}')
}
