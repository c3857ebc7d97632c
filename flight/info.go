package flight

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/fozlog/foz/segment"
)

// bounds are what one partition holds.
type bounds struct {
	Partition int32 `json:"partition"`
	Earliest  int64 `json:"earliest_offset"`
	Next      int64 `json:"next_offset"`
	Records   int64 `json:"records"`
	Bytes     int64 `json:"bytes"`
}

// getFlightInfo says how to read what a descriptor means.
func (s *Service) getFlightInfo(c *call) error {
	t, d, err := c.meant()
	if err != nil {
		return err
	}
	if err := t.unbounded(); err != nil {
		return err
	}
	var topic struct {
		Bounds []bounds `json:"partition_bounds"`
	}
	if err := s.ask(c, "/v1/topics/"+t.topic, &topic); err != nil {
		return err
	}
	parts := topic.Bounds
	if t.partition != allPartitions {
		if int(t.partition) >= len(parts) {
			return statusf(notFound, "partition_not_found: topic %s has no partition %d",
				t.topic, t.partition)
		}
		parts = parts[t.partition:][:1]
	}
	i := info{descriptor: d.raw, ordered: len(parts) == 1}
	if i.schema, err = s.schema(c, t); err != nil {
		return err
	}
	if t, err = t.named(i.schema); err != nil {
		return err
	}
	if i.tickets, err = s.endpoints(c, t, parts); err != nil {
		return err
	}
	for _, part := range parts {
		i.records += part.Records
	}
	if t.query.Has("where") {
		i.records = unknownCount
	}
	return c.send(i.encode())
}

// named asks for the columns of a schema by name where a ticket asks for all there are: a read of
// one partition would leave out which one it is.
func (t ticket) named(schema []byte) (ticket, error) {
	if t.partition != allPartitions || t.query.Get("columns") != "" {
		return t, nil
	}
	columns, err := segment.SchemaColumns(schema[segment.MessagePrefixBytes:])
	if err != nil {
		return t, statusf(internal, "the stream: %v", err)
	}
	named := t.of(t.partition, url.Values{})
	named.query.Set("columns", strings.Join(columns, ","))
	return named, nil
}

// meant reads a call's descriptor, and what it means.
func (c *call) meant() (t ticket, d descriptor, err error) {
	message, err := c.request()
	if err != nil {
		return t, d, err
	}
	if d, err = parseDescriptor(message); err != nil {
		return t, d, err
	}
	t, err = d.ticket()
	return t, d, err
}

// getSchema gives the schema of the endpoints that getFlightInfo would give.
func (s *Service) getSchema(c *call) error {
	t, _, err := c.meant()
	if err != nil {
		return err
	}
	schema, err := s.schema(c, t)
	if err != nil {
		return err
	}
	return c.send(appendBytes(nil, fieldOnly, schema))
}

// schema is the message that streams of the ticket's kind begin with: what a read of no records
// begins with. A column or a filter that cannot be is refused there.
func (s *Service) schema(c *call, t ticket) ([]byte, error) {
	var stream document
	bounds := url.Values{"tail": {"0"}}
	if t.partition == allPartitions {
		bounds = url.Values{"from": {"now"}}
	}
	if err := s.do(c, read(t.of(t.partition, bounds)), &stream); err != nil {
		return nil, err
	}
	text := stream.text
	if len(text) < segment.MessagePrefixBytes {
		return nil, statusf(internal, "the stream has no schema")
	}
	length, err := segment.ParsePrefix(text)
	if size := segment.MessagePrefixBytes + length; err == nil && size <= len(text) {
		return text[:size], nil
	}
	return nil, statusf(internal, "the stream has no schema")
}

// listFlights gives the topics whose names begin with the criteria.
func (s *Service) listFlights(c *call) error {
	message, err := c.request()
	if err != nil {
		return err
	}
	prefix, err := only(message)
	if err != nil {
		return err
	}
	query := url.Values{"prefix": {string(prefix)}, "limit": {"1000"}}
	for {
		var page struct {
			Topics  []struct{ Name string }
			HasMore bool `json:"has_more"`
		}
		if err := s.ask(c, "/v1/topics?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, topic := range page.Topics {
			if err := s.listFlight(c, topic.Name); err != nil {
				return err
			}
		}
		if !page.HasMore || len(page.Topics) == 0 {
			return nil
		}
		query.Set("start_after", page.Topics[len(page.Topics)-1].Name)
	}
}

// listFlight gives a topic as one stream, which its info cuts up. Who may see it and not read
// it gets no schema.
func (s *Service) listFlight(c *call, topic string) error {
	t := ticket{topic: topic, partition: allPartitions, query: url.Values{"from": {"earliest"}}}
	i := info{descriptor: pathDescriptor(topic), tickets: []ticket{t}, records: unknownCount}
	var err error
	i.schema, err = s.schema(c, t)
	var st *status
	if errors.As(err, &st) && st.code != permissionDenied && st.code != notFound {
		return err
	}
	return c.send(i.encode())
}

var _ http.Handler = (*Service)(nil)
