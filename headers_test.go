package foz_test

// How: what AppendHeaders writes is read back (rapid), a table of malformed cells must each be
// refused with ErrHeaders, and the fuzzer looks for cells that panic, that cost memory they do
// not have, or that are read as something that is written differently twice.

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fozlog/foz"
)

func sameHeaders(a, b foz.Header) bool {
	return a.Key == b.Key && string(a.Value) == string(b.Value)
}

func TestHeadersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []foz.Header
		for range rapid.IntRange(0, 5).Draw(t, "headers") {
			want = append(want, foz.Header{
				Key:   string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "key")),
				Value: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value"),
			})
		}
		got, err := foz.ParseHeaders(foz.AppendHeaders(nil, want))
		if err != nil || !slices.EqualFunc(got, want, sameHeaders) {
			t.Fatalf("got %v, error %v, want %v", got, err, want)
		}
	})
}

func TestParseHeadersRefuses(t *testing.T) {
	whole := foz.AppendHeaders(nil, []foz.Header{{Key: "key", Value: []byte("value")}})
	cells := map[string]string{
		"empty":             "",
		"endless varint":    strings.Repeat("\xff", 11),
		"count too large":   "\xff\xff\xff\xff\x0f",
		"key past the end":  "\x01\x09k",
		"value missing":     "\x01\x01k",
		"left over":         string(whole) + "x",
		"one header of two": "\x02" + string(whole[1:]),
	}
	for n := range len(whole) {
		cells["cut at "+string(rune('0'+n))] = string(whole[:n])
	}
	for name, cell := range cells {
		if got, err := foz.ParseHeaders([]byte(cell)); !errors.Is(err, foz.ErrHeaders) {
			t.Errorf("%s: %v, error %v", name, got, err)
		}
	}
}

func TestParseHeadersOfNull(t *testing.T) {
	if got, err := foz.ParseHeaders(nil); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if cell := foz.AppendHeaders(nil, nil); cell != nil {
		t.Errorf("no headers are the cell %#v, want null", cell)
	}
}

func FuzzParseHeaders(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{1, 1, 'k', 1, 'v'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})
	f.Fuzz(func(t *testing.T, cell []byte) {
		headers, err := foz.ParseHeaders(cell)
		if err != nil {
			return
		}
		if 2*len(headers) > len(cell) {
			t.Fatalf("%d headers of %d bytes", len(headers), len(cell))
		}
		again, err := foz.ParseHeaders(foz.AppendHeaders(nil, headers))
		if err != nil || !slices.EqualFunc(headers, again, sameHeaders) {
			t.Fatalf("%v, written and read again: %v, %v", headers, again, err)
		}
	})
}
