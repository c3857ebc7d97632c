package httpapi

import (
	"context"
	"strings"
	"testing"

	"github.com/fozlog/foz"
)

// watching is a producer that looks at the budget while a request waits for its
// acknowledgement.
type watching struct {
	api  *API
	held int64
}

func (w *watching) Produce(_ context.Context, r foz.Request) (foz.Ack, error) {
	w.held = w.api.decoding.used.Load()
	return foz.Ack{Ranges: []foz.PartitionRange{{}}}, nil
}

// How: bodies of a megabyte; what the budget counts while one waits is its rows, and not the
// buffers it was decoded with, which others may have meanwhile.
func TestWaitingHoldsRowsAlone(t *testing.T) {
	h := newHouse()
	h.topic("t", 1, foz.TopicConfig{})
	a := h.api(Config{})
	w := &watching{api: a}
	a.Producer = w
	value := strings.Repeat("x", 1000)
	for _, c := range []struct{ media, query, line, head, tail string }{
		{media: mediaNDJSON, line: value + "\n"},
		{media: mediaNDJSON, query: "?envelope=record", line: `{"value":"` + value + `"}` + "\n"},
		{
			media: mediaJSON, line: `{"value":"` + value + `"},`,
			head: `{"records":[`, tail: `{"value":1}]}`,
		},
	} {
		body := c.head + strings.Repeat(c.line, 1000) + c.tail
		got := do(a.Handler(), "POST", "/v1/topics/t/records"+c.query, body, "Content-Type: "+c.media)
		wantEqual(t, "status", got.status, 200)
		rows := int64(1000 * (len(value) + rowOverhead))
		if w.held < rows || w.held > rows+rows/10 {
			t.Errorf("%s%s: %d bytes held for rows of %d", c.media, c.query, w.held, rows)
		}
		wantEqual(t, "held in the end", a.decoding.used.Load(), 0)
	}
}

func TestLease(t *testing.T) {
	all := budget{max: 10 * leaseStep}
	l := lease{from: &all}
	for _, c := range []struct {
		add, give int
		want      int64 // of the budget
	}{
		{add: 1, want: leaseStep},
		{add: leaseStep - 1, want: leaseStep},
		{add: 5 * leaseStep, want: 6 * leaseStep},
		{give: 2 * leaseStep, want: 4 * leaseStep},
		{give: 4 * leaseStep, want: leaseStep},
		{add: 1, want: leaseStep},
	} {
		if err := l.add(c.add); err != nil {
			t.Fatal(err)
		}
		l.give(c.give)
		wantEqual(t, "taken", all.used.Load(), c.want)
	}
	if err := l.add(10 * leaseStep); !isCode(err, foz.CodeOverloaded) {
		t.Errorf("more than there is: %v", err)
	}
	l.release()
	wantEqual(t, "taken in the end", all.used.Load(), 0)
}
