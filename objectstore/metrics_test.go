// How: known requests are made, the registry is gathered as a scrape would, and the text that
// comes out is compared where it is the same in every run.
package objectstore_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fozlog/foz/objectstore"
)

// TestCountedIsCollector runs in a bubble, so that latencies are exact: two creates of 3 ms.
func TestCountedIsCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := objectstore.NewCounted(objectstore.NewFaulty(objectstore.NewMemory(),
			func(op, key string) objectstore.Fate {
				time.Sleep(3 * time.Millisecond)
				return objectstore.Fate{}
			}))
		upload := objectstore.WithCause(t.Context(), "upload")
		c.Create(upload, "a", make([]byte, 100))
		c.Create(upload, "b", make([]byte, 100))

		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(c)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"foz_store_requests_total": 2, "foz_store_bytes_total": 200,
			"foz_store_errors_total": 0}
		for _, family := range families {
			value, ok := want[family.GetName()]
			if !ok {
				continue
			}
			delete(want, family.GetName())
			if got := family.GetMetric()[0]; got.GetCounter().GetValue() != value ||
				got.GetLabel()[0].GetValue() != "upload" || got.GetLabel()[1].GetValue() != "create" {
				t.Errorf("%s is %v, want %v", family.GetName(), got, value)
			}
		}
		if len(want) > 0 || len(families) != 4 {
			t.Fatalf("%d families, missing %v", len(families), want)
		}
		for _, bucket := range families[2].GetMetric()[0].GetHistogram().GetBucket() {
			count := uint64(0)
			if bucket.GetUpperBound() > 0.003 {
				count = 2
			}
			if bucket.GetCumulativeCount() != count {
				t.Errorf("bucket of %v s holds %v", bucket.GetUpperBound(), bucket)
			}
		}
	})
}
