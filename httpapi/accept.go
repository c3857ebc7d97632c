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

func isNDJSON(media string) bool { return slices.Contains(ndjsonNames, media) }

// accept picks the media type of an answer with records: of what the client accepts, what it
// wants most, then what it names most exactly, then first.
func accept(r *http.Request) (string, error) {
	given := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(given) == "" {
		return mediaJSON, nil
	}
	best, bestQ, bestExact := "", 0.0, -1
	for part := range strings.SplitSeq(given, ",") {
		media, q, exact := acceptable(part)
		if media != "" && (q > bestQ || q == bestQ && q > 0 && exact > bestExact) {
			best, bestQ, bestExact = media, q, exact
		}
	}
	if best == "" {
		return "", foz.Errorf(foz.CodeNotAcceptable, "none of %s is accepted by %s",
			strings.Join(readable, ", "), shortened(given))
	}
	return best, nil
}

// acceptable reads one range of an Accept header: which media type it gets, how much it is
// wanted, and how exactly it is named. "": none.
func acceptable(part string) (media string, q float64, exact int) {
	name, params, err := mime.ParseMediaType(part)
	if err != nil {
		return "", 0, 0
	}
	q = 1
	if text, ok := params["q"]; ok {
		if q, err = strconv.ParseFloat(text, 64); err != nil {
			return "", 0, 0
		}
	}
	switch {
	case name == "*/*":
		return mediaJSON, q, 0
	case isNDJSON(name), slices.Contains(readable, name):
		return name, q, 2
	}
	if kind, found := strings.CutSuffix(name, "/*"); found {
		for _, m := range readable {
			if strings.HasPrefix(m, kind+"/") {
				return m, q, 1
			}
		}
	}
	return "", 0, 0
}
