package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/client"
)

// topicSettings are the flags of what a topic may be given.
type topicSettings struct {
	partitions      int32
	retention       span
	retentionBytes  byteCount
	maxMessageBytes byteCount
	cleanupPolicy   string
	producerTTL     span
	deleteRetention span
	schema          string
}

func (s *topicSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Int32Var(&s.partitions, "partitions", 0, "how many partitions (a new topic: 1)")
	f.Var(&s.retention, "retention", "how long records are kept, 0: for ever (a new topic: 0)")
	f.Var(&s.retentionBytes, "retention-bytes",
		"how much each partition keeps, 0: no limit (a new topic: 0)")
	f.Var(&s.maxMessageBytes, "max-message-bytes", "the largest record (a new topic: 1MiB)")
	f.StringVar(&s.cleanupPolicy, "cleanup-policy", "",
		"delete, compact or compact,delete (a new topic: delete)")
	f.Var(&s.producerTTL, "producer-ttl",
		"how long a silent producer is remembered (a new topic: 7d)")
	f.Var(&s.deleteRetention, "delete-retention",
		"how long key compaction keeps a tombstone (a new topic: 1d)")
	// What is not given is not sent: what these would be is no default of the command.
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "partitions" { // whose 0 is not shown
			flag.DefValue = ""
		}
	})
	f.StringVar(&s.schema, "schema", "",
		"the columns of its JSON values, as JSON, or the FILE it is in (-: stdin)")
}

// spec is what the command line, or the environment, said; nothing else is sent.
func (s *topicSettings) spec(cmd *cobra.Command) client.TopicSpec {
	var config client.TopicConfig
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if given("retention") {
		config.RetentionMS = new(time.Duration(s.retention).Milliseconds())
	}
	if given("retention-bytes") {
		config.RetentionBytes = new(int64(s.retentionBytes))
	}
	if given("max-message-bytes") {
		config.MaxMessageBytes = new(int64(s.maxMessageBytes))
	}
	if given("cleanup-policy") {
		config.CleanupPolicy = &s.cleanupPolicy
	}
	if given("producer-ttl") {
		config.ProducerTTLMS = new(time.Duration(s.producerTTL).Milliseconds())
	}
	if given("delete-retention") {
		config.DeleteRetentionMS = new(time.Duration(s.deleteRetention).Milliseconds())
	}
	spec := client.TopicSpec{Partitions: s.partitions}
	if config != (client.TopicConfig{}) {
		spec.Config = &config
	}
	return spec
}

// topicSpec is spec with the schema, which is read from where the command line says.
func (a *app) topicSpec(cmd *cobra.Command, s *topicSettings) (client.TopicSpec, error) {
	spec := s.spec(cmd)
	if cmd.Flags().Changed("partitions") && s.partitions < 1 {
		return spec, usagef("--partitions %d: a topic has at least 1", s.partitions)
	}
	if !cmd.Flags().Changed("schema") {
		return spec, nil
	}
	text := []byte(s.schema)
	if !strings.HasPrefix(strings.TrimSpace(s.schema), "{") {
		var err error
		if text, err = a.readAll(s.schema); err != nil {
			return spec, fmt.Errorf("read the schema: %w", err)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(&spec.Schema)
	if _, more := dec.Token(); err == nil && (spec.Schema == nil || !errors.Is(more, io.EOF)) {
		err = errors.New("this is not one JSON object")
	}
	if err != nil {
		return spec, usagef("--schema: want {\"columns\":[{\"name\":..,\"type\":..}]}: %w", err)
	}
	return spec, nil
}

// readAll reads a file, or stdin if it is called "-".
func (a *app) readAll(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(a.in)
	}
	return os.ReadFile(file)
}

// retention is a topic's, for people.
func retention(c client.TopicConfig) string {
	text := ""
	if c.RetentionMS != nil && *c.RetentionMS > 0 {
		text = span(time.Duration(*c.RetentionMS) * time.Millisecond).String()
	}
	if c.RetentionBytes != nil && *c.RetentionBytes > 0 {
		if text != "" {
			text += ", "
		}
		text += byteCount(*c.RetentionBytes).String()
	}
	if text == "" {
		return "for ever"
	}
	return text
}

func cleanup(c client.TopicConfig) string {
	if c.CleanupPolicy == nil || *c.CleanupPolicy == "" {
		return "delete"
	}
	return *c.CleanupPolicy
}
