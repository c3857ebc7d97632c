package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/filter"
	"github.com/fozlog/foz/jsonscan"
	"github.com/fozlog/foz/schema"
)

// style is how a read writes its records.
type style struct {
	columns   []string // as asked for; nil: all
	where     string   // the filter's text
	query     filter.Query
	typed     []foz.SchemaColumn // those to write, in the order of a run's Columns
	partition bool
	offset    bool
	timestamp bool
	key       bool
	value     bool
	headers   bool
	embedded  bool // values that are JSON stand as such, if they come back as they are
}

// styleOf reads columns=, where= and value=. What the first two mean is for resolve to say.
func styleOf(q query) (s style, err error) {
	switch v := q.Get("value"); v {
	case "", "string":
	case "json":
		s.embedded = true
	default:
		return s, badRequest("parameter value: %s is neither json nor string", shortened(v))
	}
	if columns := q.Get("columns"); columns != "" {
		if s.columns = strings.Split(columns, ","); len(s.columns) > columnsMax {
			return s, badRequest("parameter columns: more than %d", columnsMax)
		}
	}
	s.where = q.Get("where")
	return s, nil
}

const columnsMax = schema.ColumnsMax + 6 // those that every record has

// resolve finds the columns of a topic. Without columns= Arrow has all there are, and text is the
// shape of a record; a read of all partitions has the partition, too, and one of a single
// partition has it if it is asked for by name.
func (s *style) resolve(t foz.Topic, media string, allPartitions bool) (err error) {
	wanted := s.columns
	switch {
	case wanted == nil && media != mediaArrow:
		wanted = slices.Clone(recordColumns)
	case wanted == nil && allPartitions: // all there are, and one more
		wanted = append([]string{foz.ColumnPartition}, recordColumns...)
		for _, c := range t.Schema.Columns {
			wanted = append(wanted, c.Name)
		}
	}
	if s.query, err = filter.NewQuery(t.Schema.Columns, wanted, s.where); err != nil {
		return err
	}
	s.typed = s.query.Typed()
	s.partition = allPartitions && s.columns == nil
	for name, flag := range map[string]*bool{
		foz.ColumnPartition: &s.partition, foz.ColumnOffset: &s.offset, foz.ColumnKey: &s.key,
		foz.ColumnTimestamp: &s.timestamp, foz.ColumnValue: &s.value, foz.ColumnHeaders: &s.headers,
	} {
		*flag = *flag || slices.Contains(wanted, name)
	}
	if media != mediaArrow && !s.timestamp { // who follows until a time looks at them
		s.query.Columns = append(slices.Clip(wanted), foz.ColumnTimestamp)
	}
	return nil
}

var recordColumns = []string{
	foz.ColumnOffset, foz.ColumnTimestamp, foz.ColumnKey, foz.ColumnValue, foz.ColumnHeaders,
}

