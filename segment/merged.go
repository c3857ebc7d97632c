package segment

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sort"
	"unicode/utf8"

	"github.com/fozlog/foz"
)

// MergedOptions choose how an L1 object is laid out.
type MergedOptions struct {
	// BatchBytes is where a record batch is full, as DecodedBytes counts, at most 16 MiB; with
	// typed columns, which are read one by one, twice that. 0: MergedBatchBytes. A longer record
	// is a batch of its own.
	BatchBytes int
}

// MergedBatchBytes is what a record batch of an L1 object holds unless its options say
// otherwise.
const MergedBatchBytes = 8 << 20

const (
	mergedBatchBytesMax = 16 << 20
	mergedNodes         = 8 // four columns, the list, its struct and its two columns
	mergedHeaders       = 4 // the list
	mergedBuffers       = 2*2 + 2*3 + 2 + 1 + 2*3
	mergedRowBytesMax   = foz.BodyBytesMax * 9 / 8 // of one record, which came in a body
	// mergedBytesMax is what a batch takes decoded at most: a header in 2 bytes is one of 8.
	mergedBytesMax = 5*mergedRowBytesMax + typedRowBytesMax
	// typedRowBytesMax is what the typed columns of one record take.
	typedRowBytesMax = schemaColumnsMax * (64<<10 + 16)
	schemaColumnsMax = 1000
	// boundsMax is how many bounds an object's footer has at most: 4 MiB or so. The batches after
	// them go without, so that a footer is a small part even of a thousand columns.
	boundsMax = 80_000
)

// Merged builds L1 objects in memory, one after the other. Its buffers and its compressor are
// reused, so that it is for one goroutine at a time.
type Merged struct {
	batchBytes int
	pack       *packer

	layout *layout // of the object under way, or the next

	// The batch under way.
	offsets []int64
	rows    foz.Rows
	typed   []foz.Vector
	misses  []int // by typed column: values that have no cell of its type
	bytes   int
	headers headers // of the rows
	message []byte  // reused

	// The object under way.
	object   []byte
	batches  []MergedBatch
	segments []mergedSegment
	open     bool // the last of the segments is under way
	bounds   int  // that the batches have
}

// mergedSegment is a segment of an object under way.
type mergedSegment struct {
	partition foz.Partition
	rows      int64
	next      int64 // the least offset that may come
	batches   int   // finished
}

// NewMerged makes a builder.
func NewMerged(o MergedOptions) *Merged {
	if o.BatchBytes <= 0 {
		o.BatchBytes = MergedBatchBytes
	}
	return &Merged{
		batchBytes: min(o.BatchBytes, mergedBatchBytesMax), pack: newZSTDPacker(), layout: plainLayout,
	}
}

// Type gives the objects that come typed columns: every run then has a vector for each, in its
// Columns. Such an object is of one segment, of many batches. It is an error while an object is
// under way.
func (m *Merged) Type(columns []foz.SchemaColumn) error {
	if len(m.segments) > 0 {
		return errors.New("type merged object: it is under way")
	}
	if slices.Equal(columns, m.layout.typed) {
		return nil
	}
	l, err := newLayout(columns)
	if err != nil {
		return fmt.Errorf("type merged object: %w", err)
	}
	m.layout, m.typed, m.misses = l, make([]foz.Vector, len(columns)), make([]int, len(columns))
	for i, c := range columns {
		m.typed[i].Type = c.Type
	}
	return nil
}

// Mismatched says how many values of runs that are appended next have no cell in each typed
// column that they should have: the footer tells of them, by batch.
func (m *Merged) Mismatched(counts []int) {
	for i, n := range counts {
		m.misses[i] += n
	}
}

// DecodedBytes is about what a run takes in record batches: runs that together take at most
// [MergedOptions].BatchBytes are one.
func DecodedBytes(run foz.Run) int { return dataBytes(run.Rows, run.From, run.To) }

// Append copies a run's rows to the segment of p. Partitions ascend, and so do the offsets of
// each; not all need be there. A run without rows makes a segment without rows, unless there is
// one. An error means that nothing was added: ErrDamaged where the rows are none that ingest
// wrote, as with a header whose name is not UTF-8, which Arrow's utf8 cannot hold.
func (m *Merged) Append(p foz.Partition, run foz.Run) error {
	s, err := m.begin(p)
	if err == nil {
		err = s.check(run)
	}
	if err == nil {
		err = m.checkTyped(run)
	}
	if err != nil {
		return fmt.Errorf("append rows of %s: %w", p, err)
	}
	if m.open && m.last().partition == p {
		*m.last() = s
	} else {
		m.Cut()
		m.segments = append(m.segments, s)
		m.open = true
	}
	for from := run.From; from < run.To; {
		n := m.fit(run, from)
		if n == 0 && len(m.offsets) > 0 {
			m.flush()
			continue
		}
		to := from + max(n, 1) // a row that alone is too long
		for i := from; i < to; i++ {
			m.offsets = append(m.offsets, run.Offset(i-run.From))
		}
		m.rows.AppendRows(run.Rows, from, to)
		for i := range m.typed {
			m.typed[i].AppendCells(&run.Columns[i], from-run.From, to-run.From)
		}
		m.bytes += runBytes(run, from, to)
		from = to
	}
	return nil
}

