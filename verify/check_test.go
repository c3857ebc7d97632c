package verify

// Can the check fail?
//
// How: a small world is made by hand: five requests of three writers, and the log that a
// right service would hold of them. Every case breaks one promise in the log, in what was
// answered, or in what a follower got, and the check must name just that.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fozlog/foz"
)

// world is a ledger and the log that belongs to it, of two partitions.
type world struct {
	ledger  *Ledger
	r       []*request
	records map[int32][]foz.Record
	base    int64
}

func newWorld() *world {
	w := &world{ledger: NewLedger(), records: map[int32][]foz.Record{}}
	for n, of := range []struct {
		form    form
		outcome outcome
	}{
		{formJSON, acked}, {formEnvelope, acked}, {formLines, unknown}, {formKeyed, refused},
		{formArrow, acked},
	} {
		r := &request{writer: int32(n % 3), form: of.form, size: 50, partitions: 2, attempts: 1}
		r.parts = []part{{partition: 0, rows: 3}, {partition: 1, rows: 2}}
		w.ledger.begin(r)
		if of.outcome != refused {
			for i := range r.parts {
				p := &r.parts[i]
				p.base = int64(len(w.records[p.partition]))
				w.append(r, *p)
			}
		}
		w.ledger.settle(r, of.outcome, false)
		w.r = append(w.r, r)
	}
	return w
}

func (w *world) append(r *request, p part) {
	for i := range p.rows {
		rec := r.record(p, i)
		rec.Offset = int64(len(w.records[p.partition]))
		if rec.Timestamp == 0 {
			rec.Timestamp = 1_700_000_000_000
		}
		w.records[p.partition] = append(w.records[p.partition], rec)
	}
}

// renumber makes the offsets of a changed log dense again.
func (w *world) renumber() {
	for _, records := range w.records {
		for i := range records {
			records[i].Offset = w.base + int64(i)
		}
	}
}

func (w *world) cut(p int32, from, to int) {
	w.records[p] = slices.Delete(w.records[p], from, to)
	w.renumber()
}

func (w *world) check() (*check, *Report) {
	c := newCheck(w.ledger)
	for p := range int32(2) {
		j := &judge{check: c, partition: p, log: &log{base: w.base}}
		c.logs[p] = j.log
		for _, rec := range w.records[p] {
			j.record(rec)
		}
	}
	c.conclude()
	c.findings.into(&c.report)
	return c, &c.report
}

var brokenPromises = map[string]struct {
	breaks func(w *world)
	want   string // kinds, sorted
}{
	"nothing":                   {func(*world) {}, ""},
	"unknown, not there at all": {func(w *world) { w.drop(2) }, ""},
	"the last lost":             {func(w *world) { w.cut(1, 7, 8) }, "lost"},
	"the first lost, the rest moved": {
		func(w *world) { w.cut(0, 0, 1) }, "lost moved"},
	"half of an unknown request": {func(w *world) {
		w.records[1] = slices.Delete(w.records[1], 4, 6)
		w.r[4].parts[1].base -= 2
		w.renumber()
	}, "torn"},
	"duplicate of an acknowledged one": {func(w *world) { w.append(w.r[4], w.r[4].parts[0]) },
		"duplicate"},
	"duplicate of an unknown one": {func(w *world) { w.append(w.r[2], w.r[2].parts[0]) },
		"duplicate"},
	"an unknown one, not together": {func(w *world) {
		w.drop(2)
		records := w.records[0]
		first := w.r[2].record(w.r[2].parts[0], 0)
		for i := int32(1); i < 3; i++ {
			records = append(records, w.r[2].record(w.r[2].parts[0], i))
		}
		w.records[0] = append(records, first)
		w.renumber()
	}, "torn"},
	"a refused one": {func(w *world) {
		for _, p := range w.r[3].parts {
			w.append(w.r[3], p)
		}
	}, "aborted"},
	"a stranger": {func(w *world) {
		w.records[0] = append(w.records[0], foz.Record{Offset: 12, Value: []byte("hello")})
	}, "phantom"},
	"in the wrong partition": {func(w *world) {
		rec := w.r[0].record(w.r[0].parts[0], 0)
		rec.Offset = 8
		w.records[1] = append(w.records[1], rec)
	}, "phantom"},
	"a record that was never in the request": {func(w *world) {
		rec := w.r[0].record(part{partition: 0, rows: 9}, 8)
		rec.Offset = 12
		w.records[0] = append(w.records[0], rec)
	}, "phantom"},
	"an offset left out": {func(w *world) {
		for i := range w.records[0][8:] {
			w.records[0][8+i].Offset++
		}
	}, "gap moved torn"},
	"two acknowledged in a row change places": {func(w *world) {
		w.records[1][0], w.records[1][1], w.records[1][2], w.records[1][3] =
			w.records[1][2], w.records[1][3], w.records[1][0], w.records[1][1]
		w.r[0].parts[1].base, w.r[1].parts[1].base = 2, 0
		w.renumber()
	}, "order"},
	"order within a request": {func(w *world) {
		w.records[0][0], w.records[0][1] = w.records[0][1], w.records[0][0]
		w.renumber()
	}, "moved"},
	"a value":          {func(w *world) { w.records[0][4].Value[20]++ }, "changed"},
	"a timestamp":      {func(w *world) { w.records[0][0].Timestamp++ }, "changed"},
	"a key":            {func(w *world) { w.records[0][1].Key = []byte{} }, "changed"},
	"a header":         {func(w *world) { w.records[0][0].Headers[1].Key = "b" }, "changed"},
	"a header missing": {func(w *world) { w.records[0][0].Headers = nil }, "changed"},
}

