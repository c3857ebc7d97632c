package main

import "syscall"

// ownedProcess has the kernel kill a child when this process dies, even by SIGKILL.
func ownedProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
