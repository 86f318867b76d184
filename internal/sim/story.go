package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorddb/quord/internal/slot"
	"github.com/quorddb/quord/internal/tablet"
)

// Story carries out directed cases, a command after the other, on one world. Machines are n0, n1, ...; `let NAME leader
// KEY` names one by what it does, and !NAME is the first one that runs and is another.
type Story struct {
	w     *World
	names map[string]*Machine
	asked map[string][]*Call
	heals []func()
}

// Do carries out one command and returns what there is to see: what users rely on, and neither names nor times that
// change with every other seed. An error says that the story cannot go on.
//
//	world nodes=3 seed=1 tablets=4 replace-after=20s    a new world, settled
//	run 3s        settle      join                      let time pass; until all is as it should be; a new node
//	kill N   power N   start N   pause N   wake N       processes
//	power-at N 3        falls N KEY                     power goes in the midst of the third sync from now; lets time
//	                                                    pass until then, and says what N knew of a tablet
//	arriving N          received N                      lets time pass until a part of a snapshot is on N's disk; how
//	                                                    much N was sent in all
//	isolate N     split N,N   cut N N     heal          the network; cut is one way
//	suspend 8760h                                       all machines sleep, and their clocks go on
//	let NAME leader KEY    let NAME follower KEY        names
//	N COMMAND KEY ...                                   a command of a client, and its answer
//	ask A N COMMAND KEY ...     answer A                the same in two steps
//	burst N 300 COMMAND KEY     fill N 100 4000         many commands at once; many large values of one tablet
//	asks A N 300 COMMAND KEY    answers A               the same as burst in two steps
//	tablet KEY    agree    rings                        who holds a tablet; whether replicas are equal; how many rings
//	changing KEY                                        lets time pass until the replicas of a tablet are being changed
func (s *Story) Do(line string) (string, error) {
	f := strings.Fields(line)
	if f[0] == "world" {
		return s.begin(f[1:])
	}
	if s.w == nil {
		return "", errors.New("a story begins with a world")
	}
	out, err := s.do(f)
	if v := s.w.Violations(); err == nil && len(v) > 0 {
		err = errors.New(v[0].Text)
	}
	return out, err
}

func (s *Story) begin(args []string) (string, error) {
	cfg, nodes := Config{Seed: 1, Tablets: 4}, 3
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		var err error
		switch name {
		case "nodes":
			nodes, err = strconv.Atoi(value)
		case "seed":
			cfg.Seed, err = strconv.ParseUint(value, 10, 64)
		case "tablets":
			cfg.Tablets, err = strconv.Atoi(value)
		case "replace-after":
			cfg.ReplaceAfter, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("what is %q?", a)
		}
		if err != nil {
			return "", err
		}
	}
	*s = Story{w: New(cfg), names: map[string]*Machine{}, asked: map[string][]*Call{}}
	first := s.w.Found()
	for range nodes - 1 {
		m := s.w.Add()
		m.seeds = []*Machine{first}
		m.Start()
	}
	return s.settle()
}

func (s *Story) settle() (string, error) {
	begun := s.w.now
	for why := s.w.unsettled(); why != ""; why = s.w.unsettled() {
		if s.w.now-begun > s.w.settleLimit() {
			return "", fmt.Errorf("not settled after %v: %s", s.w.settleLimit(), why)
		}
		s.w.Run(50 * ms)
		if len(s.w.violations) > 0 {
			break
		}
	}
	return fmt.Sprintf("%s, settled", plural(len(s.w.running()), "node")), nil
}

