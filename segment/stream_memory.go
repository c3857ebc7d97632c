package segment

import "sync"

// StreamMemory is memory that a stream's rows lie in, to be used again. The zero value is ready.
// It is for one stream at a time.
type StreamMemory struct{ bodies [][]byte }

// Release gives the memory back: nobody looks at the rows any more.
func (m *StreamMemory) Release() {
	if m == nil {
		return
	}
	for _, body := range m.bodies {
		giveBody(body)
	}
	m.bodies = nil
}

// keep holds a body until Release. Without a StreamMemory it is left to the collector.
func (m *StreamMemory) keep(body []byte) {
	if m != nil {
		m.bodies = append(m.bodies, body)
	}
}

// get gives an empty buffer, or nil.
func (m *StreamMemory) get() []byte {
	if kept, ok := bodies.Get().(*[]byte); ok {
		return *kept
	}
	return nil
}

// bodies are for messages as they come. Memory that is touched for the first time costs more
// than what is done with it.
var bodies sync.Pool

const (
	bodyKeepMax   = 16 << 20
	bodyInPlace   = 4 << 10 // smaller ones are copied; Go aligns larger ones to 8 bytes and more
	bodySlackMost = 64 << 10
)

func giveBody(body []byte) {
	if body = body[:0]; cap(body) > 0 && cap(body) <= bodyKeepMax {
		bodies.Put(&body)
	}
}

// worthKeeping says whether a body fills the most of its buffer: many small ones in large buffers
// would take much more memory than has come.
func worthKeeping(body []byte) bool {
	return len(body) >= bodyInPlace && cap(body) <= 2*len(body)+bodySlackMost
}
