package schema

import (
	"bytes"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// CellBytesMax is what a cell of utf8 or binary has at most. A longer one mismatches: a record of
// 1 MiB in a thousand columns would be 1 GiB.
const CellBytesMax = 64 << 10

const dayMS = 24 * 60 * 60 * 1000

// appendCell appends what was found for a column, a null where that is no cell of its type.
// false: that mismatches.
func (s *Shredder) appendCell(column int, to *foz.Vector) bool {
	raw := s.raw(column)
	if jsonscan.IsNull(raw) {
		appendNull(to)
		return s.columns[column].Nullable
	}
	ok := false
	switch to.Type {
	case foz.TypeFloat64:
		var f float64
		if f, ok = float(raw); ok {
			to.Float64s = append(to.Float64s, f)
		}
	case foz.TypeUTF8, foz.TypeBinary:
		var cell []byte
		if cell, ok = s.bytes(to.Type, raw); ok && len(cell) <= CellBytesMax {
			to.Cells.Append(cell)
		} else {
			ok = false
		}
	default:
		var n int64
		if n, ok = s.int64(to.Type, raw); ok {
			to.Int64s = append(to.Int64s, n)
		}
	}
	if !ok {
		appendNull(to)
	} else if to.Nulls != nil {
		to.Nulls = append(to.Nulls, false)
	}
	return ok
}

func appendNull(v *foz.Vector) {
	if v.Nulls == nil {
		most := max(cap(v.Int64s), cap(v.Float64s), cap(v.Cells.Ends), 1)
		v.Nulls = make([]bool, v.Len(), most)
	}
	v.Nulls = append(v.Nulls, true)
	switch v.Type {
	case foz.TypeFloat64:
		v.Float64s = append(v.Float64s, 0)
	case foz.TypeUTF8, foz.TypeBinary:
		v.Cells.Append([]byte{})
	default:
		v.Int64s = append(v.Int64s, 0)
	}
}

func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

// float reads a number as the nearest float64; infinity is none.
func float(raw []byte) (float64, bool) {
	if !isNumber(raw) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil
}

// whole reads a number that is an integer, however it is written: 3, 3.0 and 0.3e1 are one.
func whole(raw []byte) (int64, bool) {
	if n, ok := jsonscan.Integer(raw); ok {
		return n, true
	}
	if !isNumber(raw) {
		return 0, false
	}
	text, power := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		text, power = raw[:i], clampedInt(raw[i+1:])
	}
	before, after, _ := bytes.Cut(text, []byte("."))
	digits := slices.Concat(bytes.TrimPrefix(before, []byte("-")), after)
	power -= len(after)
	digits = bytes.TrimLeft(digits, "0")
	bare := bytes.TrimRight(digits, "0")
	if power += len(digits) - len(bare); len(bare) == 0 {
		return 0, true
	}
	const digitsMax = 19
	if power < 0 || len(bare)+power > digitsMax {
		return 0, false
	}
	var plain [1 + digitsMax]byte
	exact := plain[:0]
	if raw[0] == '-' {
		exact = append(exact, '-')
	}
	exact = append(exact, bare...)
	return jsonscan.Integer(append(exact, bytes.Repeat([]byte("0"), power)...))
}

// clampedInt reads an exponent. One that is out of reach is as good as another.
func clampedInt(text []byte) int {
	n, err := strconv.Atoi(string(text))
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		if text[0] == '-' {
			return math.MinInt32
		}
		return math.MaxInt32
	}
	return n
}

func (s *Shredder) int64(t foz.ColumnType, raw []byte) (int64, bool) {
	switch t {
	case foz.TypeBool:
		if raw[0] == 't' {
			return 1, true
		}
		return 0, raw[0] == 'f'
	case foz.TypeInt64:
		return whole(raw)
	case foz.TypeTimestamp:
		if text, ok := s.text(raw); ok {
			return ParseTimestamp(text)
		}
		return whole(raw)
	case foz.TypeDate32:
		if text, ok := s.text(raw); ok {
			return ParseDate(text)
		}
		days, ok := whole(raw)
		return days, ok && days >= math.MinInt32 && days <= math.MaxInt32
	}
	return 0, false
}

// text is what a string stands for; false if raw is none, or has half a surrogate pair. It
// lives until the next.
func (s *Shredder) text(raw []byte) (text []byte, ok bool) {
	if !jsonscan.IsString(raw) {
		return nil, false
	}
	text, s.scratch, ok = jsonscan.Unescape(raw, s.scratch[:0])
	return text, ok
}

// bytes is the cell of a string; it lives until the next.
func (s *Shredder) bytes(t foz.ColumnType, raw []byte) (cell []byte, ok bool) {
	text, ok := s.text(raw)
	if !ok || t == foz.TypeUTF8 {
		return text, ok
	}
	from := len(s.scratch)
	grown, err := base64.StdEncoding.Strict().AppendDecode(s.scratch, text)
	s.scratch = grown
	return grown[from:len(grown):len(grown)], err == nil && !bytes.ContainsAny(text, "\r\n")
}

// ParseTimestamp reads RFC 3339 as milliseconds since 1970, rounded down.
func ParseTimestamp(text []byte) (ms int64, ok bool) {
	const shape = "2001-02-03T04:05:06Z"
	// time.Parse takes an hour of one digit, and a comma before the fraction.
	if len(text) < len(shape) || text[13] != ':' || text[19] == ',' {
		return 0, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	return at.UnixMilli(), err == nil
}

// ParseDate reads a date like 2001-02-03 as days since 1970.
func ParseDate(text []byte) (days int64, ok bool) {
	at, err := time.Parse(time.DateOnly, string(text))
	return at.UnixMilli() / dayMS, err == nil
}