func TestCheckFinds(t *testing.T) {
	for name, c := range brokenPromises {
		w := newWorld()
		c.breaks(w)
		_, report := w.check()
		if got := strings.Join(slices.Sorted(maps.Keys(report.Counts)), " "); got != c.want {
			t.Errorf("%s: found %q, want %q\n%s", name, got, c.want, report)
		}
		if report.OK() != (c.want == "") {
			t.Errorf("%s: OK is %v", name, report.OK())
		}
	}
}

// drop takes a request's records out of the log, and tells nobody but those behind it.
func (w *world) drop(n int) {
	for i, p := range w.r[n].parts {
		from := w.r[n].parts[i].base
		w.records[p.partition] = slices.Delete(w.records[p.partition], int(from), int(from)+int(p.rows))
		for _, r := range w.r[n+1:] {
			r.parts[i].base -= int64(p.rows)
		}
	}
	w.renumber()
}

func TestCheckCounts(t *testing.T) {
	_, r := newWorld().check()
	got := fmt.Sprint(r.Requests, r.Acked, r.Refused, r.Unknown, r.UnknownThere, r.RecordsAcked,
		r.RecordsRead)
	if got != "5 3 1 1 1 15 20" {
		t.Error(got)
	}
}

func TestMarks(t *testing.T) {
	m := mark{1, 22, 333, 4}
	if got, ok := parseMark([]byte(m.text() + "filler")); !ok || got != m {
		t.Error(got, ok)
	}
	for _, bad := range []string{"", "1.2.3", "1.2.3 ", "1.2.3.4", "1.2.3.4.5 ", "1.2.x.4 ", "a b"} {
		if got, ok := parseMark([]byte(bad)); ok {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// event is a record as an event stream has it.
func event(offset int) string {
	return fmt.Sprintf("id: %d\ndata: {\"offset\":%d,\"timestamp\":1,\"value\":\"v%d\"}\n\n",
		offset+1, offset, offset)
}

const position = "id: 0\nevent: position\ndata: {\"next_offset\":0}\n\n"

func TestTailFinds(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		torn   bool
		logged int // records in the log
		want   string
	}{
		"all":              {position + event(0) + ": hm\n\n" + event(1), true, 2, ""},
		"torn in an event": {position + event(0) + "id: 2\ndata: {", true, 1, ""},
		"clean end":        {position + event(0), false, 1, "clean end"},
		"a gap":            {position + event(0) + event(2), true, 3, "changed skip"},
		"again":            {position + event(0) + event(0), true, 1, "repeat"},
		"too few":          {position + event(0), true, 2, "unseen"},
		"too many":         {position + event(0) + event(1), true, 1, "lost"},
		"an error event":   {position + event(0) + "event: error\ndata: {}\n\n", true, 1, ""},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Foz-High-Watermark", "0")
			io.WriteString(w, c.stream)
			if c.torn {
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond) // the header is out: now it can break
				panic(http.ErrAbortHandler)
			}
		}))
		service := &Service{URL: func() string { return s.URL }, Topic: "t", Client: s.Client()}
		l := NewLedger()
		tail := NewEventTail(service, l, 0)
		if err := tail.partitionEvents(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
		there := &log{}
		for n := range c.logged {
			there.sums = append(there.sums, sum(foz.Record{Timestamp: 1, Value: fmt.Appendf(nil, "v%d", n)}))
		}
		var report Report
		tail.compare(map[int32]*log{0: there}, &report)
		l.findings.into(&report)
		if got := strings.Join(slices.Sorted(maps.Keys(report.Counts)), " "); got != c.want {
			t.Errorf("%s: found %q, want %q\n%s", name, got, c.want, &report)
		}
		s.Close()
	}
}

func TestTailSeesTheWatermarkGoBack(t *testing.T) {
	l := NewLedger()
	tail := NewPollTail(nil, l, 3)
	for _, n := range []string{"5", "5", "7", "6"} {
		tail.watermark(3, n)
	}
	if l.findings.counts[Back] != 1 || len(l.findings.counts) != 1 {
		t.Error(l.findings.counts)
	}
}

func TestReadEventEnds(t *testing.T) {
	for text, want := range map[string]error{
		"": io.EOF, ": c\n\n": io.EOF, "data: x\n": io.ErrUnexpectedEOF,
		"data: x": io.ErrUnexpectedEOF, "event: e\n": io.ErrUnexpectedEOF,
	} {
		_, _, err := readEvent(bufio.NewReader(strings.NewReader(text)))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
