package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorddb/quord/internal/freeport"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quord": runQuord, "dumb": runDumb})
}

// The scripts are what a user types, and what the user must see: texts, shapes of JSON and exit codes are contracts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			port, err := freeport.Take(nil, 1, 2, 1000, 1001, 1002, 10000, 10001, 10002) // those of two neighbours, and what is derived
			if err != nil {
				return err
			}
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector would make every verb last a second longer
			env.Setenv("PORT", strconv.Itoa(port))
			env.Setenv("PORT2", strconv.Itoa(port+1))
			env.Setenv("ADDR", "127.0.0.1:"+strconv.Itoa(port))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":   code,
			"listen": listen,
			"shut":   shut,
			"until":  until,
			"term":   terminate,
		},
	})
}

// code N VERB...: runs quord, and fails unless it exits with N. The scripts' own `! exec` cannot tell 1 from 2.
func code(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("quord", args[1:]...)
	got := "0"
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("quord %s: %v", strings.Join(args[1:], " "), err)
		}
		got = strconv.Itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("quord %s: exit code %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// listen ADDR: waits until somebody listens there.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, "somebody to listen on "+args[0], func() bool {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// shut ADDR: waits until nobody listens there.
func shut(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, "nobody to listen on "+args[0], func() bool {
		c, err := net.Dial("tcp", args[0])
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

// until FILE [TEXT]: waits until the file is there and not empty, and holds the text.
func until(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, strings.Join(args, " to hold "), func() bool {
		held, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && len(held) > 0 && strings.Contains(string(held), strings.Join(args[1:], " "))
	})
}

func await(ts *testscript.TestScript, what string, met func() bool) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if met() {
			return
		}
	}
	ts.Fatalf("waited too long for %s", what)
}

// term: sends SIGTERM, as service managers do, to the background command that was started last; the scripts' own kill
// knows other signals only.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	all := ts.BackgroundCmds()
	if len(all) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	ts.Check(all[len(all)-1].Process.Signal(syscall.SIGTERM))
}
