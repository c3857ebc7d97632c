package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fozlog/foz"
)

// How: a made-up maintainer notes what it is asked to do; its report is read back whole.

type maintainer struct {
	asked string
	err   error
	hold  chan struct{} // not nil: wait for it or for the context
}

func (m *maintainer) Maintain(ctx context.Context, run []string, atMost time.Duration) (
	Maintenance, error,
) {
	m.asked = fmt.Sprint(run, atMost)
	if m.hold != nil {
		<-ctx.Done()
		return Maintenance{}, ctx.Err()
	}
	var report Maintenance
	for i, job := range run {
		n := int64(i + 1)
		report.Jobs = append(report.Jobs,
			MaintenanceJob{Job: job, Due: 3 * n, Done: 2 * n, Left: n, BytesIn: 10 * n, BytesOut: n})
	}
	report.Requests = []RequestCount{{Op: "get", Cause: "merge", Requests: 3, Bytes: 30}}
	report.Damaged = []Damage{{Partition: foz.Partition{Number: 4}, Object: "o", Detail: "crc",
		Range: foz.Range{Base: 5, Next: 9}}}
	return report, m.err
}

func TestMaintenance(t *testing.T) {
	h := newHouse()
	handler := h.api(Config{}).Handler()
	const some = `{"run":["merge","sweep"],"max_seconds":7}`
	for body, want := range map[string]string{
		"": "[retain merge compact sweep] 0s", "{}": "[retain merge compact sweep] 0s",
		some: "[merge sweep] 7s", `{"run":[]}`: "[] 0s",
	} {
		got := do(handler, "POST", "/v1/maintenance", body, "Content-Type: application/json")
		wantEqual(t, body+" status", got.status, http.StatusOK)
		wantEqual(t, body, h.maintainer.asked, want)
		if body == some {
			wantEqual(t, "report", got.body, `{"jobs":{`+
				`"merge":{"due":3,"done":2,"left":1,"bytes_in":10,"bytes_out":1},`+
				`"sweep":{"due":6,"done":4,"left":2,"bytes_in":20,"bytes_out":2}},`+
				`"due":9,"done":6,"left":3,"bytes_in":30,"bytes_out":3,`+
				`"requests":{"get":{"merge":{"requests":3,"bytes":30,"errors":0}}},`+
				`"damaged":[{"topic_id":"00000000-0000-0000-0000-000000000000","partition":4,`+
				`"start_offset":5,"end_offset":9,"object":"o","detail":"crc"}]}`+"\n")
		}
	}
	h.maintainer.err = foz.Errorf(foz.CodeUnavailable, "ask another")
	if got := do(handler, "POST", "/v1/maintenance", ""); got.status != 503 {
		t.Errorf("%d", got.status)
	}
}

// TestS9Maintenance: it touches every topic.
func TestS9Maintenance(t *testing.T) {
	a, headers := guarded(t, newHouse(), map[string][]Grant{
		"some": one("mine-*", Verbs...), "reads": one("*", VerbRead, VerbProduce),
		"admin": one("*", VerbAdmin), "nobody": nil,
	})
	for who, want := range map[string]int{"some": 403, "reads": 403, "nobody": 403, "admin": 200} {
		if got := do(a.Handler(), "POST", "/v1/maintenance", "", headers[who]); got.status != want {
			t.Errorf("%s: %d %s", who, got.status, got.body)
		}
	}
}

// A node that drains does not wait for maintenance.
func TestMaintenanceDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.maintainer.hold = make(chan struct{})
		a := h.api(Config{})
		time.AfterFunc(time.Hour, a.Drain)
		got := do(a.Handler(), "POST", "/v1/maintenance", "")
		if got.status != 503 || !strings.Contains(got.body, `"draining"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}
