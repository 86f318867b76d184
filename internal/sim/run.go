package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Options say what a run is.
type Options struct {
	Config
	// Nodes is how many nodes the cluster begins with. Default 5.
	Nodes int
	// Length is for how long faults happen. Default 10 minutes.
	Length time.Duration
	// Mix says which faults there are.
	Mix Mix
	// Plan takes the place of the plan that the seed would draw; for replays of less.
	Plan []Fault
	// Planned says that Plan counts, even if it is empty.
	Planned bool
	// Clients is how many clients there are, Think how long each pauses between two commands, on the average. Default 8,
	// 100ms.
	Clients int
	Think   time.Duration
	// ValueBytes is how long a value is at most; most are short. Default 4000.
	ValueBytes int
	// Batch is how many commands a request of a client has at most. Default 1.
	Batch int
	// Fill is how many bytes are stored before any fault, and stay. Default 0.
	Fill int
	// Fleeting is how many short records are stored before any fault, and expire while there are faults. Default 0.
	Fleeting int
	// Progress, when not nil, is called every second of virtual time.
	Progress func(Progress)
	// Tell, when not nil, is told all that happens, a line at a time.
	Tell func(line string)
}

// Progress says how far a run is.
type Progress struct {
	Phase string
	Now   time.Duration
	Ops   int
	Fault int
}

func (o Options) withDefaults() Options {
	o.Config = o.Config.withDefaults()
	set(&o.Nodes, 5)
	set(&o.Length, 10*time.Minute)
	set(&o.Clients, 8)
	set(&o.Think, 100*time.Millisecond)
	set(&o.ValueBytes, usualValue)
	return o
}

// Result says how a run went.
type Result struct {
	Seed       uint64
	Trace      uint64
	Ops        int // commands of clients that have ended, and OK of them with a reply
	OK         int
	Uncertain  int
	Refused    int
	Direct     int // reads that a session answered by itself
	Faults     map[string]int
	Violations []Violation
	Plan       []Fault
	Began      time.Duration // when faults began: what the plan counts from
	Virtual    time.Duration
	Settled    time.Duration // how long the cluster took to settle after the last fault
	Frames     uint64
	Bytes      uint64
	Steps      uint64
	RingChecks int // how often Zave's invariant was found to hold
	// Account tells what led to the first violation.
	Account string
}

// When tells when a fault of the plan happens, as the account counts the time.
func (r *Result) When(f Fault) string { return strings.TrimSpace(clock(r.Began + f.At)) }

// run is a world under attack.
type run struct {
	w          *World
	opts       Options
	chance     *rand.Rand
	load       *load
	began      time.Duration // of the faults
	faults     map[string]int
	happened   int
	ends       []*ending
	epoch      int // counts the times at which all faults were ended
	removing   int // operators at work
	clockWrong bool
	ambushes   []Fault // that wait for a change of replicas
	bereaves   *loss   // waits for one in which a voter goes
	phase      string
}

// ending is what ends a fault, once.
type ending struct {
	over bool
	fn   func()
}

// prepare returns a run that has not begun. The options have their defaults.
func prepare(opts Options) *run {
	r := &run{w: New(opts.Config), opts: opts, faults: map[string]int{}}
	r.chance = r.w.generator("faults")
	if opts.Tell != nil {
		r.w.chronicle.sink = func(at time.Duration, text string) { opts.Tell(clock(at) + "  " + text) }
	}
	return r
}

// Run lets a cluster live through what its seed brings, and judges it. It ends early, with an error, when ctx does.
func Run(ctx context.Context, opts Options) (*Result, error) {
	opts = opts.withDefaults()
	r := prepare(opts)
	plan := opts.Plan
	if !opts.Planned {
		plan = Draw(opts)
	}
	var settled time.Duration
	err := r.live(ctx, plan, &settled)
	res := r.result(plan, settled)
	return res, err
}

func (r *run) result(plan []Fault, settled time.Duration) *Result {
	w, l := r.w, r.load
	res := &Result{
		Seed: w.cfg.Seed, Trace: w.Trace(), Faults: r.faults, Violations: w.violations, Plan: plan, Began: r.began,
		Virtual: w.now, Settled: settled, Frames: w.network.frames, Bytes: w.network.bytes, Steps: w.steps, RingChecks: w.ring.checks,
	}
	if l != nil {
		res.Ops, res.OK, res.Uncertain, res.Refused, res.Direct = l.ops, l.ok, l.uncertain, l.refused, l.direct
	}
	if len(w.violations) > 0 {
		res.Account = r.account()
	}
	return res
}

