package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quorddb/quord/internal/config"
)

// Exit codes; scripts rely on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	a := app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(), open: openNode}
	os.Exit(a.run(os.Args[1:]))
}

// app is what verbs know of the world outside.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
	open     openFunc
}

// usageError is the user's mistake, told before anything was done.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// secondSignal is how long after the first signal another one means impatience. Sooner it is the same one again: some
// tools (timeout, for one) signal a process and then its whole group.
const secondSignal = time.Second

// run carries out one command line and returns the exit code. The first signal cancels, a second one kills.
func (a *app) run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(secondSignal, stop) })

	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(cmd, err)
}

// report tells the user how it ended.
func (a *app) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.err, "quord: %s\n", strings.TrimRight(line, "\n"))
	}
	if !isUsage(err) {
		return exitFailed
	}
	fmt.Fprintf(a.err, "quord: `%s --help` says what is allowed\n", cmd.CommandPath())
	return exitUsage
}

func isUsage(err error) bool {
	var u usageError
	var c *config.Error
	return errors.As(err, &u) || errors.As(err, &c) || errors.Is(err, config.ErrUndecided)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "quord VERB",
		Short: "A replicated key-value store without a master that speaks the Redis protocol",
		Long: "Quord keeps keys on several nodes that stand on a ring. Any Redis client works with any node.\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong usage.",
		Example: "  quord dev                                    a ring of three on this machine\n" +
			"  quord serve --init                           the first node of a new cluster\n" +
			"  quord serve --join 10.0.0.1:16379            one more node",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
				hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(like, " or "))
			}
			return usagef("unknown verb %q%s: allowed are %s", args[0], hint, verbs(cmd))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("a verb is missing: allowed are %s", verbs(cmd))
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), secondUsage, "", 1))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		a.serve(), a.dev(),
		a.get(), a.put(), a.del(), a.scan(),
		a.lookup(), a.ring(), a.status(),
		a.leave(), a.remove(), a.replace(),
		a.bench(), a.version(),
	)
	return root
}

// secondUsage is the line of the library's usage text by which a command with verbs is shown twice.
const secondUsage = "{{if .HasAvailableSubCommands}}\n  {{.CommandPath}} [command]{{end}}"

// flagError says of a wrong flag what is allowed instead.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var allowed []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { allowed = append(allowed, "--"+f.Name) })
		return usagef("%w: allowed are %s", err, strings.Join(allowed, " "))
	case errors.As(err, &missing):
		return usagef("--%s: want %s after it", missing.GetFlag().Name, wanted(missing.GetFlag()))
	case errors.Is(err, strconv.ErrRange) && errors.As(err, &invalid):
		return usagef("--%s %q: want %s closer to 0", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid.GetFlag()))
	case errors.As(err, &invalid):
		return usagef("--%s %q: want %s", invalid.GetFlag().Name, invalid.GetValue(), wanted(invalid.GetFlag()))
	}
	return usageError{err}
}

// wanted says what a flag's value looks like.
func wanted(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "int", "int64":
		return "a whole number"
	case "uint64":
		return "a whole number from 0"
	case "intSlice":
		return "whole numbers with commas between them"
	case "float64":
		return "a number"
	case "duration":
		return "a duration such as 90s or 5m"
	}
	return "a value"
}

func verbs(root *cobra.Command) string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return strings.Join(names, " ")
}

// args makes a wrong number of arguments wrong usage that shows the right one.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if check(cmd, given) != nil {
			return usagef("%s given: want `%s`", plural(len(given), "argument"), cmd.UseLine())
		}
		return nil
	}
}
