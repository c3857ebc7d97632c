package main

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// How: inputs are cut into batches, and what comes out is put together again. What it costs is
// asked of the runtime: no other test runs meanwhile.

// smallReads gives a pipe's worth at a time.
type smallReads struct{ io.Reader }

func (r smallReads) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 32<<10)]) }

func together(t *testing.T, input io.Reader) (text string, err error) {
	t.Helper()
	for b, err := range readBatches(t.Context(), input, 4<<20, time.Hour) {
		if err != nil {
			return text, err
		}
		text += string(b.data)
	}
	return text, nil
}

func TestALongLineIsReadInLinearTime(t *testing.T) {
	const size = 8 << 20
	long := strings.Repeat("x", size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text, err := together(t, smallReads{strings.NewReader("a\n" + long + "\nb")})
	runtime.ReadMemStats(&after)
	if err != nil || text != "a\n"+long+"\nb\n" {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	// Doubling takes twice the line, and it is copied a few times on its way. Anew for every
	// read it would be 256 reads of half the line: 128 times.
	if took := after.TotalAlloc - before.TotalAlloc; took > 16*size {
		t.Errorf("a line of %s took %s", byteCount(size), byteCount(took))
	}
}

func TestAnInputThatBreaksGivesNoHalfLine(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("a\nb\nhal"), iotest.ErrReader(errors.New("broke")))
	if text, err := together(t, broken); text != "a\nb\n" || err == nil {
		t.Errorf("%q, %v", text, err)
	}
	whole := strings.NewReader("a\nb\nhal")
	if text, err := together(t, whole); text != "a\nb\nhal\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