// live is the whole story of a run.
func (r *run) live(ctx context.Context, plan []Fault, settled *time.Duration) error {
	w := r.w
	if err := r.gather(ctx); err != nil || r.broken() {
		return err
	}
	r.load = w.newLoad(r.opts.Clients, r.opts.Think, keysInUse)
	r.load.valueBytes, r.load.batch = r.opts.ValueBytes, r.opts.Batch
	r.phase = "filling"
	filled := r.load.fill(r.opts.Fill, r.opts.Fleeting, r.opts.Length)
	for !filled() {
		if err := r.pass(ctx, 50*ms); err != nil || r.broken() {
			return err
		}
	}
	r.phase, r.began = "faults", w.now
	w.watch.changed = r.midway
	for _, f := range plan {
		w.agenda.add(r.began+f.At, func() { r.due(f, 40*sec) })
	}
	if err := r.pass(ctx, r.opts.Length); err != nil || r.broken() {
		return err
	}
	return r.conclude(ctx, settled)
}

// conclude ends all faults, waits until the cluster has settled, and judges it.
func (r *run) conclude(ctx context.Context, settled *time.Duration) error {
	w := r.w
	r.quiesce()
	last := w.now
	r.phase = "settling"
	for why := r.unsettled(); why != ""; why = r.unsettled() {
		if w.now-last > w.settleLimit() {
			w.violate("not settled %v after the last fault: %s", w.settleLimit(), why)
			w.tell("%s", w.Standing())
			return nil
		}
		if err := r.pass(ctx, 50*ms); err != nil || r.broken() {
			return err
		}
	}
	*settled = w.now - last
	r.phase = "judging"
	return r.judge(ctx)
}

// gather makes the cluster.
func (r *run) gather(ctx context.Context) error {
	w := r.w
	r.phase = "joining"
	first := w.Found()
	for range r.opts.Nodes - 1 {
		m := w.Add()
		m.seeds = []*Machine{first}
		m.Start()
	}
	for w.unsettled() != "" {
		if w.now > 2*time.Minute {
			w.violate("%d nodes have not become a cluster: %s", r.opts.Nodes, w.unsettled())
			return nil
		}
		if err := r.pass(ctx, 50*ms); err != nil || r.broken() {
			return err
		}
	}
	for _, m := range w.machines {
		r.seed(m)
	}
	w.tell("%d nodes are a cluster", r.opts.Nodes)
	return nil
}

// pass lets time pass, and tells of it.
func (r *run) pass(ctx context.Context, d time.Duration) error {
	end := r.w.now + d
	for r.w.now < end && !r.broken() {
		r.w.Run(min(sec, end-r.w.now))
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped after %v of virtual time: %w", r.w.now.Round(ms), err)
		}
		if r.opts.Progress != nil && (d > sec || r.w.now%sec < 50*ms) {
			p := Progress{Phase: r.phase, Now: r.w.now, Fault: r.happened}
			if r.load != nil {
				p.Ops = r.load.ops
			}
			r.opts.Progress(p)
		}
	}
	return nil
}

func (r *run) broken() bool { return len(r.w.violations) > 0 }

// due lets a fault happen; one that wants calm waits for it, and is left out where there is none.
func (r *run) due(f Fault, patience time.Duration) {
	k := find(f.Kind)
	if r.phase != "faults" {
		return
	}
	if k.calm && r.unsettled() != "" {
		if patience > 0 {
			r.w.after(200*ms, func() { r.due(f, patience-200*ms) })
		}
		return
	}
	k.do(r, f)
}

// begin counts a fault and tells of it.
func (r *run) begin(f Fault, format string, args ...any) {
	r.count(f)
	r.w.tell("FAULT %s: %s", f.Kind, fmt.Sprintf(format, args...))
}

func (r *run) count(f Fault) {
	r.faults[f.Kind]++
	r.happened++
	r.w.note('X', len(f.Kind), int(f.For), []byte(f.Kind))
}

// finally ends something in a while, or when all faults end.
func (r *run) finally(after time.Duration, fn func()) {
	e := &ending{fn: fn}
	r.ends = append(r.ends, e)
	r.w.after(after, func() { e.end() })
	if len(r.ends) > 256 {
		kept := r.ends[:0]
		for _, e := range r.ends {
			if !e.over {
				kept = append(kept, e)
			}
		}
		r.ends = kept
	}
}

