//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups gives the signals that ask a daemon to read its files again.
func hangups() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}
