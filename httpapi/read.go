package httpapi

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// reading is a read of one partition.
type reading struct {
	p     foz.Partition
	media string
	style style

	offset, timestamp, tail *int64 // at most one
	end, until              *int64
	limit, maxBytes         int64 // 0: none
	wait                    time.Duration

	untilOffset *int64 // the first offset at or after until, once there is one
	limitOffset *int64 // where the limit ends the range, if that is known before it is read
	bounds      foz.Bounds
	rg          foz.Range // what to read, within bounds
}

// readPartition is row 8.
func (a *API) readPartition(w *response, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	rd, err := a.parseRead(r, w.query)
	if err != nil {
		return err
	}
	if err := a.waitSlot(r); err != nil {
		return err
	}
	a.setSlot(w)
	t, p, err := a.partition(w, r)
	if err != nil {
		return err
	}
	rd.p = p
	if err := rd.style.resolve(t, rd.media, false); err != nil {
		return err
	}
	if err := a.resolve(r.Context(), rd); err != nil {
		return err
	}
	if rd.media == mediaSSE {
		a.setSlot(w)
		return a.follow(w, r, rd)
	}
	if err := a.longPoll(r.Context(), rd); err != nil {
		return err
	}
	a.setSlot(w)
	return a.answerRead(w, r, t, rd)
}

// parseRead reads everything of a request but its path.
func (a *API) parseRead(r *http.Request, q query) (rd *reading, err error) {
	rd = &reading{}
	if rd.media, err = accept(r); err != nil {
		return nil, err
	}
	if rd.style, err = styleOf(q); err != nil {
		return nil, err
	}
	for name, field := range map[string]**int64{
		"offset": &rd.offset, "tail": &rd.tail, "end_offset": &rd.end,
	} {
		if *field, err = q.natural(name); err != nil {
			return nil, err
		}
	}
	if rd.timestamp, err = q.integer("timestamp"); err != nil {
		return nil, err
	}
	if rd.until, err = q.integer("until"); err != nil {
		return nil, err
	}
	if rd.limit, err = q.clamped("limit", int64(a.config.LimitMax)); err != nil {
		return nil, err
	}
	if rd.maxBytes, err = q.clamped("max_bytes", a.config.AnswerBytesMax); err != nil {
		return nil, err
	}
	if rd.wait, err = q.seconds("wait", a.config.WaitMax); err != nil {
		return nil, err
	}
	if rd.media == mediaJSON && rd.maxBytes == 0 {
		rd.maxBytes = a.config.AnswerBytes
	}
	return rd, rd.resume(r)
}

// resume checks that there is one beginning, and lets Last-Event-ID take its place.
func (rd *reading) resume(r *http.Request) error {
	given := 0
	for _, n := range []*int64{rd.offset, rd.timestamp, rd.tail} {
		if n != nil {
			given++
		}
	}
	if given > 1 {
		return badRequest("offset, timestamp and tail exclude each other")
	}
	if rd.offset != nil && rd.end != nil && *rd.end < *rd.offset {
		return badRequest("end_offset %d is before offset %d", *rd.end, *rd.offset)
	}
	if rd.media != mediaSSE {
		return nil
	}
	if id, err := single(r.Header, headerLastEventID); err != nil {
		return err
	} else if id != "" {
		n, ok := jsonscan.Integer([]byte(id))
		if !ok || n < 0 {
			return badRequest("Last-Event-ID %s is not an offset", shortened(id))
		}
		rd.offset, rd.timestamp, rd.tail = &n, nil, nil
	} else if given == 0 {
		rd.tail = new(int64)
	}
	return nil
}

// resolve finds the range to read. Where it begins is looked up before the bounds, so that it
// lies within them.
func (a *API) resolve(ctx context.Context, rd *reading) (err error) {
	start := int64(-1)
	if rd.timestamp != nil {
		if start, _, err = a.Reader.OffsetAt(ctx, rd.p, *rd.timestamp); err != nil {
			return err
		}
	}
	if rd.bounds, err = a.Reader.Bounds(ctx, rd.p, false); err != nil {
		return err
	}
	if rd.offset != nil {
		start = *rd.offset
		if err := a.within(ctx, rd, start); err != nil {
			return err
		}
	}
	if rd.tail != nil {
		start = rd.bounds.Next - min(*rd.tail, rd.bounds.Next)
	}
	rd.rg.Base = max(start, rd.bounds.Earliest)
	if err := a.findEnd(ctx, rd); err != nil || rd.rg.Len() > 0 || rd.bounded() {
		return err
	}
	return a.noMore(ctx, rd)
}

// noMore looks again before the answer is that there is no more.
func (a *API) noMore(ctx context.Context, rd *reading) (err error) {
	if err := a.keepUp(ctx); err != nil {
		return err
	}
	if rd.bounds, err = a.Reader.Bounds(ctx, rd.p, false); err != nil {
		return err
	}
	if rd.tail != nil { // nobody asked for what came meanwhile
		rd.rg.Base = max(rd.rg.Base, rd.bounds.Next-min(*rd.tail, rd.bounds.Next))
	}
	return a.findEnd(ctx, rd)
}