func (s *Story) do(f []string) (string, error) {
	w := s.w
	switch f[0] {
	case "run", "suspend":
		d, err := time.ParseDuration(arg(f, 1))
		if err != nil {
			return "", err
		}
		if f[0] == "run" {
			w.Run(d)
			return "", nil
		}
		for _, m := range w.machines {
			m.clocks.mono += d
			m.clocks.wall += d.Milliseconds()
		}
		return "", nil
	case "settle":
		return s.settle()
	case "agree":
		for range 40 { // what was decided last is still on its way to some
			if w.disagreement() == "" {
				break
			}
			w.Run(50 * ms)
		}
		return orElse(w.disagreement(), "all replicas are equal"), nil
	case "join":
		m := w.Add()
		m.seeds = slices.Clone(w.machines[:m.index])
		m.Start()
		return m.Name(), nil
	case "heal":
		for _, heal := range s.heals {
			heal()
		}
		s.heals = nil
		return "", nil
	case "tablet":
		return s.tablet(arg(f, 1))
	case "changing":
		t := s.numberOf(arg(f, 1))
		before := s.epochOf(t)
		if !w.Until(10*sec, func() bool { return s.epochOf(t) > before }) {
			return "", fmt.Errorf("nothing changes about tablet %d", t)
		}
		return s.tablet(arg(f, 1))
	case "answer":
		if c := s.asked[arg(f, 1)]; len(c) == 1 {
			return s.await(c[0])
		}
		return "", fmt.Errorf("nothing was asked as %q, or more than one thing", arg(f, 1))
	case "answers":
		return s.count(s.asked[arg(f, 1)])
	case "rings":
		return plural(w.rings(), "ring"), nil
	case "let":
		return s.let(f)
	case "ask":
		if len(f) < 5 {
			return "", errors.New("want: ask NAME N COMMAND KEY and what else it takes")
		}
		m, err := s.machine(f[2])
		if err == nil {
			s.asked[f[1]] = []*Call{m.Ask(nil, f[3:]...)}
		}
		return "", err
	case "asks":
		m, err := s.machine(arg(f, 2))
		if err == nil {
			s.asked[f[1]], err = s.several(m, f[3:])
		}
		return "", err
	}
	if len(f) < 2 {
		return "", fmt.Errorf("what is %q?", f[0])
	}
	return s.about(f)
}

// about carries out what begins with, or is about, a machine.
func (s *Story) about(f []string) (string, error) {
	if m, err := s.machine(f[0]); err == nil {
		return s.await(m.Ask(nil, f[1:]...))
	}
	var on []*Machine
	for _, name := range strings.Split(f[1], ",") {
		m, err := s.machine(name)
		if err != nil {
			return "", err
		}
		on = append(on, m)
	}
	m, w := on[0], s.w
	switch f[0] {
	case "kill":
		m.Kill()
	case "power":
		m.Cut()
	case "power-at":
		n, err := strconv.Atoi(arg(f, 2))
		m.cutIn = n
		return "", err
	case "falls":
		return s.falls(m, arg(f, 2))
	case "start":
		if m.proc != nil {
			return "", fmt.Errorf("%s runs already", m.Name())
		}
		m.Start()
	case "arriving":
		if !w.Until(10*sec, func() bool { return m.staged() > 0 }) {
			return "", fmt.Errorf("no part of a snapshot has come to %s", m.Name())
		}
		return "a part of a snapshot is there", nil
	case "received":
		return fmt.Sprintf("%.0f MB", float64(m.received)/1e6), nil
	case "pause":
		m.proc.pause()
	case "wake":
		m.proc.wake()
	case "isolate", "split":
		s.heals = append(s.heals, w.network.split(func(o *Machine) bool { return slices.Contains(on, o) }))
	case "cut":
		o, err := s.machine(arg(f, 2))
		if err != nil {
			return "", err
		}
		w.network.cut(m, o)
		s.heals = append(s.heals, func() { w.network.mend(m, o) })
	case "burst":
		calls, err := s.several(m, f[2:])
		if err != nil {
			return "", err
		}
		return s.count(calls)
	case "fill":
		return s.fill(m, f[2:])
	default:
		return "", fmt.Errorf("what is %q?", f[0])
	}
	return "", nil
}

