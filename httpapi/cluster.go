package httpapi

import (
	"cmp"
	_ "embed"
	"net/http"
	"slices"
	"strconv"

	"github.com/fozlog/foz"
)

// getCluster is row 15.
func (a *API) getCluster(w *response, r *http.Request) error {
	c, err := a.Cluster.Info(r.Context())
	if err != nil {
		return err
	}
	b := appendString([]byte(`{"cluster_id":`), c.ClusterID)
	b = appendString(append(b, `,"version":`...), c.Version)
	b = appendString(append(b, `,"bucket":`...), c.Bucket)
	b = appendString(append(b, `,"health":`...), c.Health)
	b = append(b, `,"nodes":[`...)
	for i, m := range c.Nodes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNode(b, m)
	}
	b = appendString(append(b, `],"leader":{"id":`...), c.Leader.ID)
	b = appendString(append(b, `,"http":`...), c.Leader.HTTP)
	b = strconv.AppendUint(append(b, `,"claim_slot":`...), c.Leader.ClaimSlot, 10)
	b = appendRequests(append(b, `},"requests":`...), c.Requests)
	b = appendCost(append(b, `,"cost":`...), c.Cost)
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

func appendNode(b []byte, m foz.Member) []byte {
	b = appendString(append(b, `{"id":`...), m.ID)
	b = appendString(append(b, `,"http":`...), m.HTTP)
	b = append(b, `,"roles":[`...)
	for i, role := range m.Roles {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, role)
	}
	b = strconv.AppendUint(append(b, `],"applied_slot":`...), m.Applied, 10)
	return append(b, '}')
}

// appendRequests writes {"create":{"flush":{"requests":3,"bytes":900,"errors":0}}}.
func appendRequests(b []byte, counts []RequestCount) []byte {
	counts = slices.SortedFunc(slices.Values(counts), func(x, y RequestCount) int {
		return cmp.Or(cmp.Compare(x.Op, y.Op), cmp.Compare(x.Cause, y.Cause))
	})
	b = append(b, '{')
	for i, c := range counts {
		if i == 0 || counts[i-1].Op != c.Op {
			if i > 0 {
				b = append(b, '}', ',')
			}
			b = append(appendString(b, c.Op), ':', '{')
		} else {
			b = append(b, ',')
		}
		b = append(appendString(b, c.Cause), ':')
		b = appendMember(append(b, '{'), "requests", c.Requests)
		b = appendMember(append(b, ','), "bytes", c.Bytes)
		b = append(appendMember(append(b, ','), "errors", c.Errors), '}')
	}
	if len(counts) > 0 {
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendCost(b []byte, c Cost) []byte {
	for i, m := range []struct {
		name string
		usd  float64
	}{
		{"usd", c.USD}, {"usd_per_day", c.USDPerDay},
		{"put_usd_per_million", c.PutUSDPerMillion}, {"get_usd_per_million", c.GetUSDPerMillion},
	} {
		b = append(b, "{,"[min(i, 1)])
		b = append(appendString(b, m.name), ':')
		b = strconv.AppendFloat(b, m.usd, 'f', -1, 64)
	}
	return append(b, '}')
}

//go:embed openapi.json
var openAPI []byte

// OpenAPI is the OpenAPI 3.1 document of all routes, as served.
func OpenAPI() []byte { return slices.Clone(openAPI) }

func (a *API) getOpenAPI(w *response, _ *http.Request) error {
	w.Header().Set("Content-Type", mediaJSON)
	w.Write(openAPI)
	return nil
}

// live says that the process answers.
func (a *API) live(w *response, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
	return nil
}

// ready says whether requests should be sent here.
func (a *API) ready(w *response, r *http.Request) error {
	if err := a.draining(); err != nil {
		return err
	}
	return a.loaded(a.live)(w, r)
}

func (a *API) scrape(w *response, r *http.Request) error {
	a.Metrics.ServeHTTP(w, r)
	return nil
}
