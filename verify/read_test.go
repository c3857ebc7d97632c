package verify

// A service that holds what it should and reads it out wrongly.
//
// How: an httptest server answers reads of the world of check_test.go. Each case has it lie in
// one format or at one place; the check must notice, or refuse to go on.

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// lie changes what an answer holds; media "" is the read of all partitions.
type lie func(media string, rg foz.Range, records []foz.Record) []foz.Record

func (w *world) serve(t *testing.T, lie lie) *Service {
	mux := http.NewServeMux()
	const partition = "GET /v1/topics/t/partitions/{p}"
	number := func(r *http.Request, name string) int64 {
		n, _ := strconv.ParseInt(r.FormValue(name), 10, 64)
		return n
	}
	of := func(r *http.Request) []foz.Record {
		p, _ := strconv.Atoi(r.PathValue("p"))
		return w.records[int32(p)]
	}
	mux.HandleFunc(partition+"/offsets", func(out http.ResponseWriter, r *http.Request) {
		offset := 0
		if r.FormValue("at") == "latest" {
			offset = len(of(r))
		}
		fmt.Fprintf(out, `{"offset":%d}`, offset)
	})
	mux.HandleFunc(partition+"/records", func(out http.ResponseWriter, r *http.Request) {
		media := r.Header.Get("Accept")
		rg := foz.Range{Base: number(r, "offset"), Next: number(r, "end_offset")}
		records := lie(media, rg, slices.Clone(of(r)[rg.Base:rg.Next]))
		out.Header().Set("Content-Type", media)
		out.Header().Set("Foz-Next-Offset", fmt.Sprint(rg.Next))
		writeRecords(out, media, rg.Next, records)
	})
	mux.HandleFunc("GET /v1/topics/t/records", func(out http.ResponseWriter, _ *http.Request) {
		for p := range int32(2) {
			records := lie("", foz.Range{Base: int64(p)}, slices.Clone(w.records[p]))
			for _, rec := range records {
				writeLine(out, &p, rec)
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return &Service{URL: func() string { return s.URL }, Topic: "t", Client: s.Client()}
}

func writeLine(out http.ResponseWriter, partition *int32, rec foz.Record) {
	line, _ := json.Marshal(struct {
		wireRecord
		Offset int64 `json:"offset"`
	}{toWire(rec, partition), rec.Offset})
	fmt.Fprintf(out, "%s\n", line)
}

func writeRecords(out http.ResponseWriter, media string, next int64, records []foz.Record) {
	switch media {
	case mediaNDJSON:
		for _, rec := range records {
			writeLine(out, nil, rec)
		}
	case mediaJSON:
		fmt.Fprintf(out, `{"next_offset":%d,"high_watermark":%d,"records":[`, next, next)
		for i, rec := range records {
			if i > 0 {
				fmt.Fprint(out, ",")
			}
			writeLine(out, nil, rec)
		}
		fmt.Fprint(out, "]}")
	case mediaArrow:
		rows := &foz.Rows{}
		for _, rec := range records {
			rows.Append(rec.Timestamp, rec.Key, rec.Value, foz.AppendHeaders(nil, rec.Headers))
		}
		s, _ := segment.NewStreamWriter(out, segment.StreamOptions{Columns: arrowColumns})
		_ = s.Write(0, foz.Run{Rows: rows, To: rows.Len()})
		_ = s.Close()
	}
}

func TestCheckReads(t *testing.T) {
	in := func(media string, change func(records []foz.Record)) lie {
		return func(m string, _ foz.Range, records []foz.Record) []foz.Record {
			if m == media {
				change(records)
			}
			return records
		}
	}
	for name, c := range map[string]struct {
		lie  lie
		want string // kinds, or "error"
	}{
		"nothing": {in("x", nil), ""},
		"a value, in Arrow": {in(mediaArrow, func(r []foz.Record) {
			r[0].Value = append([]byte{}, "other"...)
		}), "changed"},
		"a key, in lines": {in(mediaNDJSON, func(r []foz.Record) {
			r[len(r)-1].Key = nil
		}), "changed"},
		"two change places, in Arrow": {in(mediaArrow, func(r []foz.Record) {
			if len(r) > 1 {
				r[0].Value, r[1].Value = r[1].Value, r[0].Value
			}
		}), "changed"},
		"an offset, in lines": {in(mediaNDJSON, func(r []foz.Record) { r[0].Offset++ }), "changed"},
		"an answer too short": {func(m string, _ foz.Range, r []foz.Record) []foz.Record {
			return r[:len(r)-1]
		}, "error"},
		"ranges that do not begin at 0": {func(_ string, rg foz.Range, r []foz.Record) []foz.Record {
			if rg.Base > 1 {
				r[0].Timestamp++
			}
			return r
		}, "changed"},
		"all partitions, without the last": {func(m string, _ foz.Range, r []foz.Record) []foz.Record {
			if m == "" {
				return r[:len(r)-1]
			}
			return r
		}, "gap"},
		"all partitions, out of order": {in("", slices.Reverse[[]foz.Record]), "changed"},
	} {
		w := newWorld()
		check := newCheck(w.ledger)
		err := check.all(t.Context(), w.serve(t, c.lie), 2)
		check.findings.into(&check.report)
		got := strings.Join(slices.Sorted(maps.Keys(check.report.Counts)), " ")
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%s: found %q, want %q: %v\n%s", name, got, c.want, err, &check.report)
		}
	}
}
