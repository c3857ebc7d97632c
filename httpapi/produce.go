package httpapi

import (
	"cmp"
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// produceTopic is row 6: records go where their keys send them.
func (a *API) produceTopic(w *response, r *http.Request) error {
	t, err := a.topic(w, r)
	if err != nil {
		return err
	}
	ack, err := a.produce(w, r, t, anyPartition)
	if err != nil {
		return err
	}
	b := append(make([]byte, 0, 256), `{"partitions":[`...)
	count := int64(0)
	for i, rg := range ack.Ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendRange(b, rg)
		b = append(appendMember(append(b, ','), "timestamp", ack.AppendedMS), '}')
		count += rg.Len()
	}
	b = appendMember(append(b, `],`...), "count", count)
	a.writeAck(w, ack, b)
	return nil
}

// producePartition is row 7: all records go to the path's partition.
func (a *API) producePartition(w *response, r *http.Request) error {
	t, p, err := a.partition(w, r)
	if err != nil {
		return err
	}
	ack, err := a.produce(w, r, t, p.Number)
	if err != nil {
		return err
	}
	rg := ack.Ranges[0]
	b := appendRange(append(make([]byte, 0, 256), '{'), rg)
	b = appendMember(append(b, ','), "next_offset", rg.Next)
	b = appendMember(append(b, ','), "timestamp", ack.AppendedMS)
	w.Header().Set(headerNextOffset, strconv.FormatInt(rg.Next, 10))
	a.writeAck(w, ack, b)
	return nil
}

// appendRange writes a range of offsets; its end is exclusive.
func appendRange(b []byte, rg foz.PartitionRange) []byte {
	b = appendMember(b, "partition", int64(rg.Partition))
	b = appendMember(append(b, ','), "start_offset", rg.Base)
	return appendMember(append(b, ','), "end_offset", rg.Next)
}

func (a *API) writeAck(w *response, ack foz.Ack, b []byte) {
	if ack.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	h := w.Header()
	h.Set("Content-Type", mediaJSON)
	h.Set("Cache-Control", "no-store")
	h.Set(headerSlot, strconv.FormatUint(ack.Slot, 10))
	w.Write(append(b, "}\n"...))
}

// produce decodes a request whole, hands it on and gives the answer to it.
func (a *API) produce(
	w *response, r *http.Request, t foz.Topic, partition int32,
) (ack foz.Ack, err error) {
	request := foz.Request{Topic: t.ID}
	if err := a.draining(); err != nil {
		return ack, err
	}
	if request.Producer, err = producerOf(r.Header); err != nil {
		return ack, err
	}
	if request.IfNextOffset, err = w.query.natural("if_next_offset"); err != nil {
		return ack, err
	}
	b := a.newBatches(t, partition, time.Now().UnixMilli())
	b.grown = func(p int32) (foz.Topic, error) { return a.grown(r.Context(), t, p) }
	defer func() { b.release(err == nil) }()
	if err = a.decode(w, r, b); err != nil {
		return a.answered(w, r, request, err)
	}
	request.Batches = b.list()
	ctx, cancel := context.WithTimeout(r.Context(), a.config.ProduceTimeout)
	defer cancel()
	if ack, err = a.Producer.Produce(ctx, request); err != nil {
		return ack, err
	}
	for _, batch := range request.Batches {
		a.metrics.records.WithLabelValues("in").Add(float64(batch.Rows.Len()))
		a.metrics.bytes.WithLabelValues("in").Add(float64(batch.Rows.Bytes()))
	}
	return ack, nil
}

// answered gives a request that is refused as it stands the answer that it was given before the
// topic was altered, if there is one: its records are there, whatever a record may be now.
func (a *API) answered(
	w *response, r *http.Request, request foz.Request, refusal error,
) (foz.Ack, error) {
	altered := isCode(refusal, foz.CodeRecordTooLarge) || isCode(refusal, foz.CodeInvalidRecord)
	if request.Producer == nil || !altered {
		return foz.Ack{}, refusal
	}
	ack, found, err := a.Topics.Answered(r.Context(), request.Topic, *request.Producer)
	if err != nil || !found {
		return foz.Ack{}, cmp.Or(err, refusal)
	}
	a.drainBody(w, r)
	return ack, nil
}

