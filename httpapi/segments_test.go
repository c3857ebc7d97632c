package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// planned is a house whose partitions have a placement for each offset: every third is alone in
// its object.
type planned struct{ *house }

func (h planned) Placements(
	_ context.Context, p foz.Partition, rg foz.Range, limit int,
) (all []foz.Placement, b foz.Bounds, err error) {
	if b, err = h.Bounds(context.Background(), p, false); err != nil {
		return nil, b, err
	}
	for o := rg.Base; o < min(rg.Next, b.Next) && len(all) < limit; o++ {
		pl := foz.Placement{Object: fmt.Sprintf("data/%020d/o.arrow", o), RowCount: 1, Base: o,
			Segment: foz.Segment{Partition: p, Rows: 1, ByteStart: 8, ByteEnd: 16, CRC32C: 7}}
		if o%3 == 2 {
			pl.Segment.Level, pl.Segment.Batches = 1, 2
		}
		all = append(all, pl)
	}
	return all, b, nil
}

func (h planned) Presign(_ context.Context, object string, d time.Duration) (string, error) {
	if d != foz.PlanLifetime {
		return "", fmt.Errorf("for %s", d)
	}
	return "https://bucket/" + object, nil
}

type planText struct {
	Segments []struct {
		Object, Codec, URL string
		Level, Batches     int
		StartOffset        int64 `json:"start_offset"`
		EndOffset          int64 `json:"end_offset"`
	}
	NextOffset int64 `json:"next_offset"`
	HasMore    bool  `json:"has_more"`
	Expires    time.Time
}

func planOf(t *testing.T, got answer) (p planText) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || got.status != 200 {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return p
}

const planURL = "/v1/topics/t/partitions/0/segments"

// How: plans of ranges and pages; they tile what was asked for. Time stands still.
func TestPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			query     string
			from, to  int64
			more      bool
			presigned bool
		}{
			{"", 0, 10, false, false},
			{"?from=3&to=7", 3, 7, false, false},
			{"?from=3&to=700", 3, 10, false, false},
			{"?from=10", 10, 10, false, false},
			{"?limit=4", 0, 4, true, false},
			{"?from=8&limit=2&presign=true", 8, 10, false, true},
			{"?to=0", 0, 0, false, false},
		} {
			h, _ := ten(0)
			p := planOf(t, do(h.api(Config{}).Handler(), "GET", planURL+c.query, ""))
			at := c.from
			for _, s := range p.Segments {
				if s.StartOffset != at || (s.URL != "") != c.presigned ||
					(s.Level == 1) != (s.Codec == "zstd") {
					t.Errorf("%s: segment %+v at %d", c.query, s, at)
				}
				at = s.EndOffset
			}
			if at != c.to || p.NextOffset != c.to || p.HasMore != c.more ||
				!p.Expires.Equal(time.Now().Add(foz.PlanLifetime)) {
				t.Errorf("%s: to %d, %+v", c.query, at, p)
			}
		}
	})
}

func TestPlanRefused(t *testing.T) {
	for query, code := range map[string]foz.Code{
		"?from=11": foz.CodeOffsetOutOfRange, "?from=-1": foz.CodeBadRequest,
		"?from=5&to=4": foz.CodeBadRequest, "?presign=yes": foz.CodeBadRequest,
		"?limit=x": foz.CodeBadRequest,
	} {
		h, _ := ten(0)
		checkProblem(t, query, do(h.api(Config{}).Handler(), "GET", planURL+query, ""), code)
	}
	h, _ := ten(0)
	got := do(h.api(Config{}).Handler(), "GET", strings.Replace(planURL, "/t/", "/no/", 1), "")
	checkProblem(t, "no topic", got, foz.CodeTopicNotFound)
}

// How: S12: who may read this topic only gets URLs of objects that hold nothing else.
func TestS12PresignedObjects(t *testing.T) {
	h, _ := ten(0)
	api, headers := guarded(t, h, map[string][]Grant{
		"mine": one("t", VerbRead), "all": one("*", VerbRead), "admin": one("*", VerbAdmin),
	})
	for name, urls := range map[string]int{"mine": 3, "all": 10} {
		p := planOf(t, do(api.Handler(), "GET", planURL+"?presign=true", "", headers[name]))
		n := 0
		for _, s := range p.Segments {
			if s.URL != "" {
				n++
			}
		}
		if n != urls || len(p.Segments) != 10 {
			t.Errorf("%s: %d URLs of %d segments, want %d", name, n, len(p.Segments), urls)
		}
	}
	got := do(api.Handler(), "GET", planURL+"?presign=true", "", headers["admin"])
	checkProblem(t, "admin", got, foz.CodeForbidden)
}

// unsigned is a plan of a bucket that has no URLs.
type unsigned struct{ planned }

func (unsigned) Presign(context.Context, string, time.Duration) (string, error) {
	return "", foz.Errorf(foz.CodeBadRequest, "this bucket has no presigned URLs")
}

// How: where there are no URLs they are refused alike for a partition with records and one
// without, and for a caller who would get none.
func TestPresignRefusedAlike(t *testing.T) {
	h, _ := ten(0)
	api, headers := guarded(t, h, map[string][]Grant{"mine": one("t", VerbRead)})
	api.Planner = unsigned{planned{h}}
	for _, query := range []string{
		planURL + "?presign=true", planURL + "?presign=true&from=0&to=1",
		strings.Replace(planURL, "/0/", "/1/", 1) + "?presign=true",
	} {
		got := do(api.Handler(), "GET", query, "", headers["mine"])
		checkProblem(t, query, got, foz.CodeBadRequest)
	}
	planOf(t, do(api.Handler(), "GET", planURL+"?presign=false", "", headers["mine"]))
}
