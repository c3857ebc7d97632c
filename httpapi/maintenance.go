package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fozlog/foz"
)

// maintenanceJobs are what may be asked for, and are done if nothing is named, in this order.
var maintenanceJobs = []string{"retain", "merge", "compact", "sweep"}

// maintain is row 16. The answer comes when all is done, or when max_seconds are over.
func (a *API) maintain(w *response, r *http.Request) error {
	d, err := a.readDocument(w, r, mediaJSON)
	if err != nil {
		return err
	}
	run, atMost := d.maintenance()
	if err := d.verdict(); err != nil {
		return err
	}
	ctx, cancel := a.untilDrained(r.Context())
	defer cancel()
	m, err := a.Maintainer.Maintain(ctx, run, atMost)
	if a.drained.Err() != nil && err != nil {
		return a.draining()
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, appendMaintenance(nil, m))
	return nil
}

// maintenance reads what a request asks for.
func (d *document) maintenance() (run []string, atMost time.Duration) {
	run = maintenanceJobs
	d.members(d.raw, "", func(name string, value []byte) bool {
		switch name {
		case "run":
			run = nil
			d.elements(value, "/run", func(i int, job []byte) {
				at := "/run/" + strconv.Itoa(i)
				text := d.text(job, at)
				if !slices.Contains(maintenanceJobs, text) {
					d.note(at, "no such job: there are retain, merge, compact and sweep")
				}
				run = append(run, text)
			})
		case "max_seconds":
			atMost = time.Duration(d.integer(value, "/max_seconds", 1, 86_400)) * time.Second
		default:
			return false
		}
		return true
	})
	return run, atMost
}

func appendMaintenance(b []byte, m Maintenance) []byte {
	var sum MaintenanceJob
	b = append(b, `{"jobs":{`...)
	for i, j := range m.Jobs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, j.Job), ':', '{')
		b = append(appendJob(b, j), '}')
		sum.Due += j.Due
		sum.Done += j.Done
		sum.Left += j.Left
		sum.BytesIn += j.BytesIn
		sum.BytesOut += j.BytesOut
	}
	b = appendJob(append(b, '}', ','), sum)
	b = appendRequests(append(b, `,"requests":`...), m.Requests)
	b = append(b, `,"damaged":[`...)
	for i, x := range m.Damaged {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDamage(b, x)
	}
	return append(b, ']', '}')
}

func appendJob(b []byte, j MaintenanceJob) []byte {
	b = appendMember(b, "due", j.Due)
	b = appendMember(append(b, ','), "done", j.Done)
	b = appendMember(append(b, ','), "left", j.Left)
	b = appendMember(append(b, ','), "bytes_in", j.BytesIn)
	return appendMember(append(b, ','), "bytes_out", j.BytesOut)
}

func appendDamage(b []byte, x Damage) []byte {
	b = appendString(append(b, `{"topic_id":`...), x.Partition.Topic.String())
	b = appendMember(append(b, ','), "partition", int64(x.Partition.Number))
	b = appendMember(append(b, ','), "start_offset", x.Range.Base)
	b = appendMember(append(b, ','), "end_offset", x.Range.Next)
	b = appendString(append(b, `,"object":`...), x.Object)
	return append(appendString(append(b, `,"detail":`...), x.Detail), '}')
}

// mayMaintain: maintenance touches every topic, and takes the machine's time.
func (p *Principal) mayMaintain() error {
	if p.all(VerbAdmin) {
		return nil
	}
	return foz.Errorf(foz.CodeForbidden, "%s may not admin every topic", p.name)
}