// fit is how many of a run's rows from from on still fit into the batch.
func (m *Merged) fit(run foz.Run, from int) int {
	return sort.Search(run.To-from, func(i int) bool {
		return runBytes(run, from, from+i+1) > m.batchBytesMax()-m.bytes
	})
}

func (m *Merged) batchBytesMax() int {
	if len(m.typed) == 0 {
		return m.batchBytes
	}
	return min(2*m.batchBytes, mergedBatchBytesMax)
}

// runBytes is about what rows [from, to) of a run take in a batch.
func runBytes(run foz.Run, from, to int) int {
	b := stretch{rows: run.Rows, typed: run.Columns, first: run.From}
	return b.bytes(from, to)
}

// checkTyped asks whether a run has the object's typed columns.
func (m *Merged) checkTyped(run foz.Run) error {
	if len(m.typed) == 0 {
		if run.Columns != nil {
			return errors.New("it has columns that the object has not")
		}
		return nil
	}
	ok := len(run.Columns) == len(m.typed)
	for i := range run.Columns {
		ok = ok && run.Columns[i].Type == m.typed[i].Type && run.Columns[i].Len() == run.Len()
	}
	if !ok {
		return errors.New("it lacks typed columns")
	}
	return nil
}

func (m *Merged) last() *mergedSegment { return &m.segments[len(m.segments)-1] }

// begin gives the segment that rows of p go to.
func (m *Merged) begin(p foz.Partition) (mergedSegment, error) {
	s := mergedSegment{partition: p}
	if len(m.segments) == 0 {
		return s, nil
	}
	last := *m.last()
	switch order := p.Compare(last.partition); {
	case order < 0:
		return s, fmt.Errorf("it follows %s", last.partition)
	case order > 0:
		return s, nil
	case m.open:
		return last, nil
	}
	s.next = last.next
	return s, nil
}

// check asks whether a run may follow, and counts it.
func (s *mergedSegment) check(run foz.Run) error {
	if s.rows += int64(run.Len()); s.rows > math.MaxInt32 {
		return fmt.Errorf("over %d rows", math.MaxInt32)
	}
	if run.Len() == 0 {
		return nil
	}
	whole := DecodedBytes(run) <= mergedRowBytesMax
	for i := range run.Len() {
		offset, at := run.Offset(i), run.From+i
		if offset < s.next || offset == math.MaxInt64 {
			return fmt.Errorf("offset %d, where %d is the least", offset, s.next)
		}
		s.next = offset + 1
		if err := checkHeaders(run.Rows.Headers.Cell(at)); err != nil {
			return damaged("headers of offset %d: %w", offset, err)
		}
		if !whole && dataBytes(run.Rows, at, at+1) > mergedRowBytesMax {
			return damaged("offset %d has over %d bytes", offset, mergedRowBytesMax)
		}
	}
	return nil
}

func checkHeaders(cell []byte) error {
	text := true
	err := foz.VisitHeaders(cell, func(name, _ []byte) { text = text && utf8.Valid(name) })
	if err == nil && !text {
		err = fmt.Errorf("%w: a name is not UTF-8", foz.ErrHeaders)
	}
	return err
}

// flush ends the batch under way.
func (m *Merged) flush() {
	if len(m.object) == 0 {
		m.object = append(append(m.object, magicPadded...), m.layout.schema...)
	}
	from, n := len(m.object), len(m.offsets)
	m.headers.reset()
	m.headers.nulls = m.rows.Headers.Nulls
	for i := range n {
		if err := m.headers.add(m.rows.Headers.Cell(i)); err != nil {
			panic(err) // check has read them
		}
	}
	w := beginBatch(m.message[:0], m.layout.shape, m.pack)
	w.int64s(m.offsets)
	w.int64s(m.rows.Timestamps)
	w.cells(&m.rows.Keys)
	w.cells(&m.rows.Values)
	w.lists(&m.headers)
	for i := range m.typed {
		w.vector(&m.typed[i])
	}
	m.message = w.end(n)
	m.object = append(m.object, m.message...)

	b := MergedBatch{
		Partition: m.last().partition, Rows: int32(n), Last: -1,
		ByteStart: int64(from), ByteEnd: int64(len(m.object)),
		CRC32C: crc32.Checksum(m.message, castagnoli),
	}
	if n > 0 {
		b.First, b.Last = m.offsets[0], m.offsets[n-1]
		b.MinTimestamp, b.MaxTimestamp = bounds(m.rows.Timestamps)
	}
	m.describe(&b)
	m.batches = append(m.batches, b)
	m.last().batches++
	m.offsets, m.bytes = m.offsets[:0], 0
	m.rows.Reset()
	for i := range m.typed {
		m.typed[i].Reset()
		m.misses[i] = 0
	}
}

