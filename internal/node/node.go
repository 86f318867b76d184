package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quorddb/quord/internal/config"
	"github.com/quorddb/quord/internal/console"
	"github.com/quorddb/quord/internal/core"
	"github.com/quorddb/quord/internal/ident"
	"github.com/quorddb/quord/internal/kv"
	"github.com/quorddb/quord/internal/peer"
	"github.com/quorddb/quord/internal/registry"
	"github.com/quorddb/quord/internal/ring"
	"github.com/quorddb/quord/internal/server"
	"github.com/quorddb/quord/internal/store"
)

// Node is a running node.
type Node struct {
	cfg     config.Serve
	log     *slog.Logger
	version string
	started time.Time

	store   *store.Store
	worker  *worker
	net     *peer.Transport
	server  atomic.Pointer[server.Server] // set when the node is a member
	console *console.Server
	self    ident.NodeID
	addrs   registry.Addresses

	ctx    context.Context // the lifetime of the node's goroutines
	cancel context.CancelFunc
	group  sync.WaitGroup

	closing sync.Once
	failed  error
}

// listeners are bound before anything is written, so that an address in use is noticed first.
type listeners struct{ client, peer, http net.Listener }

func listen(cfg *config.Serve) (l listeners, err error) {
	open := func(into *net.Listener, flag, addr string) {
		if err != nil || addr == "" {
			return
		}
		if *into, err = net.Listen("tcp", addr); err != nil {
			err = fmt.Errorf("--%s %s cannot be listened on: %w", flag, addr, err)
		}
	}
	open(&l.client, "addr", cfg.Addr)
	open(&l.peer, "peer-addr", cfg.PeerAddr)
	open(&l.http, "http-addr", cfg.HTTPAddr)
	if err != nil {
		l.close()
	}
	return l, err
}

func (l *listeners) close() {
	for _, x := range []net.Listener{l.client, l.peer, l.http} {
		if x != nil {
			x.Close() //nolint:errcheck // nothing was served on it
		}
	}
}

// Open starts a node and returns when it is a member of its cluster and serves, or ctx ends.
func Open(ctx context.Context, cfg config.Serve, version string, log *slog.Logger) (*Node, error) {
	key, fresh, err := loadKey(cfg.Dir)
	if err != nil {
		return nil, err
	}
	start, err := cfg.Start(fresh)
	if err != nil {
		return nil, err
	}
	l, err := listen(&cfg)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: log, version: version, started: time.Now()}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if shiftable {
		log.Warn("this build is for tests of jumping clocks: its wall clock can be shifted")
	}
	if err := n.open(ctx, l, key, start); err != nil {
		err = errors.Join(err, n.stop())
		l.close() // those that nothing had taken over
		return nil, err
	}
	return n, nil
}

func (n *Node) open(ctx context.Context, l listeners, key ed25519.PrivateKey, start config.Start) error {
	var err error
	// The store's lock comes first: two processes must not both make a key. It makes the data directory, too: a name in it
	// that was synced is worth nothing when that of the directory is lost.
	if n.store, err = store.Open(n.storeConfig()); err != nil {
		return err
	}
	if key == nil {
		if key, err = firstKey(n.cfg.Dir, n.store); err != nil {
			return err
		}
	}
	pub := key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // the type is the package's promise
	n.self = ident.NodeOf(pub)
	n.addrs = registry.Addresses{
		RESP: n.cfg.Advertised(l.client.Addr().String()), Peer: n.cfg.Advertised(l.peer.Addr().String()),
	}
	if l.http != nil {
		n.addrs.HTTP = n.cfg.Advertised(l.http.Addr().String())
	}
	boot, err := nextBoot(n.store)
	if err != nil {
		return err
	}
	if start == config.Resume {
		// A start that was cut before the node was in a cluster is begun again.
		switch _, known, err := core.ClusterOf(n.store); {
		case errors.Is(err, kv.ErrCorrupt) && len(n.cfg.Join) > 0: // others are asked
		case err != nil:
			return err
		case !known:
			if start, err = n.cfg.Start(true); err != nil {
				return err
			}
		}
	}
	cc := n.coreConfig(pub, boot)
	if start == config.Create {
		if err := n.found(&cc); err != nil {
			return err
		}
	}
	c, err := core.New(cc, now())
	if err != nil {
		return err
	}
	if err := n.connect(c, l.peer, key, boot); err != nil {
		return err
	}
	if l.http != nil {
		n.console = console.Open(l.http, n.consoleConfig())
	}
	n.goes(n.watchRoom)
	n.goes(func() { findMembers(n.ctx, n.net, n.cfg.Join, n.Ready, n.log) })
	if err := n.awaitMember(ctx); err != nil {
		return err
	}
	return n.serve(l.client)
}

