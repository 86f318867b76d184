package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorddb/quord/internal/admin"
	"github.com/quorddb/quord/test/cluster"
	"github.com/quorddb/quord/test/links"
	"github.com/quorddb/quord/test/workload"
)

// The bounds of a ring, and the time in which it has to be healthy after harm was undone.
const (
	minNodes    = 3
	maxNodes    = 7
	healWithin  = time.Minute
	startWithin = 90 * time.Second
)

// clientPatience is how long the clients wait for a reply: shorter than a long pause, so that such a pause does not
// stop them for its whole length.
const clientPatience = 3 * time.Second

// round is one ring, what uses it and what harms it.
type round struct {
	seed    uint64
	start   time.Time
	cluster *cluster.Cluster
	net     *links.Network
	all     *workload.Nodes // what the workloads go through: every member
	calm    *workload.Nodes // what the probes go through: members that are not being harmed
	probes  *workload.Probes
	report  *report
	out     io.Writer
	tablets int
	small   map[*cluster.Node]string // nodes with a small disk, and the file that fills it
	disks   []string                 // where small disks are mounted
	several bool                     // more than one fault is at work; set before they begin

	mu      sync.Mutex
	members []*cluster.Node          // guarded by mu; those that belong to the ring, running or not
	claimed map[*cluster.Node]bool   // guarded by mu; some fault's victims
	clocks  map[*cluster.Node]string // guarded by mu; files that shift their clocks
}

func runRound(ctx context.Context, o options, seed uint64, length time.Duration) (result *report, err error) {
	rng := rand.New(rand.NewPCG(seed, 0))
	r := &round{
		seed: seed, start: time.Now(), report: newReport(), out: os.Stdout, small: map[*cluster.Node]string{},
		claimed: map[*cluster.Node]bool{}, clocks: map[*cluster.Node]string{},
	}
	result = r.report
	cfg := r.draw(rng, o)
	if r.cluster, err = cluster.New(cfg); err != nil {
		return result, err
	}
	timeline, err := os.Create(filepath.Join(r.cluster.Dir, "timeline.txt"))
	if err != nil {
		return result, err
	}
	defer timeline.Close()
	r.out = io.MultiWriter(os.Stdout, timeline)
	defer func() {
		if err != nil && o.wait && ctx.Err() == nil {
			r.say("wrong: %v\nthe nodes in %s run on until this is interrupted", err, r.cluster.Dir)
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		r.cluster.Stop()
		err = errors.Join(err, r.net.Close(), r.logs())
		err = errors.Join(err, r.unmount(err != nil || o.keep))
		if err == nil && !o.keep {
			err = r.cluster.Remove()
			return
		}
		if err != nil {
			r.say("wrong: %v", err)
		}
		r.say("directories, logs and timeline are kept in %s", r.cluster.Dir)
	}()
	r.say("%d nodes, %d tablets, a silent node is replaced after %s", cfg.Nodes, cfg.Tablets, cfg.ReplaceAfter)
	for i, n := range r.cluster.Nodes {
		if i < smallDisks && mayMount() {
			if err := r.shrink(n); err != nil {
				return result, err
			}
		}
		if err := r.equip(n); err != nil {
			return result, err
		}
	}
	starting, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("starting took more than %s", startWithin))
	defer cancel()
	if err := r.cluster.StartAll(starting); err != nil {
		return result, err
	}
	r.members = slices.Clone(r.cluster.Nodes)
	r.say("healthy; %s of faults begin", length)
	return result, r.useAndHarm(ctx, rng, o.faults, length)
}

// draw decides what ring it is.
func (r *round) draw(rng *rand.Rand, o options) cluster.Config {
	pick := func(of ...int) int { return of[rng.IntN(len(of))] }
	cfg := cluster.Config{
		Nodes: pick(3, 4, 5, 5, 6), Tablets: pick(16, 32, 64), Tags: []string{"testclock"},
		ReplaceAfter: time.Duration(pick(3, 10, 300)) * time.Second,
	}
	if o.nodes != 0 {
		cfg.Nodes = o.nodes
	}
	if o.debug {
		cfg.Flags = []string{"--log-level", "debug"}
	}
	r.tablets = cfg.Tablets
	r.net = links.New(r.seed, r.owner)
	cfg.Links = r.net
	return cfg
}

