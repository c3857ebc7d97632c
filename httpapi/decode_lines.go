package httpapi

import (
	"bytes"
	"io"
	"slices"
	"strconv"

	"github.com/fozlog/foz"
)

// decodeLines takes each line of an NDJSON body as a value, byte for byte, without looking
// inside. Empty lines are skipped, '\r' belongs to the value.
func (b *batches) decodeLines(body io.Reader) error {
	split := lines{rows: b.of(b.partition(nil)), recordMax: b.recordMax, check: b.mismatch}
	chunk := make([]byte, bufferSmall)
	defer func() { b.dropChunk(chunk) }()
	for {
		n, err := body.Read(chunk)
		if err == nil || err == io.EOF {
			records := len(split.rows.Values.Ends)
			if wrong := split.take(chunk[:n]); wrong != nil {
				return wrong
			}
			if full := b.admit(len(split.rows.Values.Ends)-records, n); full != nil {
				return full
			}
		}
		if err == nil && n == len(chunk) && n < chunkMax {
			chunk, err = b.largerChunk(chunk)
		}
		if err == io.EOF {
			n, wrong := split.finish(b.now)
			b.count += n
			return wrong
		}
		if err != nil {
			return err
		}
	}
}

const chunkMax = 256 << 10

// largerChunk is for bodies that fill smaller ones: what only promises many bytes gets little.
func (b *batches) largerChunk(chunk []byte) ([]byte, error) {
	size := min(8*len(chunk), chunkMax)
	if err := b.lease.add(size - len(chunk)); err != nil {
		return chunk, err
	}
	b.api.buffers.put(chunk)
	return b.api.buffers.get(size)[:size], nil
}

// dropChunk gives a chunk back, and its room.
func (b *batches) dropChunk(chunk []byte) {
	b.api.buffers.put(chunk)
	b.lease.give(len(chunk) - bufferSmall)
}

// lines splits what it is given into values at the end of rows. The bytes of a line that is
// not over yet are in the value column already, its end is not.
type lines struct {
	rows      *foz.Rows
	recordMax int
	check     func(value []byte) error // refuses a line
	line      int                      // from 0, empty ones included
}

func (l *lines) take(p []byte) error {
	for {
		n := bytes.IndexByte(p, '\n')
		if n < 0 {
			return l.extend(p)
		}
		if err := l.extend(p[:n]); err != nil {
			return err
		}
		if err := l.close(); err != nil {
			return err
		}
		l.line++
		p = p[n+1:]
	}
}

// open is how many bytes the unfinished line has.
func (l *lines) open() int {
	v := &l.rows.Values
	if len(v.Ends) == 0 {
		return len(v.Data)
	}
	return len(v.Data) - int(v.Ends[len(v.Ends)-1])
}

func (l *lines) extend(p []byte) error {
	if l.open()+len(p) > l.recordMax {
		e := recordTooLarge(l.recordMax)
		e.Invalid = []foz.InvalidRecord{{
			Pointer: "/" + strconv.Itoa(l.line), Detail: "the line is too long",
		}}
		return e
	}
	l.rows.Values.Data = append(withRoom(l.rows.Values.Data, len(p)), p...)
	return nil
}

// withRoom doubles what is full: append by itself copies large buffers four times over on
// their way to their size.
func withRoom(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b
	}
	return slices.Grow(b, max(n, len(b)))
}

func (l *lines) close() error {
	v, n := &l.rows.Values, l.open()
	if n == 0 {
		return nil
	}
	v.Ends = append(v.Ends, int32(len(v.Data)))
	return atRecord(l.check(v.Data[len(v.Data)-n:]), l.line)
}

// finish closes the last line, if it has no newline, and gives the rows their other columns.
// It returns how many lines it closed.
func (l *lines) finish(now int64) (int, error) {
	before := len(l.rows.Values.Ends)
	err := l.close()
	n := len(l.rows.Values.Ends)
	l.rows.Timestamps = repeat(l.rows.Timestamps, now, n)
	for _, c := range []*foz.Column{&l.rows.Keys, &l.rows.Headers} {
		c.Ends = repeat(c.Ends, 0, n)
		c.Nulls = repeat(c.Nulls, true, n)
	}
	if l.rows.Values.Nulls != nil { // left by an earlier use
		l.rows.Values.Nulls = repeat(l.rows.Values.Nulls, false, n)
	}
	return n - before, err
}

// repeat makes s as long as n, filled with v.
func repeat[T any](s []T, v T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = v
	}
	return s
}
