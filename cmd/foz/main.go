// Command foz is the log service and everything an operator does with it: one binary, a file
// per command.
//
// It knows flags, environment variables, signals, exit codes, terminals, and how the rooms
// are wired to each other. It refuses to know what any of them does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() { os.Exit(run()) }

// run is main with a result: the process's exit code.
func run() int {
	// A reader that has seen enough closes the pipe: that is an error of a write, not death.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	a := &app{
		in: os.Stdin, out: os.Stdout, talk: os.Stderr, getenv: os.Getenv,
		outTerminal:  term.IsTerminal(int(os.Stdout.Fd())),
		talkTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	err := a.root().ExecuteContext(ctx)
	code := exitCode(err)
	if code != exitOK {
		fmt.Fprintln(os.Stderr, explain(err))
	}
	return code
}
