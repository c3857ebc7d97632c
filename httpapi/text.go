package httpapi

import (
	"strconv"
	"strings"

	"github.com/fozlog/foz/jsonscan"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	return appendText(b, []byte(strings.ToValidUTF8(s, "\ufffd")))
}

// appendText appends UTF-8 as a JSON string.
func appendText(b, text []byte) []byte {
	b = append(b, '"')
	for {
		n := jsonscan.QuoteEnd(text)
		b = append(b, text[:n]...)
		if n == len(text) {
			return append(b, '"')
		}
		b = appendEscaped(b, text[n])
		text = text[n+1:]
	}
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

func appendMember(b []byte, name string, n int64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}