// producerOf reads the three headers of an idempotent producer; nil without them.
func producerOf(h http.Header) (*foz.Producer, error) {
	names := []string{headerProducerID, headerProducerEpoch, headerProducerSeq}
	if !slices.ContainsFunc(names, func(name string) bool { return len(h.Values(name)) > 0 }) {
		return nil, nil
	}
	for _, name := range names {
		switch value, err := single(h, name); {
		case err != nil:
			return nil, err
		case value == "":
			return nil, badRequest("%s go together, and none is empty", strings.Join(names, ", "))
		}
	}
	id, epoch, seq := h.Get(headerProducerID), h.Get(headerProducerEpoch), h.Get(headerProducerSeq)
	if !validProducer.MatchString(id) {
		return nil, badRequest("%s %s: ids are 1 to 249 visible characters of ASCII",
			headerProducerID, shortened(id))
	}
	p := &foz.Producer{ID: id}
	var ok bool
	if p.Epoch, ok = jsonscan.Integer([]byte(epoch)); !ok || p.Epoch < 0 {
		return nil, badRequest("%s %s is not a number from 0", headerProducerEpoch, shortened(epoch))
	}
	if p.Seq, ok = jsonscan.Integer([]byte(seq)); !ok || p.Seq < 0 {
		return nil, badRequest("%s %s is not a number from 0", headerProducerSeq, shortened(seq))
	}
	return p, nil
}

// decode reads the body into batches, by its media type.
func (a *API) decode(w *response, r *http.Request, b *batches) error {
	decode, err := decoderOf(r, w.query)
	if err != nil {
		return err
	}
	body, done, err := a.openBody(w, r, &b.lease, a.config.BodyBytesMax)
	if err != nil {
		return err
	}
	defer done()
	if err := decode(b, body); err != nil {
		return err
	}
	if b.count == 0 {
		return invalidAt("", "the request has no records")
	}
	return nil
}

// decoderOf picks what reads the body.
func decoderOf(r *http.Request, q query) (func(b *batches, body io.Reader) error, error) {
	given, err := single(r.Header, "Content-Type")
	if err != nil {
		return nil, err
	}
	media, _, err := mime.ParseMediaType(given)
	if err != nil {
		media = ""
	}
	single := media == mediaOctets || media == mediaText
	if q.Has("key") && !single {
		return nil, badRequest("key= is for a body that is one record; give records their keys")
	}
	envelope := q.Get("envelope")
	lines := media == mediaNDJSON || media == "application/ndjson" || media == "application/jsonl"
	if envelope != "" && (envelope != "record" || !lines) {
		return nil, badRequest("envelope=record is for NDJSON; envelope=%s with %s is not known",
			shortened(envelope), shortened(given))
	}
	switch {
	case lines && envelope == "":
		return (*batches).decodeLines, nil
	case lines:
		return buffered((*batches).decodeEnvelope), nil
	case media == mediaJSON:
		return buffered((*batches).decodeJSON), nil
	case media == mediaArrow:
		return (*batches).decodeArrow, nil
	case single:
		return oneRecord(r.Header, q), nil
	}
	return nil, foz.Errorf(foz.CodeUnsupportedMediaType,
		"content type %s is not one of %s, %s, %s, %s, %s", shortened(given),
		mediaJSON, mediaNDJSON, mediaArrow, mediaOctets, mediaText)
}

// buffered is a decoder that wants all bytes at once.
func buffered(decode func(*batches, []byte) error) func(*batches, io.Reader) error {
	return func(b *batches, body io.Reader) error {
		all, free, err := b.api.readAll(body, &b.lease)
		if err != nil {
			return err
		}
		defer free()
		return decode(b, all)
	}
}
