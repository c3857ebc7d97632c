package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// recordDecoder turns JSON record objects into rows.
type recordDecoder struct {
	*batches
	parent  string // pointer of what holds the records
	index   int    // of the record at hand: "<parent>/<index>" points at it
	bad     bool   // the record at hand is none
	invalid []foz.InvalidRecord
	key     []byte // buffers for text that must be unescaped, one each since they live together
	value   []byte
	headers []byte
	part    []byte // of a header
	text    []byte // of a string before base64 is taken off
}

// rawRecord is a record object's members as the client wrote them; nil: not there.
type rawRecord struct {
	key, value, headers, timestamp, partition, encoding, offset []byte
}

func (r *rawRecord) member(name []byte) *[]byte {
	switch string(name) {
	case `"key"`:
		return &r.key
	case `"value"`:
		return &r.value
	case `"headers"`:
		return &r.headers
	case `"timestamp"`:
		return &r.timestamp
	case `"partition"`:
		return &r.partition
	case `"encoding"`:
		return &r.encoding
	case `"offset"`: // of the log it was read from: it gets another one
		return &r.offset
	}
	return nil
}

// decodeJSON takes {"records":[...]}. The members that a read's answer has beside it are
// let through, so that an answer can be sent back as it is.
func (b *batches) decodeJSON(body []byte) error {
	d := &recordDecoder{batches: b, parent: "/records"}
	var s jsonscan.Scanner
	err := s.Begin(body)
	if err == nil {
		err = d.document(&s)
	}
	return d.verdict(err, "")
}

func (d *recordDecoder) document(s *jsonscan.Scanner) error {
	if s.Peek() != '{' {
		return d.notAnObject(s)
	}
	seen := map[string]bool{}
	more, err := s.Enter('}')
	for more && err == nil {
		var name []byte
		if name, err = s.Name(); err != nil {
			break
		}
		d.top(string(name), seen)
		if string(name) == `"records"` && s.Peek() == '[' {
			err = d.records(s)
		} else if _, err = s.Value(1); string(name) == `"records"` {
			d.note("/records", "records are an array")
		}
		if err == nil {
			more, err = s.Next('}')
		}
	}
	if err == nil && !seen[`"records"`] {
		d.note("/records", "records are missing")
	}
	if err != nil {
		return err
	}
	return s.End()
}

func (d *recordDecoder) notAnObject(s *jsonscan.Scanner) error {
	if _, err := s.Value(0); err != nil {
		return err
	}
	d.note("", "the body is an object with records")
	return s.End()
}

// answerMembers are what a read's answer has, of one partition or of all, as written.
var answerMembers = []string{`"records"`, `"next_offset"`, `"high_watermark"`, `"positions"`}

// top looks at the name of a member beside the records.
func (d *recordDecoder) top(name string, seen map[string]bool) {
	pointer := "/" + pointerName(name)
	switch {
	case seen[name]:
		d.note(pointer, "the member is there twice")
	case !slices.Contains(answerMembers, name):
		d.note(pointer, "no such member")
	default:
		seen[name] = true
	}
}

// pointerName makes a raw name part of an RFC 6901 pointer.
func pointerName(raw string) string {
	inner := []byte(raw[1 : len(raw)-1])
	inner = bytes.ReplaceAll(inner, []byte("~"), []byte("~0"))
	inner = bytes.ReplaceAll(inner, []byte("/"), []byte("~1"))
	return string(inner[:min(len(inner), 64)])
}

func (d *recordDecoder) records(s *jsonscan.Scanner) error {
	more, err := s.Enter(']')
	for more && err == nil {
		if err = d.record(s); err != nil {
			break
		}
		d.index++
		more, err = s.Next(']')
	}
	return err
}

// decodeEnvelope takes one record object per line.
func (b *batches) decodeEnvelope(body []byte) error {
	d := &recordDecoder{batches: b}
	var s jsonscan.Scanner
	for len(body) > 0 {
		line := body
		if n := bytes.IndexByte(body, '\n'); n >= 0 {
			line, body = body[:n], body[n+1:]
		} else {
			body = nil
		}
		if err := d.line(&s, line); err != nil {
			return d.verdict(err, "/"+strconv.Itoa(d.index))
		}
		d.index++
	}
	return d.verdict(nil, "")
}

