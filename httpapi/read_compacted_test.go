package httpapi

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/segment"
)

// How: a key compaction between two reads of a settled range: who has the old answer gets the
// new one, and then 304 again.
func TestETagOfACompactedRange(t *testing.T) {
	h, _ := ten(0)
	api := h.api(Config{}).Handler()
	query := oneRead + "?end_offset=5&columns=offset"
	old := do(api, "GET", query, "").header.Get("Etag")
	if got := do(api, "GET", query, "", "If-None-Match: "+old); got.status != 304 {
		t.Errorf("before: %d", got.status)
	}
	h.generation, h.removed = 77, func(offset int64) bool { return offset == 2 }
	got := do(api, "GET", query, "", "If-None-Match: "+old)
	wantEqual(t, "after", got.body, `{"records":[{"offset":0},{"offset":1},{"offset":3},`+
		`{"offset":4}],"next_offset":5,"high_watermark":10}`+"\n")
	tag := got.header.Get("Etag")
	if again := do(api, "GET", query, "", "If-None-Match: "+tag); tag == old || again.status != 304 {
		t.Errorf("tag %s, then %s: %d", old, tag, again.status)
	}
}

// How: a limit ends a range that has a tag while no records are missing; once some are, the old
// tag is worth nothing, and only reading tells where the limit ends.
func TestETagOfALimit(t *testing.T) {
	h, _ := ten(0)
	api := h.api(Config{}).Handler()
	query := oneRead + "?offset=0&limit=3&columns=offset"
	old := do(api, "GET", query, "").header.Get("Etag")
	if got := do(api, "GET", query, "", "If-None-Match: "+old); old == "" || got.status != 304 {
		t.Errorf("before: %d, tag %q", got.status, old)
	}
	h.push(foz.Partition{Topic: h.topics["t"].ID}, 1, "a")
	if got := do(api, "GET", query, "", "If-None-Match: "+old); got.status != 304 {
		t.Errorf("the head has moved: %d", got.status)
	}
	h.generation, h.removed = 77, func(offset int64) bool { return offset == 2 }
	got := do(api, "GET", query, "", "If-None-Match: "+old)
	wantEqual(t, "after", got.body, `{"records":[{"offset":0},{"offset":1},{"offset":3}],`+
		`"next_offset":4,"high_watermark":11}`+"\n")
	wantEqual(t, "tag", got.header.Get("Etag")+got.header.Get("Cache-Control"), "no-store")
}

// How: an answer that is shorter than its range because there is no memory for more has no tag:
// the same request may get all of it.
func TestShortAnswersHaveNoTag(t *testing.T) {
	h := newHouse()
	p := foz.Partition{Topic: h.topic("t", 1, foz.TopicConfig{}).ID}
	for range 3 {
		h.push(p, 1, strings.Repeat("x", 2*leaseStep))
	}
	h.runRows = 1
	query := oneRead + "?end_offset=2&columns=value"
	if got := do(h.api(Config{}).Handler(), "GET", query, ""); got.header.Get("Etag") == "" {
		t.Errorf("whole: %d, no tag", got.status)
	}
	got := do(h.api(Config{CollectBytesMax: 3 * leaseStep}).Handler(), "GET", query, "")
	wantEqual(t, "next", got.header.Get("Foz-Next-Offset"), "1")
	wantEqual(t, "tag", got.header.Get("Etag")+got.header.Get("Cache-Control"), "no-store")
}

// How: of ten records key compaction has left 2, 3 and 7; below 1 retention has taken all. Each
// row reads in every way in which runs may be cut, and compares offsets and the next one. An
// answer that ends in a hole may go on behind it or in it: both are right, and which it is
// depends on the runs, so that next is the least, and no record is between it and most.
func TestReadCompacted(t *testing.T) {
	for _, c := range []struct {
		query, offsets string
		next, most     int64
	}{
		{"", "237", 10, 10},
		{"?offset=4&end_offset=7", "", 7, 7},
		{"?offset=4", "7", 10, 10},
		{"?offset=8", "", 10, 10},
		{"?limit=1", "2", 3, 3},
		{"?limit=2", "23", 4, 7},
		{"?offset=3&limit=1", "3", 4, 7},
		{"?offset=4&limit=1", "7", 8, 10},
		{"?limit=3", "237", 8, 10},
		{"?limit=9", "237", 10, 10},
		{"?max_bytes=1", "2", 3, 3},
		{"?max_bytes=2", "23", 4, 7},
		{"?offset=3&max_bytes=1", "3", 4, 7},
		{"?max_bytes=3", "237", 10, 10},
		{"?tail=4", "7", 10, 10},
		{"?timestamp=450", "7", 10, 10},
		{"?until=450", "23", 7, 7},
	} {
		for _, runRows := range []int{0, 1, 2, 3, 4} {
			for _, media := range []string{mediaJSON, mediaNDJSON} {
				h, _ := ten(1)
				h.runRows = runRows
				h.removed = func(offset int64) bool { return !strings.ContainsRune("237", '0'+rune(offset)) }
				query := "?columns=offset&" + strings.TrimPrefix(c.query, "?")
				got := do(h.api(Config{}).Handler(), "GET", oneRead+query, "", "Accept: "+media)
				body, _, _ := strings.Cut(got.body, `],"next_offset"`)
				offsets := strings.NewReplacer(`{"records":[`, "", `{"offset":`, "", "}", "", ",", "",
					"\n", "").Replace(body)
				next, err := strconv.ParseInt(got.header.Get("Foz-Next-Offset"), 10, 64)
				if offsets != c.offsets || err != nil || next < c.next || next > c.most {
					t.Errorf("%s in runs of %d: offsets %s, next %d; want %s, %d to %d", c.query,
						runRows, offsets, next, c.offsets, c.next, c.most)
				}
			}
		}
	}
}