// owner finds the node that a public key belongs to.
func (r *round) owner(key []byte) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.cluster.Nodes {
		// A node that has not made its key yet is not the one that dials.
		if k, err := n.PublicKey(); err == nil && string(k) == string(key) {
			return n.Name, true
		}
	}
	return "", false
}

// equip gives a node a clock that can be shifted.
func (r *round) equip(n *cluster.Node) error {
	file := filepath.Join(r.cluster.Dir, n.Name+".clock")
	if err := os.WriteFile(file, make([]byte, 8), 0o644); err != nil {
		return err
	}
	n.Env = append(n.Env, "TESTCLOCK_SHIFT="+file)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clocks[n] = file
	return nil
}

// shift sets how far a node's clock is off.
func (r *round) shift(n *cluster.Node, by time.Duration) error {
	f, err := os.OpenFile(r.clocks[n], os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by.Milliseconds())), 0)
	return errors.Join(err, f.Close())
}

// say writes one line of the timeline.
func (r *round) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%7.1f s  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// pace of the workloads: enough to be in the midst of something whenever harm comes, little enough for two cores.
const (
	historyClients = 10
	historyKeys    = 16
	historyPause   = 20 * time.Millisecond
	ledgerClients  = 2
	ledgerPause    = 20 * time.Millisecond
	sumClients     = 2
	probeKeys      = 24
	probePause     = 40 * time.Millisecond
	judgeWithin    = 2 * time.Minute
	flushKeys      = 6 // in so many tablets, so that nearly every node holds one of them
)

func (r *round) useAndHarm(ctx context.Context, rng *rand.Rand, kinds []*fault, length time.Duration) error {
	r.all, r.calm = workload.NewNodesWithin(clientPatience), workload.NewNodesWithin(clientPatience)
	for _, n := range r.members {
		r.all.Add(n.Addr)
		r.calm.Add(n.Addr)
	}
	defer r.all.Close()
	defer r.calm.Close()
	history := workload.NewHistory(r.all, "h:", historyKeys)
	history.Pause, history.Start = historyPause, r.start
	ledger, sums := workload.NewLedger(r.all, "l:"), workload.NewCounters(r.all, "c:", 4)
	sums.Pause = historyPause
	var keys []string
	for i := range probeKeys {
		keys = append(keys, fmt.Sprintf("p:%d", i))
	}
	r.probes = workload.NewProbes(r.calm, probePause, keys...)

	using, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = history.Run(using, historyClients) }) // asked for at the end
	wg.Go(func() { ledger.Run(using, ledgerClients, ledgerPause) })
	wg.Go(func() { _ = sums.Run(using, sumClients) }) // asked for by Verify
	wg.Go(func() { r.probes.Run(using) })
	harming, end := r.vigil(ctx)
	err := r.harm(harming, rng, kinds, length)
	if err == nil {
		err = r.wellAgain(harming)
	}
	if ctx.Err() == nil && harming.Err() != nil {
		err = context.Cause(harming) // all else that went wrong follows from it
	}
	end(nil)
	stop()
	wg.Wait()
	if err != nil {
		// What was seen is judged all the same: a ring that does not heal may have lost something too.
		r.net.Heal()
	}
	if err = errors.Join(err, r.judge(ctx, history, ledger, sums)); err == nil {
		err = r.compare(ctx)
	}
	if err != nil {
		err = errors.Join(err, history.Keep(filepath.Join(r.cluster.Dir, "history.txt")))
	}
	return err
}

