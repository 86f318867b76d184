package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes a program in the place of quord, so that what this package does with processes can be tested alone.
func script(t *testing.T, text string) *Node {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "fake")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Node{Name: "fake", Dir: dir, Log: filepath.Join(dir, "log"), HTTPAddr: "127.0.0.1:1", binary: binary}
}

// What a test loses when this fails: the reason why a node has ended, and the certainty that it has.
func TestLivesOfANode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	t.Run("ends by itself", func(t *testing.T) {
		n := script(t, "echo last words; exit 3")
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		if code, err := n.WaitExit(ctx); code != 3 || err != nil {
			t.Errorf("WaitExit: %d, %v; want 3", code, err)
		}
		if n.Running() || n.PID() != 0 {
			t.Error("it is said to run")
		}
		if err := n.WaitReady(ctx); err == nil || !strings.Contains(err.Error(), "last words") {
			t.Errorf("WaitReady: %v, want its last words", err)
		}
	})
	t.Run("killed and started again", func(t *testing.T) {
		n := script(t, "exec sleep 60")
		for range 2 {
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
			if err := n.Start(); err == nil {
				t.Error("it was started twice")
			}
			if _, err := n.CPU(); err != nil {
				t.Error(err)
			}
			if err := n.Kill(); err != nil || n.Running() {
				t.Errorf("Kill: %v, running: %v", err, n.Running())
			}
		}
		if err := n.Kill(); err == nil {
			t.Error("what does not run was killed")
		}
	})
	t.Run("told to stop", func(t *testing.T) {
		n := script(t, `trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(n.Tail(3), "ready") && ctx.Err() == nil {
			if err := n.pause(ctx, time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Terminate(ctx); err != nil {
			t.Error(err)
		}
	})
}
