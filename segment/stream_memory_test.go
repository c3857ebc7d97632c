package segment

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/fozlog/foz"
)

// largeBatch is a record batch of values, whose buffers begin so many bytes off their place.
func largeBatch(off int, values ...string) []byte {
	s := newShape(1, 3, Uncompressed)
	w := beginBatch(nil, s, nil)
	w.putNode(len(values), 0)
	w.noBuffer()
	ends, data := []int32{0}, []byte{}
	for _, v := range values {
		data = append(data, v...)
		ends = append(ends, int32(len(data)))
	}
	for _, b := range [][]byte{le32(ends...), data} {
		w.dst = append(w.dst, make([]byte, off)...)
		from := len(w.dst)
		w.dst = append(w.dst, b...)
		w.closeBuffer(from)
	}
	return w.end(len(values))
}

// How: streams are read one after the other through the same memory; each has its own rows until
// it is released, wherever its buffers lie and however many batches it has.
func TestStreamMemory(t *testing.T) {
	var memory StreamMemory
	for round := range 3 {
		for name, c := range map[string]struct {
			off, batches int
			inPlace      bool
		}{
			"in place": {0, 1, true}, "off by four": {4, 1, false}, "by one": {1, 1, false},
			"joined": {0, 3, false},
		} {
			want, stream := &foz.Rows{}, schemaMessage([]field{valueField})
			for b := range c.batches {
				values := make([]string, 50)
				for i := range values {
					values[i] = fmt.Sprintf("%0*d", 200+i, round*1000+b*100+i)
					want.Append(7, nil, []byte(values[i]), nil)
				}
				stream = append(stream, largeBatch(c.off, values...)...)
			}
			stream = append(stream, endOfStream...)
			rows, err := ReadStream(bytes.NewReader(stream), StreamLimits{Now: 7, Memory: &memory})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			other, err := ReadStream(bytes.NewReader(stream), StreamLimits{Now: 7})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sameRows(t, rows, want)
			if c.inPlace != (len(memory.bodies) == 1) {
				t.Errorf("%s: %d bodies are held", name, len(memory.bodies))
			}
			memory.Release()
			if len(memory.bodies) != 0 {
				t.Errorf("%s: %d bodies after Release", name, len(memory.bodies))
			}
			sameRows(t, other, want) // nobody's memory but the caller's
		}
	}
}

// How: what is small, or small for its buffer, is copied: batches hold hardly more than came.
func TestWorthKeeping(t *testing.T) {
	for _, c := range []struct {
		size, room int
		want       bool
	}{
		{0, 0, false}, {100, 100, false}, {bodyInPlace, bodyInPlace, true},
		{bodyInPlace, bodySlackMost, true}, {bodyInPlace, 1 << 20, false},
		{1 << 20, 2 << 20, true}, {1 << 20, 3 << 20, false},
	} {
		if got := worthKeeping(make([]byte, c.size, c.room)); got != c.want {
			t.Errorf("%d bytes in %d: %v", c.size, c.room, got)
		}
	}
}
