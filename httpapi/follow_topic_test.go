package httpapi

import (
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fozlog/foz"
)

// How: the longest id that a stream can send comes back over a connection to the server as it is
// configured: it is looked at, and refused only because nothing is at its offsets.
func TestLongestIDComesBack(t *testing.T) {
	h := newHouse()
	h.topic("t", followPartitionsMax, foz.TopicConfig{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer("", h.api(Config{}).Handler())
	go server.Serve(listener)
	defer server.Close()
	rd := &topicReading{parts: make([]stretch, followPartitionsMax)}
	id := rd.appendPositions(nil, func(stretch) int64 { return math.MaxInt64 })
	r, err := http.NewRequest("GET", "http://"+listener.Addr().String()+"/v1/topics/t/records", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", mediaSSE)
	r.Header.Set("Last-Event-ID", string(id))
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	wantEqual(t, "status", got.StatusCode, http.StatusRequestedRangeNotSatisfiable)
}

// How: in a bubble, a topic that grows over what an id can hold while it is followed; then it
// can be read, but not followed.
func TestFollowTooManyPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		topic := h.topic("t", followPartitionsMax, foz.TopicConfig{})
		api := h.api(Config{}).Handler()
		f := follow(t, api, "/v1/topics/t/records")
		if first := f.read(); !strings.Contains(first, "event: position") {
			t.Fatalf("first: %.200q", first)
		}
		topic.Partitions++
		if _, err := (admin{h}).Alter(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		last := f.read()
		if !strings.HasPrefix(last, "event: error\n") ||
			!strings.Contains(last, `"code":"bad_request"`) ||
			!strings.Contains(last, "follow its partitions one by one") {
			t.Errorf("last: %.300q", last)
		}
		wantEqual(t, "broken", f.broken, true)
		again := follow(t, api, "/v1/topics/t/records")
		again.read()
		wantEqual(t, "again", again.status, http.StatusBadRequest)
		again.stop()
		f.stop()
		wantEqual(t, "read", do(api, "GET", "/v1/topics/t/records", "").status, 200)
	})
}
