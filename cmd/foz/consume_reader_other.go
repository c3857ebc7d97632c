//go:build !unix

package main

import (
	"context"
	"io"
)

// whileRead cannot tell here whether somebody reads: the next write can.
func whileRead(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