// line takes a record object alone on a line, or nothing.
func (d *recordDecoder) line(s *jsonscan.Scanner, line []byte) error {
	err := s.Begin(line)
	if err != nil || s.Peek() == 0 && s.At() == len(line) {
		return err
	}
	if err := d.record(s); err != nil {
		return err
	}
	return s.End()
}

// verdict is what became of the body: unparsable, then too large, then invalid.
func (d *recordDecoder) verdict(err error, pointer string) error {
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		e := badRequest("the body is not JSON: %v", syntax)
		if pointer != "" {
			e = badRequest("%s: not JSON: %v", pointer, syntax) // a line
		}
		e.Invalid = []foz.InvalidRecord{{Pointer: pointer, Detail: syntax.Error()}}
		return e
	}
	if err != nil || len(d.invalid) == 0 {
		return err
	}
	return invalidRecords(d.invalid)
}

// note keeps what is wrong, up to a number of things.
func (d *recordDecoder) note(pointer, detail string) {
	d.bad = true
	if len(d.invalid) < d.api.config.InvalidErrorsMax {
		d.invalid = append(d.invalid, foz.InvalidRecord{Pointer: pointer, Detail: detail})
	}
}

func (d *recordDecoder) at(member string) string {
	pointer := d.parent + "/" + strconv.Itoa(d.index)
	if member != "" {
		pointer += "/" + member
	}
	return pointer
}

// record scans one record object and appends it. The error is about the text or the limits;
// what is not a record is noted.
func (d *recordDecoder) record(s *jsonscan.Scanner) error {
	d.bad = false
	if s.Peek() != '{' {
		_, err := s.Value(1)
		d.note(d.at(""), "a record is an object")
		return err
	}
	var raw rawRecord
	more, err := s.Enter('}')
	for more && err == nil {
		var name, value []byte
		if name, err = s.Name(); err != nil {
			break
		}
		if value, err = s.Value(2); err != nil {
			break
		}
		d.keep(&raw, name, value)
		more, err = s.Next('}')
	}
	if err != nil || d.bad {
		return err
	}
	return d.appendRecord(&raw)
}

func (d *recordDecoder) keep(raw *rawRecord, name, value []byte) {
	member := raw.member(name)
	switch {
	case member == nil:
		d.note(d.at(pointerName(string(name))), "no such member")
	case *member != nil:
		d.note(d.at(pointerName(string(name))), "the member is there twice")
	default:
		*member = value
	}
}

func (d *recordDecoder) appendRecord(raw *rawRecord) error {
	base64 := d.isBase64(raw.encoding)
	var key, value []byte
	if !jsonscan.IsNull(raw.key) {
		key = d.textMember("key", raw.key, &d.key, base64)
	}
	switch {
	case raw.value == nil:
		d.note(d.at("value"), "the value is missing; null is a tombstone")
	case jsonscan.IsNull(raw.value):
	case jsonscan.IsString(raw.value) || base64:
		value = d.textMember("value", raw.value, &d.value, base64)
	default:
		value = raw.value
	}
	headers := d.headerCell(raw.headers, base64)
	timestamp := d.integerMember("timestamp", raw.timestamp, d.now)
	partition, err := d.destination(raw.partition, key)
	if d.bad || err != nil {
		return err
	}
	if err := d.append(partition, timestamp, key, value, headers); err != nil {
		return d.pointed(err)
	}
	return nil
}

// pointed adds the record at hand to an error.
func (d *recordDecoder) pointed(err error) error {
	var e *foz.Error
	if errors.As(err, &e) && len(e.Invalid) == 0 && e.Code != foz.CodeOverloaded {
		e.Invalid = []foz.InvalidRecord{{Pointer: d.at(""), Detail: e.Detail}}
	}
	return err
}

