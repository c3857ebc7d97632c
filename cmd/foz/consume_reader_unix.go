//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// whileRead gives a context that ends when nobody reads what is written to a pipe anymore: who
// waits for something to write would not hear of it. What is no pipe is always read.
func whileRead(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	file, ok := out.(*os.File)
	if !ok {
		return ctx, stop
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return ctx, stop
	}
	go func() {
		const pollMS = 200 // a bound on how long this outlives the context
		for ctx.Err() == nil {
			// Nothing is asked for: an error, or the end of the other side, is always told.
			fds := []unix.PollFd{{Fd: int32(file.Fd())}}
			n, err := unix.Poll(fds, pollMS)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return // it cannot be told here, but by the next write
			}
			if n > 0 {
				cancel(syscall.EPIPE)
			}
		}
	}()
	return ctx, stop
}
