package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// topicReading is a read of all partitions of a topic.
type topicReading struct {
	topic foz.Topic
	media string
	style style
	from  string
	ms    *int64          // from, if it is a time
	id    map[int32]int64 // Last-Event-ID
	parts []stretch       // by partition
}

// stretch is what there is to read of one partition.
type stretch struct {
	rg     foz.Range
	bounds foz.Bounds
}

// readTopic is row 9.
func (a *API) readTopic(w *response, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	rd, err := parseTopicRead(r, w.query)
	if err != nil {
		return err
	}
	if err := a.waitSlot(r); err != nil {
		return err
	}
	if err := a.keepUp(r.Context()); err != nil { // it ends at the head as of now
		return err
	}
	changed := a.Sessions.Changed()
	a.setSlot(w)
	if rd.topic, err = a.topic(w, r); err != nil {
		return err
	}
	if err := rd.style.resolve(rd.topic, rd.media, true); err != nil {
		return err
	}
	for p := range rd.id {
		if p >= rd.topic.Partitions {
			if rd.topic, err = a.grown(r.Context(), rd.topic, p); err != nil {
				return err
			}
		}
	}
	if rd.media == mediaSSE {
		if err := followable(rd.topic); err != nil {
			return err
		}
	}
	for p := range rd.topic.Partitions {
		s, err := a.stretch(r.Context(), rd, p)
		if err != nil {
			return err
		}
		rd.parts = append(rd.parts, s)
	}
	a.setSlot(w)
	rd.setPositions(w.Header())
	if rd.media == mediaSSE {
		return a.followTopic(w, r, rd, changed)
	}
	w.Header().Set("Cache-Control", "no-store")
	return a.answerTopicRead(w, r, rd)
}

func parseTopicRead(r *http.Request, q query) (rd *topicReading, err error) {
	rd = &topicReading{from: q.Get("from")}
	if rd.media, err = accept(r); err != nil {
		return nil, err
	}
	if rd.style, err = styleOf(q); err != nil {
		return nil, err
	}
	switch rd.from {
	case "now", "earliest":
	case "":
		rd.from = "earliest"
		if rd.media == mediaSSE {
			rd.from = "now"
		}
	default:
		if rd.ms, err = q.integer("from"); err != nil {
			return nil, badRequest("parameter from: %s is not now, earliest or milliseconds",
				shortened(rd.from))
		}
	}
	id, err := single(r.Header, headerLastEventID)
	if id != "" && err == nil && rd.media == mediaSSE {
		rd.id, err = parsePositions(id)
	}
	return rd, err
}

// parsePositions reads "0:12,1:40": next offsets by partition.
func parsePositions(id string) (map[int32]int64, error) {
	positions := map[int32]int64{}
	for part := range strings.SplitSeq(id, ",") {
		left, right, _ := strings.Cut(part, ":")
		p, ok := jsonscan.Integer([]byte(left))
		offset, alsoOK := jsonscan.Integer([]byte(right))
		ok = ok && alsoOK && p >= 0 && p < 1<<31 && offset >= 0
		if _, twice := positions[int32(p)]; !ok || twice {
			return nil, badRequest("Last-Event-ID %s is not <partition>:<offset>,...", shortened(id))
		}
		positions[int32(p)] = offset
	}
	return positions, nil
}

// stretch finds what to read of one partition, up to the head as of now.
func (a *API) stretch(ctx context.Context, rd *topicReading, number int32) (stretch, error) {
	one := &reading{p: foz.Partition{Topic: rd.topic.ID, Number: number}, timestamp: rd.ms}
	if rd.from == "now" {
		one.tail = new(int64)
	}
	if rd.id != nil {
		one.timestamp, one.tail = nil, nil
		if offset, ok := rd.id[number]; ok {
			one.offset = &offset
		} // else the partition is younger than the id: all of it is new
	}
	err := a.resolve(ctx, one)
	return stretch{one.rg, one.bounds}, err
}

// ranges are the stretches that are not empty.
func (rd *topicReading) ranges() (ranges []foz.PartitionRange) {
	for p, s := range rd.parts {
		if s.rg.Len() > 0 {
			ranges = append(ranges, foz.PartitionRange{Partition: int32(p), Range: s.rg})
		}
	}
	return ranges
}

// positionsMax is for how many partitions headers tell where each stands.
const positionsMax = 256

func (rd *topicReading) setPositions(h http.Header) {
	if len(rd.parts) > positionsMax {
		return
	}
	for name, of := range map[string]func(stretch) int64{
		headerHighWatermark:  func(s stretch) int64 { return s.bounds.Next },
		headerEarliestOffset: func(s stretch) int64 { return s.bounds.Earliest },
		headerNextOffset: func(s stretch) int64 {
			if rd.media == mediaSSE {
				return s.rg.Base
			}
			return s.rg.Next
		},
	} {
		h.Set(name, string(rd.appendPositions(nil, of)))
	}
}

// appendPositions writes "0:12,1:40".
func (rd *topicReading) appendPositions(b []byte, of func(stretch) int64) []byte {
	for p, s := range rd.parts {
		if p > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(b, int64(p), 10), ':')
		b = strconv.AppendInt(b, of(s), 10)
	}
	return b
}

// appendPlaces writes the positions as JSON objects.
func (rd *topicReading) appendPlaces(b []byte, next func(stretch) int64) []byte {
	b = append(b, `"positions":[`...)
	for p, s := range rd.parts {
		if p > 0 {
			b = append(b, ',')
		}
		b = appendMember(append(b, '{'), "partition", int64(p))
		b = appendMember(append(b, ','), "next_offset", next(s))
		b = append(appendMember(append(b, ','), "high_watermark", s.bounds.Next), '}')
	}
	return append(b, ']')
}

// answerTopicRead writes all stretches, in whatever order is cheap to read.
func (a *API) answerTopicRead(w *response, r *http.Request, rd *topicReading) error {
	out := a.newOutput(w)
	defer out.close()
	sink, err := out.newSink(rd.media, rd.style)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", rd.media)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	q := rd.style.query
	q.Stored = rd.media == mediaArrow
	err = a.Reader.Query(r.Context(), rd.topic.ID, rd.ranges(), q, sink.write)
	if err != nil {
		return err
	}
	last := rd.appendPlaces([]byte{','}, func(s stretch) int64 { return s.rg.Next })
	return sink.end(last)
}
