package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/fozlog/foz"
)

// batch is some lines of the input, each with its newline.
type batch struct {
	data  []byte
	lines int64
	blank bool // nothing but newlines
}

// chunk is what one read of the input gave, cut at a newline.
type chunk struct {
	data []byte
	err  error // io.EOF: there is no more
}

// chunkBytes is how much is read at once, and chunksMax how many chunks wait to be sent.
const (
	chunkBytes = 256 << 10
	chunksMax  = 16
)

// readBatches cuts the input into batches of up to bytesMax, or one line if that is longer. A
// batch is due when it is full, or when the input has paused for linger, or ended. It ends
// early, without an error, with ctx.
func readBatches(ctx context.Context, input io.Reader, bytesMax int, linger time.Duration) (
	batches iter.Seq2[batch, error],
) {
	return func(yield func(batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		chunks := make(chan chunk, chunksMax)
		go readChunks(ctx, input, chunks)
		var data []byte
		for {
			c, paused := next(ctx, chunks, len(data) > 0, linger)
			data = append(data, c.data...)
			due := paused || c.err != nil
			for len(data) >= bytesMax || due && len(data) > 0 {
				n := whole(data, bytesMax)
				if !yield(newBatch(data[:n]), nil) {
					return
				}
				data = data[:copy(data, data[n:])]
			}
			if c.err != nil {
				if !errors.Is(c.err, io.EOF) && ctx.Err() == nil {
					yield(batch{}, fmt.Errorf("read input: %w", c.err))
				}
				return
			}
		}
	}
}

// whole is how many bytes of lines fit into a batch: at least one line's.
func whole(lines []byte, bytesMax int) int {
	if len(lines) <= bytesMax {
		return len(lines)
	}
	if n := bytes.LastIndexByte(lines[:max(bytesMax, 0)], '\n') + 1; n > 0 {
		return n
	}
	return bytes.IndexByte(lines, '\n') + 1
}

func newBatch(lines []byte) batch {
	n := bytes.Count(lines, []byte{'\n'})
	return batch{data: lines, lines: int64(n), blank: n == len(lines)}
}

// next waits for a chunk: for linger only, while something waits to be sent.
func next(ctx context.Context, chunks <-chan chunk, waiting bool, linger time.Duration) (
	c chunk, paused bool,
) {
	var pause <-chan time.Time
	if waiting {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		pause = timer.C
	}
	select {
	case c = <-chunks:
		return c, false
	case <-pause:
		return chunk{}, true
	case <-ctx.Done():
		return chunk{err: ctx.Err()}, false
	}
}

// readChunks reads the input until it ends and cuts it at newlines. A last line without one
// gets it, unless the input broke in it. A line that takes many reads is copied and looked
// through a bounded number of times: the buffer doubles, and only what is new can have a newline.
// It stays in Read when ctx ends: only the process's end frees it from a terminal.
func readChunks(ctx context.Context, input io.Reader, chunks chan<- chunk) {
	var buf []byte // the beginning of a line
	for {
		from := len(buf)
		if cap(buf)-from < chunkBytes {
			buf = slices.Grow(buf, max(chunkBytes, from))
		}
		n, err := input.Read(buf[from : from+chunkBytes])
		buf = buf[:from+n]
		if errors.Is(err, io.EOF) && len(buf) > 0 && buf[len(buf)-1] != '\n' {
			buf = append(buf, '\n')
		}
		cut := from + bytes.LastIndexByte(buf[from:], '\n') + 1
		if cut == from { // no line ends here
			cut = 0
		}
		if len(buf)-cut > foz.BodyBytesMax {
			err = fmt.Errorf("a line is longer than %s", byteCount(foz.BodyBytesMax))
		}
		if cut == 0 && err == nil {
			continue
		}
		select {
		case chunks <- chunk{buf[:cut], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		buf = bytes.Clone(buf[cut:]) // the lines are the receiver's
	}
}

// openPatiently opens a file. A pipe opens when somebody has opened its other end: ctx ends the
// wait, and what is opened too late is closed again.
func openPatiently(ctx context.Context, name string, flag int) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened)
	go func() {
		file, err := os.OpenFile(name, flag, 0)
		select {
		case done <- opened{file, err}:
		case <-ctx.Done():
			if err == nil {
				file.Close()
			}
		}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
