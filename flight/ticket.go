package flight

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ticket is a read of the contract that ends by itself.
type ticket struct {
	topic     string
	partition int32 // allPartitions: all of them
	query     url.Values
}

const allPartitions = -1

// ticketBytesMax is more than a filter at its limit takes, every byte of it escaped.
const ticketBytesMax = 16 << 10

var validTopic = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// Parameters of a read that a ticket may have: those that choose what is read of each record
// and which, and those that say where to begin and end.
var (
	choosing = []string{"columns", "where"}
	bounding = map[bool][]string{
		true:  {"from"},
		false: {"offset", "timestamp", "tail", "end_offset", "until", "limit", "max_bytes"},
	}
)

// parseTicket reads a ticket. What is refused would be no read, or one without an end.
func parseTicket(text []byte) (t ticket, err error) {
	if len(text) > ticketBytesMax {
		return t, badTicket("it is over %d bytes", ticketBytesMax)
	}
	if !utf8.Valid(text) || strings.ContainsFunc(string(text), func(r rune) bool { return r < ' ' }) {
		return t, badTicket("it is not text")
	}
	path, query, _ := strings.Cut(string(text), "?")
	if t, err = parsePath(path); err != nil {
		return t, err
	}
	if t.query, err = url.ParseQuery(query); err != nil {
		return t, badTicket("query: %v", err)
	}
	known := slices.Concat(choosing, bounding[t.partition == allPartitions])
	for name, values := range t.query {
		switch {
		case !slices.Contains(known, name):
			return t, badTicket("it has the parameter %s, and there are %s",
				shortened(name), strings.Join(known, ", "))
		case len(values) > 1:
			return t, badTicket("parameter %s is there %d times", name, len(values))
		}
	}
	if t.query.Get("from") == "now" {
		return t, badTicket("from=now is for a stream of events")
	}
	return t, nil
}

// parsePath reads /v1/topics/{t}/records and /v1/topics/{t}/partitions/{p}/records.
func parsePath(path string) (ticket, error) {
	t := ticket{partition: allPartitions}
	rest, ok := strings.CutPrefix(path, "/v1/topics/")
	rest, read := strings.CutSuffix(rest, "/records")
	if ok = ok && read; ok {
		var number string
		var one bool
		if t.topic, number, one = strings.Cut(rest, "/partitions/"); one {
			t.partition, ok = parsePartition(number)
		}
	}
	if !ok || !validName(t.topic) {
		return t, badTicket("%s is neither /v1/topics/<topic>/records nor "+
			"/v1/topics/<topic>/partitions/<number>/records", shortened(path))
	}
	return t, nil
}

func validName(topic string) bool {
	return validTopic.MatchString(topic) && topic != "." && topic != ".."
}

// parsePartition reads a partition's number, in its one spelling.
func parsePartition(text string) (int32, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err == nil && n >= 0 && strconv.FormatInt(n, 10) == text
}

func badTicket(format string, args ...any) *status {
	st := statusf(invalidArgument, format, args...)
	st.message = "bad ticket: " + st.message
	return st
}

// path is that of the topic's or the partition's records.
func (t ticket) path() string {
	if t.partition == allPartitions {
		return "/v1/topics/" + t.topic + "/records"
	}
	return "/v1/topics/" + t.topic + "/partitions/" + strconv.Itoa(int(t.partition)) + "/records"
}

// target is the ticket as the contract's handler gets it: what was checked, and nothing else.
func (t ticket) target() string {
	if len(t.query) == 0 {
		return t.path()
	}
	return t.path() + "?" + t.query.Encode()
}

// of is a ticket for the same columns and filter of one partition, with bounds.
func (t ticket) of(partition int32, bounds url.Values) ticket {
	for _, name := range choosing {
		if t.query.Has(name) {
			bounds.Set(name, t.query.Get(name))
		}
	}
	return ticket{t.topic, partition, bounds}
}

// unbounded refuses a ticket that says where to begin or end.
func (t ticket) unbounded() error {
	for name := range t.query {
		if !slices.Contains(choosing, name) {
			return badTicket("parameter %s: the endpoints of an info tile all there is; "+
				"a range is a ticket of its own", name)
		}
	}
	return nil
}
