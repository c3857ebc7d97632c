package httpapi

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// How: producers of Arrow and of lines, to a partition and by key, of bodies large and small, go
// on at once; every value says who sent it, and is looked for in what the log then holds. Bodies
// lie in memory that is used again by whoever comes next.
func TestArrowBodiesShareNoMemory(t *testing.T) {
	h := newHouse()
	topic := h.topic("t", 1, foz.TopicConfig{})
	api := h.api(Config{}).Handler()
	const producers, requests = 8, 20
	var wait sync.WaitGroup
	for p := range producers {
		wait.Go(func() {
			for n := range requests {
				rows, lines := &foz.Rows{}, strings.Builder{}
				for i := range 1 + n%4*60 {
					v := fmt.Sprintf("%d/%d/%d %s", p, n, i, strings.Repeat("x", 100))
					rows.Append(1, []byte("k"), []byte(v), nil)
					lines.WriteString(v + "\n")
				}
				target, media, body := oneRead, mediaNDJSON, lines.String()
				if p%4 > 0 {
					media, body = mediaArrow, arrowBody(t, rows)
				}
				if p%4 == 2 {
					target = "/v1/topics/t/records"
				}
				if got := do(api, "POST", target, body, "Content-Type: "+media); got.status != 200 {
					t.Errorf("%d: %s", got.status, got.body)
				}
			}
		})
	}
	wait.Wait()
	seen, log := map[string]bool{}, h.log(foz.Partition{Topic: topic.ID})
	for i := range log.Len() {
		seen[string(log.Values.Cell(i))] = true
	}
	for p := range producers {
		for n := range requests {
			for i := range 1 + n%4*60 {
				v := fmt.Sprintf("%d/%d/%d %s", p, n, i, strings.Repeat("x", 100))
				if !seen[v] {
					t.Fatalf("%.20q is not in the log", v)
				}
			}
		}
	}
	if len(seen) != log.Len() {
		t.Errorf("%d records, %d different ones", log.Len(), len(seen))
	}
}

func arrowBody(t *testing.T, rows *foz.Rows) string {
	var body bytes.Buffer
	w, err := segment.NewStreamWriter(&body, segment.StreamOptions{
		Columns: []string{"key", "timestamp", "value"},
	})
	if err == nil {
		err = w.Write(0, foz.Run{Rows: rows, To: rows.Len()})
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Error(err)
	}
	return body.String()
}
