package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// IsNull says whether a member is missing or null.
func IsNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// IsString says whether a member is a string.
func IsString(raw []byte) bool { return len(raw) > 0 && raw[0] == '"' }

// Unescape gives the bytes that a raw JSON string stands for. Without escapes it is a part
// of raw; else it is appended to scratch, which is returned grown. Half a surrogate pair
// stands for nothing: ok is false.
func Unescape(raw, scratch []byte) (text, grown []byte, ok bool) {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, scratch, true
	}
	from := len(scratch)
	for {
		n := bytes.IndexByte(inner, '\\')
		if n < 0 {
			scratch = append(scratch, inner...)
			return scratch[from:], scratch, true
		}
		scratch = append(scratch, inner[:n]...)
		inner = inner[n+1:]
		if inner[0] != 'u' {
			scratch = append(scratch, unescaped(inner[0]))
			inner = inner[1:]
			continue
		}
		r, used := surrogates(inner[1:])
		if used == 0 {
			return nil, scratch, false
		}
		scratch = utf8.AppendRune(scratch, r)
		inner = inner[1+used:]
	}
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// surrogates reads what follows `\u`: four digits, or two halves of a pair with `\u` between
// them. used is how many bytes that was, 0 for half a pair.
func surrogates(b []byte) (r rune, used int) {
	r, _ = hex4(b)
	if !utf16.IsSurrogate(r) {
		return r, 4
	}
	if len(b) < 10 || b[4] != '\\' || b[5] != 'u' {
		return 0, 0
	}
	low, _ := hex4(b[6:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 10
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// specials has the high bit of each byte of w that is a control character, a quote or a
// backslash. Bits above the lowest may be wrong; the lowest is right.
// Source: Sean Anderson, Bit Twiddling Hacks, "hasless" and "haszero".
func specials(w uint64) uint64 {
	return ((w - ones*' ') | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones)) &^ w & highs
}

// QuoteEnd is where in s the first quote, backslash or control character is, or len(s). It
// looks at 32 bytes at a time.
func QuoteEnd(s []byte) int {
	i := 0
	for ; i+32 <= len(s); i += 32 {
		b := s[i : i+32 : i+32]
		if specials(binary.LittleEndian.Uint64(b))|specials(binary.LittleEndian.Uint64(b[8:]))|
			specials(binary.LittleEndian.Uint64(b[16:]))|
			specials(binary.LittleEndian.Uint64(b[24:])) != 0 {
			break
		}
	}
	for ; i+8 <= len(s); i += 8 {
		if m := specials(binary.LittleEndian.Uint64(s[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// Integer reads a JSON number that is an integer within int64: no fraction, no exponent.
func Integer(raw []byte) (int64, bool) {
	digits := raw
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if len(digits) < len(raw) {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n < 1<<63
}
