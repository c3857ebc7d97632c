package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"github.com/fozlog/foz"
)

// lineBytesMax bounds one line of a stream: the largest record, escaped.
const lineBytesMax = 6*foz.BodyBytesMax + 1<<20

// Scan yields the records of a bounded read, in order of offset, until its end or, without
// one, the head as of the beginning. A read of one partition goes on where it was when its
// stream breaks. After an error it yields nothing more.
func (c *Client) Scan(ctx context.Context, r Read) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for line, err := range c.ScanLines(ctx, r) {
			var record Record
			if err == nil {
				err = json.Unmarshal(line, &record)
			}
			if !r.All() {
				record.Partition = r.Partition
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

// ScanLines is Scan without decoding: each line is a record as JSON, without its newline,
// and is good until the next one.
func (c *Client) ScanLines(ctx context.Context, r Read) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		s := &scan{c: c, r: r, end: -1}
		for {
			more, err := s.page(ctx, yield)
			if err != nil && s.resumes(ctx, err) {
				continue
			}
			if err != nil {
				yield(nil, err)
			}
			if !more || err != nil {
				return
			}
		}
	}
}

// scan is a read under way.
type scan struct {
	c      *Client
	r      Read  // From, Limit: what is left of it
	end    int64 // the head as of the first answer; -1: not known
	last   []byte
	broken int // streams in a row that broke without a record
}

// page streams one answer. more says that the read goes on behind it: it was cut short by
// one of the service's own limits.
func (s *scan) page(ctx context.Context, yield func([]byte, error) bool) (more bool, err error) {
	resp, err := s.c.stream(ctx, s.r.call(mediaNDJSON))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if head, ok := number(resp.Header, "Foz-High-Watermark"); ok && s.end < 0 {
		s.end = head
	}
	lines := wholeLines(resp.Body)
	count := int64(0)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		count++
		s.broken = 0
		s.last = append(s.last[:0], lines.Bytes()...)
		if !yield(lines.Bytes(), nil) {
			return false, nil
		}
	}
	if err := lines.Err(); err != nil {
		s.advance(count, -1)
		return false, &transportError{sent: true, err: fmt.Errorf("read records: %w", err)}
	}
	next, _ := number(resp.Header, "Foz-Next-Offset")
	return s.advance(count, next), nil
}

// advance moves the read behind the records it got, count of them, or to where the service
// says the next begins. It says whether the read goes on.
func (s *scan) advance(count, next int64) bool {
	if s.r.All() || count == 0 && next < 0 {
		return false
	}
	if count > 0 {
		var position struct{ Offset *int64 }
		if json.Unmarshal(s.last, &position) == nil && position.Offset != nil {
			next = max(next, *position.Offset+1)
		}
	}
	if next < 0 { // the records' offsets were not asked for
		s.last = s.last[:0]
		return false
	}
	moved := s.r.From.kind != "offset" || next > s.r.From.n
	s.r.From = FromOffset(next)
	if s.r.Limit > 0 {
		s.r.Limit -= count
		if s.r.Limit <= 0 {
			return false
		}
	}
	end := s.end
	if s.r.EndOffset != nil {
		end = min(end, *s.r.EndOffset)
	}
	return moved && next < end && (s.r.Until == nil || count > 0)
}

// resumes says whether to open the stream again after it broke with err.
func (s *scan) resumes(ctx context.Context, err error) bool {
	_, torn := errors.AsType[*transportError](err)
	if !torn || s.r.All() || len(s.last) == 0 || ctx.Err() != nil {
		return false
	}
	s.broken++
	return s.broken < s.c.attempts && pause(ctx, s.broken, err) == nil
}

func number(h http.Header, name string) (int64, bool) {
	n, err := strconv.ParseInt(h.Get(name), 10, 64)
	return n, err == nil
}

// wholeLines splits r into lines. One that lacks its newline is no line: the stream is torn.
func wholeLines(r io.Reader) *bufio.Scanner {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), lineBytesMax)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, nil
	})
	return lines
}
