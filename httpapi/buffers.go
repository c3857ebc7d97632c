package httpapi

import (
	"io"
	"math/bits"
	"sync"
)

// Sizes of buffers. Small ones are made when they are needed and left to the collector;
// others have powers of two and are used again: memory that was touched before costs a
// fraction of fresh memory.
const (
	bufferSmall  = 4 << 10
	bufferShift  = 16 // 64 KiB are the smallest that are kept
	bufferLeast  = 1 << bufferShift
	bufferShifts = 9 // 16 MiB are the largest
)

// buffers are kept by size.
type buffers [bufferShifts]sync.Pool

// get gives an empty buffer of at least that capacity.
func (p *buffers) get(size int) []byte {
	class := bits.Len(uint(max(size, bufferLeast)-1)) - bufferShift
	if class >= bufferShifts {
		return make([]byte, 0, size)
	}
	if b, ok := p[class].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, bufferLeast<<class)
}

func (p *buffers) put(b []byte) {
	class := bits.Len(uint(cap(b))) - 1 - bufferShift
	if class < 0 || class >= bufferShifts {
		return
	}
	p[class].Put(&b)
}

// readAll reads to the end into a buffer that grows as bytes arrive. free gives it back, and
// its room: a request that waits for its acknowledgement holds its rows alone.
func (a *API) readAll(r io.Reader, l *lease) (all []byte, free func(), err error) {
	buf := make([]byte, 0, bufferSmall)
	free = func() {
		a.buffers.put(buf)
		l.give(cap(buf) - bufferSmall)
	}
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, free, nil
		}
		if err == nil && len(buf) == cap(buf) {
			buf, err = a.grow(buf, l)
		}
		if err != nil {
			free()
			return nil, nil, err
		}
	}
}

// grow gives a buffer of at least twice the capacity with the same contents.
func (a *API) grow(buf []byte, l *lease) ([]byte, error) {
	size := max(2*cap(buf), bufferLeast)
	if err := l.add(size - cap(buf)); err != nil {
		return buf, err
	}
	bigger := append(a.buffers.get(size), buf...)
	a.buffers.put(buf)
	return bigger, nil
}