// How: in a bubble, followers of a partition and of its topic from behind: of records 0 to 9
// key compaction has left 2 and 7, and each event says where the next one may be.
func TestFollowCompacted(t *testing.T) {
	for _, c := range []struct{ target, first, ids string }{
		{oneRead + "?offset=1", "1", "3 8 11"},
		{oneRead + "?offset=1&limit=1", "1", "3"},
		{oneRead + "?offset=8", "8", "11"},
		{"/v1/topics/t/records?from=earliest", "0:0,1:0", "0:3,1:0 0:8,1:0 0:11,1:0"},
	} {
		for _, runRows := range []int{0, 1, 3} {
			synctest.Test(t, func(t *testing.T) {
				h, p := ten(0)
				h.runRows = runRows
				h.removed = func(offset int64) bool { return offset < 10 && offset != 2 && offset != 7 }
				f := follow(t, h.api(Config{}).Handler(), c.target)
				text := f.read()
				h.push(p, 1100, "a")
				text += f.read()
				var ids []string
				for line := range strings.Lines(text) {
					if id, ok := strings.CutPrefix(line, "id: "); ok {
						ids = append(ids, strings.TrimSpace(id))
					}
				}
				wantEqual(t, c.target, strings.Join(ids, " "), c.first+" "+c.ids)
				f.stop()
				synctest.Wait()
			})
		}
	}
}

// How: the rows of an Arrow answer say offsets that are not dense; byte for byte it is what
// segment writes for them.
func TestReadCompactedArrow(t *testing.T) {
	for _, runRows := range []int{0, 3} {
		h, p := ten(0)
		h.runRows = runRows
		h.removed = func(offset int64) bool { return offset != 2 && offset != 7 }
		rows := &foz.Rows{}
		rows.AppendRows(h.log(p), 2, 3)
		rows.AppendRows(h.log(p), 7, 8)
		for _, limit := range []int{1, 2} {
			got := do(h.api(Config{}).Handler(), "GET", fmt.Sprint(oneRead, "?limit=", limit), "",
				"Accept: "+mediaArrow)
			want := foz.Run{Rows: rows, To: limit, Offsets: []int64{2, 7}[:limit]}
			wantEqual(t, "stream", got.body, arrowStream(t, segment.StreamOptions{}, want))
		}
	}
}

// relaying is a house whose runs come as they are stored, once asked for.
type relaying struct{ *house }

func (r relaying) Query(ctx context.Context, topic foz.TopicID, parts []foz.PartitionRange,
	q filter.Query, visit func(int32, foz.Run) error,
) error {
	if !q.Stored {
		return r.house.Query(ctx, topic, parts, q, visit)
	}
	rg := parts[0].Range
	return visit(parts[0].Partition,
		foz.Run{Base: rg.Base, End: rg.Next, To: 1, Stored: []byte("as stored")})
}

// How: record batches that are stored are put into an Arrow answer that has no limit which could
// cut them, and into no other.
func TestReadRelays(t *testing.T) {
	for _, c := range []struct {
		target, media string
		relayed       bool
	}{
		{oneRead, mediaArrow, true},
		{oneRead + "?offset=3&end_offset=7", mediaArrow, true},
		{oneRead + "?limit=3", mediaArrow, true}, // as many offsets: no record is missing
		{oneRead + "?offset=10", mediaArrow, false},
		{oneRead + "?max_bytes=9999", mediaArrow, false},
		{oneRead + "?columns=offset,timestamp,key,value,headers", mediaArrow, true},
		{oneRead + "?columns=key", mediaArrow, true}, // the reader says which can be
		{"/v1/topics/t/records", mediaArrow, true},
		{oneRead, mediaNDJSON, false},
		{oneRead, mediaJSON, false},
	} {
		h, _ := ten(0)
		a := h.api(Config{})
		a.Reader = relaying{h}
		got := do(a.Handler(), "GET", c.target, "", "Accept: "+c.media)
		if relayed := strings.Contains(got.body, "as stored"); got.status != 200 || relayed != c.relayed {
			t.Errorf("%s as %s: %d, relayed: %v", c.target, c.media, got.status, relayed)
		}
	}
}
