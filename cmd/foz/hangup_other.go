//go:build !unix

package main

import "os"

// hangups: there are none here; files are read again when they change.
func hangups() (<-chan os.Signal, func()) { return nil, func() {} }
