package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes; scripts rely on them.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	a := app{out: os.Stdout, err: os.Stderr}
	os.Exit(a.run(os.Args[1:]))
}

// app is what verbs know of the world outside.
type app struct {
	out, err io.Writer
}

// usageError is the user's mistake, told before anything was done.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errTold is returned by a verb that failed and has said how.
var errTold = errors.New("failed")

// run carries out one command line and returns the exit code. The first signal cancels, a second one kills.
func (a *app) run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // for nil cobra would take those of the process, a test's for one
	cmd, err := root.ExecuteContextC(ctx)
	var u usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	case !errors.As(err, &u):
		fmt.Fprintf(a.err, "quordsim: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(a.err, "quordsim: %v\nquordsim: `%s --help` says what is allowed\n", err, cmd.CommandPath())
	return exitUsage
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "quordsim VERB",
		Short: "Experiments on Quord without a network, a disk or a clock",
		Long: "Runs Quord's own protocols in virtual time. Equal seeds give equal results.\n" +
			"Exit codes: 0 done, 1 failed, 2 wrong usage.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usagef("unknown verb %q: allowed are %s", args[0], verbs(cmd))
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("a verb is missing: allowed are %s", verbs(cmd))
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		a.world(), a.sessions(),
		a.paths(), a.load(), a.failures(), a.churn(), a.stretch(), a.balance(), a.join(),
		a.invariants(),
		a.version(),
	)
	return root
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

// noArgs refuses arguments that are no flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q is not a flag: want `%s`", args[0], cmd.UseLine())
	}
	return nil
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// show writes a line of progress over the last one on a terminal; elsewhere it is silent. "" takes the line away.
func (a *app) show(line string) {
	if f, ok := a.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.err, "\r\x1b[K%s", line)
	}
}

// commit is set by the linker: -X main.commit=0123456789ab. Without it the build information is asked.
var commit string

// built names the commit of this binary: what replays a seed.
func built() string {
	if commit != "" {
		return commit
	}
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return "unknown"
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "The commit of this binary: with the seed it names a run", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "quordsim %s\n", built())
			return err
		},
	}
}
