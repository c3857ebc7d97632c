package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// toYAML prints what encoding/json makes of v as YAML, members in the same order.
func toYAML(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var out bytes.Buffer
	if err := yamlValue(&out, dec, 0, false); err != nil && err != io.EOF {
		return nil, err
	}
	return out.Bytes(), nil
}

// yamlValue prints the next value. inline: something stands before it on the line.
func yamlValue(out *bytes.Buffer, dec *json.Decoder, depth int, inline bool) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	space := ""
	if inline {
		space = " "
	}
	switch t := token.(type) {
	case json.Delim:
		if !dec.More() {
			_, err := dec.Token()
			out.WriteString(space + map[json.Delim]string{'{': "{}", '[': "[]"}[t] + "\n")
			return err
		}
		return yamlContainer(out, dec, depth, inline, t == '{')
	case string:
		out.WriteString(space + yamlString(t) + "\n")
	case nil:
		out.WriteString(space + "null\n")
	default:
		fmt.Fprintf(out, "%s%v\n", space, t)
	}
	return nil
}

// yamlContainer prints an object or an array that is not empty. An object in an array
// begins on the dash's line.
func yamlContainer(out *bytes.Buffer, dec *json.Decoder, depth int, inline, object bool) error {
	afterDash := bytes.HasSuffix(out.Bytes(), []byte("-"))
	if inline && !(afterDash && object) {
		out.WriteString("\n")
	}
	for first := true; dec.More(); first = false {
		if first && afterDash && object {
			out.WriteString(" ")
		} else {
			out.WriteString(strings.Repeat("  ", depth))
		}
		if object {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			out.WriteString(yamlString(name.(string)) + ":")
		} else {
			out.WriteString("-")
		}
		if err := yamlValue(out, dec, depth+1, true); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// plain are strings that YAML reads as strings without quotes. JSON's quotes are YAML's.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

var reserved = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n)$`)

func yamlString(s string) string {
	if plain.MatchString(s) && !reserved.MatchString(s) {
		return s
	}
	quoted, _ := json.Marshal(s)
	return string(quoted)
}