// appendRecord writes the i-th record of a run as an object. Without typed columns it is the shape
// that envelope=record takes. What is not UTF-8 makes the record one in base64.
func (s *style) appendRecord(b []byte, partition int32, run *foz.Run, n int) ([]byte, error) {
	rows, i := run.Rows, run.From+n
	b = append(b, '{')
	if s.partition {
		b = append(appendMember(b, "partition", int64(partition)), ',')
	}
	if s.offset {
		b = append(appendMember(b, "offset", run.Offset(n)), ',')
	}
	if s.timestamp {
		b = append(appendMember(b, "timestamp", rows.Timestamps[i]), ',')
	}
	var key, value, headers []byte
	if s.key {
		key = rows.Keys.Cell(i)
	}
	if s.value {
		value = rows.Values.Cell(i)
	}
	if s.headers {
		headers = rows.Headers.Cell(i)
	}
	text := utf8.Valid(key) && utf8.Valid(value) && (headers == nil || utf8Headers(headers))
	if s.key {
		b = append(appendCell(append(b, `"key":`...), key, text), ',')
	}
	if s.value {
		b = append(s.appendValue(append(b, `"value":`...), value, text), ',')
	}
	var err error
	if s.headers {
		b, err = appendHeaders(append(b, `"headers":`...), headers, text)
		b = append(b, ',')
	}
	if !text {
		b = append(b, `"encoding":"base64",`...)
	}
	for c := range s.typed {
		b = append(appendString(b, s.typed[c].Name), ':')
		b = append(appendTyped(b, &run.Columns[c], n), ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}'), err
}

// appendTyped writes a typed cell as JSON: bytes in base64, a time in milliseconds, a date as
// people write it.
func appendTyped(b []byte, v *foz.Vector, i int) []byte {
	if v.Null(i) {
		return append(b, "null"...)
	}
	switch v.Type {
	case foz.TypeBool:
		return strconv.AppendBool(b, v.Int64s[i] != 0)
	case foz.TypeFloat64:
		return strconv.AppendFloat(b, v.Float64s[i], 'g', -1, 64)
	case foz.TypeUTF8:
		return appendText(b, v.Cells.Cell(i))
	case foz.TypeBinary:
		return appendCell(b, v.Cells.Cell(i), false)
	case foz.TypeDate32:
		day := time.Unix(v.Int64s[i]*24*60*60, 0).UTC()
		return append(day.AppendFormat(append(b, '"'), time.DateOnly), '"')
	}
	return strconv.AppendInt(b, v.Int64s[i], 10)
}

// appendCell writes a cell as a string; nil as null.
func appendCell(b, cell []byte, text bool) []byte {
	if cell == nil {
		return append(b, "null"...)
	}
	if text {
		return appendText(b, cell)
	}
	b = base64.StdEncoding.AppendEncode(append(b, '"'), cell)
	return append(b, '"')
}

func (s *style) appendValue(b, value []byte, text bool) []byte {
	if !s.embedded || !text || !embeddable(value) {
		return appendCell(b, value, text)
	}
	from := len(b)
	b = append(b, value...)
	// A record is one line. Line ends are between tokens only: strings have none.
	for _, end := range []byte("\n\r") {
		rest := b[from:]
		for n := bytes.IndexByte(rest, end); n >= 0; n = bytes.IndexByte(rest, end) {
			rest[n] = ' '
			rest = rest[n+1:]
		}
	}
	return b
}

// embeddable says whether a value is JSON that envelope=record takes back as the same: the JSON
// null would come back as a tombstone, and a string as what it stands for.
func embeddable(value []byte) bool {
	inner := bytes.TrimLeft(value, " \t\n\r")
	return !jsonscan.IsNull(inner) && !jsonscan.IsString(inner) && jsonscan.Whole(value)
}

// appendHeaders writes a cell as [["k","v"],...].
func appendHeaders(b, cell []byte, text bool) ([]byte, error) {
	if cell == nil {
		return append(b, "[]"...), nil
	}
	c := headerCells{rest: cell}
	b = append(b, '[')
	for c.next() {
		key := c.key
		if !utf8.Valid(key) {
			key = bytes.ToValidUTF8(key, []byte("\ufffd"))
		}
		b = appendText(append(b, '['), key)
		b = append(appendCell(append(b, ','), c.value, text), ']', ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, ']'), c.err
}

func utf8Headers(cell []byte) bool {
	c := headerCells{rest: cell}
	for c.next() {
		if !utf8.Valid(c.value) {
			return false
		}
	}
	return true
}

// headerCells walks what foz.AppendHeaders wrote, without the memory foz.ParseHeaders takes.
type headerCells struct {
	rest       []byte
	begun      bool
	left       uint64
	key, value []byte
	err        error
}

func (c *headerCells) next() bool {
	if !c.begun {
		c.begun = true
		c.left = c.uvarint()
	}
	if c.err != nil || c.left == 0 {
		return false
	}
	c.left--
	c.key = c.bytes()
	c.value = c.bytes()
	return c.err == nil
}

func (c *headerCells) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.err = foz.ErrHeaders
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *headerCells) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.rest)) {
		c.err = foz.ErrHeaders
		return nil
	}
	cell := c.rest[:n:n]
	c.rest = c.rest[n:]
	return cell
}