func (e *ending) end() {
	if !e.over {
		e.over = true
		e.fn()
	}
}

// quiesce ends all faults and starts what can be started.
func (r *run) quiesce() {
	r.phase = "settling"
	r.epoch++
	r.w.tell("all faults end")
	for len(r.ends) > 0 { // an ending may lead to another one
		ends := r.ends
		r.ends = nil
		for _, e := range ends {
			e.end()
		}
	}
	r.w.network.heal()
	for _, m := range r.w.machines {
		m.dir.disk.SetCapacity(0)
		r.restart(m)
		if m.proc != nil && m.proc.paused {
			m.proc.wake()
		}
	}
}

// restart starts the process of a machine again, if there is one to be started.
func (r *run) restart(m *Machine) {
	if m.proc == nil && !m.spent {
		m.Start()
	}
}

// victim chooses a machine: one that leads something more often than its share, for there it hurts.
func (r *run) victim(f Fault) *Machine {
	if f.Pick>>16%3 == 0 {
		if l := r.w.leader(uint32(f.Pick>>20) % uint32(r.w.cfg.Tablets)); l != nil && !l.spent {
			return l
		}
	}
	var all []*Machine
	for _, m := range r.w.machines {
		if !m.spent {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[f.Pick%uint64(len(all))]
}

// other chooses another machine.
func (r *run) other(f Fault, not *Machine) *Machine {
	n := uint64(len(r.w.machines))
	for i := range n {
		if m := r.w.machines[(f.Pick>>8+i)%n]; m != not {
			return m
		}
	}
	return nil
}

// unsettled says what is not as it should be in the end.
func (r *run) unsettled() string {
	if r.removing > 0 {
		return "a dead node is still to be removed"
	}
	for _, m := range r.w.machines {
		if m.proc == nil && !m.spent {
			return m.Name() + " does not run"
		}
		if m.proc != nil && m.spent {
			return m.Name() + " runs, and should not"
		}
	}
	return r.w.unsettled()
}

// judge asks what can only be asked when all is quiet.
func (r *run) judge(ctx context.Context) error {
	w, l := r.w, r.load
	// From now on all requests succeed.
	l.since, l.failed = w.now, 0
	if err := r.pass(ctx, 5*sec); err != nil || r.broken() {
		return err
	}
	l.open = false
	if !w.Until(patience+sec, l.idle) {
		if !r.broken() {
			w.violate("clients still wait for an answer")
		}
		return nil
	}
	if l.failed > 0 {
		w.violate("%s failed after the cluster had settled", plural(l.failed, "request"))
		return nil
	}
	if !r.readAll() {
		return nil
	}
	ended := r.within(20*sec, func() string {
		why := r.unsettled()
		if why == "" {
			why = w.leftovers()
		}
		if why == "" {
			why = w.disagreement()
		}
		return why
	})
	if !ended {
		return nil
	}
	for _, k := range l.histories {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped while histories were judged: %w", err)
		}
		if why, wrong := k.check(); why != "" {
			w.violateKey(k.name, "%s", why)
			if wrong != nil {
				w.violations[0].At = wrong.ret
			}
			return nil
		}
	}
	r.within(20*sec, r.miscounted)
	return nil
}

// within lets time pass until nothing is wrong any more, and reports whether that came to be.
func (r *run) within(limit time.Duration, wrong func() string) bool {
	w := r.w
	for end := w.now + limit; ; w.Run(100 * ms) {
		why := wrong()
		if why == "" {
			return true
		}
		if w.now > end {
			w.violate("when all was quiet: %s", why)
			return false
		}
	}
}

// readAll reads every key that clients ever used: what was acknowledged must be there.
func (r *run) readAll() bool {
	w, l := r.w, r.load
	next, left := 0, len(l.histories)
	var read func(c *client)
	read = func(c *client) {
		if next == len(l.histories) {
			return
		}
		k := l.histories[next]
		next++
		c.at = w.serving(l.chance)
		look := k.kind.look()
		look.exact = true
		c.ask(k, look, func() { left--; read(c) })
	}
	before := l.refused
	for _, c := range l.clients {
		read(c)
	}
	if !w.Until(5*time.Minute, func() bool { return left == 0 }) || l.refused > before {
		if !r.broken() {
			w.violate("%d of %d keys could not be read in the end", left+l.refused-before, len(l.histories))
		}
		return false
	}
	return true
}
