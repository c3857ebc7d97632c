package ingest

// How: requests at the limits of the contract, with the limits that a node has by default.

import (
	"testing"
	"time"

	"github.com/fozlog/foz"
)

// across is a request with one row for each of so many partitions.
func across(partitions int) foz.Request {
	r := foz.Request{Topic: flights}
	for n := range partitions {
		rows := new(foz.Rows)
		rows.Append(0, nil, []byte("v"), nil)
		r.Batches = append(r.Batches, foz.Batch{Partition: int32(n), Rows: rows})
	}
	return r
}

// How: the rows of the largest body that httpapi decodes, with a null in every column, are only
// measured: their memory is never touched.
func TestLargestBodyFitsTheBuffer(t *testing.T) {
	const records = 4 << 20 // httpapi's RecordsMax
	column := func(size int) foz.Column {
		return foz.Column{
			Ends: make([]int32, records), Nulls: make([]bool, records), Data: make([]byte, size),
		}
	}
	rows := &foz.Rows{
		Timestamps: make([]int64, records),
		Keys:       column(0), Values: column(foz.BodyBytesMax), Headers: column(0),
	}
	r := foz.Request{Topic: flights, Batches: []foz.Batch{{Rows: rows}}}
	size, err := New(Deps{}, Config{}).measure(r)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "bytes", size, 64<<20+23*records)
}

// How: a request for every partition that a topic may have comes while another waits. Its commit
// takes 128 + 40 + 10,000 * 46 bytes, over the 256 KiB that objects are kept within: it goes into
// an object of its own, and what comes behind it into the next.
func TestWideRequestIsCommittedAlone(t *testing.T) {
	inHouse(t, Config{FlushInterval: time.Hour, BudgetBurst: 1}, func(h *house) {
		h.must(to(trains, "0:takes the only token"))
		before, all := h.send(plain("0:before")), h.send(across(foz.PartitionsMax))
		behind := h.send(plain("1:behind"))
		h.stop() // the last object is flushed by draining
		expect(t, "before", ranges(before.wait().ack), "0:[0,1)")
		expect(t, "behind", ranges(behind.wait().ack), "1:[1,2)")
		got := all.wait()
		if got.err != nil {
			t.Fatal(got.err)
		}
		expect(t, "ranges", len(got.ack.Ranges), foz.PartitionsMax)
		expect(t, "its first", got.ack.Ranges[0].Base, 1)
		h.expectRequests(1+3, 0)
	})
}
