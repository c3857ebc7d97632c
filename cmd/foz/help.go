package main

import (
	"github.com/spf13/cobra"
)

// explainers adds the commands that explain the others: help and completion, which cobra has of
// its own, but which know no wrong arguments there.
func explainers(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "  foz help topic create",
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err == nil {
				err = noSuchCommand(about, rest)
			}
			if err != nil {
				return &usageError{err, about.CommandPath()}
			}
			return about.Help()
		},
	})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example, c.Args, c.RunE = "  source <(foz completion bash)", noSuchCommand, sayWhich
		for _, shell := range c.Commands() {
			shell.Example = "  foz completion " + shell.Name() + " > foz." + shell.Name()
		}
	}
}