// goes runs fn on a goroutine that stop waits for.
func (n *Node) goes(fn func()) {
	n.group.Add(1)
	go func() {
		defer n.group.Done()
		fn()
	}()
}

// maxCheckpointBytes bounds how much of the journal is replayed when a node starts after a crash.
const maxCheckpointBytes = 128 << 20

func (n *Node) storeConfig() store.Config {
	tables, _ := share(allowedFiles(), n.cfg.MaxClients)
	return store.Config{
		OpenTables: tables,
		Dir:        filepath.Join(n.cfg.Dir, storeDir), CacheBytes: int64(n.cfg.Memory) / 4, ValueCacheBytes: int64(n.cfg.Memory) / 4,
		// Four times as much lies in memory at worst, and while it is moved to tables it lies there twice.
		CheckpointBytes: min(int64(n.cfg.Memory)/32, maxCheckpointBytes),
		Logger:          n.log,
	}
}

func (n *Node) coreConfig(pub ed25519.PublicKey, boot uint64) core.Config {
	var seed [8]byte
	rand.Read(seed[:]) //nolint:errcheck // it never fails
	cfg := core.Config{
		Key: pub, Boot: boot, Addresses: n.addrs, Zone: n.cfg.Zone, Weight: n.cfg.Weight, Tokens: n.cfg.Tokens,
		Store: n.store, Seed: binary.LittleEndian.Uint64(seed[:]), MaxValue: int(n.cfg.MaxValue),
		RequestTimeout: n.cfg.RequestTimeout, Ring: ring.LAN(), Seeded: len(n.cfg.Join) > 0,
	}
	if _, total, err := n.store.Room(); err != nil {
		n.log.Warn("the room on the disk cannot be measured", "error", err)
	} else {
		cfg.Floor = floor(total)
	}
	if n.cfg.Loopback() {
		cfg.Ring, cfg.Settle = ring.Local(), 500*time.Millisecond
	}
	return cfg
}

// found makes a new cluster of this node alone.
func (n *Node) found(cc *core.Config) error {
	var cluster ident.ClusterID
	rand.Read(cluster[:]) //nolint:errcheck // it never fails
	settings := registry.Settings{
		Replicas: n.cfg.Replicas, Tablets: n.cfg.Tablets, ReplaceAfter: n.cfg.ReplaceAfter, Format: core.Format,
	}
	first := cc.Joiner()
	var none registry.Registry
	var err error
	if first.Tokens, _, err = none.Choose(cc.Key, cc.Zone, cc.Tokens, cc.Weight); err != nil {
		return fmt.Errorf("choose tokens: %w", err)
	}
	w, err := core.Found(cluster, settings, first, wallMillis())
	if err != nil {
		return err
	}
	if err := commit(n.store, w); err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	n.log.Info("made a new cluster", "cluster", cluster, "replicas", settings.Replicas, "tablets", settings.Tablets)
	return nil
}

// connect starts the worker and the connections to other nodes.
func (n *Node) connect(c *core.Core, l net.Listener, key ed25519.PrivateKey, boot uint64) error {
	n.worker = newWorker(c, n.store, int(n.cfg.Memory)/8, n.log)
	lk := links{n.worker}
	gate := make(chan struct{}) // no callback before the worker has its network
	t, err := peer.Open(peer.Config{
		Identity: key, Listener: l, Logger: n.log,
		Hello:   func() peer.Hello { <-gate; return lk.hello(n.addrs.Peer, boot) },
		Check:   func(h peer.Hello, id ident.NodeID) error { <-gate; return lk.check(h, id) },
		Handler: lk,
	})
	if err != nil {
		close(gate)
		return fmt.Errorf("connect to other nodes: %w", err)
	}
	n.net, n.worker.net = t, t
	n.goes(func() { n.worker.run(n.ctx) })
	close(gate)
	return nil
}

