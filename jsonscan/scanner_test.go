package jsonscan

// How: what is JSON is compared with the standard library; parts are spelled out.

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"
	"unicode/utf8"
)

func TestParts(t *testing.T) {
	const text = ` {"a" : [1, "x\"y" ,{}],"\u0062":null}x`
	s := New([]byte(text))
	var got []string
	take := func(part []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(part))
	}
	if s.Peek() != '{' {
		t.Fatalf("at byte %d", s.At())
	}
	more, err := s.Enter('}')
	for more && err == nil {
		take(s.Name())
		take(s.Value(1))
		more, err = s.Next('}')
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`"a"`, `[1, "x\"y" ,{}]`, `"b"`, `null`}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	if s.Pass([]byte("y")) || !s.Pass([]byte("x")) || s.End() != nil {
		t.Errorf("passed to byte %d of %d", s.At(), len(text))
	}
}

func TestSyntaxError(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,}`: "no member name at byte 7",
		`[1 2]`:    "neither a comma nor a closing bracket at byte 3",
		"\"a\nb\"": "a control character in a string at byte 2",
		`"\x"`:     "a bad escape in a string at byte 1",
		`01`:       "more after the end of the value at byte 1",
		`1.`:       "a number without digits after its point at byte 2",
		"[\xff]":   "text that is not UTF-8 at byte 1",
		``:         "no value at byte 0",
	} {
		var s Scanner
		err := s.Begin([]byte(text))
		if err == nil {
			_, err = s.Value(0)
		}
		if err == nil {
			err = s.End()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestDepth(t *testing.T) {
	for depth, want := range map[int]bool{DepthMax: true, DepthMax + 1: false} {
		text := append(bytes.Repeat([]byte("["), depth), bytes.Repeat([]byte("]"), depth)...)
		if Whole(text) != want {
			t.Errorf("%d deep: whole is %v", depth, !want)
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1.5e-3,"\u00e9\n",true,null]}`, ` [ ] `, `"\ud800"`, `-`, `1e`, `[1,]`, "\"\x00\"",
		`{"a"}`, `9223372036854775808`, `-9223372036854775808`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		deep := bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > DepthMax
		if Whole(text) != (json.Valid(text) && utf8.Valid(text)) && !deep {
			t.Fatalf("%q: whole is %v", text, Whole(text))
		}
		n, ok := Integer(text)
		if want, err := strconv.ParseInt(string(text), 10, 64); ok && (err != nil || n != want) {
			t.Fatalf("%q: %d", text, n)
		}
		var s Scanner
		if s.Begin(text) != nil || !Whole(text) || s.Peek() != '"' {
			return
		}
		raw, _ := s.Value(0)
		var want string
		_ = json.Unmarshal(raw, &want)
		if got, _, ok := Unescape(raw, nil); ok && string(got) != want {
			t.Fatalf("%q stands for %q, want %q", raw, got, want)
		}
	})
}