func (d *recordDecoder) isBase64(raw []byte) bool {
	if jsonscan.IsNull(raw) {
		return false
	}
	if string(raw) != `"base64"` {
		d.note(d.at("encoding"), `the encoding is "base64", or is left out`)
	}
	return true
}

// textMember gives the bytes of a string member. buf is used if it needs one.
func (d *recordDecoder) textMember(name string, raw []byte, buf *[]byte, base64 bool) []byte {
	*buf = (*buf)[:0]
	text, ok := d.bytes(raw, buf, base64)
	if !ok {
		d.note(d.at(name), stringWanted(base64))
	}
	return text
}

func stringWanted(base64 bool) string {
	if base64 {
		return "not a string of base64"
	}
	return "not a string of Unicode text"
}

// bytes gives what a raw string stands for, appending to buf what it cannot alias.
func (d *recordDecoder) bytes(raw []byte, buf *[]byte, encoded bool) (text []byte, ok bool) {
	if !jsonscan.IsString(raw) {
		return nil, false
	}
	if !encoded {
		text, *buf, ok = jsonscan.Unescape(raw, *buf)
		return text, ok
	}
	if text, d.text, ok = jsonscan.Unescape(raw, d.text[:0]); !ok {
		return nil, false
	}
	from := len(*buf)
	grown, err := base64.StdEncoding.AppendDecode(*buf, text)
	*buf = grown
	return grown[from:len(grown):len(grown)], err == nil
}

func (d *recordDecoder) integerMember(name string, raw []byte, missing int64) int64 {
	if jsonscan.IsNull(raw) {
		return missing
	}
	n, ok := jsonscan.Integer(raw)
	if !ok {
		d.note(d.at(name), "not an integer")
	}
	return n
}

// destination is the partition the record names, or the one its key picks.
func (d *recordDecoder) destination(raw, key []byte) (int32, error) {
	if jsonscan.IsNull(raw) {
		return d.partition(key), nil
	}
	n := d.integerMember("partition", raw, 0)
	switch {
	case n < 0 || n > 1<<31-1:
		d.note(d.at("partition"), "no partition has that number")
	case d.only != anyPartition && n != int64(d.only):
		d.note(d.at("partition"), fmt.Sprintf("the request is for partition %d", d.only))
	case d.bad:
	default:
		return int32(n), d.pointed(d.has(int32(n)))
	}
	return 0, nil
}

// headerCell turns [["k","v"],...] into a cell as foz.AppendHeaders writes it; nil for none.
func (d *recordDecoder) headerCell(raw []byte, base64 bool) []byte {
	if jsonscan.IsNull(raw) {
		return nil
	}
	s := jsonscan.New(raw)
	if s.Peek() != '[' {
		d.note(d.at("headers"), `headers are an array of ["name","value"]`)
		return nil
	}
	d.headers = append(d.headers[:0], make([]byte, binary.MaxVarintLen64)...)
	count := uint64(0)
	more, _ := s.Enter(']') // the text has been scanned: it is JSON
	for ; more; more, _ = s.Next(']') {
		if !d.header(&s, base64) {
			d.note(d.at("headers/"+strconv.FormatUint(count, 10)),
				`a header is ["name","value"], `+stringWanted(base64)[4:])
			return nil
		}
		count++
	}
	if count == 0 {
		return nil
	}
	var prefix [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(prefix[:], count)
	cell := d.headers[binary.MaxVarintLen64-n:]
	copy(cell, prefix[:n])
	return cell
}

// header appends one ["k","v"] to the cell.
func (d *recordDecoder) header(s *jsonscan.Scanner, base64 bool) bool {
	if s.Peek() != '[' {
		return false
	}
	parts := 0
	more, _ := s.Enter(']')
	for ; more; more, _ = s.Next(']') {
		raw, _ := s.Value(0)
		d.part = d.part[:0]
		text, ok := d.bytes(raw, &d.part, base64 && parts == 1)
		if parts++; !ok || parts > 2 {
			return false
		}
		d.headers = binary.AppendUvarint(d.headers, uint64(len(text)))
		d.headers = append(d.headers, text...)
	}
	return parts == 2
}
