package jsonscan

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"
)

// DepthMax is how deep a JSON text may nest.
const DepthMax = 256

// SyntaxError is where and why bytes are no JSON.
type SyntaxError struct {
	At   int
	What string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.What, e.At) }

// Scanner walks strict JSON (RFC 8259) and gives the raw text of what it passes: numbers,
// white space and the order and repetition of members stay as they were written. It
// allocates nothing but errors.
type Scanner struct {
	b []byte
	i int
}

// New makes a scanner of bytes that are known to be UTF-8, such as a part of what another has
// passed: see [Scanner.Begin] for others.
func New(b []byte) Scanner { return Scanner{b: b} }

// Begin makes s walk b, if that is UTF-8.
func (s *Scanner) Begin(b []byte) error {
	*s = Scanner{b: b}
	if !utf8.Valid(b) {
		return &SyntaxError{invalidUTF8(b), "text that is not UTF-8"}
	}
	return nil
}

// At is how many bytes s has passed.
func (s *Scanner) At() int { return s.i }

func invalidUTF8(b []byte) int {
	at := 0
	for at < len(b) {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

func (s *Scanner) fail(what string) error { return &SyntaxError{s.i, what} }

func (s *Scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// Peek skips white space and gives the next byte, 0 at the end.
func (s *Scanner) Peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// End checks that nothing but white space is left.
func (s *Scanner) End() error {
	if s.Peek(); s.i < len(s.b) {
		return s.fail("more after the end of the value")
	}
	return nil
}

// Enter passes the bracket that opens an object or array and says whether an element follows.
func (s *Scanner) Enter(closing byte) (bool, error) {
	s.i++
	switch s.Peek() {
	case closing:
		s.i++
		return false, nil
	case 0:
		return false, s.fail("the text ends")
	}
	return true, nil
}

// Next passes what is between two elements, or the bracket after the last.
func (s *Scanner) Next(closing byte) (bool, error) {
	switch s.Peek() {
	case ',':
		s.i++
		return true, nil
	case closing:
		s.i++
		return false, nil
	case 0:
		return false, s.fail("the text ends")
	}
	return false, s.fail("neither a comma nor a closing bracket")
}

// Name passes a member's name and colon. The name has its quotes but no
// escapes, as far as they can be done without.
func (s *Scanner) Name() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.fail("no member name")
	}
	raw, err := s.str()
	if err != nil {
		return nil, err
	}
	if s.Peek() != ':' {
		return nil, s.fail("no colon after a member name")
	}
	s.i++
	if bytes.IndexByte(raw, '\\') >= 0 {
		if text, _, ok := Unescape(raw, nil); ok {
			raw = slices.Concat(raw[:1], text, raw[:1])
		}
	}
	return raw, nil
}

// Pass passes text that is next, to the byte; false: other text is, and s stays where it is.
// What it passes is not looked at: the caller has met it before.
func (s *Scanner) Pass(known []byte) bool {
	if !bytes.HasPrefix(s.b[s.i:], known) {
		return false
	}
	s.i += len(known)
	return true
}

// Value passes any value and gives its raw text. depth is how many brackets are open.
func (s *Scanner) Value(depth int) ([]byte, error) {
	c := s.Peek()
	from := s.i
	var err error
	switch c {
	case '"':
		_, err = s.str()
	case '{':
		err = s.object(depth + 1)
	case '[':
		err = s.array(depth + 1)
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	case 'n':
		err = s.literal("null")
	default:
		err = s.number()
	}
	return s.b[from:s.i], err
}

func (s *Scanner) object(depth int) error {
	if depth > DepthMax {
		return s.fail(fmt.Sprintf("nesting deeper than %d", DepthMax))
	}
	more, err := s.Enter('}')
	for more && err == nil {
		if _, err = s.Name(); err != nil {
			break
		}
		if _, err = s.Value(depth); err != nil {
			break
		}
		more, err = s.Next('}')
	}
	return err
}

func (s *Scanner) array(depth int) error {
	if depth > DepthMax {
		return s.fail(fmt.Sprintf("nesting deeper than %d", DepthMax))
	}
	more, err := s.Enter(']')
	for more && err == nil {
		if _, err = s.Value(depth); err != nil {
			break
		}
		more, err = s.Next(']')
	}
	return err
}

func (s *Scanner) literal(word string) error {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return s.fail("no value")
	}
	s.i += len(word)
	return nil
}

// str passes a string and gives it raw, with its quotes.
func (s *Scanner) str() ([]byte, error) {
	from := s.i
	s.i++
	for {
		s.i += QuoteEnd(s.b[s.i:])
		if s.i == len(s.b) {
			return nil, s.fail("a string without an end")
		}
		switch s.b[s.i] {
		case '"':
			s.i++
			return s.b[from:s.i], nil
		case '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			return nil, s.fail("a control character in a string")
		}
	}
}

func (s *Scanner) escape() error {
	rest := s.b[s.i+1:]
	if len(rest) == 0 {
		return s.fail("a string without an end")
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
		if _, ok := hex4(rest[1:]); ok {
			s.i += 6
			return nil
		}
	}
	return s.fail("a bad escape in a string")
}

func (s *Scanner) number() error {
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i < len(s.b) && s.b[s.i] == '0':
		s.i++
	case s.digits() == 0:
		return s.fail("no value")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			return s.fail("a number without digits after its point")
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			return s.fail("a number without digits in its exponent")
		}
	}
	return nil
}

func (s *Scanner) digits() int {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - from
}

// Whole says whether b is one JSON value, with or without white space around it.
func Whole(b []byte) bool {
	s := New(b)
	if _, err := s.Value(0); err != nil {
		return false
	}
	return s.End() == nil && utf8.Valid(b)
}
