package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// wrapper makes record objects of lines: all with one key and the same headers. What stands
// before and after the value is the same for every line.
type wrapper struct {
	text, base64 affixes // for values that are UTF-8, and for those that are not
	out          []byte
}

type affixes struct{ before, after []byte }

func newWrapper(s produceSettings) (*wrapper, error) {
	headers := [][2]string{}
	for _, h := range s.headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, usagef("-H %q: want NAME=VALUE", h)
		}
		headers = append(headers, [2]string{name, value})
	}
	w := &wrapper{}
	binary := !utf8.ValidString(s.key + fmt.Sprint(s.headers))
	w.base64 = affix(s, headers, func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(s))
	}, "base64")
	w.text = affix(s, headers, func(s string) string { return s }, "")
	if binary {
		w.text = affixes{}
	}
	return w, nil
}

// affix is a record object without its value.
func affix(s produceSettings, headers [][2]string, encode func(string) string,
	encoding string,
) affixes {
	record := struct {
		Key      *string     `json:"key,omitempty"`
		Headers  [][2]string `json:"headers,omitempty"`
		Encoding string      `json:"encoding,omitempty"`
	}{Encoding: encoding}
	if s.hasKey {
		record.Key = new(encode(s.key))
	}
	for _, h := range headers {
		record.Headers = append(record.Headers, [2]string{h[0], encode(h[1])})
	}
	text, _ := json.Marshal(record)
	before := append(bytes.TrimSuffix(text, []byte("}")), `,"value":`...)
	return affixes{bytes.Replace(before, []byte("{,"), []byte("{"), 1), []byte("}\n")}
}

// lines wraps each line of data. Empty lines stay empty, so that numbers of lines stay.
func (w *wrapper) lines(data []byte) []byte {
	w.out = w.out[:0]
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case len(line) == 0:
			w.out = append(w.out, '\n')
		case w.text.before != nil && utf8.Valid(line):
			w.out = append(w.out, w.text.before...)
			w.out = appendJSONString(w.out, line)
			w.out = append(w.out, w.text.after...)
		default:
			w.out = append(append(w.out, w.base64.before...), '"')
			w.out = base64.StdEncoding.AppendEncode(w.out, line)
			w.out = append(append(w.out, '"'), w.base64.after...)
		}
	}
	return w.out
}

func appendJSONString(dst, text []byte) []byte {
	quoted, _ := json.Marshal(string(text))
	return append(dst, quoted...)
}
