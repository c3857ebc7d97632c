package flight

// How: the contract's plan of one partition is canned, in pages; the endpoints of its info must
// meet where segments end, and tile the partition.

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/flight/flighttest"
)

func TestEndpoints(t *testing.T) {
	stream := streamOf(t)
	var bytes, from, to int
	var ends []int // of segments of 10 bytes, two to a page
	client := serve(t, Config{EndpointBytes: 25, EndpointsMax: 4},
		func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v1/topics/t":
				fmt.Fprintf(w, `{"partition_bounds":[{"partition":0,"earliest_offset":%d,`+
					`"next_offset":%d,"bytes":%d}]}`, from, to, bytes)
			case "/v1/topics/t/records":
				w.Write(stream)
			case "/v1/topics/t/partitions/0/segments":
				at := 0
				fmt.Sscan(r.URL.Query().Get("from"), &at)
				var page []string
				next, more := to, false
				for _, end := range ends {
					if end > at && len(page) == 2 {
						more = true
					} else if end > at {
						next = end
						page = append(page, fmt.Sprintf(
							`{"byte_start":5,"byte_end":15,"end_offset":%d}`, end))
					}
				}
				fmt.Fprintf(w, `{"segments":[%s],"next_offset":%d,"has_more":%t}`,
					strings.Join(page, ","), next, more)
			default:
				problem(w, 404, foz.CodeNotFound, r.URL.Path)
			}
		})
	for name, c := range map[string]struct {
		bytes, from, to int
		ends            []int
		want            []int // where endpoints begin
	}{
		"little":            {20, 5, 9, []int{7, 9}, []int{5}},
		"three to one":      {70, 0, 70, []int{10, 20, 30, 40, 50, 60, 70}, []int{0, 30, 60}},
		"the last one ends": {60, 0, 60, []int{10, 20, 30, 40, 50, 60}, []int{0, 30}},
		"begins inside":     {60, 5, 60, []int{10, 20, 30, 40, 50, 60}, []int{5, 30}},
		"grown meanwhile":   {60, 0, 55, []int{10, 20, 30, 40, 50, 60, 70}, []int{0, 30}},
		"four at most": {
			160, 0, 16, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
			[]int{0, 4, 8, 12},
		},
		"nothing planned": {99, 3, 8, nil, []int{3}},
		"empty":           {0, 4, 4, nil, nil},
	} {
		bytes, from, to, ends = c.bytes, c.from, c.to, c.ends
		info, err := client.Ask(t.Context(), flighttest.Path("t"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []int
		at := c.from
		for _, e := range info.Endpoint {
			begin, end := 0, 0
			if _, err := fmt.Sscanf(string(e.Ticket.Ticket), "/v1/topics/t/partitions/0/records?"+
				"columns=key%%2Cvalue&end_offset=%d&offset=%d", &end, &begin); err != nil || begin != at {
				t.Errorf("%s: %s does not begin at %d, %v", name, e.Ticket.Ticket, at, err)
			}
			got, at = append(got, begin), end
		}
		if !slices.Equal(got, c.want) || at != c.to {
			t.Errorf("%s: endpoints begin at %v and end at %d, want %v and %d",
				name, got, at, c.want, c.to)
		}
	}
}
