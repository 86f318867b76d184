package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorddb/quord/internal/admin"
)

// Lines of several nodes must stay whole, or nobody can read the log of a ring.
func TestPrefixerWritesWholeLines(t *testing.T) {
	var out bytes.Buffer
	p := &prefixer{to: &out, prefix: "n1 | "}
	for _, piece := range []string{"a", "b\nc", "\n\nd"} {
		if n, err := p.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", piece, n, err)
		}
	}
	p.flush()
	p.flush()
	if want := "n1 | ab\nn1 | c\nn1 | \nn1 | d\n"; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	out.Reset()
	_, _ = p.Write(bytes.Repeat([]byte("x"), 2*maxLine))
	if n := strings.Count(out.String(), "\n"); n != 2 || len(p.line) != 0 {
		t.Errorf("a line without an end is cut into %d, and %d bytes are kept", n, len(p.line))
	}
}

// Who stops a ring from which a node has gone must be told so: it may be why the ring was stopped.
func TestWatchTellsWhoHasEndedAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	f := newFamily(&out, "", nil)
	for i := range maxDevNodes {
		c := &child{name: "gone", cmd: &exec.Cmd{Process: &os.Process{Pid: i}}}
		f.children = append(f.children, c, &child{name: "up"})
		f.ended <- c
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.watch(ctx); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "quord: gone (pid "); n != maxDevNodes {
		t.Errorf("%d of %d are told:\n%s", n, maxDevNodes, &out)
	}
}

// A name server that is down must not make a user look for a typing error.
func TestExplainTellsWhyANameIsNotResolved(t *testing.T) {
	c := &client{addr: "db1:7001"}
	for want, err := range map[string]*net.DNSError{
		"cannot reach db1:7001: no such host": {Err: "no such host", Name: "db1", IsNotFound: true},
		"cannot reach db1:7001: the name of its host is not resolved: i/o timeout": {
			Err: "i/o timeout", Name: "db1", Server: "10.0.0.53:53", IsTimeout: true,
		},
	} {
		if got := c.explain(t.Context(), &net.OpError{Op: "dial", Net: "tcp", Err: err}); got.Error() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A key that holds control characters must not rewrite a user's terminal.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "grüße": "grüße", "a b": "a b", "": `""`, "a\nb": `"a\nb"`, "\x1b[2J": `"\x1b[2J"`, "\xff": `"\xff"`, "\u009b": `"\u009b"`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}

// Replies become the contract's structs by their JSON names, whatever order a map comes in.
func TestDecode(t *testing.T) {
	reply := map[any]any{
		"key": "k", "slot": int64(7), "leader": nil, "epoch": int64(1 << 53), "hops": int64(2), "later": "unknown fields are for newer clients",
		"replicas": []any{map[any]any{"id": "x", "addr": "y"}},
	}
	var got admin.Lookup
	if err := decode(reply, &got); err != nil {
		t.Fatal(err)
	}
	want := admin.Lookup{Key: "k", Slot: 7, Epoch: 1 << 53, Hops: 2, Replicas: []admin.Place{{ID: "x", Addr: "y"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("decoded (-want +got):\n%s", d)
	}
	for _, bad := range []any{"text", []any{}, map[any]any{int64(1): 2}, map[any]any{"slot": "seven"}} {
		if err := decode(bad, &got); err == nil {
			t.Errorf("%v is a lookup", bad)
		}
	}
}

// A bug report must say what was running.
func TestVCSCommit(t *testing.T) {
	settings := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	if got := vcsCommit(settings); got != "0123456789ab+changes" {
		t.Errorf("commit %s", got)
	}
	if got := vcsCommit(nil); got != "" {
		t.Errorf("no commit is %q", got)
	}
}

func TestBusy(t *testing.T) {
	s := admin.Status{Workers: []admin.Worker{
		{Name: "idle one", State: "idle"},
		{Name: "leave", State: "running", Done: 3, Total: 9, BytesPerSec: 1 << 20, EtaSec: 61},
		{Name: "transfers", State: "waiting", Why: "a node with room"},
	}}
	if got, want := busy(s), "leave 3 of 9, 1.0 MiB/s, 1m1s left; transfers, waits for a node with room"; got != want {
		t.Errorf("busy: %q, want %q", got, want)
	}
}

// What nodes log while a user watches progress must not be torn apart, nor the progress be lost.
func TestProgressKeepsLinesWhole(t *testing.T) {
	var out bytes.Buffer
	p := &progress{w: &out, live: true}
	p.show("1 of 2")
	p.show("1 of 2")
	_, _ = p.Write([]byte("a line\n"))
	p.show("")
	_, _ = p.Write([]byte("another\n"))
	if want := "\r\x1b[K1 of 2" + "\r\x1b[Ka line\n1 of 2" + "\r\x1b[K" + "another\n"; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	out.Reset()
	silent := &progress{w: &out}
	silent.show("1 of 2")
	_, _ = silent.Write([]byte("a line\n"))
	if out.String() != "a line\n" {
		t.Errorf("off a terminal: %q", out.String())
	}
}

// Who waits for a node to hand everything over wants to know whether to wait or to go for lunch.
func TestHandedOver(t *testing.T) {
	for _, c := range []struct {
		done, total int
		took        time.Duration
		want        string
	}{
		{0, 1024, time.Second, "0 of 1024 tablets handed over"},
		{100, 1024, 2 * time.Second, "100 of 1024 tablets handed over, 50.0/s, 19s left"},
		{1, 1000, time.Minute, "1 of 1000 tablets handed over, 1.0/min, 16h39m0s left"},
		{16, 16, 4 * time.Second, "16 of 16 tablets handed over, 4.0/s"},
	} {
		if got := handedOver(c.done, c.total, c.took); got != c.want {
			t.Errorf("%d of %d after %v: %q, want %q", c.done, c.total, c.took, got, c.want)
		}
	}
}
