package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fozlog/foz/client"
)

// app is what all commands share: the outside world and the global flags.
type app struct {
	in                        io.Reader
	out                       io.Writer // data
	talk                      io.Writer // everything else
	outTerminal, talkTerminal bool
	getenv                    func(string) string

	url     string          // --url
	token   string          // --token
	ca      string          // --ca
	profile string          // --profile
	given   map[string]bool // flags that the command line or the environment set
	output  string          // --output
}

// root builds the command tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "foz",
		Short: "A log whose segments are Arrow files in an object store",
		Long: "foz is a log service whose segments are Arrow files in an object store:\n" +
			"the log is the analytics table. Begin with 'foz demo'.",
		Example: "  foz dev &\n" +
			"  foz topic create numbers\n" +
			"  seq 1 10 | foz produce numbers\n" +
			"  foz consume numbers",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.settle(cmd)
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.talk)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err, cmd.CommandPath()}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", client.DefaultURL, "where the service is")
	flags.StringVar(&a.token, "token", "", "the token to show the service; better in $FOZ_TOKEN")
	flags.StringVar(&a.ca, "ca", "", "file of CAs that vouch for the service, PEM; else the system's")
	flags.StringVar(&a.profile, "profile", "", "the profile to use (see foz profile)")
	flags.StringVar(&a.output, "output", "table", "how answers are printed: table, json or yaml")
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run a service:"},
		&cobra.Group{ID: "use", Title: "Use it:"}, &cobra.Group{ID: "see", Title: "Look inside:"})
	add(root, "run", a.demoCommand(), a.devCommand(), a.serveCommand())
	add(root, "use", a.topicCommand(), a.produceCommand(), a.consumeCommand(), a.groupCommand(),
		a.compactCommand(), a.clusterCommand(), a.tokenCommand(), a.profileCommand())
	add(root, "see", a.segmentCommand(), a.logCommand(), a.fsckCommand(), a.storageCommand(),
		a.benchCommand(), a.hammerCommand())
	root.AddCommand(a.versionCommand(), a.openapiCommand())
	explainers(root)
	explainUsage(root)
	return root
}

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
		root.AddCommand(c)
	}
}

// explainUsage makes every refusal of arguments a usage error that names its command, and
// every flag's help name its environment variable.
func explainUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			return nil
		}
	}
	name := func(f *pflag.Flag) {
		if f.Name != "help" && !strings.Contains(f.Usage, "[$") {
			f.Usage += " [$" + variable(f.Name) + "]"
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(name)
	cmd.PersistentFlags().VisitAll(name)
	for _, child := range cmd.Commands() {
		explainUsage(child)
	}
}

// noSuchCommand refuses arguments where only commands are known.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("%s", text)
}

// family is a command that only has commands.
func family(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: noSuchCommand, RunE: sayWhich}
	cmd.Example = commands[0].Example
	cmd.AddCommand(commands...)
	return cmd
}

// sayWhich refuses a command that only has commands, and shows them.
func sayWhich(cmd *cobra.Command, _ []string) error {
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return usagef("%s: say which of its commands", cmd.CommandPath())
}

// settle gives every flag that the command line left alone the value of its environment
// variable, notes which are given, and checks the global ones. Flag before environment before
// profile (see useProfile) or file (see useConfig) before default. A variable does not count
// either where the command line has the flag that stands in for its own.
func (a *app) settle(cmd *cobra.Command) (err error) {
	typed := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { typed[f.Name] = true })
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := a.getenv(variable(f.Name))
		if err != nil || f.Changed || value == "" || typed[instead(f)] {
			return
		}
		if e := cmd.Flags().Set(f.Name, value); e != nil {
			err = &usageError{fmt.Errorf("%s: %w", variable(f.Name), e), cmd.CommandPath()}
		}
	})
	a.given = map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { a.given[f.Name] = true })
	if err == nil {
		if e := useConfig(cmd); e != nil {
			err = &usageError{e, cmd.CommandPath()}
		}
	}
	if err == nil {
		err = orLater(missing(cmd), both(cmd))
	}
	if err == nil && !slices.Contains([]string{"table", "json", "yaml"}, a.output) {
		err = &usageError{fmt.Errorf("--output %q: want table, json or yaml", a.output),
			cmd.CommandPath()}
	}
	return err
}

// missing refuses a command line without its required flags.
func missing(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, required := f.Annotations[cobra.BashCompOneRequiredFlag]; required && !f.Changed {
			err = &usageError{fmt.Errorf("--%s is missing", f.Name), cmd.CommandPath()}
		}
	})
	return err
}

// eitherAnnotation of a flag names the one that stands in for it.
const eitherAnnotation = "foz_either"

// eitherFlag makes two flags two ways to say one thing, of which a command takes one.
func eitherFlag(f *pflag.FlagSet, one, other string) {
	_ = f.SetAnnotation(one, eitherAnnotation, []string{other}) // they are there
	_ = f.SetAnnotation(other, eitherAnnotation, []string{one})
}

// instead is the flag that stands in for f; "": none does.
func instead(f *pflag.Flag) string {
	return append(f.Annotations[eitherAnnotation], "")[0]
}

// both refuses a command line, or an environment, that says one thing in two ways.
func both(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if other := cmd.Flags().Lookup(instead(f)); err == nil && other != nil && other.Changed {
			err = &usageError{fmt.Errorf("--%s and --%s (or $%s and $%s) say the same: give one",
				f.Name, other.Name, variable(f.Name), variable(other.Name)), cmd.CommandPath()}
		}
	})
	return err
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "FOZ_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Attempts of the client: a person at a prompt wants to know at once that nothing listens;
// whoever has begun a long produce or follows wants to outlive a restart.
const (
	attemptsHasty   = 3
	attemptsPatient = 14
)

// client makes the client of the service that the flags name.
func (a *app) client() (*client.Client, error) { return a.clientOf(attemptsHasty) }

func (a *app) clientOf(attempts int) (*client.Client, error) {
	o, err := a.clientOptions()
	if err != nil {
		return nil, err
	}
	o.Attempts = attempts
	c, err := client.New(o)
	if err != nil {
		return nil, &usageError{err: err}
	}
	return c, nil
}

// withClient makes a command of what is done with a client of the service.
func (a *app) withClient(do func(ctx context.Context, c *client.Client, args []string) error) (
	run func(cmd *cobra.Command, args []string) error,
) {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}
}

// say talks to a person on stderr.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.talk, format+"\n", args...)
}

// colored says whether what goes to a terminal may have colour.
func (a *app) colored(terminal bool) bool {
	return terminal && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}
