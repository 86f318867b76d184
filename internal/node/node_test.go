package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One process: what was acknowledged is there after a restart, and nothing of a node outlives Close.
func TestOneNode(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start("--init")
	banner := m.node.Banner()
	c := m.client()
	for i := range 100 {
		c.must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	m.stop()
	if strings.Contains(m.log.String(), "still led here") {
		t.Error("a node alone waited for others to take over what it led")
	}
	if _, err := net.Dial("tcp", m.addr); err == nil {
		t.Error("somebody still listens")
	}
	m.start()
	if got := m.node.Banner(); got != banner {
		t.Errorf("it came back as %q, was %q", got, banner)
	}
	c = m.client()
	for i := range 100 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// Three processes: any serves any key; one stops in peace and clients of the others wait for nobody; one leaves.
func TestThreeNodes(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer+","+ms[1].peer)
	ms[0].healthy(3)
	var clients []*client
	for _, m := range ms {
		clients = append(clients, m.client())
	}
	for i := range 60 {
		clients[i%3].must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
		clients[(i+1)%3].must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}

	// Clients of the others go on while one stops: each request succeeds. That none waits long is seen in virtual time
	// (core's TestHandOver).
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i, c := range clients[:2] {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := c.do("INCR", fmt.Sprint("n", i, k%16))
				if err != nil || got[0] != ':' {
					t.Errorf("while a node stops: %q, %v", got, err)
					return
				}
			}
		})
	}
	ms[2].stop()
	close(stop)
	wg.Wait()
	ms[2].start()
	ms[0].healthy(3)

	n := ms[2].node
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var done, total int64
	if err := (&backend{node: n}).Leave(ctx, func(d, all int64) { done, total = d, all }); err != nil {
		s, _ := (&backend{node: n}).Status(context.Background())
		t.Fatalf("leave: %v after %d of %d: %+v", err, done, total, s)
	}
	if err := n.Wait(); err != nil {
		t.Errorf("after leaving the node ends with %v", err)
	}
	ms[2].stop()
	ms[0].healthy(2)
	c := ms[1].client()
	for i := range 60 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// All nodes stop and start again: the ring is there again, with all data.
func TestRestartOfAll(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer)
	ms[0].healthy(3)
	c := ms[0].client()
	for i := range 50 {
		c.must("+OK", "SET", fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	for _, m := range ms {
		m.stop()
	}
	var wg sync.WaitGroup
	for _, m := range ms { // at the same time, for one alone is not ready
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		wg.Go(func() {
			var err error
			if m.node, err = m.open(ctx); err != nil {
				t.Errorf("%s does not start again: %v", m.addr, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	ms[2].healthy(3)
	c = ms[1].client()
	for i := range 50 {
		c.must(fmt.Sprint("v", i), "GET", fmt.Sprint("k", i))
	}
}

// A node may be started before the one that it joins.
func TestJoinWaits(t *testing.T) {
	t.Parallel()
	first, second := newMachine(t), newMachine(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	type opened struct {
		n   *Node
		err error
	}
	joined := make(chan opened, 1)
	go func() {
		n, err := second.open(ctx, "--join", first.peer)
		joined <- opened{n, err}
	}()
	eventually(t, "the second node waits", func() error {
		select {
		case o := <-joined:
			t.Fatalf("it did not wait: %v", o.err)
		default:
		}
		if _, err := os.Stat(filepath.Join(second.dir, keyFile)); err != nil {
			return err
		}
		return nil
	})
	first.start("--init")
	o := <-joined
	if o.err != nil {
		t.Fatal(o.err)
	}
	second.node = o.n
	first.healthy(2)
}

// Somebody who gives up waiting gets the prompt back, and leaves nothing behind.
func TestOpenIsCancelled(t *testing.T) {
	m := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	nobody, opened := freeAddr(t), make(chan error, 1)
	go func() {
		_, err := m.open(ctx, "--join", nobody)
		opened <- err
	}()
	eventually(t, "the node waits", func() error { _, err := os.Stat(filepath.Join(m.dir, keyFile)); return err })
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("Open returned %v", err)
	}
	// The start that was cut is begun again, now as a cluster of its own.
	m.start("--init")
	m.client().must("+OK", "SET", "a", "b")
}

// Requests that are under way when the node stops end, each with an answer or with a broken connection.
func TestCloseUnderLoad(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	var wg sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		c := m.client()
		wg.Go(func() {
			for k := 0; ; k++ {
				got, err := c.do("SET", fmt.Sprint("k", i), fmt.Sprint(k))
				if k == 0 {
					started <- struct{}{}
				}
				if err != nil {
					return
				}
				if got != "+OK" && !strings.HasPrefix(got, "-TRYAGAIN") && !strings.HasPrefix(got, "-UNCERTAIN") {
					t.Errorf("while stopping: %q", got)
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	m.stop()
	wg.Wait()
}

// Everything that may be asked of a node that has stopped says so, at once.
func TestAfterClose(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	n := m.node
	m.stop()
	b := &backend{node: n}
	if err := n.Ready(); err == nil {
		t.Error("it is ready")
	}
	if err := n.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if _, err := b.Status(context.Background()); err == nil {
		t.Error("it has a status")
	}
	if err := b.Leave(context.Background(), func(int64, int64) {}); err == nil {
		t.Error("it leaves")
	}
	if n.worker.inbox.call(func(*core.Core) { t.Error("it does something") }) {
		t.Error("the inbox is open")
	}
	n.worker.inbox.frame(ident.NodeID{1}, []byte("late"))
	if _, events := n.worker.inbox.take(nil, nil); len(events) > 0 {
		t.Error("a frame is kept that nobody will read")
	}
}
