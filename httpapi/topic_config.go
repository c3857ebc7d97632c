package httpapi

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// Defaults of a topic's settings that are not zero.
const (
	cleanupDelete     = "delete"
	producerTTLMS     = int64(7 * 24 * time.Hour / time.Millisecond)
	deleteRetentionMS = int64(24 * time.Hour / time.Millisecond)
	partitionsUnset   = 0
)

// settings are what a body says of a topic: values to set, null for defaults, and nothing of
// the rest.
type settings struct {
	partitions  int32 // partitionsUnset: not said
	resetConfig bool  // "config":null
	config      []func(*foz.TopicConfig)
	schema      schemaSettings
}

// apply changes a config as the body says.
func (s *settings) apply(c foz.TopicConfig) foz.TopicConfig {
	if s.resetConfig {
		c = foz.TopicConfig{}
	}
	for _, set := range s.config {
		set(&c)
	}
	return c
}

// agree says whether a topic has all that the body says.
func (s *settings) agree(t foz.Topic) bool {
	return (s.partitions == partitionsUnset || s.partitions == t.Partitions) &&
		effective(s.apply(t.Config)) == effective(t.Config) && s.schema.agree(t.Schema)
}

// effective fills in the defaults.
func effective(c foz.TopicConfig) foz.TopicConfig {
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, foz.RecordBytesMax)
	c.CleanupPolicy = cmp.Or(c.CleanupPolicy, cleanupDelete)
	c.ProducerTTLMS = cmp.Or(c.ProducerTTLMS, producerTTLMS)
	c.DeleteRetentionMS = cmp.Or(c.DeleteRetentionMS, deleteRetentionMS)
	return c
}

// settings reads the body of rows 1 and 4.
func (a *API) settings(d *document) (*settings, error) {
	s := &settings{}
	d.members(d.raw, "", func(name string, value []byte) bool {
		switch name {
		case "partitions":
			s.partitions = int32(d.integer(value, "/partitions", 1, int64(a.config.PartitionsMax)))
		case "config":
			s.readConfig(d, value)
		case "schema":
			s.schema.read(d, value)
		default:
			return false
		}
		return true
	})
	return s, d.verdict()
}

func (s *settings) readConfig(d *document, raw []byte) {
	if jsonscan.IsNull(raw) {
		s.resetConfig = true
		return
	}
	d.members(raw, "/config", func(name string, value []byte) bool {
		set := configMember(d, name, value)
		if set != nil {
			s.config = append(s.config, set)
		}
		return set != nil
	})
}

// configMember gives what one member of config sets; nil: there is no such member.
func configMember(d *document, name string, value []byte) func(*foz.TopicConfig) {
	at := "/config/" + name
	number := func(least, most int64, of func(*foz.TopicConfig) *int64) func(*foz.TopicConfig) {
		n := int64(0)
		if !jsonscan.IsNull(value) {
			n = d.integer(value, at, least, most)
		}
		return func(c *foz.TopicConfig) { *of(c) = n }
	}
	switch name {
	case "retention_ms":
		return number(0, math.MaxInt64, func(c *foz.TopicConfig) *int64 { return &c.RetentionMS })
	case "retention_bytes":
		return number(0, math.MaxInt64, func(c *foz.TopicConfig) *int64 { return &c.RetentionBytes })
	case "max_message_bytes":
		return number(1, foz.BodyBytesMax,
			func(c *foz.TopicConfig) *int64 { return &c.MaxMessageBytes })
	case "producer_ttl_ms":
		return number(1, math.MaxInt64, func(c *foz.TopicConfig) *int64 { return &c.ProducerTTLMS })
	case "delete_retention_ms":
		return number(1, math.MaxInt64,
			func(c *foz.TopicConfig) *int64 { return &c.DeleteRetentionMS })
	case "cleanup_policy":
		policy := ""
		if !jsonscan.IsNull(value) {
			policy = cleanupPolicy(d, value, at)
		}
		return func(c *foz.TopicConfig) { c.CleanupPolicy = policy }
	}
	return nil
}

func cleanupPolicy(d *document, value []byte, at string) string {
	policy := d.text(value, at)
	switch policy {
	case cleanupDelete, "compact", "compact,delete":
		return policy
	case "delete,compact":
		return "compact,delete"
	}
	d.note(at, `neither "delete", "compact" nor "compact,delete"`)
	return ""
}

func rangeText(least, most int64) string {
	if most == math.MaxInt64 {
		return fmt.Sprintf("at least %d", least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// appendTopic writes a topic object, without its last brace.
func appendTopic(b []byte, t foz.Topic) []byte {
	c := effective(t.Config)
	b = appendString(append(b, `{"name":`...), t.Name)
	b = appendString(append(b, `,"topic_id":`...), t.ID.String())
	b = appendMember(append(b, ','), "partitions", int64(t.Partitions))
	b = appendMember(append(b, `,"config":{`...), "retention_ms", c.RetentionMS)
	b = appendMember(append(b, ','), "retention_bytes", c.RetentionBytes)
	b = appendMember(append(b, ','), "max_message_bytes", c.MaxMessageBytes)
	b = appendString(append(b, `,"cleanup_policy":`...), c.CleanupPolicy)
	b = appendMember(append(b, ','), "producer_ttl_ms", c.ProducerTTLMS)
	b = appendMember(append(b, ','), "delete_retention_ms", c.DeleteRetentionMS)
	b = append(b, '}')
	if len(t.Schema.Columns) > 0 {
		b = appendSchema(append(b, `,"schema":`...), t.Schema)
	}
	b = append(b, `,"created_at":`...)
	return appendTime(b, t.CreatedMS)
}

// appendTime writes milliseconds as RFC 3339.
func appendTime(b []byte, ms int64) []byte {
	return strconv.AppendQuote(b, time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}
