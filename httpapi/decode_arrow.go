package httpapi

import (
	"io"
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/segment"
)

// decodeArrow takes an Arrow IPC stream with columns key, value, headers, timestamp.
func (b *batches) decodeArrow(body io.Reader) error {
	rows, err := segment.ReadStream(&metered{r: body, lease: &b.lease}, segment.StreamLimits{
		BytesMax: b.api.config.BodyBytesMax, RowsMax: b.api.config.RecordsMax, Now: b.now,
		Memory: &b.memory,
	})
	if err != nil {
		return err
	}
	if err := b.admit(rows.Len(), rows.Bytes()); err != nil {
		return err
	}
	for i := range rows.Len() {
		size := len(rows.Keys.Cell(i)) + len(rows.Values.Cell(i)) + len(rows.Headers.Cell(i))
		if size > b.recordMax {
			e := recordTooLarge(b.recordMax)
			e.Invalid = []foz.InvalidRecord{{Pointer: "/" + strconv.Itoa(i), Detail: e.Detail}}
			return e
		}
		if err := b.mismatch(rows.Values.Cell(i)); err != nil {
			return atRecord(err, i)
		}
	}
	if b.only != anyPartition {
		b.rows[b.only], b.borrowed = rows, true
		return nil
	}
	b.distribute(rows)
	b.memory.Release()
	return nil
}

// distribute copies rows to their partitions, a run of the same partition at a time.
func (b *batches) distribute(rows *foz.Rows) {
	for from := 0; from < rows.Len(); {
		p := b.partition(rows.Keys.Cell(from))
		to := from + 1
		for to < rows.Len() && b.partition(rows.Keys.Cell(to)) == p {
			to++
		}
		b.of(p).AppendRows(rows, from, to)
		from = to
	}
}

// metered takes memory for what it lets through: the reader behind it keeps a message and its
// rows at once.
type metered struct {
	r     io.Reader
	lease *lease
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if full := m.lease.add(n); full != nil {
		return 0, full
	}
	return n, err
}
