package foz

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrHeaders is returned for a headers cell that is not what AppendHeaders writes.
var ErrHeaders = errors.New("malformed headers cell")

// AppendHeaders encodes headers as one cell of the headers column: uvarint count, then for
// each header uvarint length and bytes of its key, uvarint length and bytes of its value.
// No headers append nothing: their cell is null.
func AppendHeaders(dst []byte, headers []Header) []byte {
	if len(headers) == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(headers)))
	for _, h := range headers {
		dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = binary.AppendUvarint(dst, uint64(len(h.Value)))
		dst = append(dst, h.Value...)
	}
	return dst
}

// ParseHeaders decodes a headers cell; values alias it. A nil cell has no headers. It
// allocates in proportion to the cell, whatever count the cell claims.
func ParseHeaders(cell []byte) ([]Header, error) {
	if cell == nil {
		return nil, nil
	}
	count, rest, err := headerCount(cell)
	if err != nil {
		return nil, err
	}
	headers := make([]Header, 0, count)
	err = visitHeaders(count, rest, func(key, value []byte) {
		headers = append(headers, Header{string(key), value})
	})
	if err != nil {
		return nil, err
	}
	return headers, nil
}

// VisitHeaders gives visit the headers of a cell in order; key and value alias it. It allocates
// nothing but errors, before which visit may have been called.
func VisitHeaders(cell []byte, visit func(key, value []byte)) error {
	if cell == nil {
		return nil
	}
	count, rest, err := headerCount(cell)
	if err != nil {
		return err
	}
	return visitHeaders(count, rest, visit)
}

func headerCount(cell []byte) (count uint64, rest []byte, err error) {
	count, rest, err = uvarint(cell)
	if err == nil && count > uint64(len(rest))/2 {
		err = fmt.Errorf("%w: %d headers in %d bytes", ErrHeaders, count, len(rest))
	}
	return count, rest, err
}

func visitHeaders(count uint64, rest []byte, visit func(key, value []byte)) (err error) {
	for range count {
		var key, value []byte
		if key, rest, err = lengthPrefixed(rest); err != nil {
			return err
		}
		if value, rest, err = lengthPrefixed(rest); err != nil {
			return err
		}
		visit(key, value)
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes left over", ErrHeaders, len(rest))
	}
	return nil
}

func lengthPrefixed(b []byte) (head, rest []byte, err error) {
	n, rest, err := uvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("%w: %d bytes claimed, %d there", ErrHeaders, n, len(rest))
	}
	return rest[:n:n], rest[n:], nil
}

func uvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, fmt.Errorf("%w: bad varint", ErrHeaders)
	}
	return v, b[n:], nil
}