func arg(f []string, i int) string {
	if i < len(f) {
		return f[i]
	}
	return ""
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// machine returns the one that a name stands for.
func (s *Story) machine(name string) (*Machine, error) {
	if other, ok := strings.CutPrefix(name, "!"); ok {
		not, err := s.machine(other)
		if err != nil {
			return nil, err
		}
		for _, m := range s.w.machines {
			if m != not && m.proc != nil && !m.proc.paused {
				return m, nil
			}
		}
		return nil, fmt.Errorf("nothing else runs than %s", not.Name())
	}
	if m := s.names[name]; m != nil {
		return m, nil
	}
	for _, m := range s.w.machines {
		if m.Name() == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no machine %q", name)
}

func (s *Story) numberOf(key string) uint32 {
	return slot.Tablet(slot.Of([]byte(key)), s.w.cfg.Tablets)
}

// epochOf returns the epoch of a tablet's descriptor at its leader, 0 where there is none.
func (s *Story) epochOf(t uint32) uint64 {
	if l := s.w.leader(t); l != nil {
		return l.proc.core.Replica(t).Descriptor().Epoch
	}
	return 0
}

func (s *Story) let(f []string) (string, error) {
	t := s.numberOf(arg(f, 3))
	l := s.w.leader(t)
	if l == nil {
		return "", fmt.Errorf("tablet %d has no leader", t)
	}
	if arg(f, 2) == "follower" {
		for _, m := range s.w.machines {
			if m != l && m.proc != nil && m.proc.core.Replica(t) != nil {
				l = m
				break
			}
		}
	}
	s.names[arg(f, 1)] = l
	return "", nil
}

func (s *Story) tablet(key string) (string, error) {
	t := s.numberOf(key)
	l := s.w.leader(t)
	if l == nil {
		return "no leader", nil
	}
	return s.roles(l.proc.core.Replica(t).Descriptor()), nil
}

// roles counts the replicas that a descriptor names.
func (s *Story) roles(d *tablet.Descriptor) string {
	counts := map[tablet.Role]int{}
	for _, r := range d.Replicas {
		counts[r.Role]++
	}
	var parts []string
	for _, role := range []tablet.Role{tablet.Voter, tablet.Incoming, tablet.Outgoing, tablet.Learner, tablet.Former} {
		if n := counts[role]; n > 0 {
			parts = append(parts, plural(n, role.String()))
		}
	}
	return strings.Join(parts, ", ")
}

// falls waits until the power of a machine has gone that is to go.
func (s *Story) falls(m *Machine, key string) (string, error) {
	t := s.numberOf(key)
	var knew string
	if !s.w.Until(10*sec, func() bool {
		if m.proc == nil {
			return true
		}
		if g := m.proc.core.Replica(t); g != nil {
			knew = s.roles(g.Descriptor())
		}
		return false
	}) {
		return "", fmt.Errorf("the power of %s has not gone", m.Name())
	}
	return knew, nil
}

// await waits for an answer, and says how long it took where a client would notice.
func (s *Story) await(c *Call) (string, error) {
	if !s.w.Until(patience, c.Over) {
		return "", fmt.Errorf("%v has no answer", c.name)
	}
	took := ""
	if c.Took > 3*sec {
		took = " (after more than three seconds)"
	}
	return say(c.Reply()) + took, nil
}

// several sends one command many times at once.
func (s *Story) several(m *Machine, f []string) ([]*Call, error) {
	n, err := strconv.Atoi(arg(f, 0))
	if err != nil || len(f) < 3 {
		return nil, errors.New("want: a number, COMMAND KEY and what else it takes")
	}
	var calls []*Call
	for range n {
		calls = append(calls, m.Ask(nil, f[1:]...))
	}
	return calls, nil
}

// count waits for many answers, and says how many there are of each kind.
func (s *Story) count(calls []*Call) (string, error) {
	counts := map[string]int{}
	for _, c := range calls {
		if !s.w.Until(patience, c.Over) {
			return "", fmt.Errorf("%v has no answer", c.name)
		}
		switch {
		case c.OK():
			counts["done"]++
		case c.gone:
			counts["without an answer"]++
		default:
			counts[string(c.Code())]++
		}
	}
	var parts []string
	for what, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, what))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", "), nil
}

// fill stores many values of a size, all in one tablet.
func (s *Story) fill(m *Machine, f []string) (string, error) {
	n, err1 := strconv.Atoi(arg(f, 0))
	size, err2 := strconv.Atoi(arg(f, 1))
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	for i := range n {
		c := m.Ask(nil, "SET", fmt.Sprintf("{fill}%d", i), strings.Repeat("x", size))
		if !s.w.Until(patience, c.Over) || !c.OK() {
			return "", fmt.Errorf("value %d: %s", i, c.Reply())
		}
	}
	return fmt.Sprintf("%d values of %d bytes", n, size), nil
}
