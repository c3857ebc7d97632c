package filter

import (
	"strings"

	"github.com/fozlog/foz"
)

// TextBytesMax is how long a filter's text may be.
const TextBytesMax = 4 << 10

// kind is what a token is.
type kind int

const (
	end    kind = iota
	word        // a column or one of the language's words
	number      //
	text        // without its quotes
	symbol      // = != < <= > >= ( ) ,
)

type token struct {
	kind kind
	text string
	at   int // byte in the filter
}

// is compares with a word of the language or a symbol.
func (t token) is(want string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.text, want)
}

func (t token) String() string {
	switch {
	case t.kind == end:
		return "its end"
	case len(t.text) > 64:
		return t.text[:64] + "..."
	}
	return t.text
}

// scan splits a filter into tokens; the last one is its end.
func scan(s string) (tokens []token, err error) {
	if len(s) > TextBytesMax {
		return nil, wrong(0, "it has %d bytes, at most %d", len(s), TextBytesMax)
	}
	for at := 0; ; {
		for at < len(s) && strings.IndexByte(" \t\r\n", s[at]) >= 0 {
			at++
		}
		if at == len(s) {
			return append(tokens, token{end, "", at}), nil
		}
		t, n, err := next(s[at:], at)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at += n
	}
}

// next reads the token that s begins with, and its length.
func next(s string, at int) (t token, n int, err error) {
	switch c := s[0]; {
	case c == '\'':
		return scanText(s, at)
	case isLetter(c):
		n = span(s, func(c byte) bool { return isLetter(c) || isDigit(c) })
		return token{word, s[:n], at}, n, nil
	case beginsNumber(c), (c == '-' || c == '+') && len(s) > 1 && beginsNumber(s[1]):
		n = 1 + span(s[1:], func(c byte) bool { return isDigit(c) || c == '.' })
		if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
			n++
			if n < len(s) && (s[n] == '-' || s[n] == '+') {
				n++
			}
			n += span(s[n:], isDigit)
		}
		return token{number, s[:n], at}, n, nil
	}
	for _, sym := range []string{"<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","} {
		if strings.HasPrefix(s, sym) {
			return token{symbol, sym, at}, len(sym), nil
		}
	}
	return t, 0, wrong(at, "%q means nothing here", s[:1])
}

func scanText(s string, at int) (t token, n int, err error) {
	var b strings.Builder
	for n = 1; n < len(s); n++ {
		if s[n] != '\'' {
			b.WriteByte(s[n])
			continue
		}
		if n+1 < len(s) && s[n+1] == '\'' {
			b.WriteByte('\'')
			n++
			continue
		}
		return token{text, b.String(), at}, n + 1, nil
	}
	return t, 0, wrong(at, "a text that has no end")
}

func span(s string, of func(byte) bool) (n int) {
	for n < len(s) && of(s[n]) {
		n++
	}
	return n
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

func beginsNumber(c byte) bool { return isDigit(c) || c == '.' }

// wrong is a complaint about the byte at which something begins.
func wrong(at int, format string, args ...any) error {
	e := foz.Errorf(foz.CodeBadRequest, format, args...)
	return foz.Errorf(foz.CodeBadRequest, "filter, at byte %d: %s", at, e.Detail)
}
