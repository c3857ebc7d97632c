package main

// How: a real node on a directory takes a typed topic's records, merges, and takes more. A plan of
// each partition is read straight from the directory and compared with what the service reads.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/client"
	"github.com/fozlog/foz/objectstore"
	"github.com/fozlog/foz/segment"
)

// planned is a node with a topic of two partitions, some of it merged, and its bucket.
func planned(t *testing.T) (*client.Client, objectstore.Store, string) {
	t.Helper()
	dir := t.TempDir()
	p := startDev(t, dir, "--segment-bytes", "1MiB")
	c, err := client.New(client.Options{URL: p.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.CreateTopic(t.Context(), "t", client.TopicSpec{Partitions: 2,
		Schema: &client.Schema{Columns: []client.SchemaColumn{{Name: "n", Type: "int64"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		var body strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&body, "{\"key\":\"k%d\",\"value\":{\"n\":%d,\"text\":\"%x\"}}\n", i%7, i, i*i)
		}
		b := client.Body{ContentType: "application/x-ndjson", Envelope: true,
			Data: []byte(body.String())}
		if _, err := c.ProduceBody(t.Context(), "t", b, client.ProduceOptions{}); err != nil {
			t.Fatal(err)
		}
		if round == 2 {
			if _, err := c.Maintain(t.Context(), []string{"merge"}, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	store, err := objectstore.Open(t.Context(), "file://"+filepath.ToSlash(dir), drivers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(store) })
	return c, store, dir
}

func fromStore(s objectstore.Store) client.Getter {
	return func(ctx context.Context, p client.PlannedSegment, offset, length int64) ([]byte, error) {
		return s.Get(ctx, p.Object, offset, length)
	}
}

func TestPlanReadsTheBucket(t *testing.T) {
	c, store, dir := planned(t)
	total, own := 0, 0
	for partition := range int32(2) {
		plan, err := c.Plan(t.Context(), "t", partition, client.PlanRange{})
		if err != nil {
			t.Fatal(err)
		}
		var values []string
		next := int64(0)
		err = plan.Read(t.Context(), fromStore(store), 4,
			func(b client.PlannedBatch) error {
				if b.Merged != nil {
					own++
				}
				run, err := b.Run()
				for i := range run.Len() {
					if run.Offset(i) != next {
						return fmt.Errorf("offset %d, want %d", run.Offset(i), next)
					}
					next++
					values = append(values, string(run.Rows.Values.Cell(run.From+i)))
				}
				return err
			})
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for r, err := range c.Scan(t.Context(), client.Read{Topic: "t", Partition: partition}) {
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(values) || string(r.Value) != values[i] {
				t.Fatalf("partition %d, record %d: %s", partition, i, r.Value)
			}
			i++
		}
		if i != len(values) {
			t.Errorf("partition %d: %d records from the bucket, %d from the service", partition,
				len(values), i)
		}
		total += i
	}
	if total != 20_000 || own == 0 {
		t.Errorf("%d records, %d segments of many batches", total, own)
	}
	checkPlanFails(t, c, store, dir)
}

// checkPlanFails: damage and an expired plan are told apart, and nothing is visited.
func checkPlanFails(t *testing.T, c *client.Client, store objectstore.Store, dir string) {
	t.Helper()
	plan, err := c.Plan(t.Context(), "t", 0, client.PlanRange{From: new(int64(100)),
		To: new(int64(101))})
	if err != nil || len(plan.Segments) != 1 {
		t.Fatal(plan, err)
	}
	s := plan.Segments[0]
	name := filepath.Join(dir, filepath.FromSlash(s.Object))
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	body[(s.ByteStart+s.ByteEnd)/2] ^= 1
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	never := func(b client.PlannedBatch) error {
		if b.Merged != nil && b.Merged.ByteEnd <= (s.ByteStart+s.ByteEnd)/2 {
			return nil // before the damage
		}
		return errors.New("visited")
	}
	err = plan.Read(t.Context(), fromStore(store), 2, never)
	if !errors.Is(err, segment.ErrDamaged) || !strings.Contains(err.Error(), s.Object) {
		t.Errorf("damaged: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	err = plan.Read(t.Context(), fromStore(store), 2, never)
	if !errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, client.ErrPlanExpired) {
		t.Errorf("gone: %v", err)
	}
	_, err = c.Plan(t.Context(), "t", 0, client.PlanRange{Presign: true})
	if !errors.Is(err, &foz.Error{Code: foz.CodeBadRequest}) {
		t.Errorf("presigned in a directory: %v", err)
	}
}