// findEnd ends the range by the bounds. The time is looked up after them, so that nothing at or
// after it lies before the end.
func (a *API) findEnd(ctx context.Context, rd *reading) error {
	if rd.until != nil {
		at, found, err := a.Reader.OffsetAt(ctx, rd.p, *rd.until)
		if err != nil {
			return err
		}
		if found != -1 {
			rd.untilOffset = &at
		}
	}
	rd.settleEnd()
	return nil
}

// within refuses an offset that the partition does not hold, after catching up.
func (a *API) within(ctx context.Context, rd *reading, offset int64) (err error) {
	if offset >= rd.bounds.Earliest && offset <= rd.bounds.Next {
		return nil
	}
	if rd.bounds, err = a.Reader.Bounds(ctx, rd.p, true); err != nil {
		return err
	}
	if offset >= rd.bounds.Earliest && offset <= rd.bounds.Next {
		return nil
	}
	return outOfRange(offset, rd.bounds)
}

func outOfRange(offset int64, b foz.Bounds) error {
	return foz.Errorf(foz.CodeOffsetOutOfRange, "offset %d is not in [%d, %d]",
		offset, b.Earliest, b.Next).
		With(foz.NumberEarliestOffset, b.Earliest).With(foz.NumberNextOffset, b.Next)
}

// settleEnd ends the range at the head, or before it where the request says so.
func (rd *reading) settleEnd() {
	end := rd.bounds.Next
	for _, bound := range []*int64{rd.end, rd.untilOffset} {
		if bound != nil {
			end = min(end, *bound)
		}
	}
	rd.rg.Next = max(end, rd.rg.Base)
}

// bounded says whether what the answer holds is settled: it ends before the head.
func (rd *reading) bounded() bool {
	for _, bound := range []*int64{rd.end, rd.untilOffset, rd.limitOffset} {
		if bound != nil && *bound <= rd.bounds.Next {
			return true
		}
	}
	return false
}

// longPoll waits for records if there are none and may be some.
func (a *API) longPoll(ctx context.Context, rd *reading) error {
	if rd.wait == 0 || rd.rg.Len() > 0 || rd.bounded() {
		return nil
	}
	waiting, cancel := a.untilDrained(ctx)
	defer cancel()
	waiting, cancel = context.WithTimeout(waiting, rd.wait)
	defer cancel()
	if err := a.Reader.Wait(waiting, rd.p, rd.rg.Base); err != nil && waiting.Err() == nil {
		return err
	}
	var err error
	if rd.bounds, err = a.Reader.Bounds(ctx, rd.p, false); err != nil {
		return err
	}
	return a.findEnd(ctx, rd)
}

// settleLimit ends the range where its limit does, if a limit on records is one on offsets:
// none are missing, and no filter leaves any out. Such a range is as settled as one that
// end_offset ends. Where max_bytes or holes decide, only reading tells the end.
func (rd *reading) settleLimit() {
	dense := rd.bounds.Records >= rd.bounds.Next-rd.bounds.Earliest && rd.style.query.Filter == nil
	if !dense || rd.limit == 0 {
		return
	}
	end := rd.rg.Base + rd.limit
	rd.limitOffset = &end
	rd.rg.Next = min(rd.rg.Next, end)
}

// answerRead writes the range that was resolved.
func (a *API) answerRead(w *response, r *http.Request, t foz.Topic, rd *reading) error {
	rd.settleLimit()
	if tag := rd.etag(t); tag != "" {
		w.Header().Set("Etag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		if matches(r.Header.Values("If-None-Match"), tag) {
			w.setBounds(rd.bounds)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	} else {
		w.Header().Set("Cache-Control", "no-store")
	}
	records, err := a.gather(r.Context(), rd)
	if err != nil {
		return err
	}
	defer records.release()
	if records.short {
		w.Header().Del("Etag")
		w.Header().Set("Cache-Control", "no-store")
	}
	out := a.newOutput(w)
	defer out.close()
	sink, err := out.newSink(rd.media, rd.style)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", rd.media)
	w.Header().Set(headerNextOffset, strconv.FormatInt(records.next, 10))
	w.setBounds(rd.bounds)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := writeRuns(sink, rd.p.Number, records.runs); err != nil {
		return err
	}
	last := appendMember([]byte{','}, "next_offset", records.next)
	last = appendMember(append(last, ','), "high_watermark", rd.bounds.Next)
	return sink.end(last)
}

// etag names what the answer holds, if it can never be something else while the tag is the
// same. It is weak: high watermark and batch boundaries are not in it. Key compaction changes
// what a range holds, and then the generation.
func (rd *reading) etag(t foz.Topic) string {
	if !rd.bounded() {
		return ""
	}
	h := fnv.New64a()
	fmt.Fprint(h, rd.media, rd.style.columns, rd.style.embedded, rd.limit, rd.maxBytes,
		len(t.Schema.Columns), rd.style.where)
	return fmt.Sprintf(`W/"%s-%d-%d-%d-%d-%x"`, t.ID, rd.p.Number, rd.rg.Base, rd.rg.Next,
		rd.bounds.Generation, h.Sum64())
}

// matches compares weakly, as If-None-Match does.
func matches(fields []string, tag string) bool {
	for part := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
