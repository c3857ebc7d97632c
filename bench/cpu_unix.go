//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processCPU is the time this process has spent on processors, its system calls included.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