// compare ends all nodes, some time after the last write, and compares what their disks hold.
func (r *round) compare(ctx context.Context) error {
	if err := workload.Rest(ctx, quiet); err != nil {
		return err
	}
	// What was applied last is durable with the next synced write of the same node, whatever tablet that is for.
	for i := range flushKeys {
		client, addr := r.all.At(i)
		if err := client.Set(ctx, fmt.Sprintf("f:%d", i), "x", 0).Err(); err != nil {
			return fmt.Errorf("a last write through %s: %w", addr, err)
		}
	}
	r.cluster.Stop()
	compared, err := compare(r.others(nil), r.tablets)
	r.report.compared = compared
	r.say("%d replicas compared, byte by byte", compared)
	return err
}

// harm deals faults until the time is over.
func (r *round) harm(ctx context.Context, rng *rand.Rand, kinds []*fault, length time.Duration) error {
	end := time.Now().Add(length)
	var deck []*fault
	for time.Now().Before(end) {
		if len(deck) == 0 {
			deck = slices.Clone(kinds)
			rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		f := deck[0]
		deck = deck[1:]
		if err := r.inject(ctx, f, rng); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// inject lets one fault happen, sees the ring heal, and notes what the probes felt.
func (r *round) inject(ctx context.Context, f *fault, rng *rand.Rand) error {
	begun := time.Now()
	err := f.run(ctx, r, rng)
	if errors.Is(err, errNotNow) {
		return nil
	}
	if err != nil {
		return err
	}
	undone := time.Now()
	if err := r.wellAgain(ctx); err != nil {
		return err
	}
	e := r.felt(f.name, begun, undone, time.Now())
	r.report.note(e)
	r.say("%-10s %s", f.name, e)
	return nil
}

// wellAgain waits until the ring is healthy with all its members up, and every process that should run does.
func (r *round) wellAgain(ctx context.Context) error {
	cause := fmt.Errorf("the ring is not healthy %s after the harm was undone", healWithin)
	within, cancel := context.WithTimeoutCause(ctx, healWithin, cause)
	defer cancel()
	r.mu.Lock()
	members := slices.Clone(r.members)
	r.mu.Unlock()
	for _, n := range members {
		if !n.Running() {
			return fmt.Errorf("%s has ended by itself\n%s", n.Name, n.Tail(30))
		}
	}
	for _, n := range members {
		if err := n.WaitReady(within); err != nil {
			return err
		}
	}
	// Every one of them is asked: who was not near the harm may not have noticed it yet.
	var err error
	for _, n := range members {
		if err == nil {
			_, err = r.cluster.WaitHealthy(within, n, func(s admin.Status) bool { return s.Nodes.Up == len(members) })
		}
	}
	if err != nil {
		var tails strings.Builder
		for _, n := range members {
			s, asked := r.cluster.Status(ctx, n)
			fmt.Fprintf(&tails, "%s says: %+v %v\n%s\n", n.Name, s, asked, n.Tail(5))
		}
		return fmt.Errorf("%w\n%s", err, tails.String())
	}
	return nil
}

// judge reads everything once more and judges all that was seen.
func (r *round) judge(ctx context.Context, history *workload.History, ledger *workload.Ledger, sums *workload.Counters) error {
	within, cancel := context.WithTimeoutCause(ctx, judgeWithin, fmt.Errorf("reading everything back took more than %s", judgeWithin))
	defer cancel()
	errs := []error{history.ReadAll(within, historyClients)}
	r.mu.Lock()
	members := slices.Clone(r.members)
	r.mu.Unlock()
	for _, n := range members[:min(2, len(members))] {
		errs = append(errs, ledger.Verify(within, n.Addr), sums.Verify(within, n.Addr))
	}
	errs = append(errs, history.Wrong(), history.Check(judgeWithin, filepath.Join(r.cluster.Dir, "history.html")))
	r.report.count(history, ledger, sums, r.net.Figures())
	r.say("judged: %s; %d keys of the ledger; %s", history.Summary(), ledger.Count(), sums.Tally())
	return errors.Join(errs...)
}

// logs returns what no log may hold.
func (r *round) logs() error {
	var errs []error
	for _, n := range r.cluster.Nodes {
		if line := n.Broken(); line != "" {
			errs = append(errs, fmt.Errorf("%s: its log says: %s", n.Name, line))
		}
	}
	return errors.Join(errs...)
}