// awaitMember returns when the registry names this node and says how many tablets there are.
func (n *Node) awaitMember(ctx context.Context) error {
	for {
		member := false
		n.worker.on(ctx, func(c *core.Core) { member = c.Tablets() > 0 && c.Admitted() })
		if member {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.worker.done:
			if n.worker.cause != nil {
				return n.worker.cause // ErrLeft too: there is no node to return
			}
			return errStopping
		case <-time.After(tickEvery):
		}
	}
}

func (n *Node) serve(l net.Listener) error {
	files := allowedFiles()
	_, clients := share(files, n.cfg.MaxClients)
	if clients < n.cfg.MaxClients {
		n.log.Warn("fewer clients are accepted than --max-clients says: the system allows this process too few open files (ulimit -n)",
			"clients", clients, "max_clients", n.cfg.MaxClients, "open_files", files)
	}
	s, err := server.New(server.Config{
		Password: n.cfg.Password, MaxClients: clients, MaxValue: int(n.cfg.MaxValue), Log: n.log,
		MaxInput: max(int64(n.cfg.Memory)/8, 2*int64(n.cfg.MaxValue)),
	}, &backend{node: n})
	if err != nil {
		return err
	}
	n.server.Store(s)
	n.goes(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, server.ErrClosed) {
			n.log.Error("clients are no longer accepted", "error", err)
		}
	})
	return nil
}

// Ready says nil when the node is a member that serves and has caught up, or else what it waits for.
func (n *Node) Ready() error {
	err := errors.New("the node has stopped")
	n.worker.on(n.ctx, func(c *core.Core) { err = c.Ready() })
	return err
}

// Banner names the node in one line.
func (n *Node) Banner() string {
	var cluster ident.ClusterID
	n.worker.on(n.ctx, func(c *core.Core) { cluster = c.Cluster() })
	line := fmt.Sprintf("quord: clients %s, peers %s", n.addrs.RESP, n.addrs.Peer)
	if n.addrs.HTTP != "" {
		line += ", http " + n.addrs.HTTP
	}
	return fmt.Sprintf("%s, node %s, cluster %s", line, n.self, cluster)
}

// Wait returns when the node has stopped by itself: nil after it has left the cluster, else the reason. After Close it
// returns nil.
func (n *Node) Wait() error {
	<-n.worker.done
	if n.worker.cause == nil || errors.Is(n.worker.cause, core.ErrLeft) {
		return nil
	}
	return n.worker.cause
}

// handOverWithin bounds how long Close waits for others to take over what this node leads.
const handOverWithin = 3 * time.Second

// Close takes no new clients, hands leadership over, ends what is under way and stops. It is called once.
func (n *Node) Close(ctx context.Context) error {
	n.handOver(ctx)
	var err error
	if s := n.server.Load(); s != nil {
		err = s.Close(ctx)
	}
	return errors.Join(err, n.stop())
}

func (n *Node) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverWithin)
	defer cancel()
	for {
		left := 0
		if !n.worker.on(ctx, func(c *core.Core) { left = c.HandOver() }) || left == 0 {
			return
		}
		select {
		case <-ctx.Done():
			n.log.Info("stopping although some tablets are still led here", "tablets", left)
			return
		case <-n.worker.done:
			return
		case <-time.After(2 * tickEvery):
		}
	}
}

// stop ends everything that was started.
func (n *Node) stop() error {
	n.closing.Do(func() {
		if n.console != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			n.failed = errors.Join(n.failed, n.console.Close(ctx))
			cancel()
		}
		n.cancel()
		if n.worker != nil && n.net != nil {
			<-n.worker.done
		}
		if n.net != nil {
			n.failed = errors.Join(n.failed, n.net.Close())
		}
		if s := n.server.Load(); s != nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			n.failed = errors.Join(n.failed, s.Close(ctx))
			cancel()
		}
		n.group.Wait()
		if n.store != nil {
			n.failed = errors.Join(n.failed, n.store.Close())
		}
	})
	return n.failed
}

var _ kv.Store = (*store.Store)(nil)
