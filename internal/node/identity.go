package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/store"
)

const (
	keyFile  = "node.key"
	storeDir = "store"
	pemType  = "PRIVATE KEY"
)

// loadKey reads the node's key, nil where there is none; fresh reports that the directory holds no store either. A key is
// never made before the store: one without a store is that of a node which has lost all that it held.
func loadKey(dir string) (key ed25519.PrivateKey, fresh bool, err error) {
	path := filepath.Join(dir, keyFile)
	_, missing := os.Stat(filepath.Join(dir, storeDir, store.FormatFile))
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing != nil, nil
	case err != nil:
		return nil, false, fmt.Errorf("read the node's key: %w", err)
	}
	if key, err = parseKey(b); err != nil {
		return nil, false, fmt.Errorf("%s is no key: %w: put the right one back, or give an empty directory to join as a new node", path, err)
	}
	if errors.Is(missing, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%s holds %s but no store: what the node held is not there; put the directory %s back, or give an empty one to join as a new node", dir, keyFile, storeDir)
	}
	return key, false, nil
}

func parseKey(b []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("want a PEM block %q", pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it holds a %T, want an Ed25519 private key", parsed)
	}
	return key, nil
}

// firstKey makes the key of a node that never had one. A store that was never used is what a first start leaves that ended,
// or found no room, before it had made the key.
func firstKey(dir string, s kv.Store) (ed25519.PrivateKey, error) {
	_, err := s.Get(bootKey)
	if err == nil {
		return nil, fmt.Errorf("%s holds a store but no %s: the node's identity is lost; give an empty directory to join as a new node", dir, keyFile)
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return nil, fmt.Errorf("read the boot counter: %w", err)
	}
	return makeKey(dir)
}

// makeKey makes the node's key and writes it, durably, before anything depends on it.
func makeKey(dir string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the node's key: %w", err)
	}
	if err := writeDurably(dir, keyFile, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return nil, fmt.Errorf("write the node's key: %w", err)
	}
	return key, nil
}

// writeDurably writes a file so that after a crash it is there whole or not at all.
func writeDurably(dir, name string, b []byte) (err error) {
	tmp := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var bootKey = []byte("nboot") // how often the node has started (8 bytes, big endian)

// nextBoot counts a start of the node, durably, and returns what names this process: the count above core.BootBits
// random bits. A copy of the directory counts alike, but draws other bits, and so is another process to everybody.
func nextBoot(s kv.Store) (uint64, error) {
	var boot uint64
	b, err := s.Get(bootKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
	case err != nil:
		return 0, fmt.Errorf("read the boot counter: %w", err)
	case len(b) != 8:
		return 0, fmt.Errorf("the boot counter: %w", kv.ErrCorrupt)
	default:
		boot = binary.BigEndian.Uint64(b)
	}
	boot++
	w := &kv.Write{State: []kv.Op{{Kind: kv.Set, Key: bootKey, Value: binary.BigEndian.AppendUint64(nil, boot)}}}
	if err := commit(s, w); err != nil {
		return 0, fmt.Errorf("write the boot counter: %w", err)
	}
	var drawn [8]byte
	rand.Read(drawn[:]) //nolint:errcheck // it never fails
	return boot<<core.BootBits | binary.LittleEndian.Uint64(drawn[:])&(1<<core.BootBits-1), nil
}

func commit(s kv.Store, w *kv.Write) error {
	pending, err := s.Apply(w, true)
	if err != nil {
		return err
	}
	return pending.Wait()
}