// describe notes of the batch under way what readers of single columns want to know.
func (m *Merged) describe(b *MergedBatch) {
	b.layout = m.layout
	keys := foz.Vector{Type: foz.TypeBinary, Cells: m.rows.Keys, Nulls: m.rows.Keys.Nulls}
	b.Stats = append(b.Stats, statsOf(&keys))
	for i := range m.typed {
		b.Stats = append(b.Stats, statsOf(&m.typed[i]))
	}
	if m.bounds += 2 * len(b.Stats); m.bounds > boundsMax {
		for i := range b.Stats {
			b.Stats[i].Min, b.Stats[i].Max = nil, nil
		}
	}
	b.Mismatches = slices.Clone(m.misses)
}

// Cut ends the segment under way: the next Append begins another, of the same partition, too.
func (m *Merged) Cut() {
	if m.open && (len(m.offsets) > 0 || m.last().batches == 0) {
		m.flush()
	}
	m.open = false
}

// Size is how many bytes the object has so far: finished batches.
func (m *Merged) Size() int { return len(m.object) }

// finishOne is Finish for a typed object of one batch. That would be read without a footer, and
// thus has the columns of every record only; so it becomes two, or loses the others if it is of
// one row.
func (m *Merged) finishOne(inputs []foz.SwapInput) ([]byte, []foz.Segment, error) {
	b := m.batches[0]
	offsets, rows, typed, err := DecodeTypedBatch(m.object[b.ByteStart:b.ByteEnd], b)
	if err != nil {
		return nil, nil, fmt.Errorf("finish merged object: %w", err)
	}
	m.restart()
	if rows.Len() < 2 {
		typed = nil
		if err := m.Type(nil); err != nil {
			return nil, nil, err
		}
	}
	m.Mismatched(b.Mismatches[:len(typed)])
	half := rows.Len() / 2
	for _, at := range []span{{0, half}, {half, rows.Len()}} {
		run := foz.Run{Rows: rows, From: at.from, To: at.to, Offsets: offsets[at.from:at.to]}
		for i := range typed {
			cells := foz.Vector{Type: typed[i].Type}
			cells.AppendCells(&typed[i], at.from, at.to)
			run.Columns = append(run.Columns, cells)
		}
		if err := m.Append(b.Partition, run); err != nil {
			return nil, nil, fmt.Errorf("finish merged object: %w", err)
		}
		if run.Len() > 0 {
			m.flush()
		}
	}
	return m.Finish(inputs)
}

// restart forgets the object under way, whose batches are finished.
func (m *Merged) restart() { m.object, m.batches, m.segments, m.bounds = nil, nil, nil, 0 }

// Finish gives the object, which is the caller's, and its segments in order. A segment of many
// batches must be the only one. The inputs are what was merged, in order of the segments: the
// object says so itself. The next Append begins another object.
func (m *Merged) Finish(inputs []foz.SwapInput) (
	object []byte, segments []foz.Segment, err error,
) {
	m.Cut()
	own := len(m.segments) == 1 && len(m.batches) > 1
	typed := len(m.layout.typed) > 0
	if len(m.segments) == 0 || !own && len(m.batches) != len(m.segments) ||
		typed && len(m.segments) > 1 {
		return nil, nil, fmt.Errorf("finish merged object: %d segments of %d record batches",
			len(m.segments), len(m.batches))
	}
	if !own && typed {
		return m.finishOne(inputs)
	}
	m.object = append(m.object, endOfStream...)
	object = m.object
	end := len(object)
	f := File{Version: Version, Batches: m.batches, Inputs: inputs}
	if own {
		f.Version = VersionOwn
		for i := range m.batches {
			b := &m.batches[i]
			b.Nodes, b.Buffers = m.layout.shape.places(object[b.ByteStart:b.ByteEnd])
		}
	}
	if object, err = f.appendMergedFooter(object); err != nil {
		return nil, nil, fmt.Errorf("finish merged object: %w", err)
	}
	segments, err = mergedSegments(m.batches, own, object[end:])
	m.restart()
	return object, segments, err
}
