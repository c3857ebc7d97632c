package s3api

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
)

// span is what a Get asks for: length bytes from offset, or all from there if length < 0.
type span struct{ offset, length int64 }

// header is the Range to ask for. For no bytes it asks for one, to learn if it is there.
func (s span) header() string {
	if s.toEnd() {
		if s.offset == 0 {
			return ""
		}
		return fmt.Sprintf("bytes=%d-", s.offset)
	}
	return fmt.Sprintf("bytes=%d-%d", s.offset, s.offset+max(s.length, 1)-1)
}

func (s span) toEnd() bool { return s.length < 0 || s.length > math.MaxInt64-s.offset }

// read reads the body of an answer, which must be what was asked for, whole.
func (s span) read(body io.Reader, a *Answer) ([]byte, error) {
	size, err := s.expect(a)
	if err != nil {
		return nil, err
	}
	data, err := readExactly(body, size)
	if err != nil {
		return nil, err
	}
	if s.length == 0 {
		data = data[:0]
	}
	return data, nil
}

// expect is how many bytes the answer must bring.
func (s span) expect(a *Answer) (int64, error) {
	length, err := strconv.ParseInt(a.Header.Get("Content-Length"), 10, 64)
	if err != nil || length < 0 {
		return 0, fmt.Errorf("the answer's Content-Length is %q", a.Header.Get("Content-Length"))
	}
	switch a.Status {
	case http.StatusOK:
		if s.offset > 0 || !s.toEnd() && length > max(s.length, 1) {
			return 0, fmt.Errorf("asked for %s, answered with all %d bytes", s.header(), length)
		}
		return length, nil
	case http.StatusPartialContent:
		return length, s.check(a.Header.Get("Content-Range"), length)
	}
	return 0, fmt.Errorf("answered with status %d", a.Status)
}

// check compares what was asked for with what the answer says that it is.
func (s span) check(contentRange string, length int64) error {
	var first, last, size int64
	_, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &size)
	if err != nil || first < 0 || last < first || last >= size {
		return fmt.Errorf("the answer's Content-Range is %q", contentRange)
	}
	end := size
	if !s.toEnd() {
		end = min(size, s.offset+max(s.length, 1))
	}
	if first != s.offset || last != end-1 || length != end-s.offset {
		return fmt.Errorf("asked for %s, answered with %q in %d bytes", s.header(), contentRange,
			length)
	}
	return nil
}

// readAhead is how much is allocated for what an answer only announces.
const readAhead = 16 << 20

func readExactly(body io.Reader, size int64) ([]byte, error) {
	data := make([]byte, 0, min(size, readAhead))
	for int64(len(data)) < size {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(size, 2*int64(cap(data))))
			copy(grown, data)
			data = grown
		}
		n, err := io.ReadFull(body, data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err != nil {
			return nil, fmt.Errorf("%d bytes of %d: %w", len(data), size, err)
		}
	}
	// Seeing the end lets the connection be used again.
	n, err := io.ReadFull(body, make([]byte, 1))
	if n > 0 {
		return nil, fmt.Errorf("more than %d bytes", size)
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the end after %d bytes: %w", size, err)
	}
	return data, nil
}
