package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

// Two processes never use one directory, whoever comes second is told why, and the first does not notice.
func TestDirectoryInUse(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	other := newMachine(t)
	other.dir = m.dir
	_, err := other.open(context.Background())
	if err == nil || !strings.Contains(err.Error(), m.dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process: %v", err)
	}
	m.client().must("+OK", "SET", "a", "b")
}

// An address that is in use is named, and nothing was written before that was noticed.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, which := range []string{"addr", "peer-addr", "http-addr"} {
		m := newMachine(t)
		_, err := m.open(context.Background(), "--init", "--"+which, l.Addr().String())
		if err == nil || !strings.Contains(err.Error(), "--"+which+" "+l.Addr().String()) {
			t.Errorf("%s in use: %v", which, err)
		}
		if _, err := os.Stat(m.dir); err == nil {
			t.Error("a data directory was made")
		}
		for _, a := range []string{m.addr, m.peer} {
			free, err := net.Listen("tcp", a)
			if err != nil {
				t.Errorf("%s is still listened on: %v", a, err)
				continue
			}
			free.Close()
		}
	}
}

// Without its key a directory is nobody's: a new key over old votes could vote twice.
func TestLostOrDamagedKey(t *testing.T) {
	m := newMachine(t)
	m.start("--init")
	m.client().must("+OK", "SET", "key", "value")
	m.stop()
	path := filepath.Join(m.dir, keyFile)
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ content, want string }{
		{"", "want a PEM block"}, {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", path + " is no key"},
	} {
		if err := os.WriteFile(path, []byte(bad.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.open(context.Background()); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("key %q: %v", bad.content, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(context.Background(), "--init"); err == nil || !strings.Contains(err.Error(), "identity is lost") {
		t.Errorf("without its key: %v", err)
	}
	// Any 32 bytes are a key, so one with a bit turned over is another node's. What is stored must outlive the attempt.
	if _, err := makeKey(m.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(context.Background()); err == nil || !strings.Contains(err.Error(), "Put the right key back") {
		t.Errorf("with another key: %v", err)
	}
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	// As where a file system was not mounted: an empty cluster under the old name would be taken for the one that there was.
	held, away := filepath.Join(m.dir, storeDir), filepath.Join(m.dir, "away")
	if err := os.Rename(held, away); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--init"}, {"--join", "127.0.0.1:1"}} {
		if _, err := m.open(context.Background(), args...); err == nil || !strings.Contains(err.Error(), "but no store") {
			t.Errorf("without its store, %v: %v", args, err)
		}
	}
	if err := os.Rename(away, held); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.client().must("value", "GET", "key")
}

// A node whose registry cannot be read does not start without anybody to ask; with --join it is told, and is what it was.
func TestDamagedRegistry(t *testing.T) {
	one, other := newMachine(t), newMachine(t)
	one.start("--init")
	other.start("--join", one.peer)
	one.healthy(2)
	other.client().must("+OK", "SET", "key", "value")
	self := other.node.self
	other.stop()
	s, err := store.Open(store.Config{Dir: filepath.Join(other.dir, storeDir)})
	if err != nil {
		t.Fatal(err)
	}
	w := &kv.Write{State: []kv.Op{
		{Kind: kv.Set, Key: []byte("r"), Value: []byte("damaged")}, {Kind: kv.Set, Key: []byte("nregistry"), Value: []byte("damaged")},
	}}
	if err := errors.Join(commit(s, w), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.open(context.Background()); err == nil || !strings.Contains(err.Error(), "--join") {
		t.Fatalf("without anybody to ask: %v", err)
	}
	other.start("--join", one.peer)
	one.healthy(2)
	if other.node.self != self {
		t.Fatalf("node %s has become %s", self, other.node.self)
	}
	other.client().must("value", "GET", "key")
}

// A first start that ends before it has made the key, as where the disk is full, leaves an empty store. The next one goes on
// from there.
func TestStartIsCutBeforeTheKey(t *testing.T) {
	m := newMachine(t)
	cfg := m.config()
	s, err := store.Open(store.Config{Dir: filepath.Join(cfg.Dir, storeDir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.start("--init")
	m.client().must("+OK", "SET", "key", "value")
}

// The node of one cluster that is pointed at another one stays what it is, and both say why.
func TestOtherCluster(t *testing.T) {
	t.Parallel()
	one, other := newMachine(t), newMachine(t)
	one.start("--init")
	other.start("--init")
	other.client().must("+OK", "SET", "a", "other")
	if _, err := other.node.net.DialSeed(context.Background(), one.peer); err == nil || !strings.Contains(err.Error(), "never merge") {
		t.Errorf("dialled: %v", err)
	}
	eventually(t, "a word in the log", func() error {
		if !strings.Contains(one.log.String(), "never merge") {
			return errors.New("none yet")
		}
		return nil
	})
	other.stop()
	other.start("--join", one.peer)
	one.healthy(1)
	other.client().must("other", "GET", "a")
}

// A node at another address is the same node.
func TestOtherAddress(t *testing.T) {
	t.Parallel()
	ms := []*machine{newMachine(t), newMachine(t), newMachine(t)}
	ms[0].start("--init")
	ms[1].start("--join", ms[0].peer)
	ms[2].start("--join", ms[0].peer)
	ms[0].healthy(3)
	ms[1].stop()
	ms[1].addr, ms[1].peer = freeAddr(t), freeAddr(t)
	ms[1].start()
	ms[0].healthy(3)
	eventually(t, "the new address", func() error {
		r, err := (&backend{node: ms[2].node}).Ring(context.Background())
		if err == nil && !strings.Contains(fmt.Sprintf("%+v", r), ms[1].peer) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
}
