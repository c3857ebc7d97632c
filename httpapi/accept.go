package httpapi

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fozlog/foz"
)

// The media types of records.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaArrow  = "application/vnd.apache.arrow.stream"
	mediaSSE    = "text/event-stream"
	mediaOctets = "application/octet-stream"
	mediaText   = "text/plain"
)

// readable are the media types that reads answer with: those first that a wildcard means.
var readable = []string{mediaJSON, mediaNDJSON, mediaArrow, mediaSSE}

// ndjsonNames are all names of NDJSON; an answer goes by the one it was asked for.
var ndjsonNames = []string{mediaNDJSON, "application/ndjson", "application/jsonl"}

// answers are all names that an answer may go by.
var answers = slices.Concat(readable, ndjsonNames[1:])

func isNDJSON(media string) bool { return slices.Contains(ndjsonNames, media) }

// accept picks the media type of an answer with records: of what the client accepts, what it
// wants most, then what it names most exactly, then first.
func accept(r *http.Request) (string, error) {
	given := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(given) == "" {
		return mediaJSON, nil
	}
	ranges := mediaRanges(given)
	best, by := "", mediaRange{}
	for _, media := range answers {
		if m := ranges.of(media); m.q > by.q || m.q == by.q && m.q > 0 && m.before(by) {
			best, by = media, m
		}
	}
	if best == "" {
		return "", foz.Errorf(foz.CodeNotAcceptable, "none of %s is accepted by %s",
			strings.Join(readable, ", "), shortened(given))
	}
	return best, nil
}

// ranges are what an Accept header has, in its order.
type ranges []mediaRange

// mediaRange is a media type, or a wildcard for some, and how much it is wanted.
type mediaRange struct {
	name  string
	q     float64
	exact int // 2: it names one type; 1: all of a kind; 0: any
	at    int // in the header
}

// before says whether a range is more exact, or comes first.
func (m mediaRange) before(n mediaRange) bool {
	return m.exact > n.exact || m.exact == n.exact && m.at < n.at
}

func mediaRanges(given string) (all ranges) {
	for part := range strings.SplitSeq(given, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		m := mediaRange{name: name, q: 1, exact: 2, at: len(all)}
		if text, ok := params["q"]; ok {
			if m.q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		if name == "*/*" {
			m.exact = 0
		} else if strings.HasSuffix(name, "/*") {
			m.exact = 1
		}
		all = append(all, m)
	}
	return all
}

// of is the range that says how much a media type is wanted: the most exact that covers it, so
// that one can be left out of a wildcard. The zero range: none does.
func (all ranges) of(media string) (best mediaRange) {
	found := false
	for _, m := range all {
		covers := m.exact == 0 || m.name == media ||
			m.exact == 1 && strings.HasPrefix(media, strings.TrimSuffix(m.name, "*"))
		if covers && (!found || m.exact > best.exact) {
			best, found = m, true
		}
	}
	return best
}
