package httpapi

import (
	"io"
	"net/http"
	"strings"

	"github.com/fozlog/foz"
	"github.com/fozlog/foz/jsonscan"
)

// document walks the JSON body of a request that changes settings, not records: strictly, and
// noting everything in it that is not understood.
type document struct {
	raw     []byte
	invalid []foz.InvalidRecord
}

// readDocument reads a body of one of the media types. An empty body is an empty object.
func (a *API) readDocument(w *response, r *http.Request, medias ...string) (*document, error) {
	l := lease{from: &a.decoding}
	defer l.release()
	given, err := single(r.Header, "Content-Type")
	if err != nil {
		return nil, err
	}
	given, _, _ = strings.Cut(given, ";")
	given = strings.ToLower(strings.TrimSpace(given))
	body, done, err := a.openBody(w, r, &l, a.config.ControlBytesMax)
	if err != nil {
		return nil, err
	}
	defer done()
	raw, err := io.ReadAll(body) // at most ControlBytesMax
	if err != nil {
		return nil, err
	}
	known := false
	for _, media := range medias {
		known = known || given == media
	}
	// curl's -d names a form unless it is told otherwise; JSON in it is what was meant.
	if !known && len(raw) > 0 && given != "" && given != "application/x-www-form-urlencoded" {
		return nil, foz.Errorf(foz.CodeUnsupportedMediaType, "content type %s is not %s",
			shortened(given), strings.Join(medias, " or "))
	}
	var s jsonscan.Scanner
	err = s.Begin(raw)
	if err == nil && len(raw) > 0 {
		if _, err = s.Value(0); err == nil {
			err = s.End()
		}
	}
	if err != nil {
		return nil, badRequest("the body is not JSON: %w", err)
	}
	if len(raw) == 0 {
		raw = []byte("{}")
	}
	return &document{raw: raw}, nil
}

func (d *document) note(pointer, detail string) {
	d.invalid = append(d.invalid, foz.InvalidRecord{Pointer: pointer, Detail: detail})
}

// verdict is an error if anything was noted.
func (d *document) verdict() error {
	if len(d.invalid) == 0 {
		return nil
	}
	return invalidRecords(d.invalid[:min(len(d.invalid), 16)])
}

// members calls each for the members of an object, by name.
func (d *document) members(raw []byte, pointer string, each func(name string, value []byte) bool) {
	s := jsonscan.New(raw)
	if s.Peek() != '{' {
		d.note(pointer, "not an object")
		return
	}
	seen := map[string]bool{}
	more, _ := s.Enter('}') // the text has been scanned: it is JSON
	for ; more; more, _ = s.Next('}') {
		rawName, _ := s.Name()
		value, _ := s.Value(0)
		name := string(rawName[1 : len(rawName)-1])
		at := pointer + "/" + pointerName(string(rawName))
		switch {
		case seen[name]:
			d.note(at, "the member is there twice")
		case !each(name, value):
			d.note(at, "no such member")
		}
		seen[name] = true
	}
}

// elements calls each for the elements of an array.
func (d *document) elements(raw []byte, pointer string, each func(i int, value []byte)) {
	s := jsonscan.New(raw)
	if s.Peek() != '[' {
		d.note(pointer, "not an array")
		return
	}
	more, _ := s.Enter(']')
	for i := 0; more; i++ {
		value, _ := s.Value(0)
		each(i, value)
		more, _ = s.Next(']')
	}
}

// integer is an integer member within [least, most].
func (d *document) integer(raw []byte, pointer string, least, most int64) int64 {
	n, ok := jsonscan.Integer(raw)
	if !ok {
		d.note(pointer, "not an integer")
	} else if n < least || n > most {
		d.note(pointer, "out of range: "+rangeText(least, most))
	}
	return n
}

// text is a string member.
func (d *document) text(raw []byte, pointer string) string {
	if !jsonscan.IsString(raw) {
		d.note(pointer, "not a string")
		return ""
	}
	text, _, ok := jsonscan.Unescape(raw, nil)
	if !ok {
		d.note(pointer, "not a string of Unicode text")
	}
	return string(text)
}
